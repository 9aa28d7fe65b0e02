"""The corrected protocol on made-up states of two agents: rows, kinds, groups, baselines, nulls, tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from syncr2 import ids
from syncr2.errors import SyncR2Error
from syncr2.ids import DIRECTIONS, OrderedPair
from syncr2.maps.folds import environment_folds
from syncr2.maps.nulls import holm, p_value
from syncr2.maps.samples import Row
from syncr2.protocols import control_tables
from syncr2.protocols.baselines import Baselines, context_features
from syncr2.protocols.corrected import Centred, Protocol, corrected_measures, meet
from syncr2.protocols.measures import Measures, read_measures, write_measures
from syncr2.protocols.partners import partner_nulls, read_nulls, write_nulls
from syncr2.protocols.synchrony import ends
from syncr2.store import AgentStates, StateRow, open_states, read_r2, write_states

PROTOCOL = Protocol(folds=3, penalties=(0.1, 10.0))
LAGS = ids.conditions(False, [3], pseudo=True)
ENVIRONMENTS = {f"episode{i}": f"environment{i // 2}" for i in range(36)}
GROUPS = {"half": {episode: "ab"[i % 2] for i, episode in enumerate(ENVIRONMENTS)}}


def made_states(path, coupling, seed=0, turns=8, width=4, layers=(2, 3)):
    """Each turn brings news to its speaker; with coupling agent 2 takes up agent 1's.

    Every dialogue has an offset that both agents share, and that the same episode's other dialogue has too.
    """
    rng = np.random.default_rng(seed)
    hidden = {agent: [] for agent in ("agent1", "agent2")}
    rows = {agent: [] for agent in hidden}
    for episode, environment in ENVIRONMENTS.items():
        shared = 1.5 * rng.standard_normal(width)
        for generation in (0, 1):
            news = rng.standard_normal((turns, width))
            for turn in range(turns):
                agent = f"agent{turn % 2 + 1}"
                taken_up = coupling * news[turn - 1] if agent == "agent2" else 0
                hidden[agent].append(shared + news[turn] + taken_up)
                rows[agent].append(StateRow(episode, environment, generation, turn, 100 + 10 * turn, 5))
    states = {}
    for (agent, values), n_layers in zip(hidden.items(), layers, strict=True):
        mixing = rng.standard_normal((n_layers, width, width))
        states[agent] = AgentStates((np.array(values) @ mixing).astype(np.float32), rows[agent])
    write_states(path, states, {})
    return {"engaged": open_states([path])}


@pytest.fixture(scope="module")
def coupled(tmp_path_factory):
    return made_states(tmp_path_factory.mktemp("states") / "coupled.h5", coupling=1.5)


@pytest.fixture(scope="module")
def measured(coupled):
    return corrected_measures(coupled, LAGS, ENVIRONMENTS, GROUPS, PROTOCOL)


def test_all_conditions_are_measured_on_the_same_target_rows(coupled):
    met = meet(coupled, LAGS, DIRECTIONS[0], ENVIRONMENTS, PROTOCOL)
    # Agent 2 speaks at 1, 3, 5, 7; a source three turns before exists from turn 3 on.
    assert sorted({row.turn for row in met.rows}) == [3, 5, 7]
    assert len(met.rows) == 36 * 2 * 3
    target = coupled["engaged"]["agent2"]
    wanted = np.array([[row.key for row in target.rows].index(row) for row in met.rows])
    for condition in LAGS:
        np.testing.assert_array_equal(met.targets[condition.name][1], target[1][wanted])
    source = coupled["engaged"]["agent1"]
    places = {row.key: i for i, row in enumerate(source.rows)}
    lagged = [places[row._replace(turn=row.turn - 3)] for row in met.rows]
    np.testing.assert_array_equal(met.sources["lag3"][0], source[0][lagged])
    other = [places[Row(row.episode_id, 1 - row.seed, row.turn - 1)] for row in met.rows]
    np.testing.assert_array_equal(met.sources["pseudo"][0], source[0][other])


def test_folds_keep_environments_together(coupled):
    met = meet(coupled, LAGS, DIRECTIONS[1], ENVIRONMENTS, PROTOCOL)
    fold_of = {}
    for row, fold in zip(met.rows, met.fold, strict=True):
        assert fold_of.setdefault(ENVIRONMENTS[row.episode_id], fold) == fold
    assert set(fold_of.values()) == {0, 1, 2}


def test_planted_coupling_is_seen_in_the_interaction_only(measured):
    taken_up, not_taken_up = (measured[direction].by_name for direction in DIRECTIONS)
    for by_name in (taken_up, not_taken_up):
        plain = {name: by_name["plain", name].sync_r2(False) for name in ("interaction", "lag3", "pseudo")}
        # What is shared by the episode predicts at any lag and from the other seed, until
        # dialogues are centred.
        assert plain["pseudo"] > 0.01
        assert by_name["centred", "pseudo"].sync_r2(False) < 0.02
        gain = plain["interaction"] - max(plain["lag3"], plain["pseudo"])
        assert (gain > 0.15) if by_name is taken_up else (abs(gain) < 0.1)
    assert taken_up["centred", "interaction"].sync_r2(False) > 0.3
    # Not 0: a dialogue's mean holds a part of every state, so centred states of few turns hang together.
    assert not_taken_up["centred", "interaction"].sync_r2(False) < 0.2


def test_centring_leaves_no_mean_within_a_dialogue():
    stack = np.random.default_rng(0).standard_normal((2, 7, 3))
    dialogue = np.array([0, 0, 0, 1, 2, 2, 2])
    centred = Centred(stack, dialogue)[1]
    for number in range(3):
        np.testing.assert_allclose(centred[dialogue == number].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(centred[0] - centred[1], stack[1, 0] - stack[1, 1])


def test_groups_have_their_rows_and_both_fits(measured):
    groups = measured[DIRECTIONS[0]].groups
    assert set(groups) == {(fit, "half", value) for fit in ("one", "separate") for value in "ab"}
    assert all(measure.n_samples == 108 and measure.n_environments == 18 for measure in groups.values())
    assert all(measure.sync_r2(False) > 0.1 for measure in groups.values())


def test_a_group_with_one_environment_in_a_fold_has_no_interval(coupled):
    of = environment_folds(list(ENVIRONMENTS.values()), 3, 0)
    alone = next(name for name, fold in of.items() if fold == 0)
    kept = {e: "in" if of[name] != 0 or name == alone else "out" for e, name in ENVIRONMENTS.items()}
    made = corrected_measures(coupled, LAGS, ENVIRONMENTS, {"kept": kept}, PROTOCOL)
    measure = made[DIRECTIONS[0]].groups["one", "kept", "in"]
    assert np.isfinite(measure.score.r2).all()
    assert np.isnan(measure.score.influence).all()


def test_measures_come_back_from_the_file(measured, tmp_path):
    write_measures(tmp_path / "m.h5", measured, {"stage": "corrected"})
    again = read_measures(tmp_path / "m.h5")
    for direction in DIRECTIONS:
        assert list(again[direction].by_name) == list(measured[direction].by_name)
        assert list(again[direction].groups) == list(measured[direction].groups)
        for key, measure in measured[direction].by_name.items():
            found = again[direction].by_name[key]
            np.testing.assert_array_equal(found.score.r2, measure.score.r2)
            np.testing.assert_array_equal(found.score.influence, measure.score.influence)
            np.testing.assert_array_equal(found.choice.target_layer, measure.choice.target_layer)
            assert found.environments == measure.environments


def test_too_few_common_rows_are_refused(coupled):
    with pytest.raises(SyncR2Error, match="0 target states exist in every condition") as refused:
        meet(coupled, ids.conditions(False, [9]), DIRECTIONS[0], ENVIRONMENTS, PROTOCOL)
    assert "lag9 0" in str(refused.value)


def test_baselines_tell_coupling_from_shared_context(coupled, measured, tmp_path):
    uncoupled = made_states(tmp_path / "uncoupled.h5", coupling=0.0, seed=1)
    alone = corrected_measures(uncoupled, LAGS, ENVIRONMENTS, {}, PROTOCOL)
    gains = []
    for states, made in ((coupled, measured), (uncoupled, alone)):
        direction = DIRECTIONS[0]
        whole = made[direction].by_name["plain", "interaction"]
        base = Baselines(states, direction, ENVIRONMENTS, whole.choice, PROTOCOL)
        target = states["engaged"][ends(direction, ids.INTERACTION).target]
        found = base.past_and_context({row.key: row.n_prompt_tokens for row in target.rows})
        gains.append(found["own_past_and_source"].sync_r2(False) - found["own_past"].sync_r2(False))
        profile = base.lag_profile([1, 2, 3])
        assert list(profile) == ["partner1", "self2", "partner3", "partner-1"]
        ceiling = base.ceiling()["ceiling"].sync_r2(False)
        # The other seed shares the episode's offset with the target and nothing else.
        assert 0.05 < ceiling < 0.8
        text = base.text(lambda rows: np.random.default_rng(0).standard_normal((len(rows), 3)))
        assert text["text"].sync_r2(False) < 0.03
    assert gains[0] > gains[1] + 0.2
    assert gains[1] < 0.15, "two views of the offset are better than one"


def test_reversed_time_is_below_planted_coupling(coupled, measured):
    whole = measured[DIRECTIONS[0]].by_name["plain", "interaction"]
    profile = Baselines(coupled, DIRECTIONS[0], ENVIRONMENTS, whole.choice, PROTOCOL).lag_profile([1])
    assert profile["partner1"].sync_r2(False) > profile["partner-1"].sync_r2(False) + 0.15


def test_context_features_are_turns_and_length():
    rows = [Row("e", 0, 3), Row("e", 0, 5), Row("f", 0, 3)]
    found = context_features(rows, dict(zip(rows, (10, 100, 1000), strict=True)))
    np.testing.assert_allclose(found, [[1, 0, np.log(10)], [0, 1, np.log(100)], [1, 0, np.log(1000)]])


@pytest.fixture(scope="module")
def nulls(coupled):
    return partner_nulls(coupled, LAGS, ENVIRONMENTS, PROTOCOL, 0.1, 39, "a--b")


def test_nulls_break_what_they_are_meant_to_break(nulls):
    for direction in DIRECTIONS:
        for index in ("sync_r2", "cka", "cca"):
            permuted, pseudo = (nulls[direction][null, index] for null in ("permutation", "pseudo"))
            assert permuted.movable_share == pseudo.movable_share == 1
            assert permuted.statistic == pseudo.statistic
            # Only agent 2 takes up what its partner said; the other direction shares the episode and no more.
            assert (p_value(pseudo.statistic, pseudo.draws) <= 0.05) == (direction == DIRECTIONS[0])
            assert p_value(permuted.statistic, permuted.draws) <= 0.05
        # Partners of the same episode still share its offset, so they predict more than strangers do.
        assert (
            nulls[direction]["pseudo", "cka"].draws.mean()
            > nulls[direction]["permutation", "cka"].draws.mean()
        )


def test_nulls_come_back_from_the_file_and_do_not_change(nulls, coupled, tmp_path):
    write_nulls(tmp_path / "n.h5", nulls, {})
    again = read_nulls(tmp_path / "n.h5")
    other = partner_nulls(coupled, LAGS, ENVIRONMENTS, PROTOCOL, 0.1, 39, "a--b")
    for direction in DIRECTIONS:
        for key, null in nulls[direction].items():
            np.testing.assert_array_equal(again[direction][key].draws, null.draws)
            np.testing.assert_array_equal(other[direction][key].draws, null.draws)


def test_tables_average_directions_and_orders(measured, nulls):
    pair = OrderedPair("a", "a")
    family = {"a": "x"}
    tables = control_tables.corrected_tables({pair: measured}, {}, [("a", "a")], [], family, 400)
    protocols = tables["protocols"].set_index(["states", "condition"])
    wanted = np.mean([measured[d].by_name["plain", "lag3"].sync_r2(False) for d in DIRECTIONS])
    assert protocols.loc[("plain", "lag3"), "sync_r2_raw"] == pytest.approx(wanted)
    row = protocols.loc[("plain", "interaction")]
    assert row["raw_low"] < row["sync_r2_raw"] < row["raw_high"]
    contrasts = tables["contrasts"].set_index(["states", "minus"])
    difference = row["sync_r2_raw"] - protocols.loc[("plain", "pseudo"), "sync_r2_raw"]
    assert contrasts.loc[("plain", "pseudo"), "difference"] == pytest.approx(difference)
    assert contrasts.loc[("plain", "pseudo"), "low"] > 0
    groups = tables["groups"].query("fit == 'one' and versus == 'b'").iloc[0]
    each = tables["groups"].query("fit == 'one' and versus == ''").set_index("value")["sync_r2_raw"]
    assert groups["sync_r2_raw"] == pytest.approx(each["a"] - each["b"])
    table = control_tables.null_table({pair: nulls}, [("a", "a")], family).set_index(["null", "index"])
    wanted = np.mean([nulls[d]["pseudo", "cka"].draws for d in DIRECTIONS], axis=0)
    assert table.loc[("pseudo", "cka"), "null_mean"] == pytest.approx(wanted.mean())
    assert table.loc[("pseudo", "cka"), "null_high"] == pytest.approx(np.quantile(wanted, 0.95))
    assert (table["p"] <= 0.05).all()


@pytest.mark.parametrize("nonlinear", [True, False])
def test_baselines_become_tables_with_and_without_nonlinear_maps(measured, nonlinear):
    names = ["own_past", "own_past_and_source", "context", "context_and_source", "text", "text_and_source"]
    names += ["partner1", "self2", "partner-1", *(["affine", "kernel_ridge", "mlp"] if nonlinear else [])]
    conditions = {name: "lag3" if name.endswith("_and_source") else "interaction" for name in names}
    made = {
        direction: Measures(
            {("plain", name): each.by_name["plain", condition] for name, condition in conditions.items()}, {}
        )
        for direction, each in measured.items()
    }
    tables = control_tables.baseline_tables({OrderedPair("a", "a"): made}, [("a", "a")], {"a": "x"}, 400)
    baselines = tables["baselines"].set_index("measure")["value"]
    assert ("kernel_ridge_gain" in baselines.index) == ("mlp" in baselines.index) == nonlinear
    wanted = baselines["own_past_and_source"] - baselines["own_past"]
    assert baselines["own_past_gain"] == pytest.approx(wanted)
    profile = tables["lag_profile"][["agent", "lag"]].to_numpy().tolist()
    assert profile == [["partner", 1], ["self", 2], ["partner", -1]]


def test_holm_is_taken_over_pairs_within_each_index_and_null(nulls):
    pairs = [("a", "a"), ("b", "b")]
    made = {OrderedPair(*pair): nulls for pair in pairs}
    table = control_tables.null_table(made, pairs, {"a": "x", "b": "y"})
    for _, rows in table.groupby(["index", "null"]):
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"].tolist()))
        assert (rows["p_holm"] == 2 * rows["p"]).all()


def test_a_difference_has_the_interval_of_differences(measured):
    """Draws are shared, so the interval of a difference of a measure with itself is a point."""
    pair = OrderedPair("a", "a")
    twice = {
        direction: type(each)({**each.by_name, ("plain", "again"): each.by_name["plain", "interaction"]})
        for direction, each in measured.items()
    }
    tables = control_tables.corrected_tables({pair: twice}, {}, [("a", "a")], [], {"a": "x"}, 200)
    row = tables["contrasts"].query("minus == 'again'").iloc[0]
    assert row[["difference", "low", "high"]].tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    assert isinstance(tables["contrasts_overall"], pd.DataFrame)


def test_published_file_is_another_format(tmp_path, measured):
    write_measures(tmp_path / "m.h5", measured, {})
    with pytest.raises(SyncR2Error, match="expected a finished file of format syncr2/r2"):
        read_r2(tmp_path / "m.h5")
