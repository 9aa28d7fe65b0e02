"""Nested folds against scikit-learn, fold by fold; folds; the bootstrap's coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from threadpoolctl import threadpool_limits

from syncr2.errors import SyncR2Error
from syncr2.maps.folds import environment_folds, fold_of
from syncr2.maps.intervals import interval, multipliers
from syncr2.maps.nested import Clusters, Computing, inner_r2, score, select

PENALTIES = [0.1, 10.0, 1000.0]


def planted(seed, n_environments=12, rows=15, d_source=6, d_target=5, layers=(3, 2), noise=1.0):
    """Environments share an offset; source and target share a signal."""
    rng = np.random.default_rng(seed)
    environment = np.repeat(np.arange(n_environments), rows)
    n = len(environment)
    common = rng.standard_normal((n, 3)) + rng.standard_normal((n_environments, 3))[environment]

    def stack(n_layers, d):
        return np.stack(
            [
                common @ rng.standard_normal((3, d)) + noise * rng.standard_normal((n, d))
                for _ in range(n_layers)
            ]
        )

    names = [f"e{i}" for i in environment]
    return stack(layers[0], d_source), stack(layers[1], d_target), names, environment


def folds_for(names, n_folds=4, seed=0):
    return fold_of(names, environment_folds(names, n_folds, seed))


def clusters_of(environment):
    return Clusters(environment, tuple(f"e{i}" for i in range(environment.max() + 1)))


def by_sklearn(x, y, train, test, penalty):
    return r2_score(y[test], Ridge(alpha=penalty).fit(x[train], y[train]).predict(x[test]))


@pytest.mark.parametrize(("d_source", "memory_gb"), [(6, 10.0), (400, 10.0), (6, 1e-9)])
def test_inner_scores_are_those_of_maps_that_saw_neither_fold(d_source, memory_gb):
    source, target, names, _ = planted(0, d_source=d_source)
    fold = folds_for(names)
    found = inner_r2({"s": source}, target, fold, PENALTIES, Computing(memory_gb=memory_gb))["s"]
    for outer in range(4):
        for p, penalty in enumerate(PENALTIES):
            for layer, x in enumerate(source):
                for m, y in enumerate(target):
                    inner = [
                        by_sklearn(x, y, (fold != outer) & (fold != i), fold == i, penalty)
                        for i in range(4)
                        if i != outer
                    ]
                    assert found[outer, p, layer, m] == pytest.approx(np.mean(inner), abs=1e-9)


def test_row_order_memory_and_threads_change_nothing_beyond_rounding():
    source, target, names, environment = planted(6, layers=(2, 3))
    fold = folds_for(names)
    chosen = select(inner_r2({"s": source}, target, fold, PENALTIES, Computing())["s"], PENALTIES)
    clusters = clusters_of(environment)

    def found(order, computing):
        given = source[:, order], target[:, order], fold[order]
        inner = inner_r2({"s": given[0]}, given[1], given[2], PENALTIES, computing)["s"]
        moved = clusters._replace(environment=environment[order])
        (scored,) = score(*given, chosen, moved, computing)
        return inner, scored.r2, scored.influence

    plain = found(np.arange(len(fold)), Computing())
    with threadpool_limits(1):
        other = found(np.random.default_rng(0).permutation(len(fold)), Computing(memory_gb=1e-9))
    for one, two in zip(plain, other, strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=1e-12)


def test_outer_scores_are_those_of_the_choice_on_folds_it_did_not_see():
    source, target, names, environment = planted(1)
    fold = folds_for(names)
    chosen = select(inner_r2({"s": source}, target, fold, PENALTIES, Computing())["s"], PENALTIES)
    (found,) = score(source, target, fold, chosen, clusters_of(environment), Computing())
    for outer in range(4):
        for layer, x in enumerate(source):
            y, penalty = target[chosen.target_layer[outer, layer]], chosen.penalty[outer, layer]
            wanted = by_sklearn(x, y, fold != outer, fold == outer, penalty)
            assert found.r2[outer, layer] == pytest.approx(wanted, abs=1e-9)


def test_choosing_on_test_rows_flatters_noise_and_nested_choice_does_not():
    rng = np.random.default_rng(2)
    nested, flattered = [], []
    names = [f"e{i}" for i in np.repeat(np.arange(8), 20)]
    fold, environment = folds_for(names), np.repeat(np.arange(8), 20)
    for _ in range(20):
        source, target = rng.standard_normal((1, 160, 2)), rng.standard_normal((30, 160, 1))
        inner = inner_r2({"s": source}, target, fold, [0.1], Computing())["s"]
        chosen = select(inner, [0.1])
        found = score(source, target, fold, chosen, clusters_of(environment), Computing())[0]
        nested.append(found.r2.mean())
        flattered.append(
            np.mean(
                [max(by_sklearn(source[0], y, fold != o, fold == o, 0.1) for y in target) for o in range(4)]
            )
        )
    assert np.mean(flattered) > 0.03
    assert np.mean(nested) < 0.0


def test_an_influence_is_what_leaving_an_environment_out_changes():
    source, target, names, environment = planted(3)
    fold = folds_for(names)
    chosen = select(inner_r2({"s": source}, target, fold, [1.0], Computing())["s"], [1.0])
    (found,) = score(source, target, fold, chosen, clusters_of(environment), Computing())
    for outer in range(4):
        y, test = target[chosen.target_layer[outer, 0]], fold == outer
        model = Ridge(alpha=1.0).fit(source[0][~test], y[~test])
        there = np.unique(environment[test])
        without = []
        for left_out in there:
            kept = test & (environment != left_out)
            without.append(r2_score(y[kept], model.predict(source[0][kept])))
        n = len(there)
        wanted = np.sqrt((n - 1) / n) * (np.mean(without) - np.array(without)) / 4
        np.testing.assert_allclose(found.influence[there, 0], wanted, atol=1e-9)


def test_subsets_are_scored_from_the_same_maps():
    source, target, names, environment = planted(4)
    fold = folds_for(names)
    chosen = select(inner_r2({"s": source}, target, fold, [1.0], Computing())["s"], [1.0])
    half, none = environment % 2 == 0, environment < 0
    some, nothing = score(source, target, fold, chosen, clusters_of(environment), Computing(), [half, none])
    y, test = target[chosen.target_layer[0, 0]], fold == 0
    model = Ridge(alpha=1.0).fit(source[0][~test], y[~test])
    wanted = r2_score(y[test & half], model.predict(source[0][test & half]))
    assert some.r2[0, 0] == pytest.approx(wanted, abs=1e-9)
    assert (some.influence[1::2] == 0).all(), "environments that do not count have no influence"
    assert (some.influence[::2] != 0).any()
    assert np.isnan(nothing.r2).all()


def test_no_environment_is_on_both_sides_and_folds_are_even():
    names = [f"e{i % 13}" for i in range(200)]
    folds = environment_folds(names, 5, seed=3)
    assert sorted(np.bincount(list(folds.values()))) == [2, 2, 3, 3, 3]
    assert folds == environment_folds(names[::-1], 5, seed=3), "names decide, not their order"
    assert folds != environment_folds(names, 5, seed=4)


def test_too_few_environments_and_empty_folds_are_refused():
    with pytest.raises(SyncR2Error, match="there are 3") as refused:
        environment_folds(["a", "b", "c"], 5, 0)
    assert "synchrony.folds" in str(refused.value)
    with pytest.raises(SyncR2Error, match="at least 3, found 2"):
        environment_folds(["a", "b", "c"], 2, 0)
    with pytest.raises(SyncR2Error, match="Fold 2 of 3 has 1 samples"):
        fold_of(["a", "a", "b", "b", "c"], {"a": 0, "b": 1, "c": 2})


def test_multipliers_belong_to_the_name_of_an_environment():
    found = multipliers(["a", "b"], 1000)
    assert (multipliers(["b", "a"], 1000)[:, ::-1] == found).all()
    assert (multipliers(["a", "c"], 1000)[:, 0] == found[:, 0]).all()
    many = multipliers([f"e{i}" for i in range(90)], 4000)
    assert many.mean() == pytest.approx(0, abs=0.01)
    assert many.var() == pytest.approx(1, abs=0.05)


def test_draws_of_equal_influences_are_students_t():
    draws = multipliers([f"e{i}" for i in range(6)], 20000) @ np.full(6, 1 / np.sqrt(6))
    found = interval(0.0, draws)
    assert found.high == pytest.approx(t.ppf(0.975, 5), rel=0.05)
    assert found.low == pytest.approx(-t.ppf(0.975, 5), rel=0.05)
    assert np.isnan(interval(0.3, []).low)
