"""Nonlinear maps against scikit-learn, and against the affine map on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from syncr2.errors import SyncR2Error
from syncr2.maps.nonlinear import affine_r2, kernel_ridge_r2, mlp_r2

N_FOLDS = 4


def planted(truth: str, seed: int = 0, n: int = 320, noise: float = 0.5):
    """A source of 6 dimensions, a target of 5 that is an affine or a quadratic function of it, and folds."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 6)) * [1, 2, 3, 1, 1, 50] + 4
    z = (x - 4) / [1, 2, 3, 1, 1, 50]
    signal = z if truth == "affine" else np.hstack([z[:, :4] ** 2 - 1, z[:, :3] * z[:, 1:4]])
    y = signal @ rng.standard_normal((signal.shape[1], 5))
    y = y / y.std(axis=0) + noise * rng.standard_normal(y.shape) - 2
    return x, y, rng.permutation(np.arange(n) % N_FOLDS)


def network(x, y, folds, seed=0):
    return mlp_r2(x, y, folds, hidden=32, alphas=(0.1, 1.0), seed=seed)


def rough_network(x, y, folds):
    """Not a good fit, but one that must not change where nothing has changed."""
    return mlp_r2(x, y, folds, hidden=8, alphas=(0.1, 1.0), max_iter=20, seed=0)


MAPS = [affine_r2, kernel_ridge_r2, rough_network]


@pytest.fixture(autouse=True)
def _one_thread():
    """The products are small: threads would only wait for each other."""
    with threadpool_limits(1):
        yield


def parts(folds: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]


@pytest.mark.parametrize("nonlinear", [kernel_ridge_r2, network])
def test_where_the_truth_is_affine_a_nonlinear_map_gains_nothing(nonlinear):
    data = planted("affine")
    affine = affine_r2(*data)
    assert affine.mean() == pytest.approx(0.8, abs=0.03), "the ceiling is 1 / (1 + 0.25)"
    gain = nonlinear(*data) - affine
    assert gain.max() < 0.005
    assert gain.mean() > -0.1, "it generalises, if less well"


@pytest.mark.parametrize("nonlinear", [kernel_ridge_r2, network])
def test_where_the_truth_is_quadratic_a_nonlinear_map_gains_much(nonlinear):
    data = planted("quadratic")
    affine = affine_r2(*data)
    assert affine.max() < 0.1
    assert (nonlinear(*data) - affine).min() > 0.3


def test_affine_map_is_scikit_learns_ridge_at_a_given_penalty():
    x, y, folds = planted("affine", noise=2)
    for standardise in (False, True):
        wanted = []
        for train, test in parts(folds):
            values = StandardScaler().fit(x[train]).transform(x) if standardise else x
            wanted.append(
                r2_score(y[test], Ridge(alpha=30).fit(values[train], y[train]).predict(values[test]))
            )
        np.testing.assert_allclose(affine_r2(x, y, folds, [30], standardise=standardise), wanted, atol=1e-9)


def kernel_ridge(x, y, train, test, outer_train, width, penalty):
    values = StandardScaler().fit(x[outer_train]).transform(x)
    apart = [np.linalg.norm(values[i] - values[j]) for i in outer_train for j in outer_train if i < j]
    gamma = 1 / (2 * (width * np.median(apart)) ** 2)
    mean = y[train].mean(axis=0)
    model = KernelRidge(alpha=penalty, kernel="rbf", gamma=gamma).fit(values[train], y[train] - mean)
    return r2_score(y[test], model.predict(values[test]) + mean)


def test_kernel_ridge_is_scikit_learns_with_the_choice_that_wins_the_inner_folds():
    x, y, folds = planted("quadratic", n=60)
    widths, penalties = (0.5, 2.0), (1e-3, 1.0)
    wanted = []
    for outer, (train, test) in enumerate(parts(folds)):
        inner = {
            (width, penalty): np.mean(
                [
                    kernel_ridge(
                        x, y, train[folds[train] != i], train[folds[train] == i], train, width, penalty
                    )
                    for i in range(N_FOLDS)
                    if i != outer
                ]
            )
            for width in widths
            for penalty in penalties
        }
        wanted.append(kernel_ridge(x, y, train, test, train, *max(inner, key=inner.__getitem__)))
    np.testing.assert_allclose(kernel_ridge_r2(x, y, folds, penalties, widths), wanted, rtol=0, atol=1e-9)


def test_the_penalty_is_chosen_without_the_outer_fold():
    x, y, folds = planted("affine", noise=0.1)
    chosen = affine_r2(x, y, folds, [1e-3, 1e9])
    np.testing.assert_allclose(chosen, affine_r2(x, y, folds, [1e-3]), rtol=1e-12)
    # Fold 0 becomes noise: a choice that looked at it would shrink everything.
    spoilt = y.copy()
    spoilt[folds == 0] = np.random.default_rng(0).standard_normal((int((folds == 0).sum()), 5))
    assert affine_r2(x, spoilt, folds, [1e-3, 1e9])[0] == affine_r2(x, spoilt, folds, [1e-3])[0]
    assert affine_r2(x, spoilt, folds, [1e-3])[0] < affine_r2(x, spoilt, folds, [1e9])[0]


@pytest.mark.parametrize("fitted", MAPS)
def test_the_numbers_of_the_folds_do_not_matter(fitted):
    x, y, folds = planted("quadratic", n=80)
    found = fitted(x, y, folds)
    renamed = np.array([7, 3, -1, 5])[folds]
    np.testing.assert_allclose(fitted(x, y, renamed), found[[2, 1, 3, 0]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("fitted", MAPS)
def test_the_same_input_gives_the_same_bits(fitted):
    data = planted("quadratic", n=80)
    before = np.random.get_state()[1].copy()
    assert (fitted(*data) == fitted(*data)).all()
    assert (np.random.get_state()[1] == before).all(), "no global randomness"


def test_the_seed_of_the_network_matters_little():
    data = planted("quadratic", n=150)
    found = [network(*data, seed=seed).mean() for seed in (0, 1)]
    assert found[0] != found[1]
    assert abs(found[0] - found[1]) < 0.1


@pytest.mark.parametrize("fitted", MAPS)
def test_constant_dimensions_are_neither_used_nor_explained(fitted):
    x, y, folds = planted("affine", n=100)
    wider_x = np.hstack([x, np.full((100, 2), 0.1)])
    wider_y = np.hstack([y, np.full((100, 5), 0.1)])
    np.testing.assert_allclose(fitted(wider_x, wider_y, folds), fitted(x, y, folds) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fitted", MAPS)
def test_a_dimension_that_varies_in_the_test_fold_only_is_not_used(fitted):
    x, y, folds = planted("affine", n=100)
    new = np.hstack([x, np.where(folds == 0, 5.0, 0.1)[:, None]])
    assert fitted(new, y, folds)[0] == pytest.approx(fitted(x, y, folds)[0], abs=1e-6)


@pytest.mark.parametrize("fitted", MAPS)
def test_a_constant_source_predicts_the_mean(fitted):
    x, y, folds = planted("affine", n=100)
    found = fitted(np.full_like(x, 0.1), y[:, :1], folds)
    mean = [
        r2_score(y[test, :1], np.tile(y[train, :1].mean(), (len(test), 1))) for train, test in parts(folds)
    ]
    np.testing.assert_allclose(found, mean, rtol=0, atol=1e-3)


@pytest.mark.parametrize("fitted", [kernel_ridge_r2, rough_network])
def test_the_units_of_the_source_do_not_matter(fitted):
    x, y, folds = planted("quadratic", n=80)
    scaled = x * [1e-3, 1, 10, 1e3, 1, 1e4] - 50
    np.testing.assert_allclose(fitted(scaled, y, folds), fitted(x, y, folds), rtol=0, atol=1e-4)


def test_repeated_rows_leave_a_width_for_the_kernel():
    x, y, folds = planted("affine", n=100)
    same = x.copy()
    same[:80] = x[0]
    assert np.isfinite(kernel_ridge_r2(same, y, folds)).all()


def test_more_dimensions_than_samples():
    rng = np.random.default_rng(3)
    x, y, folds = planted("affine", n=100)
    wide_x, wide_y = x @ rng.standard_normal((6, 300)), y @ rng.standard_normal((5, 200))
    for fitted in (affine_r2, kernel_ridge_r2, network):
        assert 0.4 < fitted(wide_x, wide_y, folds).mean() < 0.9


@pytest.mark.parametrize("fitted", MAPS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y, f: (x, y[:-1], f), r"found \(60, 6\), \(59, 5\) and \(60,\)"),
        (lambda x, y, f: (x[None], y, f), "of the same samples"),
        (lambda x, y, f: (np.where(x == x[5, 1], np.inf, x), y, f), r"source .* not finite \(row 5\)"),
        (lambda x, y, f: (x, np.where(y == y[6, 1], np.nan, y), f), r"target .* not finite \(row 6\)"),
        (lambda x, y, f: (x, y, f / 2), "whole numbers"),
        (lambda x, y, f: (x, y, f % 2), "at least 3 folds"),
        (lambda x, y, f: (x, y, np.where(np.arange(60) == 4, 9, f)), "9: 1"),
    ],
)
def test_input_that_cannot_be_meant_is_refused(fitted, change, message):
    with pytest.raises(SyncR2Error, match=message):
        fitted(*change(*planted("affine", n=60)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda *d: affine_r2(*d, [0.1, -1]), "penalty to choose"),
        (lambda *d: kernel_ridge_r2(*d, widths=[0]), "width to choose"),
        (lambda *d: kernel_ridge_r2(*d, penalties=[np.inf]), "penalty to choose"),
        (lambda *d: mlp_r2(*d, alphas=[], seed=0), "alpha to choose"),
        (lambda x, y, f: kernel_ridge_r2(np.vstack([x, x]), np.vstack([y, y]), np.tile(f, 2), [1e-300], [4]),
         "singular in float64"),
    ],
)  # fmt: skip
def test_choices_that_cannot_be_meant_are_refused(call, message):
    with pytest.raises(SyncR2Error, match=message):
        call(*planted("affine", n=60))
