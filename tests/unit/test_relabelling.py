"""Permutation of model labels against explicit permutation of matrices, and on the published pairs."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from made_up_pairs import kinship, made_dyads, made_pairs
from scipy import stats
from shared import SHARED, missing

from syncr2.errors import SyncR2Error
from syncr2.statistics.correlation import partial_correlation
from syncr2.statistics.dyads import Dyads, dyads_by_family
from syncr2.statistics.relabelling import relabelling_test, relabellings


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("family", "expected"), [("family0", 6), ("cross", 36), ("all", 720)], ids=["one", "cross", "all"]
)
def test_models_trade_places_within_their_family_and_anywhere_among_all(family: str, expected: int) -> None:
    dyads = made_dyads(0, family=family)
    changed = relabellings(dyads, 50, rng())
    assert changed.exact
    assert len(np.unique(changed.pairs, axis=0)) == len(changed.pairs) == expected
    np.testing.assert_array_equal(changed.pairs[0], np.arange(len(dyads)))
    # A relabelling moves every pair, and a model with itself stays one.
    np.testing.assert_array_equal(
        np.sort(changed.pairs, axis=1), np.tile(np.arange(len(dyads)), (expected, 1))
    )
    alone = dyads.first == dyads.second
    np.testing.assert_array_equal(alone[changed.pairs], np.tile(alone, (expected, 1)))


def square(dyads: Dyads, values: np.ndarray) -> np.ndarray:
    n = len(dyads.models)
    found = np.full((n, n), np.nan)
    found[dyads.first, dyads.second] = found[dyads.second, dyads.first] = values
    return found


def orders(dyads: Dyads) -> list[np.ndarray]:
    """Every relabelling as a permutation of models, written out another way."""
    blocks = [np.flatnonzero(dyads.block == block) for block in np.unique(dyads.block)]
    found = []
    for chosen in product(*(permutations(block) for block in blocks)):
        order = np.arange(len(dyads.models))
        for block, moved in zip(blocks, chosen, strict=True):
            order[block] = moved
        found.append(order)
    return found


@pytest.mark.parametrize("family", ["family0", "cross", "all"])
@pytest.mark.parametrize("seed", range(3))
def test_p_is_the_share_of_permuted_matrices_that_correlate_as_much(seed: int, family: str) -> None:
    dyads = made_dyads(seed, family=family)
    x = square(dyads, dyads.x)
    where = dyads.first, dyads.second
    found = [stats.pearsonr(x[np.ix_(order, order)][where], dyads.y).statistic for order in orders(dyads)]
    observed = stats.pearsonr(dyads.x, dyads.y).statistic
    expected = np.mean([abs(r) >= abs(observed) - 1e-9 for r in found])
    assert relabelling_test(dyads, relabellings(dyads, 50, rng())).p == pytest.approx(expected)


@pytest.mark.parametrize("family", ["cross", "all"])
def test_with_a_covariate_what_it_leaves_is_permuted(family: str) -> None:
    dyads = made_dyads(1, family=family, covariate=True)
    design = np.column_stack([np.ones(len(dyads)), dyads.covariates])
    left = dyads.x - design @ np.linalg.lstsq(design, dyads.x, rcond=None)[0]
    matrix, where = square(dyads, left), (dyads.first, dyads.second)
    found = [
        partial_correlation(matrix[np.ix_(order, order)][where], dyads.y, dyads.covariates).r
        for order in orders(dyads)
    ]
    observed = partial_correlation(dyads.x, dyads.y, dyads.covariates).r
    assert abs(found[0]) == pytest.approx(abs(observed))
    expected = np.mean(np.abs(found) >= abs(observed) - 1e-9)
    assert relabelling_test(dyads, relabellings(dyads, 50, rng())).p == pytest.approx(expected)


def test_a_perfect_relation_has_the_smallest_p_there_is() -> None:
    pairs = made_pairs(np.random.default_rng(3), kinship(6))
    pairs["social_performance"] = 2 * pairs["sync_r2"] + 1
    for dyads, expected in zip(
        dyads_by_family(pairs, kinship(6)), (1 / 6, 1 / 36, 1 / 6, 1 / 720), strict=True
    ):
        assert relabelling_test(dyads, relabellings(dyads, 50, rng())).p == pytest.approx(expected)


def test_more_than_eight_models_are_drawn_and_drawn_again_alike() -> None:
    dyads = made_dyads(0, n_models=10, r=0.9)
    changed = relabellings(dyads, 500, rng())
    assert not changed.exact
    assert changed.pairs.shape == (500, 55)
    np.testing.assert_array_equal(changed.pairs[0], np.arange(55))
    np.testing.assert_array_equal(changed.pairs, relabellings(dyads, 500, rng()).pairs)
    found = relabelling_test(dyads, changed)
    assert (found.relabellings, found.exact) == (500, False)
    assert found.p >= 1 / 500
    # Eight are still taken all; so are ten in two families of five.
    assert len(relabellings(made_dyads(0, n_models=8), 50, rng()).pairs) == 40320
    assert len(relabellings(made_dyads(0, n_models=10, family="cross"), 50, rng()).pairs) == 14400


def test_some_pairs_are_moved_only_onto_each_other() -> None:
    families = kinship(4, 1)
    pairs = made_pairs(np.random.default_rng(0), families)
    # Without m0 and m1, those two can change places, and so can m2 and m3; nothing else can.
    some = pairs[~((pairs["model_1"] == "m0") & (pairs["model_2"] == "m1"))]
    dyads = dyads_by_family(some, families)[-1]
    assert len(relabellings(dyads, 50, rng()).pairs) == 4
    # A chain with one end marked by a pair with itself cannot change at all.
    keys = pairs["model_1"] + pairs["model_2"]
    chain = dyads_by_family(pairs[keys.isin(["m0m0", "m0m1", "m1m2"])], families)[-1]
    found = relabelling_test(chain, relabellings(chain, 50, rng()))
    assert found.relabellings == 1
    assert np.isnan(found.p)


@pytest.mark.parametrize("side", ["sync_r2", "social_performance"])
def test_no_p_where_nothing_varies(side: str) -> None:
    pairs = made_pairs(np.random.default_rng(0), kinship(4)).assign(**{side: 0.3})
    for dyads in dyads_by_family(pairs, kinship(4)):
        assert np.isnan(relabelling_test(dyads, relabellings(dyads, 50, rng())).p)


def test_published_pairs() -> None:
    if not (SHARED / "paper" / "published_pairs.csv").is_file():
        pytest.skip(missing("paper/published_pairs.csv"))
    pairs = pd.read_csv(SHARED / "paper" / "published_pairs.csv")
    families = pd.read_csv(SHARED / "paper" / "published_models.csv").set_index("model")["family"].to_dict()
    found, naive = {}, {}
    for dyads in dyads_by_family(pairs, families):
        found[dyads.name] = relabelling_test(dyads, relabellings(dyads, 50, rng()))
        naive[dyads.name] = stats.pearsonr(dyads.x, dyads.y).pvalue
    # The smallest p that three models can have is 1/6, the smallest of three and three 1/36.
    assert {name: round(each.p * each.relabellings) for name, each in found.items()} == {
        **{"mistral": 2, "llama": 1, "cross": 1, "all": 43},
    }
    assert {name: each.relabellings for name, each in found.items()} == {
        **{"mistral": 6, "llama": 6, "cross": 36, "all": 720},
    }
    assert all(found[name].p > naive[name] for name in found)
    assert naive["all"] < 0.001 < 0.05 < found["all"].p


def test_pairs_that_are_no_pairs_are_refused() -> None:
    families = kinship(4)
    pairs = made_pairs(np.random.default_rng(0), families)
    with pytest.raises(SyncR2Error, match="No family is known of m3"):
        dyads_by_family(pairs, {name: families[name] for name in ("m0", "m1", "m2")})
    turned = pairs.iloc[[1]].rename(columns={"model_1": "model_2", "model_2": "model_1"})
    with pytest.raises(SyncR2Error, match="m0 and m1 twice"):
        dyads_by_family(pd.concat([pairs, turned], ignore_index=True), families)
    with pytest.raises(SyncR2Error, match="lacks model_2"):
        dyads_by_family(pairs.drop(columns="model_2"), families)
