"""What a configuration may say of judges, beyond what the tests of the whole configuration cover."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from configuring import merged, of_judge, read_yaml

from syncr2.config import load, slice_of
from syncr2.judges import KNOBS, JudgeSettings


def test_a_judge_may_take_its_scores_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "scores.tsv").write_text("")
    judges = [{"name": "people", "engine": "table", "file": str(tmp_path / "scores.tsv")}]
    experiment = load(merged(read_yaml("config.yaml"), {"judges": judges}))
    assert experiment.judges["people"].file == str(tmp_path / "scores.tsv")


def test_the_file_must_be_named_and_there(tmp_path: Path) -> None:
    (line,) = of_judge(engine="table")
    assert line == "judges[0] (gpt): found no `file`; the engine `table` needs one."
    (line,) = of_judge(engine="table", file=str(tmp_path / "gone.tsv"))
    assert line.startswith("judges[0] (gpt).file: found '")
    assert line.endswith("gone.tsv', which is no file; allowed: a table of scores.")


@pytest.mark.parametrize(
    ("key", "value"), [("both_orders", "yes"), ("cache", 3), ("revision", 1), ("cache", "")]
)
def test_values_of_the_wrong_kind_are_refused(key: str, value: object) -> None:
    (line,) = of_judge(**{key: value})
    assert line.startswith("judges[0] (gpt)")
    assert key in line


def test_what_is_left_without_the_knobs_is_all_that_can_change_an_answer() -> None:
    left = slice_of(JudgeSettings("j", "surface"), *KNOBS)
    assert set(left) == {
        *(
            "name",
            "engine",
            "model",
            "base_url",
            "revision",
            "file",
            "both_orders",
            "temperature",
            "max_tokens",
        )
    }
    assert set(left) | set(KNOBS) == {field.name for field in dataclasses.fields(JudgeSettings)}
