"""Affine maps between layers: ridge regression with an unpenalised intercept, and its test R².

For a source layer with training rows X (centred on their mean) and a target layer with training rows Y, the
map is

    W, b = argmin  Σᵢ ‖yᵢ − W xᵢ − b‖² + λ ‖W‖²_F

Its prediction of the test rows is linear in Y, ŷ_te = H Y_tr, with a *smoother* H (test × train) that depends
on the source layer only and whose rows sum to 1. With Z the target rows, divided column by column by the root
of (d · test sum of squares), the mean over target dimensions of the test R² is therefore

    R² = v − ‖Z_te − H Z_tr‖²_F = v − [ ‖Z_te‖² − 2 ⟨H, Z_te Z_trᵀ⟩ + ⟨Hᵀ H, Z_tr Z_trᵀ⟩ ]

where v is the share of target dimensions that vary over the test rows (1 unless some are constant). So a
source layer costs one factorisation, a target layer one kernel, and a pair of layers two inner products. The
factors of these products are in `syncr2.maps.smoothers` (H) and `syncr2.maps.kernels` (HᵀH and Z Zᵀ).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from syncr2.errors import SyncR2Error
from syncr2.maps.backends import backend
from syncr2.maps.kernels import Layout, TargetKernels, bounds, spread_of, unexplained, write_weights
from syncr2.maps.smoothers import SourceLayer

Matrix = NDArray[np.float64]
Rows = NDArray[np.intp]

# Number formats of the products over rows; systems are always solved in float64.
PRECISIONS = {"float64": "float64", "mixed": "float32"}
# Target layers whose kernels are held at once: enough to make matrix products of inner ones.
TARGETS_AT_ONCE = 8
# Room for one layer's rows, system and smoother while it is made, in flat vectors.
WORKING = 8


class Layers(Protocol):
    """A stack of layers, (n_layers, n_samples, d), read one layer at a time: an array, or states on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, layer: int, /) -> NDArray: ...


def layer_r2(
    source: Layers,
    target: Layers,
    train: ArrayLike,
    test: ArrayLike,
    penalty: float | Sequence[float] = 0.1,
    *,
    device: str = "cpu",
    precision: str = "float64",
    memory_gb: float = 10.0,
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
    penalty : float or sequence of float, default 0.1
        λ above. Not divided by the number of samples, and not on the intercept. 0 is least squares, allowed
        where it has one solution.
    device : {"cpu", "cuda", "auto"}, default "cpu"
        Where it is computed; `auto` takes a GPU if there is one.
    precision : {"float64", "mixed"}, default "float64"
        `mixed` takes products over rows in float32, which is about 1e-6 off in R²; systems are always solved
        in float64.
    memory_gb : float, default 10
        Bound on the arrays held at once. Below what all source layers need, they are taken in blocks, and the
        target layers' kernels are computed again for each block.

    Returns
    -------
    ndarray, shape (n_source_layers, n_target_layers), float64
        R² on the test rows, at most 1, the uniform mean over target dimensions. A target dimension that is
        constant over the test rows has no variance to explain and counts as 0. With a sequence of penalties,
        one matrix each: (n_penalties, n_source_layers, n_target_layers).

    Raises
    ------
    SyncR2Error
        If shapes or rows do not fit together, a value is not finite, or a system is singular.

    Notes
    -----
    With the outlier dimensions of real models, float32 normal equations are off by 1e-4 and more; hence
    float64.
    """
    train, test = _rows(train, "train", source, target), _rows(test, "test", source, target)
    penalties = check_penalties(penalty)
    on, dtype = backend(device), product_type(precision)
    rows, folds = np.concatenate([train, test]), bounds([len(train), len(test)])
    layout = Layout({0: len(train)}, len(test))
    at_once = max(1, _vectors_at_once(layout.size, dtype, memory_gb) // len(penalties))
    r2 = np.empty((len(penalties), len(source), len(target)))
    for block in blocks(len(source), at_once):
        weights = on.zeros((len(block), len(penalties), layout.size), dtype)
        for i, layer in enumerate(block):
            values = on.array(read_layer(source, layer, rows, "source"), "float64")
            maps = SourceLayer(on, values, folds, dtype)
            for j, smoother in enumerate(maps.smoothers([0], 1, penalties)):
                write_weights(on, layout, smoother, dtype, weights[i, j])
        flat = weights.reshape(-1, layout.size)
        for some in blocks(len(target), TARGETS_AT_ONCE):
            kernels = TargetKernels(on, folds, 1, len(some), dtype)
            for m in some:
                kernels.add(on.array(read_layer(target, m, rows, "target"), "float64"))
            found = kernels.varying - unexplained(on, layout, flat, kernels)
            by_penalty = found.reshape(len(block), len(penalties), len(some)).swapaxes(0, 1)
            r2[:, block.start : block.stop, some.start : some.stop] = by_penalty
    return r2[0] if np.ndim(penalty) == 0 else r2


def subset_r2(
    source: Layers,
    target: Layers,
    train: ArrayLike,
    test: ArrayLike,
    target_layers: Sequence[int],
    subsets: Sequence[NDArray[np.bool_]],
    penalty: float = 0.1,
    *,
    device: str = "cpu",
) -> Matrix:
    """Test R² of chosen layer pairs on subsets of the test rows, all from the same fit.

    Parameters
    ----------
    source, target, train, test, penalty, device
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
    on, penalties = backend(device), check_penalties(penalty)
    rows, folds = np.concatenate([train, test]), bounds([len(train), len(test)])
    r2 = np.full((len(subsets), len(source)), np.nan)
    for layer in range(len(source)):
        values = on.array(read_layer(source, layer, rows, "source"), "float64")
        (smoother,) = SourceLayer(on, values, folds, "float64").smoothers([0], 1, penalties)
        y = on.array(read_layer(target, target_layers[layer], rows, "target"), "float64")
        y -= y.mean(0)
        y_test = y[len(train) :]
        residual, seen = on.numpy(y_test - smoother[0] @ y[: len(train)]), on.numpy(y_test)
        for i, chosen in enumerate(subsets):
            if chosen.sum() >= 2:
                r2[i, layer] = mean_r2(seen[chosen], residual[chosen])
    return r2


def mean_r2(values: Matrix, residual: Matrix) -> float:
    """R² from residuals, by column about the mean, then the uniform mean; a constant column counts as 0.

    Parameters
    ----------
    values, residual : ndarray, shape (n_samples, d)
    """
    spread, varies = spread_of(values)
    explained = spread - (residual**2).sum(axis=0)
    return float(np.divide(explained, spread, out=np.zeros_like(spread), where=varies).mean())


def check_penalties(penalty: float | Sequence[float]) -> list[float]:
    """Penalties as a list.

    Raises
    ------
    SyncR2Error
        If there is none, or one is negative or not finite.
    """
    penalties = [float(value) for value in np.atleast_1d(np.asarray(penalty, dtype=np.float64))]
    if not penalties or not all(0 <= value < np.inf for value in penalties):
        raise SyncR2Error(
            f"A ridge penalty must be a number from 0 up, found {penalty}. 0 is least squares; 0.1 was "
            "published."
        )
    return penalties


def product_type(precision: str) -> str:
    """Number format of products over rows.

    Raises
    ------
    SyncR2Error
        If the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise SyncR2Error(f"precision must be one of {', '.join(PRECISIONS)}; found {precision!r}.")
    return PRECISIONS[precision]


def read_layer(stack: Layers, layer: int, rows: Rows, name: str) -> NDArray:
    """Chosen rows of one layer, in the number format in which they are kept.

    Raises
    ------
    SyncR2Error
        If a value is not finite.
    """
    values = np.asarray(stack[layer])[rows]
    finite = np.isfinite(values)
    if not finite.all():
        row = int(rows[np.flatnonzero(~finite.all(axis=1))[0]])
        raise SyncR2Error(f"The {name} states hold a value that is not finite (layer {layer}, row {row}).")
    return values


def _vectors_at_once(size: int, dtype: str, memory_gb: float) -> int:
    """Source vectors that fit beside the kernels of some target layers and one layer's working arrays."""
    return max(1, int(memory_gb * 1e9 / (np.dtype(dtype).itemsize * size)) - TARGETS_AT_ONCE - WORKING)


def blocks(n: int, size: int) -> list[range]:
    """As few ranges of at most `size` as will do, of nearly equal length."""
    n_blocks = -(-n // size)
    return [range(n * i // n_blocks, n * (i + 1) // n_blocks) for i in range(n_blocks)]


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
