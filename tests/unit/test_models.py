"""Loading models, and finding what is needed in them."""

from __future__ import annotations

import pytest
import torch
from tiny_models import COMMON, KINDS, alone, byte_tokenizer, tiny_model

from syncr2.dialogues.chat import ChatEncoder
from syncr2.errors import SyncR2Error
from syncr2.models.loading import (
    ModelSource,
    context_length,
    describe,
    find_blocks,
    load_config,
    load_encoder,
    load_model,
    load_untrained,
    resolve_device,
    untrained_seed,
)
from syncr2.models.snapshots import Snapshot, files_of_folder, files_sha256, hashed, write_snapshot


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
        "files_sha256": files_sha256(hashed(folder, files_of_folder(folder))),
        "dtype": "float32",
        "quantization": None,
        "trust_remote_code": False,
        "chat_template_sha256": encoder.template_sha256,
        "chat_roles": ["user"],
        "chat_date": None,
        "thinking": None,
    }


def test_description_of_a_recorded_model_is_its_records(folder, tmp_path):
    files = hashed(folder, ["config.json", "model.safetensors"])
    snapshot = Snapshot("tiny", "owner/name", "v1", "c" * 40, str(folder), files)
    write_snapshot(tmp_path / "tiny.json", snapshot)
    recorded = ModelSource("tiny", "owner/name", "v1", manifest=str(tmp_path / "tiny.json"))
    described = describe(recorded, load_encoder(recorded), load_config(recorded))
    assert described["path"] == "owner/name"
    assert (described["revision"], described["resolved_revision"]) == ("v1", "c" * 40)
    assert described["files_sha256"] == snapshot.sha256


def test_description_names_the_quantization(folder):
    config = load_config(source(folder))
    config.quantization_config = {"quant_method": "awq", "bits": 4}
    described = describe(source(folder), ChatEncoder(byte_tokenizer(), "tiny"), config)
    assert described["quantization"] == "awq"


def test_a_model_known_by_its_endpoint_alone_has_nothing_to_load():
    with pytest.raises(SyncR2Error, match=r"Model api: known by its `endpoint` alone.*no hidden states"):
        load_config(ModelSource("api", None))


class TestUntrainedTwin:
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_of_the_same_shape_with_other_weights_and_always_the_same(self, kind, tmp_path):
        tiny_model(kind).save_pretrained(tmp_path)
        trained = load_model(source(tmp_path), "cpu")
        twin, again, other = (load_untrained(source(tmp_path), "cpu", seed) for seed in (7, 7, 8))
        assert type(twin) is type(trained)
        assert not twin.training
        shapes = {name: value.shape for name, value in trained.state_dict().items()}
        assert {name: value.shape for name, value in twin.state_dict().items()} == shapes
        expected, found = alone(trained, [20, 30, 40]), alone(twin, [20, 30, 40])
        assert found.isfinite().all()
        assert not torch.allclose(found, expected, atol=1e-3)
        assert torch.equal(found, alone(again, [20, 30, 40]))
        assert not torch.allclose(found, alone(other, [20, 30, 40]), atol=1e-3)

    def test_global_generators_are_as_before(self, folder):
        torch.manual_seed(3)
        before = torch.get_rng_state()
        one = load_untrained(source(folder), "cpu", 7)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(4)
        two = load_untrained(source(folder), "cpu", 7)
        for name, value in one.state_dict().items():
            assert torch.equal(two.state_dict()[name], value), name

    def test_spread_is_the_configurations_own(self, folder, tmp_path):
        twin = load_untrained(source(folder), "cpu", 7)
        for name, value in twin.named_parameters():
            if value.ndim == 2:
                assert value.mean().item() == pytest.approx(0, abs=0.05), name
                assert value.std().item() == pytest.approx(COMMON["initializer_range"], rel=0.2), name
            else:
                assert (value == 1).all(), "a norm begins as 1"

    def test_tied_embeddings_stay_tied(self, tmp_path):
        for kind, tied in (("tied llama", True), ("llama", False)):
            tiny_model(kind).save_pretrained(tmp_path / kind)
            twin = load_untrained(source(tmp_path / kind), "cpu", 7)
            same = twin.get_input_embeddings().weight.data_ptr() == twin.lm_head.weight.data_ptr()
            assert same == tied

    def test_number_format_is_the_models(self, folder):
        twin = load_untrained(source(folder, dtype="bfloat16"), "cpu", 7)
        assert {value.dtype for value in twin.parameters()} == {torch.bfloat16}
        assert alone(twin, [20, 30]).isfinite().all()

    def test_weights_are_not_read(self, folder, tmp_path):
        (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
        alone(load_untrained(source(tmp_path), "cpu", 7), [1, 2])
        with pytest.raises(SyncR2Error, match="Model tiny: cannot load"):
            load_model(source(tmp_path), "cpu")

    def test_seed_is_of_the_name_alone(self):
        assert untrained_seed("llama-3-8b") == untrained_seed("llama-3-8b")
        seeds = {untrained_seed(f"model-{i}") for i in range(100)}
        assert len(seeds) == 100
        assert all(0 <= seed < 2**32 for seed in seeds)
