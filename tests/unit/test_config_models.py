"""Where a model comes from, as the configuration says it: paths, servers, and what follows for its pairs."""

from __future__ import annotations

import dataclasses

import pytest
from configuring import LLAMA, MINIATURE, merged, of_models, problems, read_yaml

from syncr2.config import Endpoint, load
from syncr2.ids import OrderedPair
from syncr2.pages import without_states

SERVER = {"base_url": "http://localhost:8000/v1", "model": "large"}
ALONE = {"path": None, "endpoint": SERVER}


def loaded(*models, **changes):
    named = [{**LLAMA, "name": f"model-{i}", **model} for i, model in enumerate(models)]
    return load(merged(read_yaml("config.yaml"), {"models": named, **changes}))


def without_weights(experiment, *names):
    """The same experiment with models that are known by their endpoint alone."""
    endpoint = Endpoint(**SERVER)
    models = {
        name: dataclasses.replace(model, path=None, endpoint=endpoint) if name in names else model
        for name, model in experiment.models.items()
    }
    return dataclasses.replace(experiment, models=models)


class TestEndpoint:
    def test_may_stand_beside_a_path_or_a_miniature(self):
        found = loaded(
            {"endpoint": {**SERVER, "api_key_env": "MY_KEY"}},
            {"path": None, "miniature": MINIATURE, "endpoint": SERVER},
            {},
        ).models
        assert found["model-0"].endpoint == Endpoint("http://localhost:8000/v1", "large", "MY_KEY")
        assert found["model-1"].endpoint == Endpoint("http://localhost:8000/v1", "large", None)
        assert found["model-2"].endpoint is None
        assert all(model.has_states for model in found.values())

    @pytest.mark.parametrize(
        "address", ["http://user:secret@host/v1", "http://host/v1?key=secret", "http://"]
    )
    def test_address_without_secrets_which_are_not_shown(self, address):
        found = of_models({"endpoint": {**SERVER, "base_url": address}})
        assert len(found) == 1
        assert "models[0] (model-0).endpoint.base_url" in found[0]
        assert "secret" not in found[0]

    def test_a_key_in_the_configuration_is_refused_and_not_shown(self):
        found = of_models({"endpoint": {**SERVER, "api_key_env": "sk-12345"}})
        assert [line.partition(":")[0] for line in found] == ["models[0] (model-0).endpoint.api_key_env"]
        assert "12345" not in found[0]

    @pytest.mark.parametrize("key", ["base_url", "model"])
    def test_needs_both_address_and_name(self, key):
        (line,) = of_models({"endpoint": {name: value for name, value in SERVER.items() if name != key}})
        assert f"endpoint: the key `{key}` is missing" in line

    @pytest.mark.parametrize("engine", ["transformers", "vllm"])
    def test_it_speaks_whatever_the_engine_of_the_others_is(self, engine):
        found = loaded({}, ALONE, dialogue={"engine": engine}).models
        assert not found["model-1"].has_states

    def test_the_engine_that_starts_no_server_needs_one_for_every_model(self):
        models = [{**LLAMA, "name": "one", "endpoint": SERVER}, {**LLAMA, "name": "two"}]
        (line,) = problems({"models": models, "dialogue": {"engine": "openai"}})
        assert line == (
            "models[1] (two).endpoint: found none, but dialogue.engine is `openai`, which starts no server; "
            "allowed: the address of one that runs, or another engine."
        )

    def test_alone_it_cannot_be_addressed_in_the_published_chat_formats(self):
        models = [{**LLAMA, "name": "one"}, {**LLAMA, "name": "two", **ALONE}]
        (line,) = problems({"models": models, "dialogue": {"protocol": "paper"}})
        assert line.startswith("models[1] (two): found `endpoint` alone, but dialogue.protocol is `paper`")
        assert loaded({}, {"endpoint": SERVER}, dialogue={"protocol": "paper"}).dialogue.protocol == "paper"

    def test_what_means_nothing_beside_it_alone_is_refused(self):
        given = {"revision": "main", "thinking": False, "trust_remote_code": True}
        found = of_models({}, {**ALONE, **given})
        places = {line.partition(":")[0] for line in found}
        assert {f"models[1] (model-1).{key}" for key in given} <= places

    def test_an_experiment_without_any_states_is_refused(self):
        found = problems(
            {"models": [{**LLAMA, **ALONE, "name": name} for name in ("one", "two")], "pairs": "all"}
        )
        (line,) = [line for line in found if line.startswith("pairs:")]
        assert "none of which both models have hidden states" in line
        assert line.endswith("Known by their `endpoint` alone: one, two.")
        pairs = {"models": [{**LLAMA, "name": "one"}, {**LLAMA, **ALONE, "name": "two"}]}
        assert any(line.startswith("pairs:") for line in problems({**pairs, "pairs": [["one", "two"]]}))
        assert load(merged(read_yaml("config.yaml"), pairs)).unordered_with_states == [("one", "one")]


class TestPairsWithStates:
    def test_are_those_of_which_both_models_have_them(self):
        experiment = without_weights(loaded({}, {}, {}), "model-1")
        assert len(experiment.pairs) == 6
        assert experiment.unordered_with_states == [
            ("model-0", "model-0"),
            ("model-0", "model-2"),
            ("model-2", "model-2"),
        ]
        assert experiment.pairs_with_states == [
            OrderedPair("model-0", "model-0"),
            OrderedPair("model-0", "model-2"),
            OrderedPair("model-2", "model-0"),
            OrderedPair("model-2", "model-2"),
        ]
        assert len(experiment.ordered_pairs) == 9, "all of them are played"

    def test_are_all_pairs_of_models_with_weights(self):
        experiment = loaded({}, {})
        assert experiment.pairs_with_states == experiment.ordered_pairs
        assert tuple(experiment.unordered_with_states) == experiment.pairs

    def test_the_report_says_which_are_left_out_and_why(self):
        experiment = loaded({}, {})
        assert without_states(experiment) is None
        said = without_states(without_weights(experiment, "model-1"))
        assert "without SyncR²: model-0 – model-1, model-1 – model-1." in said
        assert "(model-1) has no hidden states" in said


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("thinking", "on", "true or false or null"),
        ("trust_remote_code", None, "true or false"),
    ],
)
def test_switches_are_true_or_false(key, value, allowed):
    (line,) = of_models({key: value})
    assert f"models[0] (model-0).{key}: found " in line
    assert f"allowed: {allowed}" in line
