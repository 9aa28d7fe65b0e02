"""Bad input: one clear error, before anything expensive, and nothing that looks finished."""

from __future__ import annotations

import json
import shutil

import pytest
from conftest import REPOSITORY, miniature, snakemake, with_changes


def message(run) -> str:
    assert run.error is not None, "this configuration must not be accepted"
    return str(run.error)


def log_of(folder, rule) -> str:
    return "\n".join(
        path.read_text() for path in (folder / "results/logs").rglob(f"*{rule}*") if path.is_file()
    ) + "\n".join(path.read_text() for path in (folder / "results/logs" / rule).rglob("*.log"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dialogue__temprature": 0.7}, "Did you mean `temperature`"),
        ({"dialogue__max_turns": "many"}, "dialogue.max_turns"),
        ({"models": [{"name": "m", "family": "f", "path": "./no/such/model"}]}, "./no/such/model"),
        ({"models": [miniature("red", 1, "a"), miniature("red", 2, "a")]}, "`red`"),
        ({"seeds": [0, 0]}, "seeds"),
        ({"synchrony__lags": [4]}, "4 is even"),
        ({"synchrony__lags": [9]}, "9"),
        ({"synchrony__samples": 6500}, "6500"),
    ],
    ids=[
        "unknown key",
        "wrong type",
        "no such model",
        "duplicate model",
        "repeated seed",
        "even lag",
        "long lag",
        "samples",
    ],
)
def test_configuration_errors_come_before_any_job(tiny, tmp_path, changes, expected):
    run = snakemake(with_changes(tiny, **changes), tmp_path)
    assert expected in message(run)
    assert run.jobs == []


def test_all_configuration_errors_at_once(tiny, tmp_path):
    run = snakemake(with_changes(tiny, seeds=[1, 1], dialogue__temprature=1, synchrony__penalty=-1), tmp_path)
    assert "3 problems" in message(run)


def test_a_dangling_id_stops_at_the_first_job(tiny, tmp_path):
    folder = tmp_path / "episodes"
    shutil.copytree(REPOSITORY / "resources/scenarios", folder)
    path = folder / "env_agent_combos.json"
    combos = json.loads(path.read_text())
    combos[2]["agent_ids"][1] = "agent-nobody"
    path.write_text(json.dumps(combos))
    config = with_changes(tiny, scenarios__source="local", scenarios__folder=str(folder))
    run = snakemake(config, tmp_path / "work", targets=("results/scenarios.json",))
    assert run.error is not None
    log = log_of(tmp_path / "work", "prepare_scenarios")
    assert "env_agent_combos.json" in log
    assert "agent-nobody" in log
    assert not (tmp_path / "work/results/scenarios.json").exists()


def test_an_unknown_column_to_group_by_stops_at_the_first_job(tiny, tmp_path):
    run = snakemake(
        with_changes(tiny, synchrony__group_by=["stake"]), tmp_path, targets=("results/scenarios.json",)
    )
    assert run.error is not None
    assert "did you mean `stakes`" in log_of(tmp_path, "prepare_scenarios")


DIALOGUE = "results/dialogues/red--red/seed-0/shard-0.jsonl"


def test_a_context_too_short_is_told_with_numbers_before_generation(tiny, tmp_path):
    config = with_changes(tiny, models=[miniature("red", 1, "warm", context=128)])
    assert snakemake(config, tmp_path, targets=(DIALOGUE,)).error is not None
    log = log_of(tmp_path, "play_dialogues")
    assert "the model takes 128" in log
    assert "opening prompt" in log
    assert not (tmp_path / DIALOGUE).exists()


def test_a_model_without_chat_template_is_told_the_key_to_set(tiny, finished, tmp_path):
    model = tmp_path / "bare"
    shutil.copytree(finished / "results/models/red", model)
    (model / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    bare = {"name": "red", "family": "warm", "path": str(model), "dtype": "float32", "gpus": 0}
    config = with_changes(tiny, models=[bare])
    assert snakemake(config, tmp_path / "work", targets=(DIALOGUE,)).error is not None
    assert "chat_template" in log_of(tmp_path / "work", "play_dialogues")


def test_a_state_beyond_float16_is_refused_and_float32_takes_it(tiny, finished, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    model = tmp_path / "loud"
    shutil.copytree(finished / "results/models/red", model)
    weights = load_file(model / "model.safetensors")
    name = "model.layers.0.mlp.down_proj.weight"
    weights[name] = weights[name] * 1e6
    save_file(
        {key: value.to(torch.float32) for key, value in weights.items()},
        model / "model.safetensors",
        {"format": "pt"},
    )
    loud = {"name": "red", "family": "warm", "path": str(model), "dtype": "float32", "gpus": 0}
    config = with_changes(tiny, models=[loud])
    states = "results/states/red--red/engaged/seed-0/shard-0.h5"
    assert snakemake(config, tmp_path / "work", targets=(states,)).error is not None
    log = log_of(tmp_path / "work", "replay_states")
    assert "beyond float16" in log
    assert "states.precision: float32" in log
    assert not (tmp_path / "work" / states).exists()
    assert (tmp_path / "work" / DIALOGUE).exists(), "what was finished stays"
    run = snakemake(with_changes(config, states__precision="float32"), tmp_path / "work", targets=(states,))
    assert run.error is None
    assert run.count["play_dialogues"] == 0
