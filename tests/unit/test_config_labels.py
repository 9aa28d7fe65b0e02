"""What a configuration may say of labellers and probes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from configuring import merged, problems, read_yaml

from syncr2.config import load

SURFACE = {"name": "words", "engine": "surface"}


def loaded(**over: Any) -> Any:
    return load(merged(read_yaml("config.yaml"), over))


def table(tmp_path: Path, head: str) -> dict[str, str]:
    path = tmp_path / "labels.tsv"
    path.write_text(f"agent1\tagent2\tseed\tepisode_id\t{head}\n")
    return {"name": "people", "engine": "table", "file": str(path)}


def test_each_labeller_is_probed_for_what_it_gives(tmp_path: Path) -> None:
    people = table(tmp_path, "turn\tbluff\tmood:calm\tmood:tense")
    experiment = loaded(labels=[SURFACE, people], probes=["mood", "emotion", "bluff"])
    assert experiment.probes_of("words") == ["emotion"]
    assert experiment.probes_of("people") == ["mood", "bluff"]
    assert loaded(labels=[], probes=[]).labellers == {}


def test_a_probe_of_a_label_that_nobody_gives_is_refused(tmp_path: Path) -> None:
    (line,) = problems({"labels": [SURFACE], "probes": ["emotoin"]})
    assert line.startswith("probes[0]: found `emotoin`, which is a label of nobody under `labels`.")
    assert "emotion" in line
    (line,) = problems({"labels": [table(tmp_path, "x")], "probes": ["emotion"]})
    assert line.endswith("They give x.")


@pytest.mark.parametrize(
    ("labeller", "message"),
    [
        ({"engine": "table"}, "labels[0] (words): found no `file`; the engine `table` needs one."),
        (
            {"engine": "table", "file": "gone.tsv"},
            "labels[0] (words).file: found 'gone.tsv', which is no file",
        ),
        (
            {"engine": "openai", "model": "m"},
            "labels[0] (words): found no `base_url`; the engine `openai` needs both.",
        ),
        ({"cache": ""}, "labels[0] (words): cache is ''; a text or null is needed."),
    ],
)
def test_what_an_engine_needs_is_said(labeller: dict[str, Any], message: str) -> None:
    (line,) = problems({"labels": [{**SURFACE, **labeller}], "probes": []})
    assert line.startswith(message)


def test_names_stand_once_and_tables_are_tables(tmp_path: Path) -> None:
    (line,) = problems({"labels": [SURFACE, {**SURFACE, "name": "Words"}], "probes": []})
    assert line.startswith("labels[1].name: found `Words`, which labels[0] has already")
    broken = table(tmp_path, "turn")
    (line,) = problems({"labels": [broken], "probes": ["x"]})
    assert "it has no label" in line


def test_a_labeller_may_be_served_by_its_job_and_have_a_limit_of_its_own() -> None:
    own = {"name": "own", "engine": "vllm", "model": "owner/name", "gpus": 2, "max_failure_rate": 0.5}
    experiment = loaded(labels=[own, SURFACE], probes=["emotion"])
    assert experiment.labellers["own"].gpus == 2
    assert experiment.max_label_failures == {"own": 0.5, "words": experiment.max_failure_rate}
    (line,) = problems({"labels": [{**own, "model": None}], "probes": []})
    assert line == "labels[0] (own): found no `model`; the engine `vllm` needs one."
    (line,) = problems({"labels": [{**own, "server_arguments": ["--port=1"]}], "probes": []})
    assert line.startswith("labels[0] (own).server_arguments: found --port, which the workflow sets itself")
    (line,) = problems({"labels": [{**own, "max_failure_rate": 2}], "probes": []})
    assert line.startswith("labels[0] (own).max_failure_rate: found 2; allowed: number from 0 to 1")
