"""Quadratic forms over samples: the part of R² that pairs a source layer with a target layer.

With a smoother H of a source layer and the scaled rows Z of a target layer (see `syncr2.maps.ridge`), the
unexplained share of variance is

    ‖Z_te‖² − 2 ⟨H, Z_te Z_trᵀ⟩ + ⟨Hᵀ H, Z_tr Z_trᵀ⟩

Both matrices of the last product are symmetric, so only their lower triangles are computed, tile by tile,
and written into one flat vector, followed by the cross term. The source's vector carries the factors (2 off
the diagonal, −2 for the cross term), and the unexplained share of every pair of layers is one product of two
stacks of such vectors.

Rows come in *folds*: contiguous blocks, one of them the test set. A vector is laid out fold by fold, so that
the kernels of a target layer, made once for a test fold, serve every choice of training folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from syncr2.maps.backends import Array, Backend

# Rows of a tile of a lower triangle: its diagonal square is computed whole, about TILE / n of waste.
TILE = 256
# Entries of the flat vectors multiplied at once: fits a cache, and sums of float32 products stay short.
CHUNK = 1 << 18

Bounds = Sequence[tuple[int, int]]


def bounds(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """First and last (excluded) row of each fold."""
    ends = list(accumulate(sizes))
    return list(zip([0, *ends[:-1]], ends, strict=True))


def lower_tiles(n: int) -> Iterator[tuple[int, int]]:
    """First and last (excluded) row of every tile of a lower triangle of n rows."""
    return ((start, min(start + TILE, n)) for start in range(0, n, TILE))


class Layout:
    """Where each block of a flat vector is.

    Parameters
    ----------
    sizes : mapping
        Rows of every training fold, by the fold's number.
    n_test : int
    """

    def __init__(self, sizes: dict[int, int], n_test: int) -> None:
        self.sizes, self.n_test = sizes, n_test
        self.blocks: dict[tuple[int, int], slice] = {}
        self.cross: dict[int, slice] = {}
        end = 0
        for a in sorted(sizes):
            for b in sorted(fold for fold in sizes if fold <= a):
                size = lower_size(sizes[a]) if a == b else sizes[a] * sizes[b]
                self.blocks[a, b] = slice(end, end := end + size)
        for fold in sorted(sizes):
            self.cross[fold] = slice(end, end := end + n_test * sizes[fold])
        self.size = end

    def write(self, on: Backend, left: dict[int, Array], right: dict[int, Array], out: Array) -> None:
        """Products left_a @ right_bᵀ of every block of the gram, into a flat vector.

        Parameters
        ----------
        left, right : dict
            For each fold an array (rows of the fold, k).
        out : array, shape (size,)
        """
        for (a, b), where in self.blocks.items():
            block = out[where]
            if a != b:
                on.matmul(left[a], right[b].T, block.reshape(self.sizes[a], self.sizes[b]))
                continue
            for start, stop, tile in _tiles_of(block, self.sizes[a]):
                on.matmul(left[a][start:stop], right[a][:stop].T, tile)


def lower_size(n: int) -> int:
    """Entries of all tiles of a lower triangle of n rows."""
    return sum((stop - start) * stop for start, stop in lower_tiles(n))


def _tiles_of(block: Array, n: int) -> Iterator[tuple[int, int, Array]]:
    offset = 0
    for start, stop in lower_tiles(n):
        size = (stop - start) * stop
        yield start, stop, block[offset : offset + size].reshape(stop - start, stop)
        offset += size


def write_weights(on: Backend, layout: Layout, smoother: dict[int, Array], dtype: str, out: Array) -> None:
    """The source's side of the quadratic form, into a flat vector.

    Parameters
    ----------
    smoother : dict
        For each training fold its columns of H, (n_test, rows of the fold).
    dtype : str
        Number format of all arrays.
    out : array, shape (layout.size,)
    """
    twice = {fold: 2 * columns for fold, columns in smoother.items()}
    layout.write(
        on, {fold: h.T for fold, h in twice.items()}, {fold: h.T for fold, h in smoother.items()}, out
    )
    for fold, n in layout.sizes.items():
        for start, stop, tile in _tiles_of(out[layout.blocks[fold, fold]], n):
            # An entry below the diagonal stands for two, one above it for none.
            square = tile[:, start:stop]
            square *= on.array(np.tri(stop - start, k=-1), dtype)
            square[range(stop - start), range(stop - start)] = (smoother[fold][:, start:stop] ** 2).sum(0)
        out[layout.cross[fold]] = -twice[fold].reshape(-1)


class TargetKernels:
    """Kernels of target layers for one test fold.

    Parameters
    ----------
    on : Backend
    folds : sequence of (int, int)
        Rows of every fold, the test fold among them.
    test : int
        Which fold is tested.
    capacity : int
        Target layers to hold.
    dtype : str
        Number format of the kernels.

    Attributes
    ----------
    varying : ndarray, shape (n_target_layers,)
        Share of the target dimensions that vary over the test rows.
    norms : ndarray, shape (n_target_layers,)
        ‖Z_te‖².
    flat : array, shape (capacity, layout.size)
    """

    def __init__(self, on: Backend, folds: Bounds, test: int, capacity: int, dtype: str) -> None:
        self._on, self._folds, self._test, self._dtype = on, folds, test, dtype
        sizes = {fold: stop - start for fold, (start, stop) in enumerate(folds) if fold != test}
        self.layout = Layout(sizes, folds[test][1] - folds[test][0])
        self.flat = on.zeros((capacity, self.layout.size), dtype)
        self._varying: list[float] = []
        self._norms: list[float] = []

    def add(self, values: Array) -> None:
        """Hold one more target layer, (n_samples, d), float64; it is overwritten."""
        where = slice(*self._folds[self._test])
        self._varying.append(scale_target(values, where))
        scaled = self._on.cast(values, self._dtype)
        test = scaled[where]
        self._norms.append(float((self._on.cast(test, "float64") ** 2).sum()))
        parts = {fold: scaled[slice(*self._folds[fold])] for fold in self.layout.sizes}
        out = self.flat[len(self._norms) - 1]
        self.layout.write(self._on, parts, parts, out)
        for fold, where in self.layout.cross.items():
            self._on.matmul(test, parts[fold].T, out[where].reshape(len(test), -1))

    @property
    def varying(self) -> NDArray[np.float64]:
        """See above."""
        return np.array(self._varying)

    @property
    def norms(self) -> NDArray[np.float64]:
        """See above."""
        return np.array(self._norms)


def scale_target(values: Array, test: slice) -> float:
    """Centre a target layer and divide each column by the root of (d · test sum of squares), in place.

    Parameters
    ----------
    values : array, shape (n_samples, d), float64
    test : slice
        The test rows. A column that is constant over them becomes 0.

    Returns
    -------
    float
        Share of the columns that vary over the test rows.
    """
    values -= values.mean(0)
    spread, varies = spread_of(values[test])
    values *= varies / (len(spread) * (spread + ~varies)) ** 0.5
    return float(varies.sum()) / len(spread)


def spread_of(values: Array) -> tuple[Array, Array]:
    """Sum of squares about the mean of every column, and whether it varies.

    A constant column is found by comparing, for rounding would fake variance where there is none.
    """
    varies = ~(values == values[0]).all(0)
    return ((values - values.mean(0)) ** 2).sum(0) * varies, varies


def unexplained(on: Backend, layout: Layout, weights: Array, kernels: TargetKernels) -> NDArray[np.float64]:
    """The unexplained share of variance of every pair of a source's and a target's vector.

    Parameters
    ----------
    layout : Layout
        Of the weights; its training folds are among those of the kernels.
    weights : array, shape (n_sources, layout.size)
    kernels : TargetKernels

    Returns
    -------
    ndarray, shape (n_sources, n_target_layers), float64
    """
    total = np.zeros((len(weights), len(kernels.norms)))
    flat = kernels.flat[: len(kernels.norms)]
    for mine, theirs in _shared_ranges(layout, kernels.layout):
        for offset in range(0, mine.stop - mine.start, CHUNK):
            length = min(CHUNK, mine.stop - mine.start - offset)
            a = weights[:, mine.start + offset : mine.start + offset + length]
            b = flat[:, theirs.start + offset : theirs.start + offset + length]
            total += on.numpy(a @ b.T)
    return kernels.norms + total


def _shared_ranges(mine: Layout, theirs: Layout) -> list[tuple[slice, slice]]:
    if mine.sizes == theirs.sizes:
        return [(slice(0, mine.size), slice(0, theirs.size))]
    pairs = [(where, theirs.blocks[key]) for key, where in mine.blocks.items()]
    return pairs + [(where, theirs.cross[key]) for key, where in mine.cross.items()]
