"""Inner products with permuted matrices against permuting and multiplying one draw at a time."""

from __future__ import annotations

import numpy as np
import pytest

from syncr2.maps import permuted
from syncr2.maps.backends import backend
from syncr2.maps.permuted import Pieces, Products, blocks_of, shared


def symmetric(rng, n_layers, n):
    values = rng.standard_normal((n_layers, n, 3))
    return (values @ values.transpose(0, 2, 1)).astype(np.float32)


def dialogues(rng, lengths, n_draws):
    """Permutations of rows that move dialogues among those of the same length; the identity first."""
    first = np.cumsum([0, *lengths])
    draws = [np.arange(first[-1])]
    for _ in range(n_draws):
        order = np.arange(len(lengths))
        for length in set(lengths):
            alike = [i for i, each in enumerate(lengths) if each == length]
            order[alike] = rng.permutation(alike)
        draws.append(np.concatenate([np.arange(first[i], first[i + 1]) for i in order]))
    return np.array(draws)


def one_at_a_time(left, right, draws):
    return np.array(
        [[[(a * b[np.ix_(draw, draw)]).sum(dtype=float) for b in right] for a in left] for draw in draws]
    )


def combined(rng, lengths, n_parts, n_kept, n_draws):
    """Permutations that combine a few arrangements of every part, and where the parts are."""
    n = sum(lengths)
    kept = np.stack([dialogues(rng, lengths, n_kept - 1) + part * n for part in range(n_parts)])
    chosen = rng.integers(n_kept, size=(n_draws, n_parts))
    draws = np.concatenate([kept[part][chosen[:, part]] for part in range(n_parts)], axis=1)
    return draws, [(part * n, part * n + n) for part in range(n_parts)]


def products_of(left, right, draws, parts, memory_gb=1.0):
    products = Products(backend("cpu"), draws, parts, len(left), len(right), memory_gb)
    for i, square in enumerate(left):
        products.pack(i, square)
    return products.with_right(right)


@pytest.mark.parametrize(
    "lengths", [[4] * 12, [4, 4, 2, 4, 1, 2, 4, 4, 1, 1, 3], [1] * 20], ids=["equal", "mixed", "rows"]
)
@pytest.mark.parametrize("gathered", [1, 64, 1 << 20])
@pytest.mark.parametrize("memory_gb", [1e-9, 1.0])
@pytest.mark.parametrize("n_parts", [1, 3])
def test_products_are_those_of_permuted_matrices(lengths, gathered, memory_gb, n_parts, monkeypatch):
    monkeypatch.setitem(permuted.TILE, "cpu", gathered)
    monkeypatch.setitem(permuted.GATHERED, "cpu", 2 * gathered)
    rng = np.random.default_rng(len(lengths))
    draws, parts = combined(rng, lengths, n_parts, 2, 4)
    left, right = symmetric(rng, 2, draws.shape[1]), symmetric(rng, 3, draws.shape[1])
    wanted = one_at_a_time(left, right, draws)
    found = products_of(left, right, draws, parts, memory_gb)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


def test_draws_that_arrange_two_parts_alike_share_their_product():
    rng = np.random.default_rng(4)
    draws, parts = combined(rng, [2] * 30, 3, 4, 500)
    found = blocks_of(draws, parts)
    assert {(block.rows, block.columns): len(block.draws) for block in found} == {
        (rows, columns): 4 if rows == columns else 16
        for i, rows in enumerate(parts)
        for columns in parts[: i + 1]
    }
    # Of nine squares three are on the diagonal.
    assert shared(found) == pytest.approx((3 * 4 + 6 * 16) / (9 * 500))
    for block in found:
        for start, stop in (block.rows, block.columns):
            assert (draws[block.draws[block.way], start:stop] == draws[:, start:stop]).all()
    alone = dialogues(rng, [2] * 30, 5)
    assert shared(blocks_of(alone, [(0, 60)])) == 1


@pytest.mark.parametrize("gathered", [1 << 8, 1 << 12])
def test_how_many_draws_are_gathered_at_once_changes_nothing(gathered, monkeypatch):
    rng = np.random.default_rng(5)
    draws, parts = combined(rng, [3] * 10, 2, 5, 40)
    left, right = symmetric(rng, 2, 60), symmetric(rng, 2, 60)
    wanted = products_of(left, right, draws, parts)
    monkeypatch.setitem(permuted.GATHERED, "cpu", gathered)
    np.testing.assert_allclose(products_of(left, right, draws, parts), wanted, rtol=1e-12, atol=0)


def test_threads_share_draws_without_changing_them(monkeypatch):
    rng = np.random.default_rng(0)
    draws = dialogues(rng, [5] * 30, 9)
    left, right = symmetric(rng, 2, 150), symmetric(rng, 2, 150)
    found = []
    for threaded_from in (10, 1000):
        monkeypatch.setattr(permuted, "THREADED_FROM", threaded_from)
        monkeypatch.setattr(permuted, "_threads", lambda: 3)
        found.append(products_of(left, right, draws, [(0, 150)]))
    np.testing.assert_array_equal(*found)


def test_dialogues_are_pieces():
    rng = np.random.default_rng(1)
    pieces = Pieces.of(dialogues(rng, [8] * 10, 6), [(0, 80)])
    assert pieces.longest == 8
    assert pieces.n == 10
    np.testing.assert_array_equal(pieces.slot, np.arange(80))


def test_what_never_moves_is_cut_to_the_length_of_what_does():
    # Two dialogues of 6 rows change places; 60 rows before them stay.
    stays, swap = np.arange(60), np.r_[66:72, 60:66]
    pieces = Pieces.of(np.array([np.arange(72), np.r_[stays, swap]]), [(0, 72)])
    assert pieces.n * pieces.longest <= 90
    assert {60, 66} <= set(pieces.first.tolist())


def test_rows_that_move_alone_are_pieces_of_their_own():
    rng = np.random.default_rng(2)
    pieces = Pieces.of(np.array([np.arange(40), rng.permutation(40)]), [(0, 40)])
    assert (pieces.n, pieces.longest) == (40, 1)


def test_a_long_run_that_lands_across_dialogues_is_cut_into_rows():
    # Rows 0 to 2 move as one to the places of two others, so no piece keeps its borders.
    draws = np.array([np.arange(6), [3, 4, 5, 0, 1, 2], [1, 2, 3, 4, 5, 0]])
    rng = np.random.default_rng(3)
    left, right = symmetric(rng, 1, 6), symmetric(rng, 1, 6)
    found = products_of(left, right, draws, [(0, 6)])
    np.testing.assert_allclose(found, one_at_a_time(left, right, draws), rtol=1e-5)


def test_a_run_of_rows_ends_with_its_part():
    # Nothing moves, but for two dialogues in the second part.
    draws = np.array([np.arange(12), np.r_[:6, 9:12, 6:9]])
    assert 6 in Pieces.of(draws, [(0, 6), (6, 12)]).first
    assert 4 in Pieces.of(draws[:1], [(0, 4), (4, 12)]).first
