"""Permutation nulls: what SyncR² would be if partners had nothing to do with each other.

Partners are paired anew by permuting whole dialogues, turns kept in their places, among dialogues that may
change places without any other difference: of the same fold and with the same turns, or, for *pseudo
pairs*, also of the same episode, so that only the generation seed differs. Both directions of a dialogue
are paired anew together. Maps are fitted again in every draw, and the statistic takes the maximum over
target layers again.

A permutation of targets permutes the rows and columns of their kernels and leaves smoothers alone. So every
index that is an inner product ⟨A, P B Pᵀ⟩ of a matrix of the source with one of the target has its null
from gathers and products (`syncr2.maps.permuted`): R² of all layer pairs, debiased CKA, and the mean squared
canonical correlation. Draws are computed in float32; the observed value is computed alike, as the draw that
changes nothing.

No dialogue leaves its fold, so a draw is one arrangement of each fold. Many draws are combinations of a few
arrangements of every fold, and what two folds contribute together is computed once for all draws that
arrange these two alike. The observed arrangement is one of the few, as likely as any other in a draw: where
partners do not matter, the observed value and all draws are exchangeable, so p is exact (as for any set of
permutations, Ramdas et al. 2023). Draws that share arrangements are not independent, so p varies a little
more from one set of draws to another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.maps.backends import Array
from syncr2.maps.kernels import scale_target
from syncr2.maps.nested import Computing, Folded, source_layer
from syncr2.maps.permuted import DTYPE, Products, blocks_of, shared
from syncr2.maps.ridge import Layers, read_layer
from syncr2.maps.smoothers import SourceLayer

# Draws closer than this to the observed value count as equal to it: float32 sums differ by less.
TIE = 1e-6
# Arrangements of a fold that draws share, and combinations that there must be for each draw.
ARRANGEMENTS = 16
COMBINATIONS = 10


class Null(NamedTuple):
    """Observed values and their draws.

    Attributes
    ----------
    observed : ndarray, shape (n_source_layers, n_target_layers)
    draws : ndarray, shape (n_draws, n_source_layers, n_target_layers)
    """

    observed: NDArray[np.float64]
    draws: NDArray[np.float64]


def dialogue_permutations(
    cells: Sequence[Hashable], n_draws: int, name: str, parts: Sequence[Hashable] = ()
) -> NDArray[np.intp]:
    """Random permutations of dialogues within cells.

    Parameters
    ----------
    cells : sequence, length n_dialogues
        Dialogues with equal entries may change places.
    n_draws : int
    name : str
        What the draws stand for; they are the same whenever it is.
    parts : sequence, length n_dialogues, optional
        The fold of each dialogue, the same in all of a cell. Where that makes fewer products, draws combine
        a few arrangements of every fold, the observed one among them; else, and without parts, every draw
        has its own.

    Returns
    -------
    ndarray of int, shape (n_draws, n_dialogues)
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    labels = sorted(set(parts), key=str)
    n_kept = n_arrangements(n_draws, len(labels))
    if n_kept == n_draws:
        return _arrangements(cells, n_draws, rng)
    kept = np.concatenate([np.arange(len(cells))[None], _arrangements(cells, n_kept - 1, rng)])
    chosen = rng.integers(n_kept, size=(n_draws, len(labels)))
    return kept[chosen[:, [labels.index(part) for part in parts]], np.arange(len(cells))]


def n_arrangements(n_draws: int, n_parts: int) -> int:
    """Arrangements of every part from which draws are combined; as many as draws where sharing does not pay.

    Every two parts have the square of it in common arrangements, and all parts together `COMBINATIONS` for
    each draw.
    """
    if n_parts < 2:
        return n_draws
    wanted = max(ARRANGEMENTS, int(np.ceil((COMBINATIONS * n_draws) ** (1 / n_parts))))
    return wanted if wanted**2 < n_draws else n_draws


def _arrangements(cells: Sequence[Hashable], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    found = np.tile(np.arange(len(cells)), (n, 1))
    members: dict[Hashable, list[int]] = {}
    for i, cell in enumerate(cells):
        members.setdefault(cell, []).append(i)
    for group in members.values():
        if len(group) > 1:
            found[:, group] = rng.permuted(np.tile(group, (n, 1)), axis=1)
    return found


def movable_share(cells: Sequence[Hashable]) -> float:
    """Share of the dialogues that have another to change places with."""
    labels = list(cells)
    counts = {cell: labels.count(cell) for cell in set(labels)}
    return sum(counts[cell] > 1 for cell in labels) / len(labels)


def row_permutations(
    permutations: NDArray[np.intp], dialogue: NDArray[np.intp], turn: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Permutations of rows that follow from those of dialogues, (n_draws, n_rows).

    Parameters
    ----------
    permutations : ndarray of int, shape (n_draws, n_dialogues)
    dialogue, turn : ndarray of int, shape (n_rows,)
        Of every row; dialogues that change places have the same turns.
    """
    place = np.full((permutations.shape[1], int(turn.max()) + 1), -1, dtype=np.intp)
    place[dialogue, turn] = np.arange(len(dialogue))
    return place[permutations[:, dialogue], turn]


def r2_null(
    source: Layers,
    target: Layers,
    fold: NDArray[np.intp],
    permutations: NDArray[np.intp],
    penalty: float,
    computing: Computing,
) -> Null:
    """R² of every layer pair, averaged over folds, observed and with targets permuted.

    Parameters
    ----------
    source, target, fold, computing
        As for `nested.inner_r2`.
    permutations : ndarray of int, shape (n_draws, n_samples)
        Row whose target takes the place of each row's; within folds, so that training and test sets stay what
        they are.
    penalty : float
    """
    folded = Folded.of(fold)
    draws = _in_fold_order(permutations, folded)
    r2 = np.zeros((len(draws), len(source), len(target)))
    n_folds = len(folded.ranges)
    width = len(target) * np.shape(target[0])[1]
    # Multiplications of a draw by either way; one of a gathered kernel costs about as much as ten of
    # a product, and draws share these.
    predicting = len(source) * len(fold) / n_folds * width
    permuting = len(fold) / 2 * (10 * len(target) + len(source) * len(target))
    permuting *= shared(blocks_of(draws, folded.ranges))
    drawn = _by_prediction if predicting < permuting else _by_kernels
    for test in range(n_folds):
        r2 += drawn(source, target, folded, test, draws, penalty, computing)
    r2 /= n_folds
    return Null(r2[0], r2[1:])


def _in_fold_order(permutations: NDArray[np.intp], folded: Folded) -> NDArray[np.intp]:
    """Permutations of rows sorted by fold, the identity first."""
    everyone = np.concatenate([np.arange(len(folded.order))[None], permutations])
    place = np.empty_like(folded.order)
    place[folded.order] = np.arange(len(folded.order))
    return place[everyone[:, folded.order]]


def _target(
    target: Layers, layer: int, folded: Folded, test: int, computing: Computing
) -> tuple[Array, float]:
    """One target layer's scaled rows, fold after fold, and the share of its dimensions that vary."""
    on = computing.on
    values = on.array(read_layer(target, layer, folded.order, "target"), "float64")
    varying = scale_target(values, slice(*folded.ranges[test]))
    return values, varying


def _smoother(maps: SourceLayer, folded: Folded, test: int, penalty: float) -> dict[int, Array]:
    (smoother,) = maps.smoothers(folded.without(test), test, [penalty])
    return smoother


def _by_prediction(
    source: Layers,
    target: Layers,
    folded: Folded,
    test: int,
    draws: NDArray[np.intp],
    penalty: float,
    computing: Computing,
) -> NDArray[np.float64]:
    """By predicting permuted targets: cheap where they are narrow."""
    on, n = computing.on, len(folded.order)
    start, stop = folded.ranges[test]
    residual = np.zeros((len(source), stop - start, n))
    for layer in range(len(source)):
        smoother = _smoother(source_layer(source, layer, folded, computing), folded, test, penalty)
        residual[layer, :, start:stop] = np.eye(stop - start)
        for part, columns in smoother.items():
            residual[layer, :, slice(*folded.ranges[part])] = -on.numpy(columns)
    rows, varying = zip(
        *(_target(target, m, folded, test, computing) for m in range(len(target))), strict=True
    )
    ends = np.cumsum([z.shape[1] for z in rows])
    stacked = np.concatenate([on.numpy(z) for z in rows], axis=1)
    flat = residual.reshape(-1, n)
    found = np.empty((len(draws), len(source), len(target)))
    for i, draw in enumerate(draws):
        squares = ((flat @ stacked[draw]) ** 2).reshape(len(source), stop - start, -1).sum(axis=1)
        found[i] = np.array(varying) - np.add.reduceat(squares, [0, *ends[:-1]], axis=1)
    return found


def _by_kernels(
    source: Layers,
    target: Layers,
    folded: Folded,
    test: int,
    draws: NDArray[np.intp],
    penalty: float,
    computing: Computing,
) -> NDArray[np.float64]:
    """By permuting kernels: the cost of a draw does not depend on the width."""
    on, n = computing.on, len(folded.order)
    tested = slice(*folded.ranges[test])
    products = Products(on, draws, folded.ranges, len(source), len(target), computing.memory_gb)
    for layer in range(len(source)):
        smoother = _smoother(source_layer(source, layer, folded, computing), folded, test, penalty)
        residual = on.zeros((tested.stop - tested.start, n), DTYPE)
        for part, columns in smoother.items():
            residual[:, slice(*folded.ranges[part])] = -on.cast(columns, DTYPE)
        square = on.zeros((n, n), DTYPE)
        on.matmul(residual.T, residual, square)
        # The test rows' own square is left out: no permutation within the fold can change it.
        square[tested] = residual
        square[:, tested] = residual.T
        products.pack(layer, square)
    kernels = _Kernels(target, folded, test, computing)
    found = products.with_right(kernels)
    return np.array(kernels.scored) - found


class _Kernels:
    """Kernels of the target layers, made when they are asked for, and what each is scored against."""

    def __init__(self, target: Layers, folded: Folded, test: int, computing: Computing) -> None:
        self._target, self._folded, self._test, self._computing = target, folded, test, computing
        self.scored = [np.nan] * len(target)

    def __len__(self) -> int:
        return len(self._target)

    def __getitem__(self, layer: int) -> Array:
        values, varying = _target(self._target, layer, self._folded, self._test, self._computing)
        self.scored[layer] = varying - float((values[slice(*self._folded.ranges[self._test])] ** 2).sum())
        values = self._computing.on.cast(values, DTYPE)
        return values @ values.T


def similarity_null(
    left: Layers,
    right: Layers,
    fold: NDArray[np.intp],
    permutations: NDArray[np.intp],
    computing: Computing,
) -> Null:
    """Inner products of symmetric matrices of a source and a target, observed and permuted.

    Parameters
    ----------
    left, right : Layers, each layer (n_samples, n_samples)
        See `syncr2.maps.similarity`; an object that makes a matrix when it is asked for it saves memory.
    fold : ndarray of int, shape (n_samples,)
        That no permutation leaves; it has no part in the values.
    permutations : ndarray of int, shape (n_draws, n_samples)
    """
    on, folded = computing.on, Folded.of(fold)
    draws = _in_fold_order(permutations, folded)
    products = Products(on, draws, folded.ranges, len(left), len(right), computing.memory_gb)
    packed = _Sorted(left, folded)
    for i in range(len(left)):
        products.pack(i, on.array(packed[i], DTYPE))
    found = products.with_right(_Sorted(right, folded))
    return Null(found[0], found[1:])


class _Sorted:
    """Matrices with rows and columns sorted by fold, made when they are asked for."""

    def __init__(self, stack: Layers, folded: Folded) -> None:
        self._stack, self._folded = stack, folded

    def __len__(self) -> int:
        return len(self._stack)

    def __getitem__(self, layer: int) -> NDArray:
        return np.asarray(self._stack[layer])[np.ix_(self._folded.order, self._folded.order)]


def p_value(observed: float, draws: NDArray[np.float64]) -> float:
    """One-sided p of a permutation test; the observed value counts as one of the draws."""
    if not len(draws):
        return float("nan")
    return float((1 + (draws >= observed - TIE).sum()) / (1 + len(draws)))


def holm(p: Sequence[float]) -> NDArray[np.float64]:
    """Holm's adjusted p values; NaN stays NaN and does not count (Holm 1979)."""
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full_like(values, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted
