"""Permutation of model labels (quadratic assignment procedure, QAP).

Pairs are not independent, models are: under the null hypothesis a model's SyncR² with every partner has
nothing to do with its performance with every partner, so the models' labels on one side may be exchanged
while all pairs of a model move together. A model with itself stays one. The null keeps what models do to
their pairs, on either side, and p is exact.

With covariates, what they leave of SyncR² is permuted (double semi-partialling: Dekker, Krackhardt and
Snijders, Psychometrika 72, 2007).
"""

from __future__ import annotations

import math
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.statistics.correlation import Vector, is_constant, standardised
from syncr2.statistics.dyads import Dyads

# All relabellings are taken up to those of 8 models.
MOST_EXACT = math.factorial(8)
# Draws closer than this to the observed value count as equal to it.
_TIE = 1e-9


class Relabellings(NamedTuple):
    """Which pair's value takes each pair's place.

    Attributes
    ----------
    pairs : ndarray of int, shape (n_relabellings, n_pairs)
        The first row changes nothing.
    exact : bool
        Whether these are all that there are.
    """

    pairs: NDArray[np.intp]
    exact: bool


class Tested(NamedTuple):
    """A permutation test.

    Attributes
    ----------
    p : float
        Two-sided, the observed labels counted as one of the relabellings; NaN where nothing can change places
        or no correlation is defined.
    relabellings : int
        How many there were, the observed labels among them. 1 / relabellings is the smallest p there can be.
    exact : bool
    """

    p: float
    relabellings: int
    exact: bool


def relabellings(dyads: Dyads, n_draws: int, rng: np.random.Generator) -> Relabellings:
    """Every way to exchange models within blocks, or a sample where there are more than those of 8 models.

    Parameters
    ----------
    dyads : Dyads
    n_draws : int
        Size of the sample, the observed labels among them.
    rng : Generator
        Not used where all are taken.

    Notes
    -----
    Where only some pairs were measured, relabellings that would need the value of another are left out: the
    rest map the set of pairs onto itself and still form a group, so the test stays exact.
    """
    members = [np.flatnonzero(dyads.block == block) for block in np.unique(dyads.block)]
    exact = math.prod(math.factorial(len(each)) for each in members) <= MOST_EXACT
    labels = _all(members) if exact else _some(members, n_draws, rng)
    place = np.full((len(dyads.models), len(dyads.models)), -1, dtype=np.intp)
    place[dyads.first, dyads.second] = place[dyads.second, dyads.first] = np.arange(len(dyads))
    moved = place[labels[:, dyads.first], labels[:, dyads.second]]
    return Relabellings(moved[(moved >= 0).all(axis=1)], exact)


def _all(members: list[NDArray[np.intp]]) -> NDArray[np.intp]:
    """All combinations of permutations within blocks, (n, n_models); the first is the identity."""
    orders = [list(permutations(each.tolist())) for each in members]
    found = np.empty((math.prod(map(len, orders)), sum(map(len, members))), dtype=np.intp)
    for i, chosen in enumerate(product(*orders)):
        for each, order in zip(members, chosen, strict=True):
            found[i, each] = order
    return found


def _some(members: list[NDArray[np.intp]], n_draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    found = np.tile(np.arange(sum(map(len, members))), (n_draws, 1))
    for each in members:
        found[1:, each] = rng.permuted(found[1:, each], axis=1)
    return found


def relabelling_test(dyads: Dyads, changed: Relabellings) -> Tested:
    """Two-sided p of the correlation of x and y, given the covariates if the dyads have any.

    Parameters
    ----------
    dyads : Dyads
        For a rank correlation with ranks as x and y.
    changed : Relabellings
        From `relabellings`, of the same pairs.
    """
    n = len(changed.pairs)
    statistics = _statistics(dyads, changed)
    if n < 2 or statistics is None:
        return Tested(np.nan, n, changed.exact)
    observed = statistics[0]
    return Tested(float((statistics >= observed - _TIE).mean()), n, changed.exact)


def _statistics(dyads: Dyads, changed: Relabellings) -> Vector | None:
    """|r| under every relabelling; None where the observed one is not defined."""
    n, k = dyads.covariates.shape
    if n < 3 + k or any(is_constant(column) for column in (dyads.x, dyads.y, *dyads.covariates.T)):
        return None
    design = np.column_stack([np.ones(n), *(standardised(column) for column in dyads.covariates.T)])
    basis = np.linalg.qr(design)[0]

    def left(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values - (values @ basis) @ basis.T

    x, y = left(standardised(dyads.x)), left(standardised(dyads.y))
    if min(np.linalg.norm(x), np.linalg.norm(y)) < 1e-10 * np.sqrt(n):
        return None
    moved = left(x[changed.pairs])
    length = np.linalg.norm(moved, axis=1) * np.linalg.norm(y)
    return np.abs(np.divide(moved @ y, length, out=np.zeros(len(moved)), where=length > 1e-10 * n))
