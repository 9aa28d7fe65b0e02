"""The benchmarks of replay and storage: all ways give the same states, and counts are right."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from tiny_models import tiny_model

from syncr2.provenance import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import replay as replay_bench
import replay_gpu
import replay_ways
import storage


@pytest.fixture
def short(monkeypatch):
    """Made-up dialogues of a few tokens."""
    for name, value in {"OPENING": (30, 40), "ROUND": (5, 12), "CLOSING": 3}.items():
        monkeypatch.setattr(replay_ways, name, value)


def test_every_way_gives_the_same_states(short, tmp_path):
    model = tiny_model("mistral, window")
    dialogues = replay_ways.made_up_dialogues(3, 8, 300)
    assert [len(prompts) for prompts in dialogues] == [4, 4, 4]
    for name, way in replay_ways.WAYS.items():
        np.save(tmp_path / f"{name}.npy", way(model, dialogues))
    for name in replay_ways.WAYS:
        found = replay_bench.differences(tmp_path / f"{name}.npy", tmp_path / "alone.npy")
        assert found["largest"] < 3e-5
        # Behind the final norm in one of them.
        assert (found["last_layer"] > 0.1) == (name == "output_hidden_states")


def test_made_up_prompts_are_of_real_length():
    prompts = replay_ways.made_up_dialogues(20, 16, 4096)
    assert {len(prompt) // 100 for dialogue in prompts for prompt in dialogue[:1]} <= {6, 7, 8}
    assert 1800 < np.mean([len(dialogue[-1]) for dialogue in prompts]) < 2200


def test_operations_are_those_of_the_products(short):
    """Against torch's own count of a network that reads one prompt, which takes all pairs of tokens."""
    from torch.utils.flop_counter import FlopCounterMode

    model = replay_gpu.random_model(
        {**replay_ways.COMMON, **replay_ways.TINY, "num_attention_heads": 4}, "cpu"
    )
    network, n = model.float().base_model, 33
    network.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(input_ids=torch.arange(n)[None], use_cache=False)
    n_heads_size = 16
    pairs_above = n * (n - 1) / 2
    expected = counter.get_total_flops() - 4 * pairs_above * n_heads_size * 2
    # The norms' weights are no products: counted here, and so few as not to matter.
    assert replay_gpu.flops(model, [(0, n)]) == pytest.approx(expected, rel=0.05)
    split = replay_gpu.flops(model, [(0, 20), (20, n)])
    assert split == pytest.approx(replay_gpu.flops(model, [(0, n)]))


def test_reuse_computes_each_token_once(short):
    dialogues = replay_ways.made_up_dialogues(2, 8, 300)
    once = sum(end - first for first, end in replay_gpu.runs_of(dialogues, reuse=True))
    # A closing token may happen to be the one that is said there.
    assert 0 <= sum(len(prompts[-1]) + 3 * 3 for prompts in dialogues) - once <= 2
    whole = replay_gpu.runs_of(dialogues, reuse=False)
    assert sum(end for _, end in whole) == sum(len(p) for prompts in dialogues for p in prompts)


def test_gpu_script_runs_on_a_tiny_shape(short, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["replay_gpu.py", "--tiny", "--dialogues", "2", "--peak", "1", "--out", str(tmp_path)]
    )
    replay_gpu.main()
    text = (tmp_path / "replay_gpu.md").read_text()
    assert "| ours, streamed to a file |" in text
    assert "GPU hours" in text


def test_both_layouts_give_the_same_layer(tmp_path):
    ours, published = tmp_path / "ours", tmp_path / "published"
    for folder, write in ((ours, storage.write_ours), (published, storage.write_published)):
        folder.mkdir()
        write(folder, 10, 3, 5)
    assert len(list(published.iterdir())) == 2 * 10 * storage.PROMPTS
    first = np.load(published / "agent2-episode-9-turn-7.npy")
    opened = storage.open_states(ours / "states.h5")["agent2"]
    for layer in range(3):
        np.testing.assert_allclose(opened[layer][9 * 8 + 7], first[layer], rtol=1e-3, atol=1e-3)
    # float16 and float32: half the bytes of the same numbers.
    assert 2 * storage.reader_of_ours(ours)(1) == storage.reader_of_published(published)(1)
