"""Forecasts: closed forms, what scales with what, and what finished jobs change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from configuring import merged, read_yaml

from syncr2 import ids, job_records
from syncr2.config import load
from syncr2.files import write_json, write_text
from syncr2.forecast import Forecast, forecast
from syncr2.forecast.facts import PUBLISHED, size_of
from syncr2.forecast.words import lines


@pytest.fixture
def told(tmp_path: Path):
    """Forecast of config.yaml, or of demo.yaml, with changes, in an empty folder or the one given."""

    def make(changes: dict | None = None, *, demo: bool = False) -> Forecast:
        raw = read_yaml("config.yaml")
        raw = merged(raw, read_yaml("demo.yaml")) if demo else raw
        return forecast(load(merged(raw, {"results": str(tmp_path / "results"), **(changes or {})})))

    return make


def rule(found: Forecast, name: str):
    return next(each for each in found.rules if each.rule == name)


def test_counts_of_the_published_experiment(told):
    found = told()
    assert found.counts["dialogues"] == 36 * 450 * 3
    assert found.counts["turns"] == 36 * 450 * 3 * 16
    assert found.counts["states"] == 3 * found.counts["turns"]
    assert rule(found, "play_dialogues").jobs == 108
    assert rule(found, "replay_states").jobs == 324
    assert rule(found, "fit_layer_maps").jobs == 36 * 6


def test_disk_of_the_published_states(told):
    """Pairs × 3 seeds × 450 episodes × 8 turns of each agent × layers × width × 2 bytes × three readings."""
    width = {name: layers * size for name, (layers, size, _, _) in PUBLISHED.items()}
    of_agents = 2 * 6 * sum(width.values())  # every model is each agent with six partners
    assert told().disk["states"] == pytest.approx(3 * 3 * 450 * 8 * of_agents * 2, rel=0.01)


def test_what_scales_with_what(told):
    any_number = {"samples": "auto"}
    one, two = (told({"seeds": seeds, "synchrony": any_number}) for seeds in ([0], [0, 1]))
    assert two.disk["dialogues"] == 2 * one.disk["dialogues"]
    assert rule(two, "play_dialogues").seconds == pytest.approx(2 * rule(one, "play_dialogues").seconds)
    wide = told({"states": {"precision": "float32"}})
    assert wide.disk["states"] == pytest.approx(2 * told().disk["states"], rel=0.01)
    plain = told({"synchrony": {"protocols": ["paper"]}})
    assert {each.rule for each in told().rules} - {each.rule for each in plain.rules} >= {"fit_nested_maps"}
    assert plain.bytes < told().bytes
    more = told({"synchrony": {"null_draws": 2000}})
    assert rule(more, "permute_partners").seconds > 1.5 * rule(told(), "permute_partners").seconds


def test_gpu_hours_by_kind(told):
    hours = rule(told(), "play_dialogues").gpu_hours
    assert hours["H200"] < hours["H100"] < hours["A100"] < hours["L40S"]
    assert rule(told(demo=True), "play_dialogues").gpu_hours == {}


def test_demo_without_any_finished_job(told):
    """From demo.yaml alone, against what the measured demo took: benchmarks/results/demo.json."""
    found = told(demo=True)
    took = json.loads((Path(__file__).parents[2] / "benchmarks/results/demo.json").read_text())
    assert not any(each.calibrated for each in found.rules)
    assert "assumed speeds" in "\n".join(lines(found))
    if took["rules"]["play_dialogues"]["jobs"] != rule(found, "play_dialogues").jobs:
        pytest.skip("benchmarks/results/demo.json is of an earlier demo; `make bench-demo` makes it anew")
    assert found.bytes / 1e6 == pytest.approx(took["disk_mb"], rel=0.2)
    both = [each for each in found.rules if each.rule in took["rules"]]
    assert {each.rule for each in both} == set(took["rules"])
    seconds = sum(each["seconds"] for each in took["rules"].values())
    assert sum(each.seconds for each in both) == pytest.approx(seconds, rel=0.5)


def test_dialogues_of_the_toy_world_are_short(told):
    """Counted in 3,780 dialogues of the demo: a line of 8,800 bytes with 176 tokens first, 13.5 an answer."""
    found = told(demo=True)
    assert found.speech.source == "assumed, as in the toy world"
    assert found.disk["dialogues"] / found.counts["dialogues"] == pytest.approx(8_800, rel=0.1)
    assert told().speech.source == "assumed"


def finish(results: Path, name: str, output: str, seconds: float, size: int, memory: float) -> None:
    write_text(results / output, "x" * size)
    record = {
        "format": job_records.FORMAT,
        "host": {"accelerator": None},
        "seconds": seconds,
        "cpu_seconds": seconds,
        "peak_memory_mb": memory,
        "outputs": {output: {"sha256": "", "bytes": size}},
    }
    write_json(results / ids.JOB_RECORDS / f"{name}.json", record)


def test_finished_jobs_correct_those_that_are_left(told, tmp_path):
    before = told(demo=True)
    judge = "oracle/mini-llama-2--mini-llama-2/seed-0/shard-0"
    results = tmp_path / "results"
    finish(results, f"judge_dialogues/{judge}", f"judgements/{judge}.jsonl", 30.0, 1_000_000, 777.0)
    after = told(demo=True)
    found = rule(after, "judge_dialogues")
    assert (found.jobs, found.done, found.calibrated) == (63, 1, True)
    assert found.seconds == pytest.approx(63 * 30)
    assert found.seconds_left == pytest.approx(62 * 30)
    assert found.memory_mb == 777.0
    assert after.disk["judgements"] == pytest.approx(63e6)
    assert after.counts["jobs done"] == 1
    assert rule(after, "play_dialogues").seconds == rule(before, "play_dialogues").seconds


def test_a_job_whose_output_is_gone_is_not_done(told, tmp_path):
    judge = "oracle/mini-llama-2--mini-llama-2/seed-0/shard-0"
    results = tmp_path / "results"
    finish(results, f"judge_dialogues/{judge}", f"judgements/{judge}.jsonl", 30.0, 1_000, 777.0)
    (results / f"judgements/{judge}.jsonl").unlink()
    assert told(demo=True).counts["jobs done"] == 0


def test_benchmarks_do_where_there_are_no_records(told, tmp_path):
    judge = "oracle/mini-llama-2--mini-llama-2/seed-0/shard-0"
    results = tmp_path / "results"
    write_text(results / f"judgements/{judge}.jsonl", "x" * 500)
    write_text(results / f"benchmarks/judge_dialogues/{judge}.tsv", "s\th:m:s\n12.5\t0:00:12\n")
    found = rule(told(demo=True), "judge_dialogues")
    assert (found.done, found.seconds) == (1, pytest.approx(63 * 12.5))


def test_sizes_of_models(tmp_path):
    raw = read_yaml("config.yaml")
    folder = tmp_path / "own"
    config = {"num_hidden_layers": 5, "hidden_size": 64, "vocab_size": 1000, "torch_dtype": "bfloat16"}
    write_json(folder / "config.json", config)
    write_text(folder / "model.safetensors", "x" * 4000)
    changed = {**raw["models"][0], "path": str(folder)}
    experiment = load({**raw, "models": [changed, raw["models"][1]]})
    local, known = (size_of(model, tmp_path) for model in experiment.models.values())
    assert (local.layers, local.width, local.parameters) == (5, 64, 2000)
    assert (known.layers, known.width) == (32, 4096)
    unknown = {**raw["models"][0], "path": "somebody/else"}
    guess = load({**raw, "models": [unknown]}).models["mistral-7b-v0.1"]
    assert "guess" in size_of(guess, tmp_path).source
