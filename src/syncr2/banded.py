"""Ridge maps from several blocks of features, each with a penalty of its own (banded ridge).

With feature blocks X_b and penalties λ_b the fit depends on the features only through the kernel Σ_b X_b
X_bᵀ / λ_b and a penalty of 1. So what a block adds to another is two kernels and their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.backends import Array, Backend
from syncr2.errors import SyncR2Error
from syncr2.nested import Clusters, Computing, Folded, Score, Scorer, TargetRows
from syncr2.ridge import Layers, mean_r2, read_layer

# A kernel of all rows in fold order, (n_samples, n_samples).
Kernel = Array
# Kernels to choose from, each made when it is its turn: one is n_samples² numbers.
Candidates = Sequence[Callable[[], Kernel]]


class Fitted(NamedTuple):
    """R² of the chosen kernels, and which of the candidates each fold and layer took, (n_folds, n_layers)."""

    score: Score
    choice: NDArray[np.intp]


def layer_kernel(source: Layers, layer: int, folded: Folded, computing: Computing) -> Kernel:
    """X Xᵀ of one layer about the mean of all rows."""
    on = computing.on
    values = on.array(read_layer(source, layer, folded.order, "source"), "float64")
    values -= values.mean(0)
    return values @ values.T


def penalised(
    kernel: Callable[[], Kernel], penalties: Sequence[float], beside: Callable[[], Kernel] | None = None
) -> Candidates:
    """A block's kernel under each of the penalties, with other blocks' beside it."""

    def under(penalty: float) -> Callable[[], Kernel]:
        return lambda: kernel() / penalty if beside is None else kernel() / penalty + beside()

    return [under(penalty) for penalty in penalties]


def kernel_smoother(on: Backend, kernel: Kernel, train: NDArray[np.intp], test: NDArray[np.intp]) -> Array:
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
        raise SyncR2Error(
            "A kernel ridge system is singular in float64: the states are too large for the smallest of "
            "synchrony.penalties. Set larger ones."
        )
    return solved + 1 / len(train)


def fit_kernels(
    candidates: Callable[[int, int], Candidates],
    key: Callable[[int, int], object],
    target: Layers,
    target_layer: NDArray[np.intp],
    fold: NDArray[np.intp],
    clusters: Clusters,
    computing: Computing,
) -> Fitted:
    """Score maps whose kernel is chosen among candidates on inner folds.

    Parameters
    ----------
    candidates : callable
        Kernels for an outer fold and a layer.
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
    kernels: Candidates, targets: TargetRows, m: int, folded: Folded, outer: int, on: Backend
) -> tuple[int, NDArray, NDArray]:
    """The best candidate on inner folds, and the outer fold's targets and residuals under it."""
    best = 0
    if len(kernels) > 1:

        def inner(kernel: Kernel) -> float:
            scored = (
                mean_r2(*_predicted(kernel, targets, m, folded, test, (outer, test), on))
                for test in folded.without(outer)
            )
            return float(np.mean(list(scored)))

        best = int(np.argmax([inner(make()) for make in kernels]))
    return best, *_predicted(kernels[best](), targets, m, folded, outer, (outer,), on)


def _predicted(
    kernel: Kernel,
    targets: TargetRows,
    m: int,
    folded: Folded,
    test: int,
    left_out: Sequence[int],
    on: Backend,
) -> tuple[NDArray, NDArray]:
    y = targets.layer(m)
    everywhere = np.arange(len(folded.order))
    train = np.concatenate([everywhere[slice(*folded.ranges[part])] for part in folded.without(*left_out)])
    rows = everywhere[slice(*folded.ranges[test])]
    seen = y[slice(*folded.ranges[test])]
    residual = seen - kernel_smoother(on, kernel, train, rows) @ y[on.array(train, "int64")]
    return on.numpy(seen), on.numpy(residual)
