"""Can SyncR² be trusted? Planted synchrony is found, planted nothing is not, intervals hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from syncr2 import directed_sync, layer_r2
from syncr2.maps import nulls
from syncr2.maps.banded import Candidates, fit_blocks, layer_block
from syncr2.maps.folds import environment_folds, fold_of
from syncr2.maps.intervals import interval, multipliers
from syncr2.maps.nested import Clusters, Computing, Folded, Selection, score
from syncr2.maps.nulls import dialogue_permutations, p_value, r2_null, row_permutations


def coupled(rng, n, width, share, layers=1):
    """A source, and target layers of which it explains a known share of the variance of every dimension."""
    source = rng.standard_normal((1, n, 6))
    mixing = rng.standard_normal((layers, 6, width))
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    signal, noise = source @ mixing, rng.standard_normal((layers, n, width))
    return source, np.sqrt(share) * signal + np.sqrt(1 - share) * noise


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_synchrony_of_known_strength_is_recovered(share):
    source, target = coupled(np.random.default_rng(0), 4000, 20, share)
    found = directed_sync(layer_r2(source, target, np.arange(3200), np.arange(3200, 4000)))
    # 6 of 3,200 degrees of freedom go into the map; the rest is sampling.
    assert found == pytest.approx(share, abs=0.02)


def test_width_and_depth_of_the_target_do_not_matter():
    rows = np.arange(3200), np.arange(3200, 4000)
    narrow, wide = (
        directed_sync(layer_r2(*coupled(np.random.default_rng(1), 4000, width, 0.4), *rows))
        for width in (5, 200)
    )
    assert wide == pytest.approx(narrow, abs=0.03)
    source, target = coupled(np.random.default_rng(2), 1000, 10, 0.4)
    rows = np.arange(800), np.arange(800, 1000)
    once = directed_sync(layer_r2(source, target, *rows))
    deep = directed_sync(layer_r2(np.repeat(source, 3, axis=0), np.repeat(target, 7, axis=0), *rows))
    assert deep == pytest.approx(once, abs=1e-12), "copies of a layer add nothing"


def unrelated_dialogues(rng, n_dialogues=15, turns=3):
    """Two agents whose states drift within each dialogue, each for itself."""
    shape = (2, n_dialogues * turns, 2)
    states = []
    for _ in range(2):
        offset = np.repeat(rng.standard_normal((2, n_dialogues, 2)), turns, axis=1)
        states.append(offset + 0.7 * rng.standard_normal(shape))
    dialogue, turn = np.repeat(np.arange(n_dialogues), turns), np.tile(np.arange(turns), n_dialogues)
    return *states, dialogue, turn


def permutation_p(source, target, dialogue, turn, name, clipped=True, n_draws=39, n_folds=3):
    """Without clipping the statistic has no ties at 0."""
    fold = dialogue % n_folds
    cells = [i % n_folds for i in range(dialogue.max() + 1)]
    rows = row_permutations(dialogue_permutations(cells, n_draws, name, cells), dialogue, turn)
    null = r2_null(source, target, fold, rows, 0.1, Computing())
    if not clipped:
        return p_value(null.observed.max(axis=1).mean(), null.draws.max(axis=2).mean(axis=1))
    return p_value(directed_sync(null.observed), np.array([directed_sync(draw) for draw in null.draws]))


def test_p_is_uniform_where_nothing_was_planted():
    data = [unrelated_dialogues(np.random.default_rng(seed)) for seed in range(1000, 1400)]
    p = np.array([permutation_p(*each, f"uniform {i}", clipped=False) for i, each in enumerate(data)])
    # p has 40 values; within each step it is spread out, so that a continuous test applies.
    spread = p - np.random.default_rng(0).uniform(0, 1 / 40, len(p))
    assert kstest(spread, "uniform").pvalue > 0.05
    assert (p <= 0.05).mean() <= 0.06
    clipped = np.array([permutation_p(*each, f"uniform {i}") for i, each in enumerate(data[:200])])
    assert (clipped <= 0.05).mean() <= 0.06


def test_p_is_uniform_where_draws_share_arrangements(monkeypatch):
    # As few as there can be: 4 of every fold, so that dependence between draws would show.
    monkeypatch.setattr(nulls, "ARRANGEMENTS", 4)
    assert nulls.n_arrangements(39, 5) == 4
    p = []
    for seed in range(2000, 2400):
        data = unrelated_dialogues(np.random.default_rng(seed))
        p.append(permutation_p(*data, f"shared {seed}", clipped=False, n_folds=5))
    spread = np.array(p) - np.random.default_rng(0).uniform(0, 1 / 40, len(p))
    assert kstest(spread, "uniform").pvalue > 0.05
    assert (np.array(p) <= 0.05).mean() <= 0.06


def test_p_is_small_where_synchrony_was_planted():
    found = []
    for seed in range(20):
        source, target, dialogue, turn = unrelated_dialogues(np.random.default_rng(seed))
        found.append(permutation_p(source, target + source, dialogue, turn, f"planted {seed}"))
    assert np.mean(np.array(found) <= 0.05) >= 0.9


@pytest.mark.parametrize(("n_environments", "n_rows"), [(12, 20), (24, 8), (60, 20)])
def test_intervals_cover_the_expected_value_about_as_often_as_they_say(n_environments, n_rows):
    n_data = 250
    names = [f"environment {i}" for i in np.repeat(np.arange(n_environments), n_rows)]
    environment = np.repeat(np.arange(n_environments), n_rows)
    fold = fold_of(names, environment_folds(names, 4, 0))
    chosen = Selection(np.ones((4, 1)), np.zeros((4, 1), dtype=int))
    found = []
    for seed in range(n_data):
        rng = np.random.default_rng(seed)
        shared = rng.standard_normal((n_environments, 3))[environment]
        source = shared + rng.standard_normal((1, len(names), 3))
        target = source @ np.eye(3) + 0.5 * shared + 1.5 * rng.standard_normal((1, len(names), 3))
        # Each data set has its own multipliers, as an experiment with other environments would.
        there = tuple(f"{seed} {i}" for i in range(n_environments))
        (measured,) = score(source, target, fold, chosen, Clusters(environment, there), Computing())
        value = measured.r2.mean()
        found.append(interval(value, value + multipliers(there, 300) @ measured.influence[:, 0]))
    expected = np.mean([each.value for each in found])
    covered = np.mean([each.low <= expected <= each.high for each in found])
    assert 0.92 <= covered <= 0.98


def drifting(rng, n_environments=24, turns=8, coupling=0.0):
    """Two agents that drift with their dialogue; coupled, the target also takes up the source's news."""
    rows = []
    for environment in range(n_environments):
        for seed in range(3):
            offset, slope = rng.standard_normal((2, 4)) * [[2.0], [0.3]]
            news, noise = 0.3 * rng.standard_normal((turns, 4)), 0.05 * rng.standard_normal((turns, 4))
            trend = offset + slope * np.arange(turns)[:, None] / turns
            a, b = trend + news, trend + noise
            b[1:] += coupling * news[:-1]
            rows += [(environment, seed, turn, a[turn], b[turn]) for turn in range(turns)]
    return rows


@pytest.mark.parametrize(("coupling", "low", "high"), [(0.0, -0.01, 0.003), (2.0, 0.03, 0.5)])
def test_a_shared_slow_trend_fools_synchrony_but_not_what_is_added_to_the_own_past(coupling, low, high):
    rows = drifting(np.random.default_rng(3), coupling=coupling)
    kept = [i for i, row in enumerate(rows) if row[2] >= 2]
    environment = np.array([rows[i][0] for i in kept])
    source, target, past = (
        np.stack([rows[i - back][agent] for i in kept])[None] for agent, back in ((3, 1), (4, 0), (4, 2))
    )
    names = [f"e{i}" for i in environment]
    fold = fold_of(names, environment_folds(names, 4, 0))
    folded = Folded.of(fold)
    past_block, source_block = (layer_block(stack, 0, folded, Computing()) for stack in (past, source))
    clusters = Clusters(environment, tuple(f"e{i}" for i in range(24)))
    chosen = np.zeros((4, 1), dtype=int)

    def found(candidates):
        fitted = fit_blocks(
            lambda f, i: candidates, lambda f, i: None, target, chosen, fold, clusters, Computing()
        )
        return fitted.score.r2.mean()

    assert found(Candidates((source_block,), [(1.0,)])) > 0.8, "the trend alone looks like synchrony"
    past_alone = Candidates((past_block,), [(1.0,)])
    gain = found(past_alone.beside(0, source_block, (0.1, 10, 1000))) - found(past_alone)
    assert low < gain < high
