"""The estimator against scikit-learn: its conventions, its Ridge, its splitters; and its page."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from shared import REPOSITORY
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
    cross_val_score,
)
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

import syncr2
from syncr2 import SyncR2, estimator
from syncr2.errors import SyncR2Error
from syncr2.estimator_inputs import make_splits
from syncr2.maps.nested import Clusters, Computing, Selection, score
from syncr2.store import AgentStates, StateRow, write_states

PENALTIES = [0.1, 30.0, 3000.0]


def planted(seed, n_groups=12, rows=8, d_source=(6, 4, 9), d_target=(5, 3), noise=1.0):
    """Layers of different widths that share a signal, the first source layer and last target layer little."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(n_groups), rows))
    common = rng.standard_normal((len(group), 3)) + rng.standard_normal((n_groups, 3))[group]

    def layer(d, share):
        own = noise * rng.standard_normal((len(group), d))
        return share * common @ rng.standard_normal((3, d)) + own

    source = [layer(d, i > 0) for i, d in enumerate(d_source)]
    target = [layer(d, 0.3 if i == len(d_target) - 1 else 1) for i, d in enumerate(d_target)]
    return source, target, group


def by_sklearn(x, y, train, test, penalty):
    return r2_score(y[test], Ridge(alpha=penalty).fit(x[train], y[train]).predict(x[test]))


def all_pairs(source, target, splits, penalty=0.1):
    """One fit a split and pair of layers."""
    return np.array([[[by_sklearn(x, y, *rows, penalty) for y in target] for x in source] for rows in splits])


# No check is expected to fail. The one of the array API is skipped by scikit-learn itself.
@parametrize_with_checks(
    [SyncR2(), SyncR2(target_layer="nested", cv=3), SyncR2(penalty=[0.1, 1.0, 10.0], cv=3)]
)
def test_conventions_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cv", [KFold(4), ShuffleSplit(3, random_state=0), 4])
def test_every_pair_of_layers_is_a_ridge_of_scikit_learn(cv):
    source, target, _ = planted(0)
    found = SyncR2(cv=cv).fit(source, target)
    splits = list((KFold(4) if cv == 4 else cv).split(source[0]))
    assert found.n_splits_ == len(splits)
    np.testing.assert_allclose(found.r2_, all_pairs(source, target, splits), rtol=0, atol=1e-9)


def test_the_published_summary_of_r2():
    source, target, group = planted(1, noise=2.0)
    found = SyncR2(cv=4).fit(source, target, group)
    r2 = all_pairs(source, target, list(GroupKFold(4).split(source[0], groups=group)))
    mean = r2.mean(axis=0)
    assert (mean.max(axis=1) < 0).any(), "else setting to 0 would change nothing"
    assert found.sync_r2_ == pytest.approx(syncr2.directed_sync(mean), abs=1e-9)
    assert found.sync_r2_raw_ == pytest.approx(mean.max(axis=1).mean(), abs=1e-9)
    best = mean.argmax(axis=1)
    assert (found.split_target_layer_ == best).all()
    np.testing.assert_allclose(found.r2_by_layer_, r2[:, np.arange(3), best], atol=1e-9, rtol=0)
    assert found.best_layer_ == mean.max(axis=1).argmax()
    assert found.target_layer_ == best[found.best_layer_]
    assert (found.penalty_, found.split_penalty_.tolist()) == (0.1, [[0.1] * 3] * 4)


def test_the_published_split_takes_groups_in_the_order_they_appear():
    source, target, number = planted(2, n_groups=15)
    group = np.array([f"episode {20 - i}" for i in number])
    order = list(dict.fromkeys(group))
    assert order != sorted(order)
    counts = [(group == name).sum() for name in order]
    splits = []
    for seed in (0, 1, 2):
        split = syncr2.paper_split(counts, sum(counts) - max(counts), seed)
        splits.append([np.flatnonzero(np.isin(group, [order[i] for i in side])) for side in split])
    found = SyncR2().fit(source, target, group)
    np.testing.assert_allclose(found.r2_, all_pairs(source, target, splits), rtol=0, atol=1e-9)


def test_the_published_split_without_groups_is_by_sample():
    for seed, (train, test) in enumerate(make_splits(None, 100, None)):
        order = np.random.RandomState(seed).permutation(100)
        assert set(test) == set(order[:20])
        assert set(train) == set(order[20:100])


def inner_scores(source, target, fold, outer):
    """Mean R² over inner folds, (n_penalties, n_source_layers, n_target_layers)."""
    inner = [((fold != outer) & (fold != i), fold == i) for i in np.unique(fold) if i != outer]
    return np.array([all_pairs(source, target, inner, penalty).mean(axis=0) for penalty in PENALTIES])


@pytest.fixture(scope="module")
def nested_by_hand():
    """Data, and inner scores of every outer fold of four."""
    source, target, group = planted(0, d_source=(6, 20), d_target=(5, 3, 4), noise=5.0)
    fold = np.empty(len(group), dtype=int)
    for i, (_, test) in enumerate(GroupKFold(4).split(group, groups=group)):
        fold[test] = i
    return source, target, group, fold, [inner_scores(source, target, fold, outer) for outer in range(4)]


def test_nested_choices_are_those_of_inner_folds(nested_by_hand):
    source, target, group, fold, inner = nested_by_hand
    found = SyncR2(penalty=PENALTIES, target_layer="nested", cv=GroupKFold(4)).fit(source, target, group)
    for outer in range(4):
        for layer, x in enumerate(source):
            p, m = np.unravel_index(inner[outer][:, layer].argmax(), (3, 3))
            assert found.split_penalty_[outer, layer] == PENALTIES[p]
            assert found.split_target_layer_[outer, layer] == m
            wanted = by_sklearn(x, target[m], fold != outer, fold == outer, PENALTIES[p])
            assert found.r2_by_layer_[outer, layer] == pytest.approx(wanted, abs=1e-9)
            assert found.r2_[outer, layer, m] == found.r2_by_layer_[outer, layer]
    assert len(np.unique(found.split_penalty_)) > 1, "else the choice is not seen"
    assert np.ptp(found.split_target_layer_, axis=0).any()
    layers = found.r2_by_layer_.mean(axis=0)
    assert found.sync_r2_raw_ == pytest.approx(layers.mean())
    assert found.sync_r2_ == pytest.approx(np.maximum(layers, 0).mean())


def test_nested_values_are_those_of_the_corrected_protocol(nested_by_hand):
    source, target, group, fold, _ = nested_by_hand
    found = SyncR2(penalty=PENALTIES, target_layer="nested", cv=4).fit(source, target, group)
    chosen = Selection(found.split_penalty_, found.split_target_layer_)
    (by_engine,) = score(source, target, fold, chosen, Clusters(np.zeros_like(group), ("all",)), Computing())
    np.testing.assert_allclose(found.r2_by_layer_, by_engine.r2, rtol=0, atol=1e-12)


def test_of_several_penalties_inner_folds_choose_also_where_the_test_rows_pick_the_layer(nested_by_hand):
    source, target, group, fold, inner = nested_by_hand
    found = SyncR2(penalty=PENALTIES, cv=4).fit(source, target, group)
    r2 = np.empty((4, 2, 3))
    for outer in range(4):
        for layer, x in enumerate(source):
            penalty = PENALTIES[inner[outer][:, layer].max(axis=1).argmax()]
            assert found.split_penalty_[outer, layer] == penalty
            r2[outer, layer] = [by_sklearn(x, y, fold != outer, fold == outer, penalty) for y in target]
    np.testing.assert_allclose(found.r2_, r2, rtol=0, atol=1e-9)
    assert (found.split_target_layer_ == r2.mean(axis=0).argmax(axis=1)).all()


def test_the_map_that_predicts_is_the_best_over_all_splits(nested_by_hand):
    source, target, group, fold, _ = nested_by_hand
    found = SyncR2(penalty=PENALTIES, target_layer="nested", cv=4).fit(source, target, group)
    folds = [(fold != i, fold == i) for i in range(4)]
    by_fold = np.array([all_pairs(source, target, folds, p) for p in PENALTIES])[:, :, found.best_layer_]
    assert by_fold.mean(axis=1).argmax() != by_fold[:, 0].argmax(), "else one fold would do"
    p, m = np.unravel_index(by_fold.mean(axis=1).argmax(), (3, 3))
    assert (found.penalty_, found.target_layer_) == (PENALTIES[p], m)


@pytest.mark.parametrize("d_source", [(6, 4, 9), (150, 140)], ids=["narrow", "wide"])
def test_predict_and_score_are_a_ridge_on_all_rows(d_source):
    source, target, _ = planted(4, d_source=d_source)
    half = len(source[0]) // 2
    X, y = ([layer[:half] for layer in stack] for stack in (source, target))
    fresh_X, fresh_y = ([layer[half:] for layer in stack] for stack in (source, target))
    found = SyncR2(cv=3).fit(X, y)
    by_hand = Ridge(alpha=0.1).fit(X[found.best_layer_], y[found.target_layer_])
    predicted = by_hand.predict(fresh_X[found.best_layer_])
    np.testing.assert_allclose(found.predict(fresh_X), predicted, rtol=0, atol=1e-9)
    wanted = r2_score(fresh_y[found.target_layer_], predicted)
    assert found.score(fresh_X, fresh_y) == pytest.approx(wanted, abs=1e-9)
    assert found.n_features_in_ == d_source[found.best_layer_]


@pytest.mark.parametrize("columns", [None, 1, 3])
def test_predictions_have_the_shape_of_the_target(columns):
    x = np.random.default_rng(5).standard_normal((40, 4))
    y = x[:, 0] if columns is None else x[:, :columns]
    found = SyncR2(cv=3, penalty=1e-6).fit(x, y)
    assert found.predict(x[:1]).shape == y[:1].shape
    assert found.coef_.shape == (*y.shape[1:], 4)
    np.testing.assert_allclose(found.predict(x), y, atol=1e-6)
    assert found.score(x, y) == pytest.approx(1)


def test_a_constant_target_dimension_counts_as_nothing_explained():
    source, target, _ = planted(6)
    y = np.column_stack([target[0], np.ones(len(target[0]))])
    found = SyncR2(cv=3).fit(source, y)
    without = SyncR2(cv=3).fit(source, target[0])
    np.testing.assert_allclose(found.r2_, without.r2_ * 5 / 6, rtol=1e-9)
    assert found.score(source, y) == pytest.approx(without.score(source, target[0]) * 5 / 6)


def test_forms_of_the_same_states_give_the_same(tmp_path):
    rng = np.random.default_rng(7)
    source, target = rng.standard_normal((2, 3, 60, 5)).astype(np.float16)
    wanted = SyncR2(cv=3).fit(source, target)
    rows = [StateRow(f"e{i}", "v", 0, 1, 1, 1) for i in range(60)]
    write_states(
        tmp_path / "states.h5", {"agent1": AgentStates(source, rows), "agent2": AgentStates(target, rows)}, {}
    )
    on_disk = syncr2.open_states(tmp_path / "states.h5")
    forms = {
        "lists": ([list(map(list, x)) for x in source], list(target)),
        "frames": ([pd.DataFrame(x) for x in source], tuple(target)),
        "wider numbers": (source.astype(np.float64), target.astype(np.float32)),
        "on disk": (on_disk["agent1"], on_disk["agent2"]),
    }
    for name, (X, y) in forms.items():
        found = SyncR2(cv=3).fit(X, y)
        np.testing.assert_allclose(found.r2_, wanted.r2_, rtol=0, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(found.predict(X), wanted.predict(source), atol=1e-9, err_msg=name)
        assert found.score(X, y) == pytest.approx(wanted.score(source, target), abs=1e-9), name


def test_a_2d_array_is_one_layer():
    source, target, _ = planted(8)
    one = SyncR2(cv=3).fit(source[1], pd.DataFrame(target[0]))
    np.testing.assert_array_equal(one.r2_, SyncR2(cv=3).fit([source[1]], [target[0]]).r2_)
    assert one.r2_.shape == (3, 1, 1)


def test_states_on_disk_that_are_not_finite_are_refused(tmp_path):
    hidden = np.random.default_rng(9).standard_normal((2, 30, 4))
    hidden[1, 3, 2] = np.inf
    rows = [StateRow(f"e{i}", "v", 0, 1, 1, 1) for i in range(30)]
    states = AgentStates(hidden, rows)
    write_states(tmp_path / "states.h5", {"agent1": states, "agent2": states}, {})
    on_disk = syncr2.open_states(tmp_path / "states.h5")["agent1"]
    with pytest.raises(SyncR2Error, match=r"not finite \(layer 1, row 3\)"):
        SyncR2(cv=3).fit(on_disk, hidden[:1])
    source = SyncR2(cv=3).fit(on_disk.take(np.arange(10, 30)), hidden[0, 10:])
    source.best_layer_ = 1
    with pytest.raises(SyncR2Error, match=r"X\[1\].*infinity"):
        source.predict(on_disk)


@pytest.mark.parametrize("cv", [None, 3, GroupKFold(4), GroupShuffleSplit(5, random_state=0)], ids=repr)
def test_groups_are_never_split(cv):
    group = np.random.default_rng(10).choice(list("abcdefgh"), 100)
    splits = make_splits(cv, 100, group)
    assert len(splits) >= 3
    for train, test in splits:
        assert not set(group[train]) & set(group[test])
        assert len(test)
    source, target = np.random.default_rng(11).standard_normal((2, 1, 100, 3))
    np.testing.assert_allclose(
        SyncR2(cv=cv).fit(source, target, group).r2_, all_pairs(source, target, splits), atol=1e-9
    )


def test_picking_on_test_rows_flatters_noise_and_nested_choice_does_not():
    rng = np.random.default_rng(12)
    flattered, nested = [], []
    for _ in range(10):
        source, target = rng.standard_normal((1, 120, 2)), rng.standard_normal((30, 120, 1))
        flattered.append(SyncR2(cv=4).fit(source, target).sync_r2_)
        nested.append(SyncR2(cv=4, target_layer="nested").fit(source, target).sync_r2_raw_)
    assert np.mean(flattered) > 0.01
    assert np.mean(nested) < 0


def test_a_clone_has_the_parameters_and_nothing_that_was_fitted():
    source, target, _ = planted(13)
    made = SyncR2(penalty=[1.0, 10.0], target_layer="nested", cv=GroupKFold(4), memory_gb=2.0)
    params = made.get_params()
    assert set(params) == {"penalty", "target_layer", "cv", "device", "precision", "memory_gb"}
    assert params["penalty"] is made.penalty, "__init__ stores and does no more"
    fitted = made.set_params(cv=4).fit(source, target)
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    assert not [name for name in vars(again) if name.endswith("_")]
    assert repr(SyncR2(penalty=1.0, cv=5)) == "SyncR2(cv=5, penalty=1.0)"


def test_a_fit_leaves_nothing_of_the_one_before():
    source, target, _ = planted(14)
    named = pd.DataFrame(source[0], columns=list("abcdef"))
    found = SyncR2(cv=3).fit(named, target)
    assert found.feature_names_in_.tolist() == list("abcdef")
    found.fit(source, target)
    assert not hasattr(found, "feature_names_in_")
    with pytest.raises(ValueError, match="X has 1 layer, but SyncR2 was fitted with 3"):
        found.predict(named)


def test_scikit_learn_s_own_searches_take_it():
    source, target, _ = planted(15)
    scores = cross_val_score(SyncR2(cv=3), source[1], target[0], cv=KFold(3))
    splits = list(KFold(3).split(source[1]))
    np.testing.assert_allclose(scores, all_pairs([source[1]], target[:1], splits).ravel(), atol=1e-9)
    search = GridSearchCV(SyncR2(cv=3), {"penalty": [0.1, 1e6]}, cv=3).fit(source[1], target[0])
    assert search.best_params_ == {"penalty": 0.1}


def test_precision_and_memory_reach_the_engine(monkeypatch):
    source, target, _ = planted(16)
    asked = []

    def recorded(*args, **kwargs):
        asked.append(kwargs)
        return syncr2.layer_r2(*args, **kwargs)

    monkeypatch.setattr(estimator, "layer_r2", recorded)
    SyncR2(cv=3, precision="mixed", memory_gb=3.0).fit(source, target)
    assert asked == [{"device": "cpu", "precision": "mixed", "memory_gb": 3.0}] * 3


X, Y = np.random.default_rng(17).standard_normal((2, 3, 30, 4))
GROUPS = np.repeat(np.arange(6), 5)
TURN_BY_TURN = [(range(10, 20), range(10)), (range(20, 30), range(10, 20)), (range(10), range(20, 30))]
# By what is wrong: the argument that is, and what is said.
REFUSED = {
    "samples": ({"y": Y[:, :29]}, "same samples, row i of y for row i of X; found 30 and 29"),
    "layers": ({"X": [X[0], X[1][:29]]}, r"Layers of X must have the same samples; found \[30, 29\]"),
    "order": ({"X": X.swapaxes(0, 1)}, r"X is \(30, 3, 4\): 30 layers of 3 samples. Layers come first"),
    "no layer": ({"X": X[:0]}, r"X is \(0, 30, 4\); at least 1 layer"),
    "dimensions": ({"y": Y[None]}, "In y: Found array with dim 4"),
    "flat layer": ({"X": [X[0], X[1][:, 0]]}, r"In X\[1\]: Expected 2D array, got 1D"),
    "not finite": (
        {"y": [Y[0], Y[1] * np.nan]},
        r"In y\[1\]: Input contains NaN",
    ),
    "words": ({"X": [["a"] * 3] * 30}, "In X: .* numeric"),
    "agents": ({"X": {"agent1": X}}, "In X: "),
    "no target": ({"y": None}, "the target y is None"),
    "groups": ({"groups": GROUPS[:29]}, r"groups must be \(30,\).*found shape \(29,\)"),
    "one group": ({"groups": GROUPS * 0}, "All samples are of one group"),
    "no groups": (
        {"cv": GroupKFold(3)},
        "30 samples of no groups: The 'groups' parameter should not be None",
    ),
    "few groups": ({"cv": 7, "groups": GROUPS}, "cv=GroupKFold.* of 6 groups: Cannot have number of splits"),
    "across": (
        {"cv": ShuffleSplit(2, random_state=0), "groups": GROUPS},
        "Split 0 .* has group 0 in training",
    ),
    "overlap": ({"cv": [([0, 1, 2], [2, 3])]}, "Split 0 .* has sample 2 in training and test"),
    "no such row": ({"cv": [([0, 1], [2, 30])]}, "index 30 is out of bounds"),
    "small side": ({"cv": 30}, "Split 0 has 29 training and 1 test rows of 30 samples"),
    "no splits": ({"cv": []}, "gives no splits"),
    "target layer": ({"target_layer": "best"}, "target_layer must be one of max, nested; found 'best'"),
    "nested split": ({"target_layer": "nested"}, "Choosing penalty or target layer on inner folds needs"),
    "two folds": ({"target_layer": "nested", "cv": 2}, "in at least 3 folds"),
    "penalties": (
        {"penalty": [1, 10], "cv": ShuffleSplit(3, test_size=10, random_state=0)},
        "tests every row once",
    ),
    "fewer trained": ({"penalty": [1, 10], "cv": TURN_BY_TURN}, "trains on all others"),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
@pytest.mark.filterwarnings("ignore:The groups parameter is ignored")
def test_what_does_not_fit_together_is_refused_in_words(change, said):
    given = {"X": X, "y": Y, "groups": None} | change
    data = [given.pop(name) for name in ("X", "y", "groups")]
    with pytest.raises(SyncR2Error, match=said) as refused:
        SyncR2(**given).fit(*data)
    assert isinstance(refused.value, ValueError), "scikit-learn's tools expect one"


@pytest.mark.parametrize(
    ("param", "said"),
    [
        ({"penalty": -1.0}, "found -1"),
        ({"penalty": []}, "penalty must be"),
        ({"precision": "half"}, "precision must be"),
        ({"device": "tpu"}, "device must be"),
    ],
)
def test_the_engine_s_own_refusals_pass_through(param, said):
    with pytest.raises(SyncR2Error, match=said):
        SyncR2(**param).fit(X, Y)


@pytest.mark.parametrize(
    ("new_X", "new_y", "said"),
    [
        (X[:2], Y, "X has 2 layers, but SyncR2 was fitted with 3"),
        (X[:, :, :3], Y, "X has 3 features in layer ., but SyncR2 is expecting 4"),
        (X, Y[0], "y has 1 layer, but SyncR2 was fitted with 3"),
        (X, Y[:, :20], r"of y is \(20, 4\), but its prediction from X \(30, 4\)"),
        (X[:, :1], Y[:, :1], r"y is \(3, 1, 4\); at least 1 layer and 2 samples"),
    ],
)
def test_new_data_that_differ_from_the_fitted_are_refused(new_X, new_y, said):
    with pytest.raises(SyncR2Error, match=said):
        SyncR2(cv=3).fit(X, Y).score(new_X, new_y)


def test_more_layers_than_samples_are_taken_as_a_list_and_from_disk(tmp_path):
    many = np.random.default_rng(18).standard_normal((40, 12, 2))
    assert SyncR2(cv=3).fit(list(many), X[0, :12]).r2_.shape == (3, 40, 1)
    states = AgentStates(many, [StateRow(f"e{i}", "v", 0, 1, 1, 1) for i in range(12)])
    write_states(tmp_path / "states.h5", {"agent1": states, "agent2": states}, {})
    on_disk = syncr2.open_states(tmp_path / "states.h5")["agent1"]
    assert SyncR2(cv=3).fit(on_disk, X[0, :12]).r2_.shape == (3, 40, 1)
    found = SyncR2(cv=3).fit(X, Y)
    assert found.predict(X[:, :2]).shape == (2, 4), "new rows may be fewer than layers"


def test_the_example_in_its_docstring():
    assert doctest.testmod(estimator).attempted > 4
    assert doctest.testmod(estimator).failed == 0


def test_the_package_is_imported_without_scikit_learn():
    told = (
        "import sys, syncr2; print('sklearn' in sys.modules); syncr2.SyncR2; print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_page_prints_what_it_says():
    page = (REPOSITORY / "docs/estimator.md").read_text()
    blocks = re.findall(r"\n\n((?:    .*\n|\n(?=    ))+)", page)
    code = [textwrap.dedent(block) for block in blocks if "import syncr2" in block]
    shown = page.split("It prints\n\n")[1].split("\n\n")[0]
    assert len(code) == 1
    printed = io.StringIO()
    # On a busy machine, threads that wait for each other make small products a hundred times slower.
    with contextlib.redirect_stdout(printed), threadpool_limits(1):
        exec(compile(code[0], "docs/estimator.md", "exec"), {})
    assert printed.getvalue() == textwrap.dedent(shown) + "\n"
