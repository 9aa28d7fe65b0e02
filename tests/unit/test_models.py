"""Loading models, and finding what is needed in them."""

from __future__ import annotations

import pytest
import torch
from tiny_models import COMMON, KINDS, alone, byte_tokenizer, tiny_model

from syncr2.chat import ChatEncoder
from syncr2.errors import SyncR2Error
from syncr2.models import (
    ModelSource,
    context_length,
    describe,
    find_blocks,
    load_config,
    load_encoder,
    load_model,
    resolve_device,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model("llama").save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def source(folder, **changes):
    return ModelSource.from_dict({"name": "tiny", "path": str(folder), **changes})


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_the_layers_in_their_order(kind):
    model = tiny_model(kind)
    blocks = find_blocks(model)
    assert len(blocks) == COMMON["num_hidden_layers"]
    called = []
    handles = [
        block.register_forward_hook(lambda block, inputs, output, i=i: called.append(i))
        for i, block in enumerate(blocks)
    ]
    alone(model, [1, 2, 3])
    for handle in handles:
        handle.remove()
    assert called == [0, 1, 2]


def test_blocks_are_the_outermost_list_of_that_length():
    """Here each block holds a list of as many experts as there are blocks."""
    model = torch.nn.Module()
    model.config = tiny_model("llama").config
    model.core = torch.nn.Module()
    model.core.layers = torch.nn.ModuleList(torch.nn.Module() for _ in range(3))
    for layer in model.core.layers:
        layer.experts = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(3))
    assert find_blocks(model) == list(model.core.layers)


def test_no_blocks_is_an_error_with_the_class():
    class Strange(torch.nn.Module):
        config = tiny_model("llama").config

    with pytest.raises(SyncR2Error, match="Strange: no list of 3 blocks"):
        find_blocks(Strange())


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cuda", "mps", "cpu")
    missing = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(SyncR2Error, match=rf"device: {missing} was asked for, but this machine has .*cpu"):
        resolve_device(missing)
    with pytest.raises(SyncR2Error, match="device: tpu"):
        resolve_device("tpu")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_loaded_model_computes_as_it_did(folder, dtype):
    model = load_model(source(folder, dtype=dtype), "cpu")
    assert model.dtype == getattr(torch, dtype)
    assert not model.training
    expected = alone(tiny_model("llama"), [20, 30, 40])
    found = alone(model, [20, 30, 40]).float()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 if dtype == "float32" else 0.2)


def test_nothing_is_printed_while_loading(folder, capfd):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    load_model(source(folder), "cpu")
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled() == before


@pytest.mark.parametrize("load", [load_config, load_encoder, lambda s: load_model(s, "cpu")])
def test_a_missing_model_is_named(tmp_path, load):
    with pytest.raises(SyncR2Error, match=r"(?s)Model tiny: cannot load .*nowhere at revision abc.*HF_TOKEN"):
        load(source(tmp_path / "nowhere", revision="abc"))


def test_weights_that_are_cut_off_or_pickled_are_refused(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(SyncR2Error, match="Model tiny: cannot load"):
        load_model(source(tmp_path), "cpu")
    weights = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(SyncR2Error, match="Model tiny: cannot load"):
        load_model(source(tmp_path), "cpu")


def test_context(folder, tmp_path):
    assert context_length(source(folder)) == COMMON["max_position_embeddings"]
    assert context_length(source(folder, context=77)) == 77
    tiny_model("mamba").config.save_pretrained(tmp_path)
    unlimited = load_config(source(tmp_path))
    if hasattr(unlimited, "max_position_embeddings"):
        del unlimited.max_position_embeddings
        unlimited.save_pretrained(tmp_path)
    with pytest.raises(SyncR2Error, match="Model tiny: its config names no max_position_embeddings"):
        context_length(source(tmp_path))


def test_encoder_with_a_template_of_ones_own(folder, tmp_path):
    own = tmp_path / "own.jinja"
    own.write_text("Q:{{ messages[0]['content'] }}A:")
    replaced = load_encoder(source(folder, chat_template=str(own)))
    assert byte_tokenizer().decode(replaced.encode("hi")) == "Q:hiA:"
    assert byte_tokenizer().decode(load_encoder(source(folder)).encode("hi")) == "<ask>hi<answer>"


def test_description_identifies_the_model(folder):
    encoder = ChatEncoder(byte_tokenizer(), "tiny")
    described = describe(source(folder, revision="abc"), encoder, load_config(source(folder)))
    assert described == {
        "name": "tiny",
        "path": str(folder),
        "revision": "abc",
        "resolved_revision": None,
        "dtype": "float32",
        "chat_template_sha256": encoder.template_sha256,
    }
