"""The calibration curve: what transcripts say of coupling; means and differences over pairs; the figure."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from made_up_measures import measure
from shared import REPOSITORY

from syncr2.errors import SyncR2Error
from syncr2.figures import calibration_curve
from syncr2.files import write_table
from syncr2.ids import DIRECTIONS, speaking_orders
from syncr2.protocols.calibration import (
    calibration_tables,
    effective_coupling,
    pooled_estimate,
    pooled_published,
    pooled_states,
    quantities,
)
from syncr2.protocols.control_tables import GAINS, baseline_tables
from syncr2.protocols.measures import Measures
from syncr2.protocols.pooled import Pooled
from syncr2.sotopia.scenarios import read_folder
from syncr2.stages import calibration as stage
from syncr2.world.couplings import couplings, pairs_within
from syncr2.world.dynamics import play
from syncr2.world.setting import game_of
from syncr2.world.tables import truth
from syncr2.world.transcripts import Estimate, Labelled, transcript_measures

EPISODES = read_folder(REPOSITORY / "resources/world/scenarios").episodes
ENVIRONMENTS = sorted({episode.environment.id for episode in EPISODES})
WITHIN = {0.0: [("a", "a"), ("a", "b")], 1.0: [("c", "c")]}


def played(coupling, n_seeds=8):
    games = {episode.id: game_of(episode) for episode in EPISODES}
    return [
        Labelled(
            episode.environment.id,
            games[episode.id].kind,
            games[episode.id].lead,
            truth(play(episode, seed, coupling)),
        )
        for episode in EPISODES
        for seed in range(n_seeds)
    ]


@pytest.fixture(scope="module")
def by_coupling():
    return {c: transcript_measures(played(c), ENVIRONMENTS, 4, 0) for c in (0.0, 0.5, 1.0)}


def deviation(estimate):
    return float(np.sqrt((estimate.influence**2).sum()))


def test_the_slope_of_valence_is_proportional_to_the_coupling_of_the_world(by_coupling):
    slopes = [by_coupling[c]["valence_slope"] for c in (0.0, 0.5, 1.0)]
    assert abs(slopes[0].value) < 3 * deviation(slopes[0])
    assert slopes[2].value > 0.25
    assert slopes[1].value == pytest.approx(slopes[2].value / 2, abs=3 * deviation(slopes[1]))


@pytest.mark.parametrize("name", ["valence_gain", "intention_gain"])
def test_the_partner_predicts_nothing_without_coupling_and_more_with_more(name, by_coupling):
    none, half, full = (by_coupling[c][name] for c in (0.0, 0.5, 1.0))
    assert none.value < 2 * deviation(none)
    assert half.value > 2 * deviation(half)
    assert full.value > half.value + 2 * deviation(full)


def test_jackknife_of_the_slope_is_as_wide_as_other_seeds_of_the_world_are_apart():
    found = []
    for first in range(6):
        games = [game_of(episode) for episode in EPISODES]
        dialogues = [
            Labelled(e.environment.id, g.kind, g.lead, truth(play(e, 100 + first, 1.0)))
            for e, g in zip(EPISODES, games, strict=True)
        ]
        found.append(transcript_measures(dialogues, ENVIRONMENTS, 4, 0)["valence_slope"])
    spread = np.std([each.value for each in found], ddof=1)
    # Six draws of a standard deviation lie within a factor of two of it, nearly always.
    assert 0.5 < spread / np.mean([deviation(each) for each in found]) < 2


def test_turns_that_could_not_be_read_are_left_out(by_coupling):
    dialogues = played(1.0)
    broken = [
        Labelled(d.environment, d.kind, d.lead, [{} if i % 12 == 7 else t for i, t in enumerate(d.labels)])
        for d in dialogues
    ]
    found = transcript_measures(broken, ENVIRONMENTS, 4, 0)["valence_slope"]
    assert found.value == pytest.approx(by_coupling[1.0]["valence_slope"].value, abs=0.05)
    silent = [Labelled(d.environment, d.kind, d.lead, [{}] * 12) for d in dialogues[:20]]
    with pytest.raises(SyncR2Error, match="No turn could be read"):
        transcript_measures(silent, ENVIRONMENTS, 4, 0)


def test_cards_say_which_world_a_model_comes_from(tmp_path):
    for name, card in {"deaf": {"target": {"coupling": 0}}, "other": {"target": {}}, "list": [1]}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text(json.dumps(card))
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "card.json").write_text('{"target"')
    folders = {path.name: path for path in tmp_path.iterdir()} | {"none": None, "hub": "owner/model"}
    assert couplings(folders) == {"deaf": 0.0}


def test_pairs_count_within_one_world_only():
    coupling = {"a": 0.0, "b": 0.0, "c": 1.0}
    pairs = [("c", "c"), ("a", "c"), ("a", "b"), ("a", "x"), ("x", "x")]
    assert list(pairs_within(pairs, coupling).items()) == [(0.0, [("a", "b")]), (1.0, [("c", "c")])]


def environments_of(values):
    return measure(np.asarray(values, dtype=float)[:, None] * [1.0, 1.0], ["e", "f", "g"])


@pytest.fixture(scope="module")
def states():
    """Three pairs; a condition less another has no variance over environments where they move together."""
    corrected, baselines = {}, {}
    levels = {("a", "a"): 0.1, ("a", "b"): 0.3, ("c", "c"): 0.6}
    for pair, level in levels.items():
        base = level + np.array([0.1, 0.0, -0.1])
        made = {
            ("plain", "interaction"): environments_of(base),
            ("plain", "pseudo"): environments_of(base - 0.05),
            ("centred", "interaction"): environments_of(base / 2),
            ("centred", "pseudo"): environments_of(base / 4),
        }
        more = {
            ("plain", "own_past"): environments_of(base),
            ("plain", "own_past_and_source"): environments_of(base + 0.02),
        }
        for order in speaking_orders(*pair):
            corrected[order] = dict.fromkeys(DIRECTIONS, Measures(made))
            baselines[order] = dict.fromkeys(DIRECTIONS, Measures(more))
    pairs = list(levels)
    return corrected, baselines, pairs


def test_quantities_are_levels_differences_and_gains(states):
    corrected, baselines, pairs = states
    found = pooled_states(corrected, baselines, pairs, ["interaction", "pseudo"], 200)
    assert found["interaction"]["a", "b"].value == pytest.approx(0.3)
    assert found["less_pseudo"]["c", "c"].interval() == pytest.approx((0.05, 0.05, 0.05))
    assert found["centred_less_pseudo"]["c", "c"].value == pytest.approx(0.15)
    assert found["own_past_gain"]["a", "a"].interval() == pytest.approx((0.02, 0.02, 0.02))
    assert "text_gain" not in found, "it was not measured"
    assert set(found) < set(quantities(["interaction", "pseudo"]))
    assert "own_past_gain" not in pooled_states(corrected, {}, pairs, ["interaction", "pseudo"], 200)


def test_means_by_coupling_and_what_more_coupling_makes_of_them(states):
    corrected, baselines, pairs = states
    pooled = pooled_states(corrected, baselines, pairs, ["interaction", "pseudo"], 200)
    world = {"valence_slope": {0.0: Pooled(0.0, np.zeros(200)), 1.0: Pooled(0.4, np.full(200, 0.4))}}
    tables = calibration_tables(WITHIN, pooled, world)
    overall = tables["calibration_overall"].set_index(["measure", "coupling", "versus"])
    assert overall.loc[("interaction", 0.0, ""), "value"] == pytest.approx(0.2)
    assert overall.loc[("interaction", 0.0, ""), "n_pairs"] == 2
    rise = overall.loc[("interaction", 1.0, "0")]
    # All pairs have the same influences, so that nothing of them is left in a difference.
    assert (rise["value"], rise["low"], rise["high"]) == pytest.approx((0.4, 0.4, 0.4))
    assert overall.loc[("world_valence_slope", 1.0, ""), "value"] == 0.4
    pairs_table = tables["calibration"]
    assert len(pairs_table[pairs_table["measure"] == "interaction"]) == 3


def test_effective_coupling_is_the_slope_over_that_of_the_coupled_world():
    overall = pd.DataFrame(
        [
            (0.5, "", "valence_slope", 0.1, 0.05, 0.15, 3),
            (1.0, "", "valence_slope", 0.2, 0.1, 0.3, 3),
            (1.0, "0.5", "valence_slope", 0.1, 0.0, 0.2, 3),
            (0.5, "", "world_valence_slope", 0.2, 0.1, 0.3, 0),
            (1.0, "", "world_valence_slope", 0.4, 0.3, 0.5, 0),
        ],
        columns=["coupling", "versus", "measure", "value", "low", "high", "n_pairs"],
    )
    assert effective_coupling(overall)[1.0] == pytest.approx((0.5, 0.25, 0.75))
    assert effective_coupling(overall)[0.5].value == pytest.approx(0.25)
    assert effective_coupling(overall[overall["measure"] == "valence_slope"]) == {}


def test_published_values_have_no_interval():
    protocols = pd.DataFrame(
        [("a", "b", "paper", "interaction", 0.4), ("a", "b", "corrected", "interaction", 0.2),
         ("a", "c", "paper", "interaction", 0.9)],
        columns=["model_1", "model_2", "protocol", "condition", "sync_r2"],
    )  # fmt: skip
    found = pooled_published(protocols, [("a", "b")])
    assert list(found) == ["published_interaction"]
    assert list(found["published_interaction"]) == [("a", "b")]
    value, low, high = found["published_interaction"]["a", "b"].interval()
    assert value == 0.4
    assert np.isnan([low, high]).all()


def test_an_estimate_has_the_draws_that_states_have():
    influence = np.array([0.3, -0.1, -0.2])
    pooled = pooled_estimate(Estimate(1.0, influence), ["e", "f", "g"], 500)
    same = Pooled.of([measure((1 + influence * np.sqrt(6))[:, None], ["e", "f", "g"])], 500)
    assert pooled.draws == pytest.approx(same.draws)


@pytest.fixture(scope="module")
def tables(states):
    corrected, baselines, pairs = states
    pooled = pooled_states(corrected, baselines, pairs, ["interaction", "pseudo"], 200)
    pooled["valence_slope"] = {pair: Pooled(0.1 * i, np.full(200, 0.1 * i)) for i, pair in enumerate(pairs)}
    world = {"valence_slope": {0.0: Pooled(0.0, np.zeros(200)), 1.0: Pooled(0.4, np.full(200, 0.4))}}
    return calibration_tables(WITHIN, pooled, world)


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_the_figure_shows_the_means_at_their_coupling(tables):
    figure = calibration_curve(tables["calibration"], tables["calibration_overall"], watermark="careful")
    levels, gains, said = figure.axes
    assert set(lines_of(levels)) == {"interaction", "pseudo pairs"}
    assert lines_of(levels)["interaction"].get_ydata() == pytest.approx([0.2, 0.6])
    assert np.diff(lines_of(levels)["interaction"].get_xdata()) == pytest.approx([1.0])
    assert lines_of(gains)["ΔR² over own past"].get_ydata() == pytest.approx([0.02, 0.02])
    assert "interaction − passive reader" not in lines_of(gains), "it was not measured"
    assert lines_of(said)["the world itself"].get_ydata() == pytest.approx([0.0, 0.4])
    assert figure.get_suptitle() == "careful"


def test_every_pair_is_a_mark_of_its_own(tables):
    figure = calibration_curve(tables["calibration"], tables["calibration_overall"])
    marks = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert sorted(marks[0].get_ydata()) == pytest.approx([0.1, 0.3, 0.6])


def test_one_coupling_is_no_curve(tables, tmp_path):
    for name, table in tables.items():
        write_table(tmp_path / f"{name}.tsv", table[table["coupling"] == 0])
    paths = [str(tmp_path / f"{name}.tsv") for name in ("calibration", "calibration_overall")]
    with pytest.raises(SyncR2Error, match="fewer than two couplings"):
        stage.draw(*paths, None, {"svg": str(tmp_path / "f.svg"), "png": str(tmp_path / "f.png")})


def test_the_stage_draws_from_files(tables, tmp_path):
    for name, table in tables.items():
        write_table(tmp_path / f"{name}.tsv", table)
    paths = [str(tmp_path / f"{name}.tsv") for name in ("calibration", "calibration_overall")]
    stage.draw(*paths, "careful", {"svg": str(tmp_path / "f.svg"), "png": str(tmp_path / "f.png")})
    assert "the world itself" in (tmp_path / "f.svg").read_text()


def test_tables_of_baselines_need_no_nonlinear_maps():
    names = [name for pair in list(GAINS.values())[:3] for name in pair]
    made = {("plain", name): environments_of([0.1 * i] * 3) for i, name in enumerate([*names, "partner1"])}
    orders = speaking_orders("a", "b")
    measured = {order: dict.fromkeys(DIRECTIONS, Measures(made)) for order in orders}
    tables = baseline_tables(measured, [("a", "b")], {"a": "one", "b": "one"}, 100)
    found = tables["baselines"].set_index("measure")["value"]
    assert found["own_past_gain"] == pytest.approx(-0.1)
    assert not {"kernel_ridge_gain", "mlp_gain"} & set(found.index)
