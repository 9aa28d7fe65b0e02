"""Ridge maps from several blocks of features, each with a penalty of its own (banded ridge).

With feature blocks X_b and penalties λ_b the fit is that of ridge regression with a penalty of 1 on the
features X_b / √λ_b side by side, and depends on them only through the kernel Σ_b X_b X_bᵀ / λ_b. Where there
are fewer features than rows, their products by fold are summed up once for all penalties and folds
(`_Primal`), else the kernels are (`_Dual`); both give the same map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.maps.backends import Array, Backend
from syncr2.maps.nested import Clusters, Computing, Folded, Score, Scorer, TargetRows
from syncr2.maps.ridge import Layers, mean_r2, read_layer

# Predictions of a test fold from the folds to learn from: (fold numbers, fold) to (n_test, d).
Predict = Callable[[Sequence[int], int], Array]


class Block:
    """Features that share a penalty, rows in fold order; what is made of them is made when asked for, once.

    Parameters
    ----------
    make : callable
        Gives the features about their mean over all rows, (n_samples, width), float64.
    width : int
    """

    def __init__(self, make: Callable[[], Array], width: int) -> None:
        self._make, self.width = make, width

    @cached_property
    def features(self) -> Array:
        """Shape (n_samples, width)."""
        return self._make()

    @cached_property
    def kernel(self) -> Array:
        """X Xᵀ, shape (n_samples, n_samples); the features are let go."""
        values = self._make()
        return values @ values.T


class Candidates(NamedTuple):
    """Blocks of features, and the penalties that they may have: a list of one number a block."""

    blocks: tuple[Block, ...]
    penalties: Sequence[tuple[float, ...]]

    def beside(self, choice: int, block: Block, penalties: Sequence[float]) -> Candidates:
        """One of the choices, with another block beside it that has each of some penalties."""
        chosen = self.penalties[choice]
        return Candidates((*self.blocks, block), [(*chosen, penalty) for penalty in penalties])


class Fitted(NamedTuple):
    """R² of the chosen penalties, and which of the candidates were chosen, (n_folds, n_layers)."""

    score: Score
    choice: NDArray[np.intp]


def layer_block(source: Layers, layer: int, folded: Folded, computing: Computing) -> Block:
    """The states of one layer, held in the number format in which they are kept."""
    narrow = read_layer(source, layer, folded.order, "source")

    def make() -> Array:
        values = computing.on.array(narrow, "float64")
        values -= values.mean(0)
        return values

    return Block(make, narrow.shape[1])


def kernel_smoother(on: Backend, kernel: Array, train: NDArray[np.intp], test: NDArray[np.intp]) -> Array:
    """H of kernel ridge regression with an unpenalised intercept and a penalty of 1, (n_test, n_train).

    Parameters
    ----------
    kernel : array, shape (n_samples, n_samples)
    train, test : ndarray of int
        Rows of the kernel.

    Raises
    ------
    SyncR2Error
        If the system is singular in float64.
    """
    t, s = on.array(train, "int64"), on.array(test, "int64")
    columns = kernel[:, t]
    means = columns.mean(1)
    square = means[t].mean()
    centred = columns[t] - means[t][:, None] - means[t] + square
    rows = columns[s] - means[s][:, None] - means[t] + square
    diagonal = range(len(train))
    centred[diagonal, diagonal] += 1
    solved = on.solve(centred, rows, full_rank=False)
    if solved is None:
        raise _singular()
    return solved + 1 / len(train)


def fit_blocks(
    candidates: Callable[[int, int], Candidates],
    key: Callable[[int, int], object],
    target: Layers,
    target_layer: NDArray[np.intp],
    fold: NDArray[np.intp],
    clusters: Clusters,
    computing: Computing,
) -> Fitted:
    """Score maps whose penalties are chosen among candidates on inner folds.

    Parameters
    ----------
    candidates : callable
        Blocks and penalties for an outer fold and a layer.
    key : callable
        Names what the candidates of a fold and layer depend on; where it repeats within a fold, the
        fit is reused.
    target : Layers, (n_target_layers, n_samples, d)
    target_layer : ndarray of int, shape (n_folds, n_layers)
    fold : ndarray of int, shape (n_samples,)
    clusters : Clusters
    computing : Computing
    """
    folded = Folded.of(fold)
    targets = TargetRows(target, folded, computing)
    scorer = Scorer(folded, target_layer.shape, clusters, [np.ones(len(fold), dtype=bool)])
    choice = np.zeros(target_layer.shape, dtype=np.intp)
    known: dict[object, tuple[int, NDArray, NDArray]] = {}
    for layer in range(target_layer.shape[1]):
        for outer in range(target_layer.shape[0]):
            m = int(target_layer[outer, layer])
            name = (outer, m, key(outer, layer))
            if name not in known:
                known[name] = _nested(candidates(outer, layer), targets, m, folded, outer, computing.on)
            choice[outer, layer], seen, residual = known[name]
            scorer.add(outer, layer, seen, residual)
        # Fits are shared by all layers or by none; what cannot be asked for again is let go.
        if layer and len(known) > target_layer.size:
            known.clear()
    return Fitted(scorer.scores()[0], choice)


def _nested(
    candidates: Candidates, targets: TargetRows, m: int, folded: Folded, outer: int, on: Backend
) -> tuple[int, NDArray, NDArray]:
    """The best candidate on inner folds, and the outer fold's targets and residuals under it."""
    y = targets.layer(m)
    sizes = sorted(end - begin for begin, end in folded.ranges)
    fewest = sum(sizes[:-2]) if len(candidates.penalties) > 1 else sum(sizes[:-1])
    narrow = sum(block.width for block in candidates.blocks) <= fewest
    maps = (_Primal if narrow else _Dual)(candidates.blocks, y, folded, on)

    def rest(predict: Predict, test: int, *left_out: int) -> tuple[NDArray, NDArray]:
        seen = y[slice(*folded.ranges[test])]
        residual = seen - predict(folded.without(test, *left_out), test)
        return on.numpy(seen), on.numpy(residual)

    def inner(penalties: Sequence[float]) -> float:
        predict = maps.under(penalties)
        return float(np.mean([mean_r2(*rest(predict, test, outer)) for test in folded.without(outer)]))

    best = 0
    if len(candidates.penalties) > 1:
        best = int(np.argmax([inner(penalties) for penalties in candidates.penalties]))
    return best, *rest(maps.under(candidates.penalties[best]), outer)


class _Dual:
    """Maps by kernels, for more features than rows."""

    def __init__(self, blocks: Sequence[Block], y: Array, folded: Folded, on: Backend) -> None:
        self._blocks, self._y, self._on = blocks, y, on
        self._rows = [np.arange(*bounds) for bounds in folded.ranges]

    def under(self, penalties: Sequence[float]) -> Predict:
        kernel = sum(block.kernel / penalty for block, penalty in zip(self._blocks, penalties, strict=True))

        def predict(parts: Sequence[int], test: int) -> Array:
            train = np.concatenate([self._rows[part] for part in parts])
            smoother = kernel_smoother(self._on, kernel, train, self._rows[test])
            return smoother @ self._y[self._on.array(train, "int64")]

        return predict


class _Sums(NamedTuple):
    """Of one or more folds: Xᵀ X, Yᵀ X, column sums of X and Y, and the number of rows."""

    gram: Array
    cross: Array
    x: Array
    y: Array
    n: int


class _Primal:
    """Maps by features, for no more of them than rows: what folds add up to is added up once."""

    def __init__(self, blocks: Sequence[Block], y: Array, folded: Folded, on: Backend) -> None:
        self._on, self._folded = on, folded
        self._widths = [block.width for block in blocks]
        self._features = on.zeros((len(y), sum(self._widths)), "float64")
        begin = 0
        for block in blocks:
            self._features[:, begin : begin + block.width] = block.features
            begin += block.width
        self._sums = list(self._by_fold(y))

    def _by_fold(self, y: Array) -> Iterator[_Sums]:
        for begin, end in self._folded.ranges:
            x, values = self._features[begin:end], y[begin:end]
            yield _Sums(x.T @ x, values.T @ x, x.sum(0), values.sum(0), end - begin)

    def under(self, penalties: Sequence[float]) -> Predict:
        scales = self._on.array(np.repeat(np.asarray(penalties) ** -0.5, self._widths), "float64")
        diagonal = range(len(scales))

        def predict(parts: Sequence[int], test: int) -> Array:
            total = _Sums(*map(sum, zip(*(self._sums[part] for part in parts), strict=True)))
            x, y = total.x / total.n, total.y / total.n
            gram = (total.gram - total.n * x[:, None] * x) * scales[:, None] * scales
            gram[diagonal, diagonal] += 1
            cross = (total.cross - total.n * y[:, None] * x) * scales
            solved = self._on.solve(gram, cross, full_rank=False)
            if solved is None:
                raise _singular()
            seen = self._features[slice(*self._folded.ranges[test])]
            return (seen - x) @ (solved * scales).T + y

        return predict


def _singular() -> SyncR2Error:
    return SyncR2Error(
        "A banded ridge system is singular in float64: the states are too large for the smallest of "
        "synchrony.penalties. Set larger ones."
    )
