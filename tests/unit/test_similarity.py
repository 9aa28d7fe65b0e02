"""Similarity indices against slow definitions, their invariances, and what they give for unrelated data."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import linalg

from syncr2.errors import SyncR2Error
from syncr2.maps.similarity import adjusted_cca, cca_operand, cka_operand, similarity


def related(seed: int, n: int = 30, d_x: int = 6, d_y: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Two representations that share three directions."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 3))
    return tuple(common @ rng.standard_normal((3, d)) + 0.7 * rng.standard_normal((n, d)) for d in (d_x, d_y))


def slow_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """Song's unbiased estimator as it is defined: means over pairs, triples and quadruples, all different."""
    k, m, n = x @ x.T, y @ y.T, len(x)
    pairs = np.mean([k[i, j] * m[i, j] for i, j in permutations(range(n), 2)])
    triples = np.mean([k[i, j] * m[i, q] for i, j, q in permutations(range(n), 3)])
    quadruples = np.mean([k[i, j] * m[q, r] for i, j, q, r in permutations(range(n), 4)])
    return pairs + quadruples - 2 * triples


def biased_cka(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return linalg.norm(x.T @ y) ** 2 / (linalg.norm(x.T @ x) * linalg.norm(y.T @ y))


def canonical_correlations(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """Between the first k principal components of each, by SVD and QR."""
    scores = []
    for values in (x, y):
        u, s, _ = linalg.svd(values - values.mean(axis=0), full_matrices=False)
        scores.append(linalg.qr(u[:, :k] * s[:k], mode="economic")[0])
    return linalg.svdvals(scores[0].T @ scores[1])


def orthogonal(rng: np.random.Generator, d: int) -> np.ndarray:
    return linalg.qr(rng.standard_normal((d, d)))[0]


@pytest.mark.parametrize("d_y", [2, 20])
def test_cka_is_the_ratio_of_the_unbiased_estimates(d_y):
    x, y = related(0, n=8, d_x=3, d_y=d_y)
    wanted = slow_hsic(x, y) / math.sqrt(slow_hsic(x, x) * slow_hsic(y, y))
    assert similarity(x, y) == pytest.approx(wanted, abs=1e-12)


def test_cka_of_a_representation_with_itself_is_one():
    x, y = related(1)
    assert similarity(x, x) == pytest.approx(1, abs=1e-13)
    assert 0.1 < similarity(x, y) < 0.99
    operand = cka_operand(x)
    np.testing.assert_allclose(operand, operand.T, rtol=0, atol=1e-15)
    np.testing.assert_allclose(operand.sum(axis=1), 0, atol=1e-14)


@pytest.mark.parametrize("factor", [1e-120, 0.3, 1e120])
def test_cka_does_not_change_when_a_representation_is_turned_moved_or_scaled(factor):
    x, y = related(2)
    rng = np.random.default_rng(0)
    moved = factor * (x @ orthogonal(rng, x.shape[1]) + 5)
    assert similarity(moved, y) == pytest.approx(similarity(x, y), abs=1e-12)
    assert similarity(x @ np.diag([1, 2, 3, 4, 5, 60]), y) != pytest.approx(similarity(x, y), abs=1e-3)


def test_a_large_common_offset_costs_no_accuracy():
    x, y = related(3)
    wanted = similarity(x, y)
    assert similarity(x + 2.0**20, y - 2.0**20) == pytest.approx(wanted, abs=1e-8)


def test_cka_of_unrelated_data_is_zero_on_average_where_the_biased_one_is_not():
    found, biased = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((30, 80)), rng.standard_normal((30, 60))
        found.append(similarity(x, y))
        biased.append(biased_cka(x, y))
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert error < 0.01
    assert np.mean(biased) > 0.6


def test_the_mean_over_all_orders_of_the_samples_is_the_stated_baseline():
    x, y = related(4, n=6)
    orders = [list(order) for order in permutations(range(6))]
    for k, wanted, a, b in [
        (0, 0.0, cka_operand(x), cka_operand(y)),
        (2, 2 / 5, cca_operand(x, 2), cca_operand(y, 2)),
    ]:
        found = [np.vdot(a, b[np.ix_(order, order)]) for order in orders]
        assert np.mean(found) == pytest.approx(wanted, abs=1e-12)
        assert np.std(found) > 0.05
        if k:
            assert adjusted_cca(found, k, 6).mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("operand", [cka_operand, lambda values: cca_operand(values, 3)], ids=["cka", "cca"])
@pytest.mark.parametrize("width", [5, 90])
def test_samples_in_another_order_are_the_operand_in_that_order(operand, width):
    _, y = related(5, d_y=width)
    order = np.random.default_rng(1).permutation(len(y))
    np.testing.assert_allclose(operand(y[order]), operand(y)[np.ix_(order, order)], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["cka", "cca"])
def test_a_constant_representation_is_like_nothing(kind):
    x, _ = related(6, d_x=4)
    # A sum of 0.1s is not a multiple of 0.1: the mean is off by rounding, which must not pass for variance.
    constant = np.full((30, 4), 0.1)
    assert similarity(x, constant, kind, n_components=2) == 0
    assert similarity(constant, constant, kind, n_components=2) == 0


def test_samples_that_are_all_equally_far_apart_say_nothing_to_cka():
    x, _ = related(7, n=12)
    assert similarity(3.3 * np.eye(12), x) == 0


@pytest.mark.parametrize(("n", "d_x", "d_y"), [(40, 6, 9), (20, 50, 7), (20, 50, 60), (25, 24, 25)])
@pytest.mark.parametrize("k", [1, 3, 6])
def test_cca_is_the_mean_squared_canonical_correlation(n, d_x, d_y, k):
    x, y = related(8, n, d_x, d_y)
    wanted = np.mean(canonical_correlations(x, y, k) ** 2)
    assert similarity(x, y, "cca", k) == pytest.approx(wanted, abs=1e-10)
    assert similarity(x, x, "cca", k) == pytest.approx(1, abs=1e-12)


def test_cca_keeps_small_components_beside_outlier_dimensions():
    x, y = related(9, n=60)
    x, y = x.copy(), y.copy()
    x[:, 0] = 1e4 * x[:, 0] + 3e4
    y[:, 1] = 1e4 * y[:, 1] - 2e4
    wanted = np.mean(canonical_correlations(x, y, 4) ** 2)
    assert similarity(x, y, "cca", 4) == pytest.approx(wanted, abs=1e-8)


def test_cca_does_not_change_under_an_invertible_map_within_the_components():
    x, y = related(10, d_x=6)
    rng = np.random.default_rng(2)
    wanted = similarity(x, y, "cca", 6)
    assert similarity(x @ rng.standard_normal((6, 6)) + 1, y, "cca", 6) == pytest.approx(wanted, abs=1e-10)
    # Of a wide representation, the first components as they stand, mixed at will.
    wide, _ = related(11, d_x=50)
    u, s, _ = linalg.svd(wide - wide.mean(axis=0), full_matrices=False)
    mixed = (u[:, :4] * s[:4]) @ rng.standard_normal((4, 4))
    assert similarity(mixed, y, "cca", 4) == pytest.approx(similarity(wide, y, "cca", 4), abs=1e-10)
    assert similarity(x, y) != pytest.approx(similarity(x @ rng.standard_normal((6, 6)), y), abs=1e-3)


def test_directions_that_are_not_there_count_as_uncorrelated():
    x, _ = related(12, d_x=8)
    flat = x.copy()
    flat[:, 3:] = flat[:, :1]
    assert similarity(flat, flat, "cca", 5) == pytest.approx(3 / 5, abs=1e-12)
    assert similarity(flat[:6], flat[:6], "cca", 5) == pytest.approx(3 / 5, abs=1e-12)


def test_adjusted_cca():
    assert adjusted_cca(1.0, 10, 101) == 1
    assert adjusted_cca(0.1, 10, 101) == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(adjusted_cca([0.55, 0.0], 10, 101), [0.5, -1 / 9])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: cka_operand(x[:3]), "at least 4 samples, found 3"),
        (lambda x, y: cka_operand(x[0]), r"\(n_samples, d\), found shape \(6,\)"),
        (lambda x, y: cka_operand(np.where(x == x[7, 2], np.nan, x)), r"not finite \(row 7\)"),
        (lambda x, y: cca_operand(x, 0), "allowed are 1 to 6"),
        (lambda x, y: cca_operand(x, 7), "allowed are 1 to 6"),
        (lambda x, y: cca_operand(y[:5], 5), "allowed are 1 to 4"),
        (lambda x, y: adjusted_cca(0.5, 29, 30), "1 to 28"),
        (lambda x, y: similarity(x, y[:-1]), "found 30 and 29"),
        (lambda x, y: similarity(x, y, "procrustes"), "allowed are 'cka' and 'cca'"),
    ],
)
def test_input_that_cannot_be_meant_is_refused(call, message):
    with pytest.raises(SyncR2Error, match=message):
        call(*related(13))
