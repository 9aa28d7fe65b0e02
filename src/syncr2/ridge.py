"""Affine maps between layers: ridge regression with an unpenalised intercept, and its test R².

For a source layer with training rows X (centred on their mean) and a target layer with training rows Y, the
map is

    W, b = argmin  Σᵢ ‖yᵢ − W xᵢ − b‖² + λ ‖W‖²_F

Its prediction of the test rows is linear in Y: ŷ_te = ȳ_tr + S (Y_tr − ȳ_tr), with a *smoother* S (test ×
train) that depends on the source layer only. With Z the target rows, centred on the training mean and divided
column by column by the root of (d · test sum of squares), the mean over target dimensions of the test R² is
therefore

    R² = v − ‖Z_te − S Z_tr‖²_F = v − [ ‖Z_te‖² − 2 ⟨S, Z_te Z_trᵀ⟩ + ⟨Sᵀ S, Z_tr Z_trᵀ⟩ ]

where v is the share of target dimensions that vary over the test rows (1 unless some are constant). So one
factorisation a source layer and one kernel a target layer give the whole matrix; a pair of layers costs two
inner products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from syncr2.errors import SyncR2Error

Matrix = NDArray[np.float64]
Rows = NDArray[np.intp]

# Bytes of kernels and smoothers kept at once; the rest is computed again a block of source layers at a time.
MEMORY_LIMIT = 6 * 2**30


class Layers(Protocol):
    """A stack of layers, (n_layers, n_samples, d), read one layer at a time: an array, or states on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, layer: int, /) -> NDArray: ...


class _Target(NamedTuple):
    """What the R² needs of one target layer."""

    varying: float
    test_norm: float
    cross: Matrix
    train: Matrix


def layer_r2(
    source: Layers,
    target: Layers,
    train: ArrayLike,
    test: ArrayLike,
    penalty: float = 0.1,
) -> Matrix:
    """Test R² of the ridge map from every source layer to every target layer.

    Parameters
    ----------
    source : array_like, shape (n_source_layers, n_samples, d_source)
        States from which is predicted; anything that gives a layer by index will do.
    target : array_like, shape (n_target_layers, n_samples, d_target)
        States that are predicted; row i belongs to row i of `source`.
    train, test : array_like of int, shape (n_train,), (n_test,)
        Rows for fitting and for the score.
    penalty : float, default 0.1
        λ above; positive. Not divided by the number of samples, and not on the intercept.

    Returns
    -------
    ndarray, shape (n_source_layers, n_target_layers), float64
        R² on the test rows, at most 1, the uniform mean over target dimensions. A target dimension that is
        constant over the test rows has no variance to explain and counts as 0.

    Raises
    ------
    SyncR2Error
        If shapes or rows do not fit together, a value is not finite, or the penalty is not positive.

    Notes
    -----
    Computed in float64 whatever the type of the states: with the outlier dimensions of real models, float32
    normal equations are off by 1e-4 and more.
    """
    train, test = _rows(train, "train", source, target), _rows(test, "test", source, target)
    if not penalty > 0:
        raise SyncR2Error(f"The ridge penalty must be positive, found {penalty}.")
    r2 = np.empty((len(source), len(target)))
    per_layer = 8 * len(train) * (len(train) + len(test))
    block = max(1, int(MEMORY_LIMIT // per_layer))
    for start in range(0, len(source), block):
        layers = range(start, min(start + block, len(source)))
        smoothers = [smoother(_layer(source, layer, "source"), train, test, penalty) for layer in layers]
        grams = [weights.T @ weights for weights in smoothers]
        for m in range(len(target)):
            kernels = _target_kernels(_layer(target, m, "target"), train, test)
            for layer, weights, gram in zip(layers, smoothers, grams, strict=True):
                unexplained = (
                    kernels.test_norm - 2 * np.vdot(weights, kernels.cross) + np.vdot(gram, kernels.train)
                )
                r2[layer, m] = kernels.varying - unexplained
    return r2


def subset_r2(
    source: Layers,
    target: Layers,
    train: ArrayLike,
    test: ArrayLike,
    target_layers: Sequence[int],
    subsets: Sequence[NDArray[np.bool_]],
    penalty: float = 0.1,
) -> Matrix:
    """Test R² of chosen layer pairs on subsets of the test rows, all from the same fit.

    Parameters
    ----------
    source, target, train, test, penalty
        As for `layer_r2`.
    target_layers : sequence of int, length n_source_layers
        The target layer for each source layer.
    subsets : sequence of bool arrays, each of shape (n_test,)
        Which test rows count; the variance to explain is that within the subset.

    Returns
    -------
    ndarray, shape (n_subsets, n_source_layers)
        NaN for a subset of fewer than two rows.
    """
    train, test = _rows(train, "train", source, target), _rows(test, "test", source, target)
    r2 = np.full((len(subsets), len(source)), np.nan)
    for layer in range(len(source)):
        weights = smoother(_layer(source, layer, "source"), train, test, penalty)
        values = _layer(target, target_layers[layer], "target")
        mean = values[train].mean(axis=0)
        residual = values[test] - mean - weights @ (values[train] - mean)
        for i, chosen in enumerate(subsets):
            if chosen.sum() >= 2:
                r2[i, layer] = _mean_r2(values[test][chosen], residual[chosen])
    return r2


def smoother(source: Matrix, train: Rows, test: Rows, penalty: float) -> Matrix:
    """The matrix S, (n_test, n_train), that turns centred training targets into centred test predictions.

    One Cholesky factorisation, of the smaller of the two systems: d × d (primal) or n_train × n_train (dual).
    """
    mean = source[train].mean(axis=0)
    x_train, x_test = source[train] - mean, source[test] - mean
    n_train, width = x_train.shape
    if width <= n_train:
        system = x_train.T @ x_train
        factor = _factor(system, penalty)
        return linalg.cho_solve(factor, x_test.T, check_finite=False).T @ x_train.T
    system = x_train @ x_train.T
    factor = _factor(system, penalty)
    return linalg.cho_solve(factor, x_train @ x_test.T, check_finite=False).T


def _factor(system: Matrix, penalty: float) -> tuple[Matrix, bool]:
    system[np.diag_indices_from(system)] += penalty
    try:
        return linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError:
        raise SyncR2Error(
            f"The ridge system is singular in float64 at penalty {penalty}: the states' scale is too large "
            "for it. "
            "Set a larger synchrony.penalty."
        ) from None


def _target_kernels(values: Matrix, train: Rows, test: Rows) -> _Target:
    centred = values - values[train].mean(axis=0)
    spread = _sum_of_squares(values[test])
    varies = spread > 0
    scale = np.zeros_like(spread)
    scale[varies] = 1 / np.sqrt(len(spread) * spread[varies])
    z_train, z_test = centred[train] * scale, centred[test] * scale
    return _Target(
        float(varies.mean()), float(np.vdot(z_test, z_test)), z_test @ z_train.T, z_train @ z_train.T
    )


def _sum_of_squares(values: Matrix) -> Matrix:
    """About the mean, by column; exactly 0 for a constant column, where rounding would fake variance."""
    squares = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    squares[(values == values[0]).all(axis=0)] = 0.0
    return squares


def _mean_r2(values: Matrix, residual: Matrix) -> float:
    spread = _sum_of_squares(values)
    varies = spread > 0
    scores = np.zeros_like(spread)
    scores[varies] = 1 - (residual**2).sum(axis=0)[varies] / spread[varies]
    return float(scores.mean())


def _layer(stack: Layers, layer: int, name: str) -> Matrix:
    values = np.asarray(stack[layer], dtype=np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise SyncR2Error(f"The {name} states hold a value that is not finite (layer {layer}, row {row}).")
    return values


def _rows(rows: ArrayLike, name: str, source: Layers, target: Layers) -> Rows:
    shapes = [np.shape(stack[0]) for stack in (source, target)]
    if any(len(shape) != 2 for shape in shapes):
        raise SyncR2Error(
            f"Each layer must be (n_samples, d); source layers are {shapes[0]}, target layers {shapes[1]}."
        )
    if shapes[0][0] != shapes[1][0]:
        raise SyncR2Error(
            f"Source and target must have the same rows; found {shapes[0][0]} and {shapes[1][0]}."
        )
    index = np.asarray(rows)
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
        raise SyncR2Error(
            f"`{name}` must be a list of row numbers, found shape {index.shape} of {index.dtype}."
        )
    if len(index) < 2:
        raise SyncR2Error(f"`{name}` holds {len(index)} rows; at least 2 are needed.")
    if index.min() < 0 or index.max() >= shapes[0][0]:
        raise SyncR2Error(
            f"`{name}` has rows {index.min()} to {index.max()}; allowed are 0 to {shapes[0][0] - 1}."
        )
    return index.astype(np.intp)
