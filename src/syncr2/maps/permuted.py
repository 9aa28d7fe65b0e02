"""Inner products ⟨A_l, P B_m Pᵀ⟩ of symmetric matrices, for many permutations P of rows and columns.

All B_m lie side by side, (row, column, m), so that one gather serves all of them and one product serves all
pairs (l, m). Of the symmetric result only the lower triangle is gathered. Rows that every permutation moves
together (the turns of a dialogue) are gathered as one piece, since a gather costs by the piece before it
costs by the byte.

Rows come in *parts* that no permutation leaves, so a product is a sum over pairs of parts, and a term of it
depends on no more than how these two are arranged. Draws that arrange them alike share the term.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from syncr2.maps.backends import Array, Backend
from syncr2.maps.kernels import Bounds
from syncr2.maps.ridge import Layers, blocks

DTYPE = "float32"
# Samples from which on draws are worth a thread each.
THREADED_FROM = 1000
# Numbers of a tile, and numbers gathered at once for several draws: they stay in a core's caches on the CPU,
# with the left matrices' tile, which these draws share; a GPU wants much work at once.
TILE = {"cpu": 1 << 16, "cuda": 1 << 24}
GATHERED = {"cpu": 1 << 18, "cuda": 1 << 28}
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
    def of(cls, draws: NDArray[np.intp], parts: Bounds) -> Pieces:
        """The cheapest pieces for these permutations, (n_draws, n_rows); none lies in two parts."""
        n = draws.shape[1]
        together = (draws[:, 1:] == draws[:, :-1] + 1).all(axis=0)
        begins = np.concatenate([[True], ~together])
        begins[[start for start, _ in parts]] = True
        starts = np.flatnonzero(begins)
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


class Block(NamedTuple):
    """Rows of one part against columns of another, or of itself.

    Attributes
    ----------
    rows, columns : (int, int)
        First and last (excluded) row of the two parts; `columns` is not after `rows`.
    draws : ndarray of int
        One draw for each way in which the two parts are arranged.
    way : ndarray of int, shape (n_draws,)
        Position of each draw's way in `draws`.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    draws: NDArray[np.intp]
    way: NDArray[np.intp]

    @property
    def size(self) -> int:
        """Entries of the full matrix for which the block stands."""
        (start, stop), (left, right) = self.rows, self.columns
        return (stop - start) * (right - left) * (1 if self.rows == self.columns else 2)


def blocks_of(draws: NDArray[np.intp], parts: Bounds) -> list[Block]:
    """All pairs of parts, with the draws that differ there.

    Parameters
    ----------
    draws : ndarray of int, shape (n_draws, n_rows)
        Row that takes the place of each, one of the same part.
    parts : sequence of (int, int)
        First and last (excluded) row of every part.
    """
    ways = [
        np.unique(draws[:, start:stop], axis=0, return_inverse=True)[1].reshape(-1) for start, stop in parts
    ]
    found = []
    for i, rows in enumerate(parts):
        for j, columns in enumerate(parts[: i + 1]):
            both = ways[i] * len(draws) + ways[j]
            _, first, way = np.unique(both, return_index=True, return_inverse=True)
            found.append(Block((rows[0], rows[1]), (columns[0], columns[1]), first, way))
    return found


def shared(found: Sequence[Block]) -> float:
    """Products to be made, as a share of those of as many draws that have nothing in common."""
    made = sum(block.size * len(block.draws) for block in found)
    return made / sum(block.size * len(block.way) for block in found)


class Tile(NamedTuple):
    """Some rows of a block with some of its columns, whole pieces.

    Attributes
    ----------
    rows, pieces : slice
    left : slice
        Where the left matrices' entries are, (n_left, numbers).
    """

    rows: slice
    pieces: slice
    left: slice


class Products:
    """Left matrices packed for products with permuted right ones.

    Parameters
    ----------
    on : Backend
        Where it is computed.
    draws : ndarray of int, shape (n_draws, n_rows)
        Row that takes the place of each.
    parts : sequence of (int, int)
        First and last (excluded) row of every part; no permutation leaves them.
    n_left, n_right : int
        Numbers of matrices.
    memory_gb : float
        Bound on the right matrices in memory at once.
    """

    def __init__(
        self,
        on: Backend,
        draws: NDArray[np.intp],
        parts: Bounds,
        n_left: int,
        n_right: int,
        memory_gb: float,
    ) -> None:
        self._on, self._draws, self._n_left = on, draws, n_left
        self._pieces = Pieces.of(draws, parts)
        self._n = draws.shape[1]
        self._slot = on.array(self._pieces.slot, "int64")
        each = np.dtype(DTYPE).itemsize * self._n * self._pieces.n * self._pieces.longest
        self._at_once = max(1, min(n_right, int(memory_gb * 1e9 / 2 / each)))
        self._blocks = blocks_of(draws, parts)
        self._tiles: list[list[Tile]] = []
        end = 0
        for block in self._blocks:
            self._tiles.append(self._cut(block, TILE[on.device] // self._at_once, end))
            end = self._tiles[-1][-1].left.stop if self._tiles[-1] else end
        self._left = on.zeros((end,), DTYPE)

    def _cut(self, block: Block, size: int, offset: int) -> list[Tile]:
        """Tiles of a block of about `size` numbers each; at least a piece's rows are in one.

        On the diagonal a tile has the columns of its part up to its own last row.
        """
        first, longest, diagonal = self._pieces.first, self._pieces.longest, block.rows == block.columns
        tiles = []
        begin, end, left, right = np.searchsorted(first, [*block.rows, *block.columns]).tolist()
        while begin < end:
            n_pieces = begin + 1 - left if diagonal else right - left
            wanted = first[begin] + max(1, size // (n_pieces * longest))
            last = max(begin + 1, min(end, int(np.searchsorted(first, wanted, side="right")) - 1))
            pieces = slice(left, last if diagonal else right)
            rows = slice(int(first[begin]), int(first[last]))
            numbers = (rows.stop - rows.start) * (pieces.stop - pieces.start) * longest
            tiles.append(Tile(rows, pieces, slice(offset, offset + self._n_left * numbers)))
            begin, offset = last, offset + self._n_left * numbers
        return tiles

    def _left_tile(self, tile: Tile) -> Array:
        """The left matrices' entries, (n_left, rows, columns)."""
        columns = self._pieces.longest * (tile.pieces.stop - tile.pieces.start)
        return self._left[tile.left].reshape(self._n_left, tile.rows.stop - tile.rows.start, columns)

    def pack(self, place: int, square: Array) -> None:
        """Take in a symmetric left matrix: its lower triangle, each entry off the diagonal for two."""
        first, longest = self._pieces.first, self._pieces.longest
        for tiles in self._tiles:
            for tile in tiles:
                out, rows = self._left_tile(tile)[place], tile.rows
                start, stop = int(first[tile.pieces.start]), int(first[tile.pieces.stop])
                below = min(stop, rows.start)
                slot = self._slot[start:stop] - tile.pieces.start * longest
                out[:, slot[: below - start]] = 2 * square[rows, start:below]
                out[:, slot[below - start :]] = square[rows, below:stop]

    def with_right(self, right: Layers) -> NDArray[np.float64]:
        """Products of all pairs for every draw, (n_draws, n_left, n_right).

        Parameters
        ----------
        right : Layers, each layer (n_rows, n_rows)
            An object that makes a matrix when it is asked for it saves memory.
        """
        found = np.zeros((len(self._draws), self._n_left, len(right)))
        for some in blocks(len(right), self._at_once):
            stacked = self._on.zeros((self._n, self._pieces.n * self._pieces.longest, len(some)), DTYPE)
            for i, m in enumerate(some):
                stacked[:, self._slot, i] = self._on.array(right[m], DTYPE)
            self._multiply(stacked, found[:, :, some.start : some.stop])
        return found

    def _multiply(self, stacked: Array, found: NDArray[np.float64]) -> None:
        # Gathering runs on one thread, so draws share the threads, not their products.
        n_threads = _threads() if self._on.device == "cpu" and self._n > THREADED_FROM else 1
        tasks = [
            (place, some)
            for place, block in enumerate(self._blocks)
            for some in blocks(len(block.draws), -(-len(block.draws) // n_threads))
        ]

        def terms(task: tuple[int, range]) -> NDArray[np.float64]:
            place, some = task
            return self._terms(stacked, self._tiles[place], self._blocks[place].draws[slice_of(some)])

        with ExitStack() as stack:
            made: Iterator[NDArray[np.float64]] = map(terms, tasks)
            if n_threads > 1:
                stack.enter_context(threadpool_limits(1))
                made = stack.enter_context(ThreadPoolExecutor(n_threads)).map(terms, tasks)
            for (place, some), values in zip(tasks, made, strict=True):
                way = self._blocks[place].way
                here = np.flatnonzero((way >= some.start) & (way < some.stop))
                found[here] += values[way[here] - some.start]

    def _terms(self, stacked: Array, tiles: Sequence[Tile], draws: NDArray[np.intp]) -> NDArray[np.float64]:
        """What one block adds to the products of some draws, (n_draws, n_left, n_right)."""
        on, pieces, depth = self._on, self._pieces, stacked.shape[2]
        entries = stacked.reshape(self._n * pieces.n, pieces.longest * depth)
        permuted = self._draws[draws]
        rows = on.array(permuted * pieces.n, "int64")
        moved = on.array(pieces.piece[permuted[:, pieces.first[:-1]]], "int64")
        total = np.zeros((len(draws), self._n_left, depth))
        for tile in tiles:
            left = self._left_tile(tile).reshape(self._n_left, -1)
            size = left.shape[1]
            for some in blocks(len(draws), max(1, GATHERED[on.device] // (size * depth))):
                few = slice_of(some)
                where = rows[few, tile.rows][:, :, None] + moved[few, tile.pieces][:, None, :]
                gathered = on.take(entries, where.reshape(-1)).reshape(len(some), size, depth)
                total[few] += on.numpy(left @ gathered)
        return total


def slice_of(some: range) -> slice:
    """A range as an index."""
    return slice(some.start, some.stop)


def _threads() -> int:
    """Threads that BLAS would use."""
    return max((each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"), default=1)
