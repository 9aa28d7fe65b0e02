"""Attention over shared heads without copies: the same numbers, and only where it fits."""

from __future__ import annotations

import pytest
import torch
from tiny_models import alone, growing_prompts, tiny_model, with_weights_of
from torch.nn.functional import scaled_dot_product_attention

from syncr2.replay import attention
from syncr2.replay.attention import NAME, share_heads
from syncr2.replay.growing import Reader


@pytest.mark.parametrize("kind", ["llama", "mistral, window", "qwen2, window in some layers", "phi3"])
def test_same_logits(kind, monkeypatch):
    model = with_weights_of(kind)
    share_heads(model)
    assert model.config._attn_implementation == NAME
    calls = []

    def counted(query, key, value, **options):
        calls.append(query.shape)
        return scaled_dot_product_attention(query, key, value, **options)

    monkeypatch.setattr(attention, "scaled_dot_product_attention", counted)
    dialogues = [prompts[0] for prompts in growing_prompts(6, (1, 1, 1))]
    reader = Reader(model, room=2)
    found = reader.read(range(3), dialogues)
    assert not calls, "prompts are left to transformers"
    for token in (30, 40):
        found = reader.extend([token] * 3)
        dialogues = [[*prompt, token] for prompt in dialogues]
    # 3 layers x 2 tokens; 4 heads share 2, so each shared head answers 2 queries.
    assert calls == [(3, 2, 2, 4)] * 6
    for row, prompt in enumerate(dialogues):
        torch.testing.assert_close(found[row], alone(tiny_model(kind), prompt), rtol=0, atol=3e-5)


@pytest.mark.parametrize("kind", ["gpt-neox", "bloom"])
def test_models_without_shared_heads_stay_as_they_are(kind):
    model = with_weights_of(kind)
    before = model.config._attn_implementation
    share_heads(model)
    assert model.config._attn_implementation == before


def test_another_attention_is_not_replaced():
    model = with_weights_of("llama")
    model.set_attn_implementation("eager")
    share_heads(model)
    assert model.config._attn_implementation == "eager"
