"""Ridge maps against scikit-learn, closed forms and planted effects."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from threadpoolctl import threadpool_limits

from syncr2 import layer_r2
from syncr2.errors import SyncR2Error
from syncr2.maps import ridge


def by_sklearn(source, target, train, test, penalty):
    """One fit a pair of layers, in float64."""
    found = np.empty((len(source), len(target)))
    for layer, x in enumerate(np.asarray(source, dtype=float)):
        for m, y in enumerate(np.asarray(target, dtype=float)):
            predicted = Ridge(alpha=penalty).fit(x[train], y[train]).predict(x[test])
            found[layer, m] = r2_score(y[test], predicted)
    return found


def planted(rng, n=120, d_source=7, d_target=5, layers=(3, 2)):
    common = rng.standard_normal((n, 4))
    source = np.stack(
        [
            common @ rng.standard_normal((4, d_source)) + 0.5 * rng.standard_normal((n, d_source))
            for _ in range(layers[0])
        ]
    )
    target = np.stack(
        [
            common @ rng.standard_normal((4, d_target)) + 0.5 * rng.standard_normal((n, d_target))
            for _ in range(layers[1])
        ]
    )
    order = rng.permutation(n)
    return source, target, order[: int(0.8 * n)], order[int(0.8 * n) :]


@pytest.mark.parametrize(
    ("n", "d_source", "d_target"),
    [(120, 7, 5), (60, 90, 8), (60, 90, 150), (50, 40, 40), (51, 3, 100)],
    ids=["n>d", "n<d", "both wide", "n=d", "narrow to wide"],
)
@pytest.mark.parametrize("penalty", [1e-3, 0.1, 100.0])
def test_equals_scikit_learn(n, d_source, d_target, penalty):
    data = planted(np.random.default_rng(n + d_source), n, d_source, d_target)
    np.testing.assert_allclose(layer_r2(*data, penalty), by_sklearn(*data, penalty), rtol=0, atol=1e-9)


def test_outlier_dimensions_keep_full_accuracy():
    source, target, train, test = planted(np.random.default_rng(1))
    source, target = source.copy(), target.copy()
    source[:, :, 0] = source[:, :, 0] * 1e4 + 3e4
    target[:, :, 1] = target[:, :, 1] * 1e4 - 2e4
    expected = by_sklearn(source, target, train, test, 0.1)
    np.testing.assert_allclose(layer_r2(source, target, train, test), expected, rtol=0, atol=1e-9)


def test_float16_states_are_computed_in_float64():
    source, target, train, test = planted(np.random.default_rng(2))
    half = source.astype(np.float16), target.astype(np.float16)
    np.testing.assert_allclose(
        layer_r2(*half, train, test), by_sklearn(*half, train, test, 0.1), rtol=0, atol=1e-9
    )


def test_blocks_of_layers_give_the_same_numbers(monkeypatch):
    data = planted(np.random.default_rng(3), layers=(5, 3))
    whole = layer_r2(*data, [0.1, 10.0])
    monkeypatch.setattr(ridge, "TARGETS_AT_ONCE", 2)
    np.testing.assert_allclose(layer_r2(*data, [0.1, 10.0], memory_gb=1e-9), whole, rtol=0, atol=1e-13)


def test_rows_beyond_one_tile_agree_with_sklearn():
    source, target, _, _ = planted(np.random.default_rng(30), n=900)
    train, test = np.arange(600), np.arange(600, 900)
    np.testing.assert_allclose(
        layer_r2(source, target, train, test), by_sklearn(source, target, train, test, 0.1), atol=1e-9, rtol=0
    )


def test_a_vector_of_penalties_gives_one_matrix_each():
    data = planted(np.random.default_rng(31))
    penalties = [0.0, 0.1, 100.0]
    for matrix, penalty in zip(layer_r2(*data, penalties), penalties, strict=True):
        np.testing.assert_allclose(matrix, by_sklearn(*data, penalty), rtol=0, atol=1e-9)


def test_mixed_precision_is_close_and_not_the_same():
    data = planted(np.random.default_rng(32))
    exact, mixed = layer_r2(*data), layer_r2(*data, precision="mixed")
    np.testing.assert_allclose(mixed, exact, rtol=0, atol=1e-5)
    assert (mixed != exact).any()


def test_least_squares_is_refused_where_it_has_no_single_solution():
    source, target, train, test = planted(np.random.default_rng(34))
    wide = np.repeat(source, 40, axis=2)
    with pytest.raises(SyncR2Error, match=r"no single solution with \d+ training samples of"):
        layer_r2(wide, target, train, test, 0)
    twice = np.concatenate([source, source[:, :, :1]], axis=2)
    with pytest.raises(SyncR2Error, match="penalty 0: its columns depend"):
        layer_r2(twice, target, train, test, 0)


def test_row_order_and_threads_change_nothing_beyond_rounding():
    rng = np.random.default_rng(35)
    source, target, train, test = planted(rng)
    found = layer_r2(source, target, train, test)
    with threadpool_limits(1):
        single = layer_r2(source, target, rng.permutation(train), rng.permutation(test))
    np.testing.assert_allclose(single, found, rtol=0, atol=1e-12)


def test_target_dimension_constant_over_the_test_rows_counts_as_nothing_explained():
    source, target, train, test = planted(np.random.default_rng(4), d_target=4)
    varying = layer_r2(source, target, train, test)
    constant = np.concatenate([target, np.full((*target.shape[:2], 1), 0.1)], axis=2)
    np.testing.assert_allclose(layer_r2(source, constant, train, test), varying * 4 / 5, rtol=1e-12)


def test_a_map_onto_itself_is_perfect_and_onto_noise_is_not():
    rng = np.random.default_rng(5)
    states = rng.standard_normal((1, 400, 3))
    train, test = np.arange(320), np.arange(320, 400)
    assert layer_r2(states, 2 * states + 7, train, test, 1e-9).item() == pytest.approx(1, abs=1e-9)
    assert layer_r2(states, rng.standard_normal((1, 400, 3)), train, test).item() < 0.02


def test_prediction_of_the_mean_scores_zero_at_a_huge_penalty():
    source, target, train, _ = planted(np.random.default_rng(6))
    # Tested on the training rows, the training mean is the test mean, so R² is 0 from below.
    assert layer_r2(source, target, train, train, 1e12) == pytest.approx(0, abs=1e-8)


def test_subsets_come_from_the_same_fit():
    source, target, train, test = planted(np.random.default_rng(7))
    subsets = [np.arange(len(test)) % 2 == 0, np.ones(len(test), bool), np.arange(len(test)) == 0]
    found = ridge.subset_r2(source, target, train, test, [1, 0, 1], subsets)
    for layer, m in enumerate([1, 0, 1]):
        model = Ridge(alpha=0.1).fit(source[layer][train], target[m][train])
        predicted = model.predict(source[layer][test])
        for i in (0, 1):
            wanted = r2_score(target[m][test][subsets[i]], predicted[subsets[i]])
            assert found[i, layer] == pytest.approx(wanted, abs=1e-9)
    assert np.isnan(found[2]).all(), "one row has no variance to explain"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"penalty": -1.0}, "penalty must be a number from 0 up"),
        (lambda d: d | {"penalty": [0.1, float("nan")]}, "penalty must be a number from 0 up"),
        (lambda d: d | {"penalty": []}, "penalty must be a number from 0 up"),
        (lambda d: d | {"precision": "float32"}, "precision must be one of float64, mixed"),
        (lambda d: d | {"device": "gpu"}, "device must be one of auto, cpu, cuda"),
        (lambda d: d | {"train": [0, 500]}, "rows 0 to 500; allowed are 0 to 119"),
        (lambda d: d | {"test": [-1, 3]}, "rows -1 to 3"),
        (lambda d: d | {"test": [0.5, 1.5]}, "row numbers"),
        (lambda d: d | {"test": [3]}, "at least 2"),
        (lambda d: d | {"target": d["target"][:, :50]}, "same rows; found 120 and 50"),
        (lambda d: d | {"source": d["source"][0]}, "must be"),
        (lambda d: d | {"source": np.where(np.arange(7) == 2, np.inf, d["source"])}, "not finite"),
    ],
)
def test_input_that_cannot_be_meant_is_refused(change, message):
    source, target, train, test = planted(np.random.default_rng(8))
    arguments = change({"source": source, "target": target, "train": train, "test": test})
    with pytest.raises(SyncR2Error, match=message):
        layer_r2(**arguments)
