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
        ({"engine": "table"}, "labels[0] (words): file is missing; the engine table needs it."),
        (
            {"engine": "table", "file": "gone.tsv"},
            "labels[0] (words).file: found 'gone.tsv', which is no file",
        ),
        (
            {"engine": "openai", "model": "m"},
            "labels[0] (words): base_url is missing; the engine openai needs",
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
