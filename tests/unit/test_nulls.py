"""Permutation nulls against refitting one draw at a time; p values; Holm."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from syncr2.maps import nulls, permuted
from syncr2.maps.nested import Computing

TURNS = 4


def dialogues(seed, n_dialogues=18, d=5, layers=(2, 3)):
    """Rows of dialogues of some turns each, in folds by dialogue."""
    rng = np.random.default_rng(seed)
    dialogue, turn = np.repeat(np.arange(n_dialogues), TURNS), np.tile(np.arange(TURNS) * 2, n_dialogues)
    common = rng.standard_normal((len(dialogue), 3))
    source = np.stack([common @ rng.standard_normal((3, d)) for _ in range(layers[0])])
    source = source + rng.standard_normal(source.shape)
    target = np.stack([common @ rng.standard_normal((3, d)) for _ in range(layers[1])])
    target = target + rng.standard_normal(target.shape)
    return source, target, dialogue, turn, dialogue % 3


def one_at_a_time(source, target, fold, penalty):
    found = np.zeros((len(source), len(target)))
    for o in range(3):
        train, test = fold != o, fold == o
        for layer, x in enumerate(source):
            for m, y in enumerate(target):
                predicted = Ridge(alpha=penalty).fit(x[train], y[train]).predict(x[test])
                found[layer, m] += r2_score(y[test], predicted) / 3
    return found


@pytest.mark.parametrize("path", ["_by_prediction", "_by_kernels"])
def test_each_draw_is_a_fit_to_permuted_targets(path, monkeypatch):
    source, target, dialogue, turn, fold = dialogues(0)
    other = {"_by_prediction": "_by_kernels", "_by_kernels": "_by_prediction"}[path]
    monkeypatch.setattr(nulls, other, getattr(nulls, path))
    chosen = nulls.dialogue_permutations(list(range(3)) * 6, 3, "draws")
    rows = nulls.row_permutations(chosen, dialogue, turn)
    null = nulls.r2_null(source, target, fold, rows, 0.1, Computing())
    np.testing.assert_allclose(null.observed, one_at_a_time(source, target, fold, 0.1), rtol=0, atol=2e-6)
    for draw, permutation in zip(null.draws, rows, strict=True):
        wanted = one_at_a_time(source, target[:, permutation], fold, 0.1)
        np.testing.assert_allclose(draw, wanted, rtol=0, atol=2e-6)


def test_kernels_agree_with_predictions_beyond_one_tile_and_block(monkeypatch):
    source, target, dialogue, turn, fold = dialogues(1, n_dialogues=90)
    rows = nulls.row_permutations(nulls.dialogue_permutations([0, 1, 2] * 30, 2, "x"), dialogue, turn)
    arguments = (source, target, fold, rows, 0.1)
    wanted = nulls.r2_null(*arguments, Computing())
    monkeypatch.setattr(nulls, "_by_prediction", nulls._by_kernels)
    found = nulls.r2_null(*arguments, Computing(memory_gb=1e-9))
    np.testing.assert_allclose(found.draws, wanted.draws, rtol=0, atol=2e-6)


def test_rows_keep_their_turn_and_dialogues_their_cell():
    cells = [("a", 4), ("a", 4), ("b", 4), ("b", 4), ("a", 4), ("c", 4)]
    chosen = nulls.dialogue_permutations(cells, 50, "draws")
    assert (np.sort(chosen, axis=1) == np.arange(6)).all()
    assert all(cells[i] == cells[j] for draw in chosen for i, j in enumerate(draw))
    assert {tuple(draw[[0, 1, 4]]) for draw in chosen} == {
        (0, 1, 4), (0, 4, 1), (1, 0, 4), (1, 4, 0), (4, 0, 1), (4, 1, 0),
    }  # fmt: skip
    assert (chosen == nulls.dialogue_permutations(cells, 50, "draws")).all()
    assert (chosen != nulls.dialogue_permutations(cells, 50, "others")).any()
    assert nulls.movable_share(cells) == pytest.approx(5 / 6)
    dialogue, turn = np.repeat(np.arange(6), 2), np.tile([1, 3], 6)
    rows = nulls.row_permutations(chosen, dialogue, turn)
    assert (turn[rows] == turn).all()
    assert (dialogue[rows] == chosen[:, dialogue]).all()


def test_many_draws_combine_a_few_arrangements_of_every_fold():
    cells = [(i % 4, i % 2) for i in range(48)]
    fold = [cell[0] for cell in cells]
    drawn = nulls.dialogue_permutations(cells, 400, "draws", fold)
    assert (np.sort(drawn, axis=1) == np.arange(48)).all()
    assert all(cells[i] == cells[j] for draw in drawn for i, j in enumerate(draw))
    for part in range(4):
        members = np.flatnonzero(np.array(fold) == part)
        arranged, counts = np.unique(drawn[:, members], axis=0, return_counts=True)
        assert len(arranged) == nulls.ARRANGEMENTS
        assert counts.min() > 5
        assert (arranged == members).all(axis=1).any(), "what was observed is one of them"
    assert len(np.unique(drawn, axis=0)) > 390
    assert (drawn == nulls.dialogue_permutations(cells, 400, "draws", fold)).all()


@pytest.mark.parametrize(
    ("n_draws", "n_parts", "kept"),
    [(1000, 5, 16), (1000, 3, 22), (1000, 2, 1000), (1000, 0, 1000), (199, 5, 199)],
)
def test_arrangements_are_shared_only_where_that_leaves_many_combinations(n_draws, n_parts, kept):
    assert nulls.n_arrangements(n_draws, n_parts) == kept


def test_draws_that_share_arrangements_are_fits_to_permuted_targets(monkeypatch):
    source, target, dialogue, turn, fold = dialogues(2)
    monkeypatch.setattr(nulls, "ARRANGEMENTS", 2)
    monkeypatch.setattr(nulls, "COMBINATIONS", 1)
    monkeypatch.setattr(nulls, "_by_prediction", nulls._by_kernels)
    chosen = nulls.dialogue_permutations(list(range(3)) * 6, 6, "draws", list(range(3)) * 6)
    assert len(np.unique(chosen[:, ::3], axis=0)) <= 2
    rows = nulls.row_permutations(chosen, dialogue, turn)
    null = nulls.r2_null(source, target, fold, rows, 0.1, Computing())
    for draw, permutation in zip(null.draws, rows, strict=True):
        wanted = one_at_a_time(source, target[:, permutation], fold, 0.1)
        np.testing.assert_allclose(draw, wanted, rtol=0, atol=2e-6)


def test_float32_draws_give_the_p_values_of_float64(monkeypatch):
    monkeypatch.setattr(nulls, "_by_prediction", nulls._by_kernels)
    cells = list(range(3)) * 12
    for seed in range(5):
        source, target, dialogue, turn, fold = dialogues(seed, n_dialogues=36)
        target = target + 0.2 * seed * source[:1]
        chosen = nulls.dialogue_permutations(cells, 199, f"draws {seed}")
        rows = nulls.row_permutations(chosen, dialogue, turn)
        found = {}
        for dtype in ("float32", "float64"):
            monkeypatch.setattr(nulls, "DTYPE", dtype)
            monkeypatch.setattr(permuted, "DTYPE", dtype)
            found[dtype] = nulls.r2_null(source, target, fold, rows, 0.1, Computing())
        single, double = found["float32"], found["float64"]
        assert np.abs(single.draws - double.draws).max() < 1e-6
        for layer in np.ndindex(single.observed.shape):
            p = [nulls.p_value(null.observed[layer], null.draws[:, *layer]) for null in (single, double)]
            assert p[0] == p[1]


def test_similarity_draws_are_products_of_permuted_matrices():
    rng = np.random.default_rng(3)
    left, right = ([m + m.T for m in rng.standard_normal((k, 300, 300))] for k in (2, 3))
    fold = np.arange(300) % 3
    permutation = np.arange(300)
    for part in range(3):
        permutation[part::3] = rng.permutation(permutation[part::3])
    null = nulls.similarity_null(left, right, fold, permutation[None], Computing())
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            assert null.observed[i, j] == pytest.approx(np.vdot(a, b), rel=1e-4, abs=0.1)
            moved = b[np.ix_(permutation, permutation)]
            assert null.draws[0, i, j] == pytest.approx(np.vdot(a, moved), rel=1e-4, abs=0.1)


def test_p_values_count_the_observed_draw():
    assert nulls.p_value(1.0, np.zeros(19)) == pytest.approx(0.05)
    assert nulls.p_value(0.0, np.zeros(19)) == 1
    assert nulls.p_value(0.5, np.arange(10) / 10) == pytest.approx(6 / 11)
    assert np.isnan(nulls.p_value(0.5, np.empty(0)))


def test_holm_by_hand():
    adjusted = nulls.holm([0.01, 0.04, np.nan, 0.03, 0.005])
    np.testing.assert_allclose(adjusted, [0.03, 0.06, np.nan, 0.06, 0.02])
    assert nulls.holm([0.9, 0.8]).max() == 1
