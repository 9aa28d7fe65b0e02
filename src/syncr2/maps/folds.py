"""Folds over environments: no environment stands on both sides of a split.

Two episodes of one environment share its scenario and goals, so a split by episode lets a map learn what it
is tested on. Folds are drawn from the names of the environments alone, so every pair, condition and
direction of an experiment has the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error

LEAST_FOLDS = 3


def environment_folds(environments: Sequence[str], n_folds: int, seed: int) -> dict[str, int]:
    """Assign environments to folds, as evenly as their number allows.

    Parameters
    ----------
    environments : sequence of str
        Ids, in any order, repeated or not.
    n_folds : int
        At least 3: one fold is tested, and what is fitted on the rest needs two to be chosen on.
    seed : int
        Of the order in which environments are dealt to folds.

    Returns
    -------
    dict
        Fold by environment id.

    Raises
    ------
    SyncR2Error
        If there are fewer environments than folds.
    """
    names = sorted(set(environments))
    if n_folds < LEAST_FOLDS:
        raise SyncR2Error(f"Nested folds need at least {LEAST_FOLDS}, found {n_folds}.")
    if len(names) < n_folds:
        raise SyncR2Error(
            f"{n_folds} folds over environments need at least as many environments, but there are "
            f"{len(names)}. Lower synchrony.folds, or play more episodes."
        )
    order = np.random.default_rng(seed).permutation(len(names))
    return {names[place]: i % n_folds for i, place in enumerate(order)}


def fold_of(rows: Sequence[str], folds: Mapping[str, int]) -> NDArray[np.intp]:
    """The fold of every row, from its environment's.

    Raises
    ------
    SyncR2Error
        If a fold has fewer than two rows: nothing could be scored on it.
    """
    found = np.array([folds[environment] for environment in rows], dtype=np.intp)
    sizes = np.bincount(found, minlength=max(folds.values()) + 1)
    if (sizes < 2).any():
        empty = int(np.flatnonzero(sizes < 2)[0])
        raise SyncR2Error(
            f"Fold {empty} of {len(sizes)} has {sizes[empty]} samples; at least 2 are needed. Play more "
            "episodes or seeds, or lower synchrony.folds."
        )
    return found
