"""Joins and splits: against brute force, and where too few samples are told with their number."""

from __future__ import annotations

import numpy as np
import pytest

from syncr2 import paper_split
from syncr2.errors import SyncR2Error
from syncr2.samples import Row, Split, join, max_samples, sample_rows


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


def test_a_state_that_stands_twice_is_refused():
    with pytest.raises(SyncR2Error, match="more than once"):
        join(rows(1, LENGTHS), rows(2, LENGTHS) * 2, 1, ["a", "b"])


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
