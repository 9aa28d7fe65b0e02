"""Nested folds against scikit-learn, fold by fold; folds; the bootstrap's coverage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from syncr2.errors import SyncR2Error
from syncr2.folds import environment_folds, fold_of
from syncr2.intervals import environment_weights, interval
from syncr2.nested import Computing, Resampled, inner_r2, score, select

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


def test_outer_scores_are_those_of_the_choice_on_folds_it_did_not_see():
    source, target, names, environment = planted(1)
    fold = folds_for(names)
    chosen = select(inner_r2({"s": source}, target, fold, PENALTIES, Computing())["s"], PENALTIES)
    resampled = Resampled(environment, environment_weights(sorted(set(names)), 0))
    (found,) = score(source, target, fold, chosen, resampled, Computing())
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
        resampled = Resampled(environment, np.empty((0, 8)))
        nested.append(score(source, target, fold, chosen, resampled, Computing())[0].r2.mean())
        flattered.append(
            np.mean(
                [max(by_sklearn(source[0], y, fold != o, fold == o, 0.1) for y in target) for o in range(4)]
            )
        )
    assert np.mean(flattered) > 0.03
    assert np.mean(nested) < 0.0


def test_a_bootstrap_draw_is_r2_with_repeated_environments():
    source, target, names, environment = planted(3)
    fold = folds_for(names)
    chosen = select(inner_r2({"s": source}, target, fold, [1.0], Computing())["s"], [1.0])
    weights = np.random.default_rng(0).integers(1, 4, (2, 12)).astype(float)
    (found,) = score(source, target, fold, chosen, Resampled(environment, weights), Computing())
    for draw, weight in enumerate(weights):
        repeats = weight[environment].astype(int)
        wanted = []
        for outer in range(4):
            y, test = target[chosen.target_layer[outer, 0]], fold == outer
            model = Ridge(alpha=1.0).fit(source[0][~test], y[~test])
            again = np.repeat(np.flatnonzero(test), repeats[test])
            wanted.append(r2_score(y[again], model.predict(source[0][again])))
        assert found.draws[draw, 0] == pytest.approx(np.mean(wanted), abs=1e-9)


def test_subsets_are_scored_from_the_same_maps():
    source, target, names, environment = planted(4)
    fold = folds_for(names)
    chosen = select(inner_r2({"s": source}, target, fold, [1.0], Computing())["s"], [1.0])
    half, none = environment % 2 == 0, environment < 0
    resampled = Resampled(environment, np.ones((1, 12)))
    some, nothing = score(source, target, fold, chosen, resampled, Computing(), [half, none])
    y, test = target[chosen.target_layer[0, 0]], fold == 0
    model = Ridge(alpha=1.0).fit(source[0][~test], y[~test])
    wanted = r2_score(y[test & half], model.predict(source[0][test & half]))
    assert some.r2[0, 0] == pytest.approx(wanted, abs=1e-9)
    assert some.draws[0] == pytest.approx(some.r2.mean(axis=0), abs=1e-9)
    assert np.isnan(nothing.r2).all()


def test_no_environment_is_on_both_sides_and_folds_are_even():
    names = [f"e{i % 13}" for i in range(200)]
    folds = environment_folds(names, 5, seed=3)
    assert sorted(np.bincount(list(folds.values()))) == [2, 2, 3, 3, 3]
    assert folds == environment_folds(names[::-1], 5, seed=3), "names decide, not their order"
    assert folds != environment_folds(names, 5, seed=4)


def test_too_few_environments_and_empty_folds_are_refused():
    with pytest.raises(SyncR2Error, match="5 folds .* there are 3") as refused:
        environment_folds(["a", "b", "c"], 5, 0)
    assert "synchrony.folds" in str(refused.value)
    with pytest.raises(SyncR2Error, match="at least 3, found 2"):
        environment_folds(["a", "b", "c"], 2, 0)
    with pytest.raises(SyncR2Error, match="Fold 2 of 3 has 1 samples"):
        fold_of(["a", "a", "b", "b", "c"], {"a": 0, "b": 1, "c": 2})


def test_weights_belong_to_the_name_of_an_environment():
    weights = environment_weights(["a", "b"], 1000)
    assert (environment_weights(["b", "c", "a"], 1000)[:, [2, 0]] == weights).all()
    assert weights.mean() == pytest.approx(1, abs=0.05)
    assert (weights > 0).all()
