"""Joins and splits: against brute force, and where too few samples are told with their number."""

from __future__ import annotations

import numpy as np
import pytest

from syncr2 import paper_split
from syncr2.errors import SyncR2Error
from syncr2.maps.samples import Row, Split, join, max_samples, sample_rows


def rows(agent: int, lengths: dict[tuple[str, int], int]) -> list[Row]:
    """Turns of one agent in dialogues of these lengths."""
    return [Row(e, s, t) for (e, s), n in lengths.items() for t in range(agent - 1, n, 2)]


LENGTHS = {("b", 1): 6, ("a", 0): 5, ("b", 0): 2, ("a", 1): 1}


@pytest.mark.parametrize("lag", [1, 3, 5])
@pytest.mark.parametrize("first", [1, 2])
def test_join_finds_exactly_the_pairs_of_one_dialogue(lag, first):
    source, target = rows(first, LENGTHS), rows(3 - first, LENGTHS)
    found = join(source, target, lag, ["a", "b"])
    pairs = {(source[i], target[j]) for i, j in zip(found.source, found.target, strict=True)}
    wanted = {
        (Row(e, s, t), Row(e, s, t + lag))
        for (e, s), n in LENGTHS.items()
        for t in range(first - 1, n, 2)
        if t + lag < n
    }
    assert pairs == wanted
    assert len(found.source) == len(wanted)
    assert [("a", "b")[i] for i in found.episode] == [source[i].episode_id for i in found.source]


def test_join_does_not_depend_on_the_order_of_rows():
    source, target = rows(1, LENGTHS), rows(2, LENGTHS)
    straight = join(source, target, 1, ["a", "b"])
    turned = join(source[::-1], target[::-1], 1, ["a", "b"])
    assert [source[i] for i in straight.source] == [source[::-1][i] for i in turned.source]
    assert (straight.episode == turned.episode).all()


@pytest.mark.parametrize("lag", [-3, -2, -1, 0, 2, 4])
@pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 2), (2, 1)])
def test_any_lag_and_any_two_agents(lag, first, second):
    """The agent's own past, reversed time: whatever stands `lag` turns later in the same dialogue."""
    source, target = rows(first, LENGTHS), rows(second, LENGTHS)
    found = join(source, target, lag, ["a", "b"])
    wanted = [
        (i, j)
        for i, x in enumerate(source)
        for j, y in enumerate(target)
        if x[:2] == y[:2] and y.turn == x.turn + lag
    ]
    assert sorted(zip(found.source, found.target, strict=True)) == wanted
    assert bool(wanted) == ((lag - first + second) % 2 == 0)
    keys = [(("a", "b").index(target[j].episode_id), *target[j][1:]) for j in found.target]
    assert keys == sorted(keys)


class TestAnotherDialogue:
    """Sources from the same episode with another seed of generation."""

    def test_two_seeds_change_places(self):
        lengths = {(e, s): 6 for e in "ab" for s in (4, 9)}
        source, target = rows(1, lengths), rows(2, lengths)
        found = join(source, target, 1, ["a", "b"], "other")
        own = join(source, target, 1, ["a", "b"])
        np.testing.assert_array_equal(found.target, own.target)
        np.testing.assert_array_equal(found.episode, own.episode)
        for i, j in zip(found.source, found.target, strict=True):
            assert source[i] == target[j]._replace(turn=target[j].turn - 1, seed=13 - target[j].seed)

    def test_more_seeds_take_the_next_in_a_circle_that_has_the_row(self):
        # The dialogue of seed 5 has no turn 2.
        lengths = {("a", 2): 6, ("a", 5): 2, ("a", 7): 4, ("a", 30): 6}
        source, target = rows(1, lengths), rows(2, lengths)
        found = join(source, target, 1, ["a"], "other")
        taken = {target[j][1:]: source[i][1:] for i, j in zip(found.source, found.target, strict=True)}
        assert taken == {
            (2, 1): (5, 0),
            (5, 1): (7, 0),
            (7, 1): (30, 0),
            (30, 1): (2, 0),
            (2, 3): (7, 2),
            (7, 3): (30, 2),
            (30, 3): (2, 2),
            (2, 5): (30, 4),
            (30, 5): (2, 4),
        }

    def test_rows_without_another_are_left_out(self):
        lengths = {("a", 0): 8, ("a", 1): 4, ("b", 0): 4}
        source, target = rows(1, lengths), rows(2, lengths)
        found = join(source, target, 1, ["a", "b"], "other")
        assert {target[j] for j in found.target} == {Row("a", s, t) for s in (0, 1) for t in (1, 3)}
        assert found.episode.tolist() == [0] * 4
        assert len(join(source, rows(2, {("b", 0): 4}), 1, ["a", "b"], "other").source) == 0

    def test_no_row_meets_its_own_dialogue_whatever_the_order_of_rows_and_seeds(self):
        rng = np.random.default_rng(5)
        lengths = {(f"ep{e}", int(s)): int(rng.integers(1, 9)) for e in range(6) for s in rng.permutation(4)}
        order = [f"ep{e}" for e in range(6)]
        source, target = rows(2, lengths), rows(1, lengths)
        found = join(source, target, 3, order, "other")
        pairs = [(source[i], target[j]) for i, j in zip(found.source, found.target, strict=True)]
        assert pairs
        for x, y in pairs:
            assert (x.episode_id, x.turn + 3) == (y.episode_id, y.turn)
            assert x.seed != y.seed
        mixed_x, mixed_y = rng.permutation(len(source)), rng.permutation(len(target))
        x_rows, y_rows = [source[i] for i in mixed_x], [target[j] for j in mixed_y]
        again = join(x_rows, y_rows, 3, order, "other")
        assert pairs == [(x_rows[i], y_rows[j]) for i, j in zip(again.source, again.target, strict=True)]


def test_a_state_that_stands_twice_is_refused():
    with pytest.raises(SyncR2Error, match="target state stands more than once"):
        join(rows(1, LENGTHS), rows(2, LENGTHS) * 2, 1, ["a", "b"])
    with pytest.raises(SyncR2Error, match="source state stands more than once"):
        join(rows(1, LENGTHS) * 2, rows(2, LENGTHS), 1, ["a", "b"])


def test_an_unknown_episode_is_named():
    with pytest.raises(SyncR2Error, match="episode b"):
        join(rows(1, LENGTHS), rows(2, LENGTHS), 1, ["a"])


def test_split_holds_whole_episodes_and_the_shares():
    counts = np.random.default_rng(0).integers(0, 12, 200)
    for seed in range(20):
        train, test = paper_split(counts, 600, seed)
        assert not set(train) & set(test)
        assert counts[test].sum() >= 120 > counts[test[:-1]].sum()
        assert counts[train].sum() >= 480 > counts[train[:-1]].sum()
        assert [*test, *train] == np.random.RandomState(seed).permutation(200)[
            : len(test) + len(train)
        ].tolist()


def test_max_samples_always_fits_and_more_may_not():
    rng = np.random.default_rng(1)
    for _ in range(50):
        counts = rng.integers(1, 9, 12)
        for seed in range(10):
            paper_split(counts, max_samples(counts), seed)
    with pytest.raises(SyncR2Error, match="there are 12 in 3 episodes"):
        paper_split([4, 4, 4], 20, 0)


def test_too_few_samples_for_the_test_set_alone():
    with pytest.raises(SyncR2Error, match=r"needs 1000 samples .* there are 8 in 2 episodes"):
        paper_split([4, 4], 1000, 0)


def test_sample_rows_follow_the_drawn_episodes():
    found = join(rows(1, LENGTHS), rows(2, LENGTHS), 1, ["a", "b"])
    train, test = sample_rows(found, Split(train=np.array([1]), test=np.array([0])))
    assert set(found.episode[train]) == {1}
    assert set(found.episode[test]) == {0}
    assert len(train) + len(test) == len(found.episode)
