"""Models of real classes, a few thousand random weights each, and growing prompts for them to read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

# More than one thread only gets in the way of networks as small as these.
torch.set_num_threads(1)

VOCABULARY = 300
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    # With the usual 0.02 the blocks of so narrow a network would hardly change anything.
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
WINDOW = 24
ROPE_LIMIT = 48
_LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.0],
    "long_factor": [4.0, 9.0],
    "original_max_position_embeddings": ROPE_LIMIT,
}
_DYNAMIC_ROPE = {"rope_type": "dynamic", "factor": 8.0, "rope_theta": 10000.0}

# kind: (class, what its configuration adds to COMMON)
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "tied llama": ("Llama", {"tie_word_embeddings": True}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mistral, window": ("Mistral", {"sliding_window": WINDOW}),
    "mistral, wide window": ("Mistral", {"sliding_window": 4000}),
    "qwen2": ("Qwen2", {}),
    "qwen2, window in some layers": (
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", {"head_dim": 4}),
    "gemma2": ("Gemma2", {"sliding_window": WINDOW, "head_dim": 4}),
    # Windows in all blocks but the third, and another base of the rotary positions within them.
    "gemma3": (
        "Gemma3",
        {
            "sliding_window": WINDOW,
            "head_dim": 4,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        },
    ),
    "phi3": ("Phi3", {}),
    "phi3, longrope": (
        "Phi3",
        {"rope_parameters": _LONG_ROPE, "original_max_position_embeddings": ROPE_LIMIT},
    ),
    "llama, dynamic rope": (
        "Llama",
        {"rope_parameters": _DYNAMIC_ROPE, "max_position_embeddings": ROPE_LIMIT},
    ),
    "gpt-neox": ("GPTNeoX", {"num_key_value_heads": 4}),
    "opt": ("OPT", {"ffn_dim": 24, "word_embed_proj_dim": 16}),
    "falcon": ("Falcon", {"alibi": False}),
    "gpt-2": ("GPT2", {"n_inner": 24}),
    "bloom": ("Bloom", {"n_layer": 3, "n_head": 4}),
    "mamba": ("Mamba", {"state_size": 4}),
}


def config_class(name: str) -> type[transformers.PreTrainedConfig]:
    """The configuration of a class of models; of one that also sees, that of its text part."""
    return getattr(transformers, "Gemma3TextConfig" if name == "Gemma3" else f"{name}Config")


@functools.cache
def tiny_model(kind: str) -> PreTrainedModel:
    """A model in float32; treat it as read-only."""
    name, changes = KINDS[kind]
    config = config_class(name)(**{**COMMON, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model.eval()


def with_weights_of(kind: str, **changes: Any) -> PreTrainedModel:
    """A model with the same weights and a changed configuration."""
    like = tiny_model(kind)
    config = type(like.config)(**{**COMMON, **KINDS[kind][1], **changes})
    model = type(like)(config)
    model.load_state_dict(like.state_dict())
    return model.eval()


def growing_prompts(seed: int, n_turns: Sequence[int], length: int = 30) -> list[list[list[int]]]:
    """Prompts of one agent in a few dialogues: each repeats the last but for its three closing tokens.

    Parameters
    ----------
    seed : int
    n_turns : sequence of int
        Number of prompts in each dialogue.
    length : int
        Least tokens of a first prompt.
    """
    rng = np.random.default_rng(seed)

    def tokens(low: int, high: int) -> list[int]:
        return rng.integers(10, VOCABULARY, rng.integers(low, high)).tolist()

    dialogues = []
    for n in n_turns:
        history, prompts = tokens(length, length + 25), []
        for _ in range(n):
            prompts.append([*history, 7, 8, 9])
            history += tokens(1, 14)
        dialogues.append(prompts)
    return dialogues


@torch.inference_mode()
def alone(network: PreTrainedModel, prompt: Sequence[int]) -> torch.Tensor:
    """The output at the last token of a prompt that is read alone, whole and without a cache."""
    return network(input_ids=torch.tensor([list(prompt)]), use_cache=False)[0][0, -1]


@functools.cache
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte (ids 0 to 255), a few longer ones, and a chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({character: i for i, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    for text in LONGER_TOKENS:
        tokenizer.add_tokens([AddedToken(text, normalized=False)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    fast.chat_template = "<ask>{{ messages[0]['content'] }}<answer>"
    return fast


LONGER_TOKENS = ("\n\n", "\n\nYes.\nNo", "Yes.\n", " \n", "\nWell")
