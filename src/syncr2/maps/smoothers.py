"""Smoothers: what a source layer alone decides of its ridge maps.

With centred training rows X and penalty λ, the test predictions of any target Y are ŷ_te = H Y_tr with

    H = X_te (XᵀX + λ)⁻¹ Xᵀ + 1/n = K_te,tr (K + λ)⁻¹ + 1/n        K = X Xᵀ

where 1/n brings in the intercept. The first form solves a d × d system (primal), the second an n × n one
(dual); the cheaper is taken. Products of rows are made once a fold and serve every choice of training folds
and every penalty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syncr2.errors import SyncR2Error
from syncr2.maps.backends import Array, Backend
from syncr2.maps.kernels import Bounds, lower_tiles


class SourceLayer:
    """One source layer, ready to be fitted on any of its folds.

    Parameters
    ----------
    on : Backend
    values : array, shape (n_samples, d), float64
        The layer's rows, fold after fold; it is overwritten.
    folds : sequence of (int, int)
        First and last (excluded) row of every fold.
    dtype : str
        Number format of the smoothers. Systems are solved in float64.
    """

    def __init__(self, on: Backend, values: Array, folds: Bounds, dtype: str) -> None:
        self._on, self._folds, self._dtype = on, folds, dtype
        # About the mean of all rows, so that what is subtracted for each training set is small.
        values -= values.mean(0)
        self._parts = [values[start:stop] for start, stop in folds]
        self._cast = [on.cast(part, dtype) for part in self._parts]
        self._sums = [part.sum(0) for part in self._parts]
        self._width = values.shape[1]
        self._grams: dict[int, Array] = {}
        self._kernels: dict[tuple[int, int], Array] = {}

    def smoothers(
        self, train: Sequence[int], test: int, penalties: Sequence[float]
    ) -> Iterator[dict[int, Array]]:
        """H for each penalty, as columns by training fold, (n_test, rows of the fold).

        Raises
        ------
        SyncR2Error
            If a system is singular in float64.
        """
        train = sorted(train)
        sizes = [len(self._parts[fold]) for fold in train]
        n_train, n_test = sum(sizes), len(self._parts[test])
        least_squares = min(penalties) == 0
        if least_squares and n_train <= self._width:
            raise SyncR2Error(
                f"A ridge penalty of 0 asks for least squares, which has no single solution with {n_train} "
                f"training samples of {self._width} dimensions. Set a positive penalty."
            )
        mean = sum(self._sums[fold] for fold in train) / n_train
        primal = least_squares or _primal_is_cheaper(n_train, n_test, self._width, len(penalties))
        made = self._primal if primal else self._dual
        for penalty in penalties:
            h = made(train, test, mean, n_train, penalty)
            start, columns = 0, {}
            for fold, size in zip(train, sizes, strict=True):
                columns[fold] = h[:, start : start + size]
                start += size
            yield columns

    def _primal(self, train: list[int], test: int, mean: Array, n_train: int, penalty: float) -> Array:
        system = sum(self._gram(fold) for fold in train) - (n_train * mean)[:, None] * mean
        rows = self._solved(system, self._parts[test] - mean, penalty)
        centre = 1 / n_train - rows @ mean
        rows = self._on.cast(rows, self._dtype)
        h = self._on.zeros((len(rows), n_train), self._dtype)
        start = 0
        for fold in train:
            stop = start + len(self._parts[fold])
            self._on.matmul(rows, self._cast[fold].T, h[:, start:stop])
            start = stop
        h += self._on.cast(centre, self._dtype)[:, None]
        return h

    def _dual(self, train: list[int], test: int, mean: Array, n_train: int, penalty: float) -> Array:
        means = [self._parts[fold] @ mean for fold in train]
        square, at_test = mean @ mean, self._parts[test] @ mean
        system = self._on.zeros((n_train, n_train), "float64")
        rows = self._on.zeros((len(at_test), n_train), "float64")
        first = 0
        for i, a in enumerate(train):
            last, left = first + len(self._parts[a]), 0
            for j, b in enumerate(train[: i + 1]):
                right = left + len(self._parts[b])
                system[first:last, left:right] = self._kernel(a, b) - means[i][:, None] - (means[j] - square)
                left = right
            rows[:, first:last] = self._kernel(test, a) - at_test[:, None] - (means[i] - square)
            first = last
        return self._on.cast(self._solved(system, rows, penalty) + 1 / n_train, self._dtype)

    def _solved(self, system: Array, rows: Array, penalty: float) -> Array:
        n = range(len(system))
        system[n, n] += penalty
        solved = self._on.solve(system, rows, full_rank=penalty == 0)
        if solved is None:
            raise SyncR2Error(
                f"The ridge system is singular in float64 at penalty {penalty:g}: "
                + ("its columns depend on each other" if penalty == 0 else "the states are too large for it")
                + ". Set a larger penalty."
            )
        return solved

    def _gram(self, fold: int) -> Array:
        """XᵀX of one fold about the mean of all rows, lower triangle."""
        if fold not in self._grams:
            part, gram = self._parts[fold], self._on.zeros((self._width, self._width), "float64")
            for start, stop in lower_tiles(self._width):
                self._on.matmul(part[:, start:stop].T, part[:, :stop], gram[start:stop, :stop])
            self._grams[fold] = gram
        return self._grams[fold]

    def _kernel(self, a: int, b: int) -> Array:
        """X_a X_bᵀ; of a fold with itself the lower triangle."""
        if a < b:
            return self._kernel(b, a).T
        if (a, b) not in self._kernels:
            left, right = self._parts[a], self._parts[b]
            kernel = self._on.zeros((len(left), len(right)), "float64")
            if a == b:
                for start, stop in lower_tiles(len(left)):
                    self._on.matmul(left[start:stop], right[:stop].T, kernel[start:stop, :stop])
            else:
                self._on.matmul(left, right.T, kernel)
            self._kernels[a, b] = kernel
        return self._kernels[a, b]


def _primal_is_cheaper(n_train: int, n_test: int, width: int, n_penalties: int) -> bool:
    """Multiplications of both forms, products of rows included."""
    primal = n_train * width**2 + n_penalties * (
        width**3 / 3 + 2 * width**2 * n_test + 2 * n_test * width * n_train
    )
    dual = n_train * (n_train + 2 * n_test) * width + n_penalties * (n_train**3 / 3 + 2 * n_train**2 * n_test)
    return primal <= dual
