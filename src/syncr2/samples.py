"""Which source state meets which target state, and which samples are training and which are test.

A row is one state, named by (episode, generation seed, turn). A sample joins a source row with the partner's
row `lag` turns later in the same dialogue. Splits run over whole episodes, all generation seeds together, so
that no dialogue stands on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        Position of each sample's episode in the episode order.
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


def join(source: Sequence[Row], target: Sequence[Row], lag: int, episode_order: Sequence[str]) -> Samples:
    """Pair each source row with the target row of the same dialogue `lag` turns later, where there is one.

    The samples come in the order of `episode_order`, then seed, then turn, whatever the order of the rows.

    Raises
    ------
    SyncR2Error
        If a row stands twice among the targets, or names an episode that is not in `episode_order`.
    """
    position = {episode: i for i, episode in enumerate(episode_order)}
    where = {row: i for i, row in enumerate(target)}
    if len(where) != len(target):
        raise SyncR2Error("A target state stands more than once: (episode, seed, turn) must be unique.")
    try:
        ordered = sorted(range(len(source)), key=lambda i: (position[source[i].episode_id], *source[i][1:]))
    except KeyError as error:
        raise SyncR2Error(
            f"States name episode {error.args[0]}, which is not in the episode order."
        ) from None
    found = [(i, where.get(source[i]._replace(turn=source[i].turn + lag))) for i in ordered]
    kept = [(i, j, position[source[i].episode_id]) for i, j in found if j is not None]
    columns = np.array(kept, dtype=np.intp).reshape(-1, 3)
    return Samples(columns[:, 0], columns[:, 1], columns[:, 2])


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
