"""SyncR² of states with planted synchrony, from files to tables."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from syncr2 import directed_sync, open_states, samples
from syncr2.errors import SyncR2Error
from syncr2.ids import Condition, OrderedPair
from syncr2.store import AgentStates, DirectionR2, StateRow, read_r2, write_r2, write_states
from syncr2.synchrony import condition_r2, episode_order
from syncr2.synchrony_tables import tables

N_EPISODES, N_TURNS = 40, 8


def test_directed_sync_by_hand():
    assert directed_sync([[0.1, 0.5], [-0.3, -0.2], [0.2, 0.0]]) == pytest.approx((0.5 + 0 + 0.2) / 3)
    for bad in ([], [0.1, 0.2], [[np.nan]]):
        with pytest.raises(SyncR2Error):
            directed_sync(bad)


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """A new signal at each turn: agent 2's turn t+1 holds that of agent 1's turn t, not the other way."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("states")
    paths = []
    for seed in (0, 1):
        signal = rng.standard_normal((N_EPISODES, N_TURNS + 1, 3))
        written = {}
        for agent, (n_layers, width) in {1: (3, 6), 2: (2, 5)}.items():
            rows = [
                StateRow(f"ep-{e}", f"env-{e // 4}", seed, t, 10, 1)
                for e in range(N_EPISODES)
                for t in range(agent - 1, N_TURNS, 2)
            ]
            # Agent 1 holds the signal of its own turn, agent 2 that of the turn before it.
            held = np.array([signal[int(row.episode_id[3:]), row.turn - (agent - 1)] for row in rows])
            mixing = np.random.default_rng(agent).standard_normal((n_layers, 3, width))
            hidden = held @ mixing + 0.3 * rng.standard_normal((n_layers, len(rows), width))
            written[f"agent{agent}"] = AgentStates(hidden.astype(np.float32), rows)
        path = folder / f"{seed}.h5"
        write_states(path, written, {})
        paths.append(path)
    return open_states(paths)


def test_planted_synchrony_is_found_where_it_was_planted(states):
    groups = {"half": {f"ep-{e}": "low" if e < 20 else "high" for e in range(N_EPISODES)}}
    near = condition_r2(states, states, Condition("interaction", "engaged", 1), None, [0, 1], 0.1, groups)
    far = condition_r2(states, states, Condition("lag3", "engaged", 3), None, [0, 1], 0.1, {})
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
    result = condition_r2(states, states, Condition("interaction", "engaged", 1), 200, [5], 0.1, {})
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
        found = condition_r2(states, states, Condition(f"lag{lag}", "engaged", lag), None, range(5), 0.1, {})
        for result in found.values():
            per_episode = result.n_available // N_EPISODES
            # All but what the shares leave over, which is less than two episodes.
            assert (result.n_train + result.n_test > result.n_available - 2 * per_episode).all()
    with pytest.raises(SyncR2Error, match="At lag 7 there are 0 samples"):
        condition_r2(states, states, Condition("lag7", "engaged", 7), None, [0], 0.1, {})


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
