"""Prompts that begin alike share a trunk; every one of them can be told from its bundle and its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from syncr2.replay.bundles import NO_BRANCH, Layout, bundles


def grown(rng, n, closing=3):
    """Prompts of a dialogue: each repeats the last but for its closing tokens."""
    history, prompts = rng.integers(10, 99, 40).tolist(), []
    for _ in range(n):
        prompts.append([*history, *range(closing)])
        history += rng.integers(10, 99, 12).tolist()
    return prompts


def spelled(bundle, n):
    """The prompts that a bundle stands for, by number."""
    prompts = {bundle.prompt: list(bundle.trunk)}
    for branch in bundle.branches:
        prompts[branch.prompt] = [*bundle.trunk[: branch.kept], *branch.ids]
    return prompts


@pytest.mark.parametrize("seed", range(5))
def test_every_prompt_is_in_one_bundle(seed):
    rng = np.random.default_rng(seed)
    prompts = [*grown(rng, 4), [*grown(rng, 1)[0]], [5], [5, 6], [5], *grown(rng, 3)]
    prompts = [prompts[i] for i in rng.permutation(len(prompts))]
    found: dict[int, list[int]] = {}
    for bundle in bundles(prompts):
        found |= spelled(bundle, len(prompts))
    assert [found[i] for i in range(len(prompts))] == prompts


def test_a_dialogue_is_one_bundle_and_computes_each_token_once():
    prompts = grown(np.random.default_rng(0), 5)
    (bundle,) = bundles(prompts)
    assert bundle.prompt == 4
    assert bundle.n_tokens == len(prompts[4]) + 4 * 3
    assert [branch.prompt for branch in bundle.branches] == [3, 2, 1, 0]


def test_a_prompt_that_differs_early_is_a_trunk_of_its_own():
    """As its branch it would cost more than alone, for a branch looks at the whole trunk."""
    prompts = [list(range(100)), [*range(49), *range(200, 250)], [*range(50), *range(300, 350)]]
    found = bundles(prompts)
    assert [(bundle.prompt, [branch.prompt for branch in bundle.branches]) for bundle in found] == [
        (0, [2]),
        (1, []),
    ]


def test_a_prompt_that_another_begins_with_computes_nothing():
    (bundle,) = bundles([[1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4]])
    assert bundle.n_tokens == 4
    layout = Layout([[bundle]])
    assert layout.last.tolist() == [2, 3, 3]


def test_layout_of_two_dialogues():
    first = [[1, 2, 3, 7], [1, 2, 3, 4, 5, 7]]
    second = [[8, 9]]
    layout = Layout([bundles(first), bundles(second)])
    assert layout.ids.tolist() == [[1, 2, 3, 4, 5, 7, 7, 8, 9]]
    assert layout.positions.tolist() == [[0, 1, 2, 3, 4, 5, 3, 0, 1]]
    # The first prompt ends in its branch, the second in the trunk.
    assert layout.last.tolist() == [6, 5, 8]
    assert [part.begin for part in layout.parts] == [0, 7]
    assert layout.parts[0].branch.tolist() == [NO_BRANCH] * 6 + [0]


@pytest.mark.parametrize("window", [None, 6])
def test_a_token_sees_its_own_prompt_and_no_other(window):
    """Every pair of tokens, against the prompts written out."""

    def rule(queries, keys):
        return (keys <= queries) & (keys > queries - (window or 10**6))

    rng = np.random.default_rng(3)
    prompts = grown(rng, 4)
    layout = Layout([bundles(prompts)])
    (part,) = layout.parts
    n = layout.ids.shape[1]
    seen = torch.zeros(n, n, dtype=torch.bool)
    for begin, end in ((0, 30), (30, part.n_trunk), (part.n_trunk, part.n_trunk + 4), (part.n_trunk + 4, n)):
        first, last, mask = part.visible(rule, begin, end)
        assert mask.shape == (end - begin, last - first)
        seen[begin:end, first:last] = mask
        assert first == 0 or window
    for prompt, place in zip(prompts, layout.last.tolist(), strict=True):
        # Follow the tokens of the prompt back from its last one.
        visible = seen[place].nonzero()[:, 0]
        visible = visible[layout.positions[0, visible].argsort()]
        length = min(len(prompt), window or len(prompt))
        assert layout.ids[0, visible].tolist() == prompt[-length:]
        assert layout.positions[0, visible].tolist() == list(range(len(prompt) - length, len(prompt)))
