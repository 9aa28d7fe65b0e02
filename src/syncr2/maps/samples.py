"""Which source state meets which target state, and which samples are training and which are test.

A row is one state, named by (episode, generation seed, turn). A sample joins a source row with a target row
`lag` turns later, in the same dialogue or in another of the same episode. Splits run over whole episodes, all
generation seeds together, so that no dialogue stands on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error

TEST_SHARE = 0.2
TRAIN_SHARE = 0.8


class Row(NamedTuple):
    """The key of one state."""

    episode_id: str
    seed: int
    turn: int


class Samples(NamedTuple):
    """Joined rows of a source and a target.

    Attributes
    ----------
    source, target : ndarray of int, shape (n_samples,)
        Row numbers in the source's and the target's states.
    episode : ndarray of int, shape (n_samples,)
        Position of each sample's episode in the episode order. Source and target are of one episode even
        where they are not of one dialogue.
    """

    source: NDArray[np.intp]
    target: NDArray[np.intp]
    episode: NDArray[np.intp]

    def per_episode(self, n_episodes: int) -> NDArray[np.intp]:
        """Number of samples of every episode, in the episode order."""
        return np.bincount(self.episode, minlength=n_episodes)


class Split(NamedTuple):
    """Positions of the training and of the test episodes, in the order drawn."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]


def join(
    source: Sequence[Row],
    target: Sequence[Row],
    lag: int,
    episode_order: Sequence[str],
    dialogue: str = "same",
) -> Samples:
    """Pair each target row with the source row `lag` turns before it, where there is one.

    The samples come in the order of `episode_order`, then the target's seed, then its turn, whatever the
    order of the rows.

    Parameters
    ----------
    source, target : sequence of Row
        States of two agents, or twice those of one.
    lag : int
        Turns from source to target; with a lag below 0 the source comes after its target.
    episode_order : sequence of str
        Every episode of both.
    dialogue : {"same", "other"}
        Where the source comes from. `same`: the target's own dialogue. `other`: the dialogue of the same
        episode with the next seed that has such a row. Next is the smallest seed above the target's own or,
        above the last, the smallest of all; so with seeds 0, 1, 2 the target of 2 takes its source from 0. A
        target whose episode has the row in no other seed is left out.

    Raises
    ------
    SyncR2Error
        If a row stands twice among the sources or the targets, or names an episode that is not in
        `episode_order`.
    """
    position = {episode: i for i, episode in enumerate(episode_order)}
    where = _places(source, "source", position)
    _places(target, "target", position)
    seeds: dict[tuple[str, int], list[int]] = {}
    for row in source:
        seeds.setdefault((row.episode_id, row.turn), []).append(row.seed)

    def source_of(row: Row) -> int | None:
        turn = row.turn - lag
        if dialogue == "same":
            return where.get(row._replace(turn=turn))
        seed = _next_seed(row.seed, seeds.get((row.episode_id, turn), ()))
        return None if seed is None else where[Row(row.episode_id, seed, turn)]

    ordered = sorted(range(len(target)), key=lambda j: (position[target[j].episode_id], *target[j][1:]))
    found = [(source_of(target[j]), j) for j in ordered]
    kept = [(i, j, position[target[j].episode_id]) for i, j in found if i is not None]
    columns = np.array(kept, dtype=np.intp).reshape(-1, 3)
    return Samples(columns[:, 0], columns[:, 1], columns[:, 2])


def _places(rows: Sequence[Row], what: str, position: Mapping[str, int]) -> dict[Row, int]:
    """Where each row is; checked, for a row that stood twice would count twice."""
    where = {row: i for i, row in enumerate(rows)}
    if len(where) != len(rows):
        raise SyncR2Error(f"A {what} state stands more than once: (episode, seed, turn) must be unique.")
    for row in rows:
        if row.episode_id not in position:
            raise SyncR2Error(f"States name episode {row.episode_id}, which is not in the episode order.")
    return where


def _next_seed(seed: int, there: Iterable[int]) -> int | None:
    """The seed that follows in the circle of those there are; None where there is no other."""
    others = sorted(each for each in there if each != seed)
    return next((each for each in others if each > seed), others[0] if others else None)


def paper_split(samples_per_episode: Sequence[int] | NDArray, n_samples: int, seed: int) -> Split:
    """The published split: whole episodes, until 20 % of `n_samples` are test, then until 80 % are training.

    Parameters
    ----------
    samples_per_episode : sequence of int, shape (n_episodes,)
        Samples of every episode, in the episode order.
    n_samples : int
        The number of samples that the shares refer to. Both sets overshoot it by at most one episode.
    seed : int
        Seed of the order in which episodes are drawn,
        `numpy.random.RandomState(seed).permutation(n_episodes)`.

    Returns
    -------
    Split
        Positions of training and of test episodes.

    Raises
    ------
    SyncR2Error
        If the episodes do not hold enough samples; the message says how many there are.
    """
    counts = np.asarray(samples_per_episode)
    order = np.random.RandomState(seed).permutation(len(counts))
    reached = np.cumsum(counts[order])
    n_test = int(np.searchsorted(reached, TEST_SHARE * n_samples)) + 1
    before = reached[n_test - 1] if n_test <= len(counts) else np.inf
    n_both = int(np.searchsorted(reached, before + TRAIN_SHARE * n_samples)) + 1
    if n_both > len(counts):
        raise SyncR2Error(
            f"The split needs {n_samples} samples in whole episodes (20 % test, then 80 % training), but "
            "there are "
            f"{counts.sum()} in {len(counts)} episodes. Lower synchrony.samples (at most about "
            f"{max_samples(counts)} here), set it to `auto`, or play more episodes or seeds."
        )
    return Split(train=order[n_test:n_both], test=order[:n_test])


def max_samples(samples_per_episode: Sequence[int] | NDArray) -> int:
    """A number of samples that `paper_split` can meet whatever the order in which episodes are drawn.

    The test set overshoots its share by less than the largest episode, so leaving out that many is always
    enough.
    """
    counts = np.asarray(samples_per_episode)
    return max(0, int(counts.sum() - counts.max(initial=0)))


def sample_rows(samples: Samples, split: Split) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Sample numbers of training and of test, episodes in the order drawn."""
    return _rows_of(samples, split.train), _rows_of(samples, split.test)


def _rows_of(samples: Samples, episodes: Iterable[int]) -> NDArray[np.intp]:
    found = [np.flatnonzero(samples.episode == episode) for episode in episodes]
    return np.concatenate(found) if found else np.empty(0, dtype=np.intp)
