"""Anything that loads as a causal model works: its blocks, its limits, its way to end an answer."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from tiny_models import (
    COMMON,
    KINDS,
    alone,
    byte_tokenizer,
    config_class,
    tiny_model,
    with_weights_of,
)
from transformers import AutoModelForCausalLM, GenerationConfig

from syncr2.dialogues.chat import ChatEncoder
from syncr2.errors import SyncR2Error
from syncr2.models.loading import (
    ModelSource,
    context_length,
    find_blocks,
    load_config,
    load_encoder,
    load_model,
    load_untrained,
)
from syncr2.replay.growing import UNLIMITED, reuse_limit
from syncr2.speakers.lines import closing_tokens

PROMPT = [20, 30, 40, 50, 60, 70]
FINAL_NORM = {
    "gpt-neox": "gpt_neox.final_layer_norm",
    "opt": "model.decoder.final_layer_norm",
    "falcon": "transformer.ln_f",
    "gpt-2": "transformer.ln_f",
    "bloom": "transformer.ln_f",
    "mamba": "backbone.norm_f",
}


def source(folder, **changes):
    return ModelSource("tiny", str(folder), **changes)


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_states_are_what_transformers_calls_hidden_states(kind):
    """To the last bit; but for the last block, whose state is taken before the final norm."""
    model = tiny_model(kind)
    given = []
    handles = [
        block.register_forward_hook(lambda block, inputs, output: given.append(output))
        for block in find_blocks(model)
    ]
    output = model(input_ids=torch.tensor([PROMPT]), use_cache=False, output_hidden_states=True)
    for handle in handles:
        handle.remove()
    states = [(each[0] if isinstance(each, tuple) else each)[0, -1] for each in given]
    assert len(states) == COMMON["num_hidden_layers"] == len(output.hidden_states) - 1
    # Mamba's class leaves the embedding out, and has its last block both without and with the norm.
    named = output.hidden_states[1:] if kind != "mamba" else output.hidden_states[:2]
    for state, expected in zip(states[:-1], named[:2], strict=True):
        assert torch.equal(state, expected[0, -1])
    last = output.hidden_states[-1][0, -1]
    assert not torch.equal(states[-1], last)
    norm = model.get_submodule(FINAL_NORM.get(kind, "model.norm"))
    assert torch.equal(norm(states[-1]), last)


@pytest.mark.parametrize("kind", ["qwen3", "gemma3", "falcon", "gpt-2", "opt", "mamba"])
def test_a_family_makes_the_whole_way_from_a_folder(kind, tmp_path):
    tiny_model(kind).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    model, encoder = load_model(source(tmp_path), "cpu"), load_encoder(source(tmp_path))
    ids = encoder.encode("hello")
    assert torch.equal(alone(model, ids), alone(tiny_model(kind), ids))
    assert len(find_blocks(load_untrained(source(tmp_path), "cpu", 1))) == len(find_blocks(model))


def test_a_model_that_also_sees_gives_the_blocks_that_read(tmp_path):
    """Both parts have as many blocks, and the text part is the one whose states are meant."""
    import transformers

    text = config_class("Gemma3")(**{**COMMON, **KINDS["gemma3"][1]})
    eye = transformers.SiglipVisionConfig(
        **{"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2},
        **{"image_size": 16, "patch_size": 8},
    )
    config = transformers.Gemma3Config(text_config=text, vision_config=eye, mm_tokens_per_image=4)
    model = AutoModelForCausalLM.from_config(config)
    blocks = find_blocks(model)
    assert {type(block).__name__ for block in blocks} == {"Gemma3DecoderLayer"}
    assert len(blocks) == 3


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        *((kind, UNLIMITED) for kind in ("qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt-neox")),
        *((kind, 0) for kind in ("bloom", "mamba")),
    ],
)
def test_what_may_be_kept_of_a_prompt(kind, limit):
    assert reuse_limit(tiny_model(kind)) == limit


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "gpt2", "n_positions": 96}, 96),
        ({"model_type": "falcon", "max_position_embeddings": 128}, 128),
        ({"model_type": "mpt", "max_seq_len": 160}, 160),
        ({"model_type": "rwkv", "context_length": 192}, 192),
        ({"model_type": "bloom", "seq_length": 224}, 224),
        ({"model_type": "gemma3", "text_config": {"max_position_embeddings": 256}}, 256),
        ({"model_type": "llama", "max_position_embeddings": 0, "n_ctx": 288}, 288),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_the_longest_prompt_under_the_names_that_families_use(tmp_path, config, expected):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert context_length(source(tmp_path)) == expected


def test_tokens_that_end_an_answer_come_from_both_files(tmp_path):
    """Gemma's end of turn, for one, stands in its generation configuration only."""
    model = tiny_model("gemma3")
    tokenizer = byte_tokenizer()
    before = model.generation_config
    try:
        model.generation_config = GenerationConfig(eos_token_id=[7, 9])
        model.save_pretrained(tmp_path)
    finally:
        model.generation_config = before
    tokenizer.save_pretrained(tmp_path)
    loaded, encoder = load_model(source(tmp_path), "cpu"), load_encoder(source(tmp_path))
    assert closing_tokens(loaded.generation_config, encoder.tokenizer) == {7, 9, tokenizer.eos_token_id}


def test_an_architecture_that_nobody_knows(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "of-tomorrow"}')
    with pytest.raises(SyncR2Error, match=r"(?s)Model tiny: cannot load .*a newer one may"):
        load_config(source(tmp_path))


class TestCodeThatComesWithAModel:
    CONFIG = """
import pathlib
from transformers import LlamaConfig

pathlib.Path(__file__).with_name("ran").touch()

class OwnConfig(LlamaConfig):
    model_type = "own"
"""
    MODEL = """
from transformers import LlamaForCausalLM
from .config_own import OwnConfig

class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        """A model of a class of its own, and a cache of such code below the same folder."""
        folder = tmp_path / "own"
        tiny_model("llama").save_pretrained(folder)
        byte_tokenizer().save_pretrained(folder)
        (folder / "config_own.py").write_text(self.CONFIG)
        (folder / "model_own.py").write_text(self.MODEL)
        config = json.loads((folder / "config.json").read_text())
        config |= {
            "model_type": "own",
            "auto_map": {
                "AutoConfig": "config_own.OwnConfig",
                "AutoModelForCausalLM": "model_own.OwnForCausalLM",
            },
        }
        (folder / "config.json").write_text(json.dumps(config))
        modules = str(tmp_path / "modules")
        monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", modules)
        monkeypatch.setattr(sys, "path", [*sys.path])
        yield folder
        for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
            del sys.modules[name]

    @pytest.mark.parametrize("load", [load_config, lambda s: load_model(s, "cpu")])
    def test_does_not_run_unless_the_configuration_says_so(self, folder, load, tmp_path):
        with pytest.raises(SyncR2Error, match=r"(?s)needs Python code of its own.*`trust_remote_code: true`"):
            load(source(folder))
        assert not list(tmp_path.rglob("ran"))

    def test_runs_where_it_says_so(self, folder, tmp_path):
        allowed = source(folder, trust_remote_code=True)
        model = load_model(allowed, "cpu")
        assert type(model).__name__ == "OwnForCausalLM"
        assert list(tmp_path.rglob("ran"))
        assert torch.equal(alone(model, PROMPT), alone(tiny_model("llama"), PROMPT))
        assert type(load_untrained(allowed, "cpu", 1)) is type(model)
        assert isinstance(load_encoder(allowed), ChatEncoder)


def test_a_cap_on_attention_is_not_lost(tmp_path):
    capped, free = (with_weights_of("gemma2", attn_logit_softcapping=cap) for cap in (1e-3, None))
    capped.set_attn_implementation("eager")
    prompt = list(range(20, 60))
    wanted = alone(capped, prompt)
    assert not torch.allclose(wanted, alone(free, prompt), atol=1e-4), "the cap matters here"
    capped.save_pretrained(tmp_path)
    of = source(tmp_path, dtype="float32")
    torch.testing.assert_close(alone(load_model(of, "cpu"), prompt), wanted)
    assert load_untrained(of, "cpu", 0).config._attn_implementation == "eager"
