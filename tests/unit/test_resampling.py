"""Bootstrap over pairs and over models, and leaving models out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_pairs import made_dyads
from scipy import stats

from syncr2.statistics.correlation import (
    correlation,
    partial_correlation,
    weighted_correlations,
    weighted_ranks,
)
from syncr2.statistics.dyads import Dyads
from syncr2.statistics.resampling import (
    Resampling,
    bootstrap,
    leave_one_out,
    model_weights,
    pair_weights,
)


def r_of(dyads: Dyads) -> float:
    return correlation(dyads.x, dyads.y).r


@pytest.mark.parametrize("k", [0, 1, 2])
def test_a_weight_is_a_number_of_copies(k: int) -> None:
    rng = np.random.default_rng(k)
    x, y, *z = rng.standard_normal((2 + k, 12)) + rng.standard_normal(12)
    weights = rng.integers(0, 4, (20, 12)).astype(float)
    given = np.column_stack(z) if k else None
    found = weighted_correlations(weights, x, y, given)
    for weight, r in zip(weights, found, strict=True):
        copies = np.repeat(np.arange(12), weight.astype(int))
        if k:
            expected = partial_correlation(x[copies], y[copies], given[copies]).r
        else:
            expected = np.corrcoef(x[copies], y[copies])[0, 1]
        assert r == pytest.approx(expected, abs=1e-10)


def test_ranks_of_copies_are_those_of_the_drawn_sample() -> None:
    rng = np.random.default_rng(0)
    values = np.array([3.0, 1.0, 1.0, 7.0, 2.0])
    weights = rng.integers(0, 4, (30, 5)).astype(float)
    for weight, ranks in zip(weights, weighted_ranks(weights, values), strict=True):
        copies = np.repeat(np.arange(5), weight.astype(int))
        np.testing.assert_allclose(ranks[copies], stats.rankdata(values[copies]))


def test_too_little_in_a_draw_is_undefined() -> None:
    x, y = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])
    weights = np.array([[2.0, 2, 0, 0], [4, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]])
    found = weighted_correlations(weights, x, y)
    np.testing.assert_array_equal(np.isnan(found), [True, True, False, True])
    constant = np.array([1.0, 1.0, 1.0, 2.0])
    assert np.isnan(weighted_correlations(np.array([[1.0, 1, 1, 0]]), constant, y)).all()
    # A covariate that does not vary in a draw holds nothing fixed there.
    rows = np.array([[1.0, 2, 1, 0, 1], [1, 1, 1, 1, 1]])
    x, y = np.array([1.0, 2, 3, 4, 6]), np.array([1.0, 3, 2, 4, 4])
    once = weighted_correlations(rows, x, y, np.array([[1.0], [1], [1], [2], [1]]))
    np.testing.assert_array_equal(np.isnan(once), [True, False])


def test_pairs_of_drawn_models_count_as_often_as_their_copies_meet() -> None:
    dyads = made_dyads(0, n_models=4)
    counts = np.random.default_rng(5).multinomial(4, np.full(4, 1 / 4), size=10)
    # `all` is one block, so the same generator draws the same models.
    found = model_weights(dyads, 10, np.random.default_rng(5))
    for drawn, weights in zip(counts, found, strict=True):
        for first, second, weight in zip(dyads.first, dyads.second, weights, strict=True):
            assert weight == (drawn[first] if first == second else drawn[first] * drawn[second])


def test_cross_family_pairs_draw_each_family_by_itself() -> None:
    dyads = made_dyads(0, family="cross")
    weights = model_weights(dyads, 200, np.random.default_rng(0))
    # Three models of each family meet in nine pairs, whichever they are.
    np.testing.assert_array_equal(weights.sum(axis=1), 9)


def test_pairs_are_drawn_as_often_as_there_are() -> None:
    dyads = made_dyads(0)
    weights = pair_weights(dyads, 4000, np.random.default_rng(0))
    np.testing.assert_array_equal(weights.sum(axis=1), 21)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.07)


@pytest.mark.parametrize("weights", [pair_weights, model_weights])
@pytest.mark.parametrize("ranked", [False, True])
def test_intervals_hold_the_value_and_repeat(weights, ranked: bool) -> None:
    dyads = made_dyads(4, r=0.8)
    value = stats.spearmanr(dyads.x, dyads.y).statistic if ranked else r_of(dyads)
    found, again = (bootstrap(dyads, value, weights, 500, np.random.default_rng(1), ranked) for _ in range(2))
    assert -1 <= found.low < value < found.high <= 1
    assert found == again


def test_models_vary_more_than_pairs_where_they_make_the_values() -> None:
    widths = []
    for seed in range(20):
        dyads = made_dyads(seed, share=0.95)
        value = r_of(dyads)
        each = [
            bootstrap(dyads, value, weights, 300, np.random.default_rng(0))
            for weights in (pair_weights, model_weights)
        ]
        widths.append([one.high - one.low for one in each])
    by_pair, by_model = np.mean(widths, axis=0)
    assert by_model > 1.3 * by_pair


def test_no_interval_from_too_little() -> None:
    family = made_dyads(0, family="family0")
    generator = np.random.default_rng(0)
    assert np.isfinite(bootstrap(family, r_of(family), pair_weights, 200, generator).low)
    # Three models are too few to draw from, and so are four pairs.
    assert np.isnan(bootstrap(family, r_of(family), model_weights, 200, generator).low)
    rest = family.without(0)
    assert np.isnan(bootstrap(rest, r_of(rest), pair_weights, 200, generator).high)
    whole = made_dyads(0)
    assert np.isnan(bootstrap(whole, r_of(whole), model_weights, 0, generator).low)
    assert np.isnan(bootstrap(replace(whole, y=np.ones(21)), np.nan, pair_weights, 200, generator).low)


def test_leaving_a_model_out_leaves_out_all_its_pairs() -> None:
    dyads = made_dyads(2)
    found = leave_one_out(dyads, r_of)
    assert [each.without for each in found] == list(dyads.models)
    kept = (dyads.first != 2) & (dyads.second != 2)
    assert found[2].r == pytest.approx(np.corrcoef(dyads.x[kept], dyads.y[kept])[0, 1])
    assert {each.n for each in found} == {15}


def test_every_draw_has_a_stream_of_its_own() -> None:
    how = Resampling(seed=3)
    one, same, other = (how.rng(name).random(4) for name in ("pairs of a", "pairs of a", "pairs of b"))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, Resampling(seed=4).rng("pairs of a").random(4))
