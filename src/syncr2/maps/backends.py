"""Where dense linear algebra runs: BLAS and LAPACK on the CPU, or torch on a GPU.

The maps need four things of a device: arrays, products written into place, and solving with a symmetric
positive definite system. Everything above this module is written once for both.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

from syncr2.errors import SyncR2Error

DEVICES = ("auto", "cpu", "cuda")
# An array of the device: ndarray or torch tensor.
Array = Any


class Backend(Protocol):
    """Dense linear algebra on one device."""

    device: str

    def array(self, values: NDArray, dtype: str) -> Array:
        """Values on the device, in a number format of their own."""

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Zeroed memory to write into."""

    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        """The product a @ b, written into `out`."""

    def cast(self, values: Array, dtype: str) -> Array:
        """The same values in another number format; no copy where it is the same."""

    def take(self, values: Array, rows: Array) -> Array:
        """Chosen rows."""

    def solve(self, system: Array, rows: Array, full_rank: bool) -> Array | None:
        """Rows times the inverse of a symmetric positive definite system; both may be overwritten.

        Only the system's lower triangle is read. None where it is not positive definite in floating point;
        with `full_rank` also where a pivot is no more than rounding, as dependent columns leave without a
        penalty.
        """

    def eigh(self, system: Array) -> tuple[Array, Array]:
        """Eigenvalues, ascending, and eigenvectors as columns of a symmetric matrix."""

    def softmax(self, values: Array, axis: int = -1) -> Array:
        """Exponentials along an axis, brought to a sum of 1."""

    def numpy(self, values: Array) -> NDArray:
        """Back on the host."""


class Cpu:
    """numpy and scipy, with the threads that their BLAS was given."""

    device = "cpu"

    def array(self, values: NDArray, dtype: str) -> NDArray:
        """See `Backend`."""
        return np.array(values, dtype=dtype, order="C")

    def zeros(self, shape: tuple[int, ...], dtype: str) -> NDArray:
        """See `Backend`."""
        return np.zeros(shape, dtype=dtype)

    def matmul(self, a: NDArray, b: NDArray, out: NDArray) -> NDArray:
        """See `Backend`."""
        return np.matmul(a, b, out=out)

    def cast(self, values: NDArray, dtype: str) -> NDArray:
        """See `Backend`."""
        return values.astype(dtype, copy=False)

    def take(self, values: NDArray, rows: NDArray) -> NDArray:
        """See `Backend`; three times as fast as indexing."""
        return np.take(values, rows, axis=0)

    def solve(self, system: NDArray, rows: NDArray, full_rank: bool) -> NDArray | None:
        """See `Backend`."""
        potrf, potrs = get_lapack_funcs(("potrf", "potrs"), (system,))
        before = system.diagonal().copy()
        # A C-ordered lower triangle is LAPACK's upper one: nothing is copied.
        factor, info = potrf(system.T, lower=False, overwrite_a=True, clean=False)
        if info != 0 or (full_rank and _lost(factor.diagonal() ** 2, before)):
            return None
        solved, _ = potrs(factor, rows.T, lower=False, overwrite_b=True)
        return solved.T

    def eigh(self, system: NDArray) -> tuple[NDArray, NDArray]:
        """See `Backend`."""
        values, vectors = np.linalg.eigh(system)
        return values, vectors

    def softmax(self, values: NDArray, axis: int = -1) -> NDArray:
        """See `Backend`."""
        powers = values - values.max(axis=axis, keepdims=True)
        np.exp(powers, out=powers)
        powers /= powers.sum(axis=axis, keepdims=True)
        return powers

    def numpy(self, values: NDArray) -> NDArray:
        """See `Backend`."""
        return values


class Cuda:
    """torch on a CUDA device."""

    device = "cuda"

    def __init__(self) -> None:
        import torch

        if not torch.cuda.is_available():
            raise SyncR2Error(
                "device: cuda was asked for the maps, but torch sees no GPU here. Set it to auto."
            )
        self._torch = torch

    def array(self, values: NDArray, dtype: str) -> Array:
        """See `Backend`; narrow numbers travel as they are and widen on the device."""
        there = self._torch.from_numpy(np.ascontiguousarray(values)).to("cuda")
        return there.to(getattr(self._torch, dtype), copy=False)

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        """See `Backend`."""
        return self._torch.zeros(shape, dtype=getattr(self._torch, dtype), device="cuda")

    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        """See `Backend`."""
        if out.is_contiguous():
            return self._torch.matmul(a, b, out=out)
        return out.copy_(self._torch.matmul(a, b))

    def cast(self, values: Array, dtype: str) -> Array:
        """See `Backend`."""
        return values.to(getattr(self._torch, dtype))

    def take(self, values: Array, rows: Array) -> Array:
        """See `Backend`."""
        return values.index_select(0, rows)

    def solve(self, system: Array, rows: Array, full_rank: bool) -> Array | None:
        """See `Backend`."""
        before = system.diagonal().clone()
        factor, info = self._torch.linalg.cholesky_ex(system)
        pivots = factor.diagonal() ** 2
        if int(info) != 0 or (full_rank and _lost(pivots.cpu().numpy(), before.cpu().numpy())):
            return None
        return self._torch.cholesky_solve(rows.T, factor).T

    def eigh(self, system: Array) -> tuple[Array, Array]:
        """See `Backend`."""
        values, vectors = self._torch.linalg.eigh(system)
        return values, vectors

    def softmax(self, values: Array, axis: int = -1) -> Array:
        """See `Backend`."""
        return self._torch.softmax(values, dim=axis)

    def numpy(self, values: Array) -> NDArray:
        """See `Backend`."""
        return values.cpu().numpy()


def _lost(pivots: NDArray, diagonal: NDArray) -> bool:
    """Whether a pivot of the factorisation is no more than the rounding of what it was left from."""
    return bool((pivots <= len(pivots) * np.finfo(pivots.dtype).eps * diagonal).any())


def backend(device: str) -> Backend:
    """The backend of a device; `auto` takes a GPU if torch is installed and sees one.

    Raises
    ------
    SyncR2Error
        If the device is unknown or not there.
    """
    if device not in DEVICES:
        raise SyncR2Error(f"device must be one of {', '.join(DEVICES)}; found {device!r}.")
    if device == "cuda" or (device == "auto" and _gpu_there()):
        return Cuda()
    return Cpu()


def _gpu_there() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())
