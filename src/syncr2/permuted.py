"""Inner products ⟨A_l, P B_m Pᵀ⟩ of symmetric matrices, for many permutations P of rows and columns.

All B_m lie side by side, (row, column, m), so that one gather serves all of them and one product serves all
pairs (l, m). Of the symmetric result only the lower triangle is gathered. Rows that every permutation moves
together (the turns of a dialogue) are gathered as one piece, since a gather costs by the piece before it
costs by the byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from syncr2.backends import Array, Backend
from syncr2.ridge import Layers, blocks

DTYPE = "float32"
# Samples from which on draws are worth a thread each.
THREADED_FROM = 1000
# Numbers gathered at once. On the CPU as many as its nearest cache holds and the allocator gives without
# a page fault; a GPU wants much work at once.
GATHERED = {"cpu": 1 << 14, "cuda": 1 << 26}
# Rows that one more piece costs as much as.
PIECE = 2


class Pieces(NamedTuple):
    """Rows cut into pieces that all permutations move as they are.

    Attributes
    ----------
    first : ndarray of int, shape (n_pieces + 1,)
        First row of each piece, and the number of rows.
    longest : int
        Rows of the longest piece; shorter ones are padded.
    """

    first: NDArray[np.intp]
    longest: int

    @classmethod
    def of(cls, draws: NDArray[np.intp]) -> Pieces:
        """The cheapest pieces for these permutations, (n_draws, n_rows)."""
        n = draws.shape[1]
        together = (draws[:, 1:] == draws[:, :-1] + 1).all(axis=0)
        starts = np.flatnonzero(np.concatenate([[True], ~together]))
        lengths = np.diff(np.append(starts, n))
        run = np.repeat(np.arange(len(starts)), lengths)
        images = draws[:, starts]
        if (starts[run[images]] != images).any() or (lengths[run[images]] != lengths).any():
            lengths = np.ones(n, dtype=np.intp)

        def cost(longest: int) -> int:
            return int((-(-lengths // longest)).sum()) * (longest + PIECE)

        longest = min(np.unique(lengths).tolist(), key=cost)
        first = [
            np.arange(start, start + length, longest)
            for start, length in zip(np.cumsum(lengths) - lengths, lengths, strict=True)
        ]
        return cls(np.concatenate([*first, [n]]), longest)

    @property
    def n(self) -> int:
        """Number of pieces."""
        return len(self.first) - 1

    @property
    def slot(self) -> NDArray[np.intp]:
        """Where each row stands when all pieces are padded to the longest."""
        piece = self.piece
        return piece * self.longest + np.arange(len(piece)) - self.first[piece]

    @property
    def piece(self) -> NDArray[np.intp]:
        """The piece of each row."""
        return np.repeat(np.arange(self.n), np.diff(self.first))

    def tiles(self, size: int) -> Iterator[tuple[int, int, int]]:
        """Rows `start` to `stop`, whole pieces, and the number of pieces up to `stop`.

        With all columns up to there, a tile has about `size` numbers; at least a piece's rows are in it.
        """
        begin = 0
        while begin < self.n:
            wanted = self.first[begin] + max(1, size // ((begin + 1) * self.longest))
            end = max(begin + 1, int(np.searchsorted(self.first, wanted, side="right")) - 1)
            yield int(self.first[begin]), int(self.first[end]), end
            begin = end


class Products:
    """Left matrices packed for products with permuted right ones.

    Parameters
    ----------
    on : Backend
        Where it is computed.
    draws : ndarray of int, shape (n_draws, n_rows)
        Row that takes the place of each.
    n_left, n_right : int
        Numbers of matrices.
    memory_gb : float
        Bound on the right matrices in memory at once.
    """

    def __init__(
        self, on: Backend, draws: NDArray[np.intp], n_left: int, n_right: int, memory_gb: float
    ) -> None:
        self._on, self._draws = on, draws
        self._pieces = Pieces.of(draws)
        self._n = draws.shape[1]
        self._slot = on.array(self._pieces.slot, "int64")
        each = np.dtype(DTYPE).itemsize * self._n * self._pieces.n * self._pieces.longest
        self._at_once = max(1, min(n_right, int(memory_gb * 1e9 / 2 / each)))
        self._tiles = list(self._pieces.tiles(GATHERED[on.device] // self._at_once))
        size = sum((stop - start) * n * self._pieces.longest for start, stop, n in self._tiles)
        self._left = on.zeros((n_left, size), DTYPE)

    def pack(self, place: int, square: Array) -> None:
        """Take in a symmetric left matrix: its lower triangle, each entry off the diagonal for two."""
        offset = 0
        for start, stop, n_pieces in self._tiles:
            width = n_pieces * self._pieces.longest
            size = (stop - start) * width
            tile = self._left[place, offset : offset + size].reshape(stop - start, width)
            tile[:, self._slot[:start]] = 2 * square[start:stop, :start]
            tile[:, self._slot[start:stop]] = square[start:stop, start:stop]
            offset += size

    def with_right(self, right: Layers) -> NDArray[np.float64]:
        """Products of all pairs for every draw, (n_draws, n_left, n_right).

        Parameters
        ----------
        right : Layers, each layer (n_rows, n_rows)
            An object that makes a matrix when it is asked for it saves memory.
        """
        found = np.zeros((len(self._draws), len(self._left), len(right)))
        for some in blocks(len(right), self._at_once):
            stacked = self._on.zeros((self._n, self._pieces.n * self._pieces.longest, len(some)), DTYPE)
            for i, m in enumerate(some):
                stacked[:, self._slot, i] = self._on.array(right[m], DTYPE)
            self._multiply(stacked, found[:, :, some.start : some.stop])
        return found

    def _multiply(self, stacked: Array, found: NDArray[np.float64]) -> None:
        on, pieces, depth = self._on, self._pieces, stacked.shape[2]
        entries = stacked.reshape(self._n * pieces.n, pieces.longest * depth)
        of_row = pieces.piece

        def product(i: int) -> None:
            rows = on.array(self._draws[i] * pieces.n, "int64")
            moved = on.array(of_row[self._draws[i][pieces.first[:-1]]], "int64")
            offset = 0
            for start, stop, n_pieces in self._tiles:
                where = (rows[start:stop, None] + moved[:n_pieces]).reshape(-1)
                gathered = on.take(entries, where).reshape(-1, depth)
                found[i] += on.numpy(self._left[:, offset : offset + len(gathered)] @ gathered)
                offset += len(gathered)

        # Gathering runs on one thread, so draws share the threads, not their products.
        n_threads = _threads() if on.device == "cpu" and self._n > THREADED_FROM else 1
        if n_threads == 1:
            for i in range(len(self._draws)):
                product(i)
            return
        with threadpool_limits(1), ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(product, range(len(self._draws))))


def _threads() -> int:
    """Threads that BLAS would use."""
    return max((each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"), default=1)
