"""Permutation nulls: what SyncR² would be if partners had nothing to do with each other.

Partners are paired anew by permuting whole dialogues, turns kept in their places, among dialogues that may
change places without any other difference: of the same fold and with the same turns, or, for *pseudo
pairs*, also of the same episode, so that only the generation seed differs. Both directions of a dialogue
are paired anew together. Maps are fitted again in every draw, and the statistic takes the maximum over
target layers again.

A permutation of targets permutes the rows and columns of their kernels and leaves smoothers alone. So every
index that is an inner product ⟨A, P B Pᵀ⟩ of a matrix of the source with one of the target has its null
from one gather and one product a draw: R² of all layer pairs, debiased CKA, and the mean squared canonical
correlation. Draws are computed in float32; the observed value is computed alike, as the draw that changes
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from syncr2.backends import Array
from syncr2.kernels import lower_size, lower_tiles, scale_target
from syncr2.nested import Computing, Folded, source_layer
from syncr2.ridge import Layers, blocks, read_layer
from syncr2.smoothers import SourceLayer

# Draws closer than this to the observed value count as equal to it: float32 sums differ by less.
TIE = 1e-6
DRAWN_IN = "float32"
# Samples from which on draws are worth a thread each.
THREADED_FROM = 1000


class Null(NamedTuple):
    """Observed values and their draws.

    Attributes
    ----------
    observed : ndarray, shape (n_source_layers, n_target_layers)
    draws : ndarray, shape (n_draws, n_source_layers, n_target_layers)
    """

    observed: NDArray[np.float64]
    draws: NDArray[np.float64]


def dialogue_permutations(cells: Sequence[Hashable], n_draws: int, name: str) -> NDArray[np.intp]:
    """Random permutations of dialogues within cells.

    Parameters
    ----------
    cells : sequence, length n_dialogues
        Dialogues with equal entries may change places.
    n_draws : int
    name : str
        What the draws stand for; they are the same whenever it is.

    Returns
    -------
    ndarray of int, shape (n_draws, n_dialogues)
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    found = np.tile(np.arange(len(cells)), (n_draws, 1))
    members: dict[Hashable, list[int]] = {}
    for i, cell in enumerate(cells):
        members.setdefault(cell, []).append(i)
    for group in members.values():
        if len(group) > 1:
            found[:, group] = rng.permuted(np.tile(group, (n_draws, 1)), axis=1)
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
    # a product.
    predicting = len(source) * len(fold) / n_folds * width
    permuting = len(fold) / 2 * (10 * len(target) + len(source) * len(target))
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
    left = on.zeros((len(source), lower_size(n)), DRAWN_IN)
    for layer in range(len(source)):
        smoother = _smoother(source_layer(source, layer, folded, computing), folded, test, penalty)
        residual = on.zeros((folded.ranges[test][1] - folded.ranges[test][0], n), DRAWN_IN)
        for part, columns in smoother.items():
            residual[:, slice(*folded.ranges[part])] = -on.cast(columns, DRAWN_IN)
        square = on.zeros((n, n), DRAWN_IN)
        on.matmul(residual.T, residual, square)
        # The test rows' own square is left out: no permutation within the fold can change it.
        square[slice(*folded.ranges[test])] = residual
        square[:, slice(*folded.ranges[test])] = residual.T
        _pack_lower(square, left[layer])
    found = np.empty((len(draws), len(source), len(target)))
    for some in blocks(len(target), _kernels_at_once(n, computing)):
        right = on.zeros((n, n, len(some)), DRAWN_IN)
        scored = np.empty(len(some))
        for i, m in enumerate(some):
            values, varying = _target(target, m, folded, test, computing)
            scored[i] = varying - float((values[slice(*folded.ranges[test])] ** 2).sum())
            values = on.cast(values, DRAWN_IN)
            right[:, :, i] = values @ values.T
        found[:, :, some.start : some.stop] = scored - _products(left, right, draws, computing)
    return found


def similarity_null(
    left: Layers, right: Layers, permutations: NDArray[np.intp], computing: Computing
) -> Null:
    """Inner products of symmetric matrices of a source and a target, observed and permuted.

    Parameters
    ----------
    left, right : Layers, each layer (n_samples, n_samples)
        See `syncr2.similarity`; an object that makes a matrix when it is asked for it saves memory.
    permutations : ndarray of int, shape (n_draws, n_samples)
    """
    on, n = computing.on, permutations.shape[1]
    draws = np.concatenate([np.arange(n)[None], permutations])
    packed = on.zeros((len(left), lower_size(n)), DRAWN_IN)
    for i in range(len(left)):
        _pack_lower(on.array(left[i], DRAWN_IN), packed[i])
    found = np.empty((len(draws), len(left), len(right)))
    for some in blocks(len(right), _kernels_at_once(n, computing)):
        stacked = on.zeros((n, n, len(some)), DRAWN_IN)
        for i, m in enumerate(some):
            stacked[:, :, i] = on.array(right[m], DRAWN_IN)
        found[:, :, some.start : some.stop] = _products(packed, stacked, draws, computing)
    return Null(found[0], found[1:])


def _pack_lower(square: Array, out: Array) -> None:
    """A symmetric matrix as the flat tiles of its lower triangle, each entry off the diagonal for two."""
    offset = 0
    for start, stop in lower_tiles(len(square)):
        tile = out[offset : offset + (stop - start) * stop].reshape(stop - start, stop)
        tile[:, :start] = 2 * square[start:stop, :start]
        tile[:, start:] = square[start:stop, start:stop]
        offset += (stop - start) * stop


def _kernels_at_once(n: int, computing: Computing) -> int:
    return max(1, int(computing.memory_gb * 1e9 / 2 / (np.dtype(DRAWN_IN).itemsize * n * n)))


def _products(
    left: Array, right: Array, draws: NDArray[np.intp], computing: Computing
) -> NDArray[np.float64]:
    """⟨A_l, P B_m Pᵀ⟩ for every draw, (n_draws, n_left, n_right)."""
    on, n = computing.on, len(right)
    entries = right.reshape(n * n, -1)
    found = np.zeros((len(draws), len(left), entries.shape[1]))

    def product(i: int) -> None:
        rows = on.array(draws[i], "int64")
        offset = 0
        for start, stop in lower_tiles(n):
            size = (stop - start) * stop
            where = (rows[start:stop, None] * n + rows[:stop]).reshape(-1)
            found[i] += on.numpy(left[:, offset : offset + size] @ on.take(entries, where))
            offset += size

    # Gathering runs on one thread and is most of the work, so draws share the threads, not their products.
    n_threads = _threads() if on.device == "cpu" and n > THREADED_FROM else 1
    if n_threads == 1:
        for i in range(len(draws)):
            product(i)
        return found
    with threadpool_limits(1), ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(product, range(len(draws))))
    return found


def _threads() -> int:
    """Threads that BLAS would use."""
    return max((each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"), default=1)


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
