"""Prompts side by side in one row give what each gives alone, or the model is known not to allow it."""

from __future__ import annotations

import logging

import pytest
import torch
from tiny_models import COMMON, WINDOW, alone, growing_prompts, tiny_model, with_weights_of

from syncr2.replay import packed
from syncr2.replay.bundles import Layout, bundles
from syncr2.replay.packed import can_pack, read_packed

CLOSE = {"rtol": 0, "atol": 2e-5}
PACKED = (
    "llama",
    "tied llama",
    "mistral",
    "mistral, window",
    "mistral, wide window",
    "qwen2",
    "qwen2, window in some layers",
    "qwen3",
    "gemma2",
    "gemma3",
    "phi3",
    "phi3, longrope",
    "llama, dynamic rope",
    "gpt-neox",
    "gpt-2",
    "opt",
)
NOT_PACKED = ("falcon", "bloom", "mamba")
# Those whose positions do not change beyond a short length.
LONG = [kind for kind in PACKED if "rope" not in kind]


def network_of(kind, attention=None):
    if attention is None:
        return tiny_model(kind).base_model
    model = with_weights_of(kind)
    model.set_attn_implementation(attention)
    return model.base_model


def both_ways(network, dialogues):
    """Read in one row, and one by one."""
    found = read_packed(network, Layout([bundles(prompts) for prompts in dialogues]))
    return found, torch.stack([alone(network, prompt) for prompts in dialogues for prompt in prompts])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", LONG)
def test_same_as_each_prompt_alone(kind, attention, monkeypatch):
    """Windows exceeded, trunks and branches cut into several blocks, prompts that differ early."""
    monkeypatch.setattr(packed, "BLOCK", 16)
    network = network_of(kind, attention)
    dialogues = growing_prompts(11, (5, 1, 4))
    dialogues.append([dialogues[0][2][: WINDOW + 9], [*dialogues[0][3][:6], *range(50, 90)]])
    assert max(len(prompt) for prompts in dialogues for prompt in prompts) > WINDOW + 20
    found, expected = both_ways(network, dialogues)
    torch.testing.assert_close(found, expected, **CLOSE)
    assert network.config._attn_implementation == attention


def test_a_window_of_another_prompt_would_show(monkeypatch):
    """The test above would pass with masks that ignore windows only if the windows cut nothing off."""
    network = network_of("mistral, window")
    dialogues = growing_prompts(11, (5, 1))
    monkeypatch.setattr(
        packed, "_sight", lambda layout, own, **_: packed._Sight(layout, own, lambda q, k: k <= q)
    )
    found, expected = both_ways(network, dialogues)
    assert (found - expected).abs().max() > 0.1


@pytest.mark.parametrize("kind", PACKED)
def test_these_can_be_packed(kind, caplog):
    assert can_pack(network_of(kind))
    assert not [record for record in caplog.records if record.name == "root"]


@pytest.mark.parametrize("kind", NOT_PACKED)
def test_these_cannot(kind):
    assert not can_pack(network_of(kind))


def test_plain_causal_trunks_need_no_mask(monkeypatch):
    """They are most of the work, and go to the fastest attention that there is."""
    import transformers.integrations.sdpa_attention as module

    masks = []
    forward = module.sdpa_attention_forward

    def recorded(layer, query, key, value, mask, **options):
        masks.append((query.shape[2], None if mask is None else tuple(mask.shape)))
        return forward(layer, query, key, value, mask, **options)

    monkeypatch.setattr(module, "sdpa_attention_forward", recorded)
    prompts = [[*range(20, 60), 7, 8], [*range(20, 70), 7, 8]]
    layout = Layout([bundles(prompts)])
    read_packed(network_of("mistral, wide window"), layout)
    assert masks == [(52, None), (2, (1, 1, 2, 54))] * COMMON["num_hidden_layers"]


def test_a_trial_that_fails_rules_it_out(caplog, monkeypatch):
    network = with_weights_of("llama").base_model
    forward = network.layers[1].self_attn.forward

    def reads_the_mask(*args, attention_mask, **kwargs):
        return forward(*args, attention_mask=attention_mask[:, :, :, :5], **kwargs)

    monkeypatch.setattr(network.layers[1].self_attn, "forward", reads_the_mask)
    with caplog.at_level(logging.WARNING):
        assert not can_pack(network)
    assert "LlamaModel cannot read prompts in one row: TypeError" in caplog.text
    assert network.config._attn_implementation == "sdpa"


def test_tokens_that_meet_outside_attention_rule_it_out(caplog):
    """What no class says of itself shows in the trial."""
    network = with_weights_of("llama").base_model

    def shift(block, inputs, output):
        return output + torch.nn.functional.pad(output, (0, 0, 1, 0))[:, :-1]

    network.layers[1].register_forward_hook(shift)
    with caplog.at_level(logging.WARNING):
        assert not can_pack(network)
    assert "LlamaModel reads prompts in one row otherwise than alone" in caplog.text


def test_blocks_that_move_what_they_get():
    """Hooks as they are put on the blocks of a model that lies on several GPUs."""
    hooks = pytest.importorskip("accelerate.hooks")
    model = with_weights_of("mistral, window")
    for block in model.model.layers:
        device = torch.device("cpu")
        hooks.add_hook_to_module(block, hooks.AlignDevicesHook(device, io_same_device=True))
    assert can_pack(model.base_model)
    torch.testing.assert_close(*both_ways(model.base_model, growing_prompts(12, (3, 2))), **CLOSE)


def test_half_precision():
    network = with_weights_of("gemma2").to(torch.bfloat16).base_model
    assert can_pack(network)
    found, expected = both_ways(network, growing_prompts(13, (4, 2)))
    assert found.dtype == torch.bfloat16
    assert (found - expected).float().norm() < 0.05 * expected.float().norm()
