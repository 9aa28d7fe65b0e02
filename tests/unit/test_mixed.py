"""Mixed models: against closed forms, against each other, and on planted slopes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.regression.mixed_linear_model as their_module
from made_up_pairs import made_dyads
from scipy import optimize, stats

from syncr2.statistics.mixed import (
    BOUNDARY,
    CONVERGED,
    NOT_CONVERGED,
    TOO_FEW,
    UNDEFINED,
    fit_mixed,
    pair_model,
)
from syncr2.statistics.reml import fit_reml


def balanced(seed: int, groups: int = 8, size: int = 6, spread: float = 1.0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    return spread * rng.standard_normal(groups)[group] + rng.standard_normal(len(group)), group


@pytest.mark.parametrize("seed", range(3))
def test_balanced_groups_have_the_variances_of_analysis_of_variance(seed: int) -> None:
    y, group = balanced(seed)
    means = y.reshape(8, 6).mean(axis=1)
    between = 6 * means.var(ddof=1)
    within = ((y - means[group]) ** 2).sum() / 40
    ones = np.ones((48, 1))
    for found in (fit_reml(y, ones, {"g": group}), fit_mixed(y, ones, {"g": np.eye(8)[group]})):
        assert found.status == CONVERGED
        assert found.variances["residual"] == pytest.approx(within, rel=1e-4)
        assert found.variances["g"] == pytest.approx((between - within) / 6, rel=1e-3)
        assert found.estimates[0] == pytest.approx(y.mean())
        assert found.errors[0] == pytest.approx(np.sqrt(between / 48), rel=1e-3)


def test_where_groups_are_alike_the_fit_is_least_squares() -> None:
    y, group = balanced(0)
    # Every group has the same mean, so nothing is left for an effect.
    y -= np.bincount(group, y)[group] / 6
    x = np.random.default_rng(1).standard_normal(48)
    x -= np.bincount(group, x)[group] / 6
    design = np.column_stack([np.ones(48), x])
    expected = np.linalg.lstsq(design, y, rcond=None)[0]
    for found in (fit_reml(y, design, {"g": group}), fit_mixed(y, design, {"g": np.eye(8)[group]})):
        assert found.status == BOUNDARY
        np.testing.assert_allclose(found.estimates, expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_crossed_effects_agree_with_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair, environment = rng.integers(0, 5, 150), rng.integers(0, 8, 150)
    x = rng.standard_normal(150) + 0.5 * pair
    y = (
        0.4 * x
        + rng.standard_normal(5)[pair]
        + rng.standard_normal(8)[environment]
        + rng.standard_normal(150)
    )
    design = np.column_stack([np.ones(150), x])
    ours = fit_reml(y, design, {"pair": pair, "environment": environment})
    theirs = fit_mixed(y, design, {"pair": np.eye(5)[pair], "environment": np.eye(8)[environment]})
    assert ours.status == theirs.status == CONVERGED
    np.testing.assert_allclose(ours.estimates, theirs.estimates, rtol=1e-3)
    np.testing.assert_allclose(ours.errors, theirs.errors, rtol=1e-3)
    assert ours.variances == pytest.approx(theirs.variances, rel=5e-3)


@pytest.mark.parametrize("seed", range(4))
def test_multiple_membership_is_the_maximum_of_the_likelihood_written_out(seed: int) -> None:
    dyads = made_dyads(seed, share=0.7)
    z = dyads.membership()
    assert set(z[dyads.first == dyads.second].max(axis=1)) == {2.0}
    design = np.column_stack([np.ones(len(dyads)), dyads.x])
    found = fit_mixed(dyads.y, design, {"model": z})

    def fitted(ratio: float):
        v = np.eye(len(dyads)) + ratio * z @ z.T
        precision = np.linalg.inv(v)
        information = design.T @ precision @ design
        b = np.linalg.solve(information, design.T @ precision @ dyads.y)
        rest = dyads.y - design @ b
        variance = rest @ precision @ rest / (len(dyads) - 2)
        determinants = np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1]
        value = (len(dyads) - 2) * np.log(variance) + determinants
        return value, b, variance, variance * np.linalg.inv(information)

    best = optimize.minimize_scalar(lambda log: fitted(np.exp(log))[0], bounds=(-20, 8), method="bounded").x
    _, b, variance, covariance = fitted(np.exp(best))
    np.testing.assert_allclose(found.estimates, b, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.errors, np.sqrt(np.diag(covariance)), rtol=3e-3)
    assert found.variances["residual"] == pytest.approx(variance, rel=5e-3)
    assert found.variances["model"] == pytest.approx(np.exp(best) * variance, rel=2e-2, abs=1e-4)


def test_a_slope_of_the_pairs_own_is_found_under_strong_model_effects() -> None:
    found = [pair_model(made_dyads(seed, n_models=8, share=0.8, slope=1.5)) for seed in range(10)]
    assert all(each.status == CONVERGED for each in found)
    assert np.mean([each.p < 0.05 for each in found]) >= 0.9
    assert all(each.low < each.slope < each.high for each in found)
    assert np.mean([each.model_share for each in found]) > 0.5


def test_degrees_of_freedom_are_those_left_among_models() -> None:
    # Complete pairs of k models leave k − 2; a block of 3 × 3 has 5 means to tell apart, less 2.
    assert pair_model(made_dyads(0)).df == 4
    assert pair_model(made_dyads(0, family="cross")).df == 3
    assert pair_model(made_dyads(0, family="family0")).df == 1
    assert pair_model(made_dyads(0, covariate=True)).df == 3


def test_what_cannot_be_fitted_says_why() -> None:
    family = pair_model(made_dyads(0, family="family0", covariate=True))
    assert (family.status, family.df) == (TOO_FEW, 0)
    dyads = made_dyads(0)
    for broken in (
        replace(dyads, x=np.ones(21)),
        replace(dyads, y=np.ones(21)),
        replace(dyads, covariates=dyads.x[:, None]),
    ):
        found = pair_model(broken)
        assert found.status == UNDEFINED
        assert np.isnan([found.slope, found.p]).all()


class Unconverged:
    """A fit that gave up."""

    converged, fe_params, bse_fe, vcomp, scale = False, np.ones(2), np.ones(2), np.ones(1), 1.0


@pytest.mark.parametrize("error", [np.linalg.LinAlgError("Singular matrix"), None])
def test_a_fit_that_fails_is_a_status_and_no_crash(monkeypatch, error) -> None:
    def fit(self, **_):
        if error:
            raise error
        return Unconverged()

    monkeypatch.setattr(their_module.MixedLM, "fit", fit)
    found = pair_model(made_dyads(0))
    assert found.status.startswith(NOT_CONVERGED)
    assert np.isnan([found.slope, found.low, found.p, found.model_share]).all()


def test_without_effects_it_is_least_squares() -> None:
    rng = np.random.default_rng(0)
    design, y = np.column_stack([np.ones(20), rng.standard_normal(20)]), rng.standard_normal(20)
    found = fit_reml(y, design, {})
    expected = stats.linregress(design[:, 1], y)
    assert found.estimates[1] == pytest.approx(expected.slope)
    assert found.errors == pytest.approx([expected.intercept_stderr, expected.stderr])
    assert list(found.variances) == ["residual"]


def test_constant_and_collinear_columns_are_undefined_in_many_rows_too() -> None:
    y, group = balanced(0)
    ones = np.ones((48, 1))
    assert fit_reml(y, np.column_stack([ones, ones]), {"g": group}).status == UNDEFINED
    assert fit_reml(np.full(48, 2.0), ones, {"g": group}).status == UNDEFINED
