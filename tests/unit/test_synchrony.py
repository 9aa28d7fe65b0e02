"""SyncR² of states with planted synchrony, from files to tables."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from syncr2 import directed_sync, open_states
from syncr2.errors import SyncR2Error
from syncr2.ids import INTERACTION, PSEUDO, UNTRAINED, Condition, OrderedPair
from syncr2.maps import samples
from syncr2.protocols.synchrony import PaperProtocol, condition_r2, ends, episode_order, join_states
from syncr2.protocols.synchrony_tables import tables
from syncr2.store import AgentStates, DirectionR2, StateRow, read_r2, write_r2, write_states

N_EPISODES, N_TURNS = 40, 8


def test_directed_sync_by_hand():
    assert directed_sync([[0.1, 0.5], [-0.3, -0.2], [0.2, 0.0]]) == pytest.approx((0.5 + 0 + 0.2) / 3)
    for bad in ([], [0.1, 0.2], [[np.nan]]):
        with pytest.raises(SyncR2Error):
            directed_sync(bad)


def planted(folder, signal):
    """States on disk: agent 1 holds the signal of its own turn, agent 2 that of the turn before it.

    `signal` has the shape (seeds, episodes, turns, dimensions).
    """
    rng = np.random.default_rng(0)
    paths = []
    for seed, of_seed in enumerate(signal):
        written = {}
        for agent, (n_layers, width) in {1: (3, 6), 2: (2, 5)}.items():
            rows = [
                StateRow(f"ep-{e}", f"env-{e // 4}", seed, t, 10, 1)
                for e in range(N_EPISODES)
                for t in range(agent - 1, N_TURNS, 2)
            ]
            held = np.array([of_seed[int(row.episode_id[3:]), row.turn - (agent - 1)] for row in rows])
            mixing = np.random.default_rng(agent).standard_normal((n_layers, 3, width))
            hidden = held @ mixing + 0.3 * rng.standard_normal((n_layers, len(rows), width))
            written[f"agent{agent}"] = AgentStates(hidden.astype(np.float32), rows)
        path = folder / f"{seed}.h5"
        write_states(path, written, {})
        paths.append(path)
    return open_states(paths)


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """A new signal at each turn: agent 2's turn t+1 holds that of agent 1's turn t, not the other way."""
    signal = np.random.default_rng(1).standard_normal((2, N_EPISODES, N_TURNS, 3))
    return planted(tmp_path_factory.mktemp("states"), signal)


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    """As `states`, but the signal belongs to the episode: it is the same in both of its dialogues."""
    signal = np.random.default_rng(2).standard_normal((1, N_EPISODES, N_TURNS, 3))
    return planted(tmp_path_factory.mktemp("scripted"), np.repeat(signal, 2, axis=0))


def paper(n_samples=None, split_seeds=(0, 1)):
    return PaperProtocol(n_samples, split_seeds, 0.1)


def sync(result) -> float:
    return directed_sync(result.r2.mean(axis=0))


def test_planted_synchrony_is_found_where_it_was_planted(states):
    groups = {"half": {f"ep-{e}": "low" if e < 20 else "high" for e in range(N_EPISODES)}}
    near = condition_r2(states, states, INTERACTION, paper(), groups)
    far = condition_r2(states, states, Condition("lag3", "engaged", 3), paper(), {})
    assert near["agent1_to_agent2"].r2.shape == (2, 3, 2)
    assert near["agent2_to_agent1"].r2.shape == (2, 2, 3)
    assert directed_sync(near["agent1_to_agent2"].r2.mean(axis=0)) > 0.7
    assert directed_sync(near["agent2_to_agent1"].r2.mean(axis=0)) < 0.05
    assert directed_sync(far["agent1_to_agent2"].r2.mean(axis=0)) < 0.05
    for r2, n_test in near["agent1_to_agent2"].groups["half"].values():
        assert r2.shape == (2, 3)
        assert (r2 > 0.6).all()
        assert (n_test >= 2).all()


def test_equals_scikit_learn_from_the_files(states):
    result = condition_r2(states, states, INTERACTION, paper(200, [5]), {})
    source, target = states["agent2"], states["agent1"]
    where = {row.key: i for i, row in enumerate(target.rows)}
    pairs = [(i, where.get(row.key._replace(turn=row.turn + 1))) for i, row in enumerate(source.rows)]
    pairs = [(i, j) for i, j in pairs if j is not None]
    order = episode_order(states)
    counts = [sum(source.rows[i].episode_id == episode for i, _ in pairs) for episode in order]
    split = samples.paper_split(counts, 200, 5)
    rows = [[p for p in pairs if source.rows[p[0]].episode_id in {order[k] for k in part}] for part in split]
    (x_train, y_train), (x_test, y_test) = (np.array(part).T for part in rows)
    for layer in range(2):
        for m in range(3):
            model = Ridge(alpha=0.1).fit(
                source[layer][x_train].astype(float), target[m][y_train].astype(float)
            )
            wanted = r2_score(
                target[m][y_test].astype(float), model.predict(source[layer][x_test].astype(float))
            )
            assert result["agent2_to_agent1"].r2[0, layer, m] == pytest.approx(wanted, abs=1e-9)


def test_automatic_sample_numbers_use_all_episodes_at_every_lag(states):
    for lag in (1, 3, 5):
        found = condition_r2(
            states, states, Condition(f"lag{lag}", "engaged", lag), paper(None, range(5)), {}
        )
        for result in found.values():
            per_episode = result.n_available // N_EPISODES
            # All but what the shares leave over, which is less than two episodes.
            assert (result.n_train + result.n_test > result.n_available - 2 * per_episode).all()
    with pytest.raises(SyncR2Error, match=r"lag7 \(lag 7\): there are 0 samples"):
        condition_r2(states, states, Condition("lag7", "engaged", 7), paper(), {})


def test_pseudo_pairs_find_what_belongs_to_the_episode_and_not_what_belongs_to_the_dialogue(states, scripted):
    for there, expected in ((states, 0), (scripted, 1)):
        own = condition_r2(there, there, INTERACTION, paper(), {})["agent1_to_agent2"]
        other = condition_r2(there, there, PSEUDO, paper(), {})["agent1_to_agent2"]
        assert other.n_available == own.n_available
        np.testing.assert_array_equal(other.n_test, own.n_test)
        assert sync(own) > 0.7
        assert sync(other) > 0.7 if expected else sync(other) < 0.05


def test_pseudo_pairs_of_one_seed_are_refused(states, tmp_path):
    alone = planted(tmp_path, np.random.default_rng(3).standard_normal((1, N_EPISODES, N_TURNS, 3)))
    with pytest.raises(SyncR2Error, match=r"pseudo .* there are 0 samples"):
        condition_r2(alone, alone, PSEUDO, paper(), {})


def test_targets_come_from_their_own_reading(states, scripted):
    """`scripted` stands for another reading of the same dialogues: rows agree, states do not."""
    across = condition_r2(states, scripted, INTERACTION, paper(), {})["agent1_to_agent2"]
    within = condition_r2(scripted, scripted, UNTRAINED, paper(), {})["agent1_to_agent2"]
    assert sync(across) < 0.05
    assert sync(within) > 0.7


def test_an_agent_and_its_own_past(states):
    own = Condition("own2", "engaged", 2, source_agent="self")
    assert [ends(name, own) for name in ("agent1_to_agent2", "agent2_to_agent1")] == [
        ("agent2", "agent2"),
        ("agent1", "agent1"),
    ]
    assert ends("agent1_to_agent2", INTERACTION) == ("agent1", "agent2")
    found = condition_r2(states, states, own, paper(), {})
    assert {name: result.r2.shape for name, result in found.items()} == {
        "agent1_to_agent2": (2, 2, 2),
        "agent2_to_agent1": (2, 3, 3),
    }
    assert all(sync(result) < 0.05 for result in found.values()), "each turn's signal is new"
    at_once = condition_r2(states, states, own._replace(lag=0), paper(), {})
    np.testing.assert_allclose(np.diagonal(at_once["agent1_to_agent2"].r2[0]), 1, atol=1e-4)


def test_time_reversed(states):
    """Agent 1 speaks of what agent 2's state one turn later holds: backwards, agent 2 tells of agent 1."""
    back = condition_r2(states, states, Condition("back", "engaged", -1), paper(), {})
    assert sync(back["agent2_to_agent1"]) > 0.7
    assert sync(back["agent1_to_agent2"]) < 0.05


def test_ceiling_pairs_a_state_with_itself_in_the_other_dialogue(scripted):
    ceiling = Condition("ceiling", "engaged", 0, source_agent="self", dialogue="other")
    agent = scripted["agent2"]
    found = join_states(agent, agent, ceiling, episode_order(scripted))
    assert len(found.source) == len(agent.rows)
    for i, j in zip(found.source, found.target, strict=True):
        x, y = agent.rows[i].key, agent.rows[j].key
        assert x == y._replace(seed=1 - y.seed)


def matrix(value: float, shape: tuple[int, int]) -> DirectionR2:
    r2 = np.full((2, *shape), value)
    group = {
        "kind": {
            "x": (np.full((2, shape[0]), value), np.array([4, 6])),
            "y": (np.full((2, shape[0]), np.nan), np.array([1, 0])),
        }
    }
    return DirectionR2(r2, np.array([80, 82]), np.array([20, 22]), 110, group)


def test_tables_average_directions_and_speaking_orders(tmp_path):
    family = {"m": "f", "k": "g"}
    values = {
        OrderedPair("m", "k"): (0.1, 0.3),
        OrderedPair("k", "m"): (0.5, -0.2),
        OrderedPair("m", "m"): (0.2, 0.4),
    }
    measured = {}
    for pair, (forth, back) in values.items():
        path = tmp_path / f"{pair.id}.h5"
        write_r2(
            path, {"agent1_to_agent2": matrix(forth, (3, 2)), "agent2_to_agent1": matrix(back, (2, 3))}, {}
        )
        measured[pair, "interaction"] = read_r2(path)
    made = tables(measured, [("m", "m"), ("m", "k")], ["interaction"], family)
    own, cross = made.pairs.to_dict("records")
    assert own["sync_r2"] == pytest.approx(0.3)
    assert own["family"] == "f"
    # The negative direction counts as 0, as SyncR² clips it.
    assert cross["sync_r2"] == pytest.approx((0.1 + 0.3 + 0.5 + 0) / 4)
    assert (cross["family"], cross["n_directed"]) == ("cross", 4)
    back = made.directed.query("agent1 == 'k' and direction == 'agent2_to_agent1'").iloc[0]
    assert (back["source"], back["target"], back["sync_r2"], back["n_test"]) == ("m", "k", 0, 20)
    # The layer profile is not clipped.
    assert made.layers.query("agent1 == 'k' and direction == 'agent2_to_agent1'")[
        "best_r2"
    ].tolist() == pytest.approx([-0.2] * 2)
    assert made.layers["relative_depth"].between(0, 1).all()
    seen = made.groups.query("model_1 == 'm' and model_2 == 'k' and value == 'x'").iloc[0]
    assert seen["sync_r2"] == pytest.approx((0.1 + 0.3 + 0.5 + 0) / 4)
    assert seen["n_test"] == 40
    assert made.groups.query("value == 'y'")["sync_r2"].isna().all()
