"""Where a model's parts lie: on the GPUs that its job has, or the job ends with what to change."""

from __future__ import annotations

import pytest
from tiny_models import byte_tokenizer, tiny_model, with_weights_of

from syncr2.errors import SyncR2Error
from syncr2.models.loading import ModelSource, _on_gpus_alone, load_model, load_untrained


def test_a_model_that_does_not_fit_its_gpus_is_refused():
    model = with_weights_of("llama")
    source = ModelSource("large", "somewhere")
    model.hf_device_map = {"model.embed_tokens": 0, "model.layers.0": 0, "model.layers.1": 1}
    assert _on_gpus_alone(model, source) is model
    model.hf_device_map |= {"model.layers.2": "cpu", "lm_head": "disk"}
    with pytest.raises(
        SyncR2Error, match=r"large does not fit .* \(2 parts are left, the first is lm_head\)"
    ):
        _on_gpus_alone(model, source)


def test_several_gpus_mean_nothing_to_a_cpu(tmp_path):
    tiny_model("llama").save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    source = ModelSource("small", str(tmp_path))
    for model in (load_model(source, "cpu", 4), load_untrained(source, "cpu", 1, 4)):
        assert model.device.type == "cpu"
        assert not hasattr(model, "hf_device_map")
