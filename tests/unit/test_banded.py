"""Maps from several blocks of features: against scikit-learn, by features and by kernels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from syncr2.errors import SyncR2Error
from syncr2.maps.banded import Block, Candidates, fit_blocks, layer_block
from syncr2.maps.nested import Clusters, Computing, Folded

N_FOLDS, N = 4, 120


def problem(widths, d=3, scale=1.0, seed=0):
    """Blocks of features that predict a target in part, and a fold of each row."""
    rng = np.random.default_rng(seed)
    blocks = [scale * rng.normal(size=(N, width)) + 5 for width in widths]
    mixed = sum(block[:, :1] @ rng.normal(size=(1, d)) / scale for block in blocks)
    return blocks, (mixed + rng.normal(size=(N, d)))[None], rng.permutation(np.arange(N) % N_FOLDS)


def fitted(blocks, target, fold, penalties):
    folded = Folded.of(fold)
    candidates = Candidates(
        tuple(layer_block(block[None], 0, folded, Computing()) for block in blocks), penalties
    )
    clusters = Clusters(np.arange(N) // 4, tuple(f"e{i}" for i in range(N // 4)))
    chosen = np.zeros((N_FOLDS, 1), dtype=int)
    return fit_blocks(lambda f, i: candidates, lambda f, i: None, target, chosen, fold, clusters, Computing())


def by_sklearn(blocks, target, fold, penalties):
    """R² of each outer fold with the penalties that are best on the others."""
    y = target[0]

    def r2(chosen, train, test):
        features = np.column_stack(
            [block / np.sqrt(each) for block, each in zip(blocks, chosen, strict=True)]
        )
        return Ridge(alpha=1.0).fit(features[train], y[train]).score(features[test], y[test])

    found, choices = [], []
    for outer in range(N_FOLDS):
        inner = [
            np.mean(
                [
                    r2(chosen, (fold != outer) & (fold != test), fold == test)
                    for test in range(N_FOLDS)
                    if test != outer
                ]
            )
            for chosen in penalties
        ]
        choices.append(int(np.argmax(inner)))
        found.append(r2(penalties[choices[-1]], fold != outer, fold == outer))
    return np.array(found), choices


@pytest.mark.parametrize(
    "widths",
    [(4,), (6, 5), (30, 20, 9), (59, 1), (60, 1), (200,), (70, 80), (3, 150)],
    ids=lambda widths: "+".join(map(str, widths)),
)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_every_width_of_blocks_gives_what_scikit_learn_gives(widths, scale):
    """60 rows are the fewest to learn from: there features give way to kernels."""
    blocks, target, fold = problem(widths, scale=scale)
    penalties = [
        tuple(scale**2 * (1.0 if i % 2 else factor) for i in range(len(widths))) for factor in (0.1, 10, 300)
    ]
    found = fitted(blocks, target, fold, penalties)
    wanted, choices = by_sklearn(blocks, target, fold, penalties)
    np.testing.assert_allclose(found.score.r2[:, 0], wanted, rtol=0, atol=1e-8)
    assert found.choice[:, 0].tolist() == choices


def test_another_block_is_set_beside_the_penalties_that_were_chosen():
    first, second = (Block(lambda: np.ones((2, 1)), 1) for _ in range(2))
    alone = Candidates((first,), [(0.1,), (10.0,)])
    both = alone.beside(1, second, (1.0, 2.0))
    assert both == Candidates((first, second), [(10.0, 1.0), (10.0, 2.0)])


def test_a_system_without_a_solution_says_what_to_change():
    blocks, target, fold = problem((5,))
    blocks[0][:, 1] = blocks[0][:, 0]
    with pytest.raises(SyncR2Error, match="larger ones"):
        fitted([1e12 * blocks[0]], target, fold, [(1e-6,)])
