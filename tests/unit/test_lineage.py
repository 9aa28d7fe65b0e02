"""What a file rests on is gathered from its inputs, and from theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncr2 import ids, lineage, provenance
from syncr2.files import write_jsonl
from syncr2.lineage import rests_on

MODELS = {
    "red": {"path": "owner/red", "resolved_revision": "c0ffee", "files_sha256": "1", "dtype": "float32"},
    "blue": {"path": "owner/blue", "revision": None, "files_sha256": "2", "chat_template_sha256": "3"},
}
SCENARIOS = {"data/envs.json": "11", "data/agents.json": "22"}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder in which scenarios were prepared."""
    lineage._made.cache_clear()
    folder = tmp_path / "results"
    (folder / ids.JOB_RECORDS).mkdir(parents=True)
    (folder / "scenarios.json").write_text("{}")
    job(folder, "prepare_scenarios", "scenarios.json", inputs=SCENARIOS, params={"revision": 1})
    return folder


def job(results: Path, name: str, output: str, **record: object) -> None:
    """The record of a job that made a file."""
    place = results / ids.JOB_RECORDS / f"{name}.json"
    place.parent.mkdir(exist_ok=True)
    rule = name.split("/")[0]
    place.write_text(json.dumps({"rule": rule, "outputs": {str(results / output): {}}, **record}))


def dialogues(results: Path, name: str, seed: int, template: str = "t") -> Path:
    """A file of dialogues, as their stage writes it."""
    path = results / f"{name}.jsonl"
    with provenance.within(provenance.Job("play_dialogues", seed=seed)):
        settings = {"models": MODELS, "template_sha256": template}
        record = provenance.made_by("dialogues", settings, [results / "scenarios.json"])
    write_jsonl(path, [{"made_by": record}])
    return path


def test_nothing_is_told_of_files_without_a_record(tmp_path):
    (tmp_path / "a.tsv").write_text("a\n")
    assert rests_on([tmp_path / "a.tsv", tmp_path / "absent.jsonl"]) == {}


def test_scenarios_tell_of_their_files_by_the_record_of_their_job(results):
    assert rests_on([results / "scenarios.json"]) == {
        "data": {"envs.json": "11", "agents.json": "22"},
        "revisions": {"prepare_scenarios": 1},
    }


def test_one_step_further_stand_models_template_and_seed(results):
    found = rests_on([dialogues(results, "a", 0)])
    assert found["data"] == {"envs.json": "11", "agents.json": "22"}
    assert found["models"] == {
        "red": {"resolved_revision": "c0ffee", "files_sha256": "1"},
        "blue": {"files_sha256": "2", "chat_template_sha256": "3"},
    }
    assert found["templates"] == {"dialogues": "t"}
    assert found["seeds"] == [0]
    assert set(found["revisions"]) == {"prepare_scenarios", "dialogues"}


def test_what_differs_between_inputs_is_listed(results):
    found = rests_on([dialogues(results, "a", 2), dialogues(results, "b", 0, template="u")])
    assert found["seeds"] == [0, 2]
    assert found["templates"] == {"dialogues": ["t", "u"]}
    assert isinstance(found["models"]["red"], dict), "the same twice is one"


@pytest.mark.parametrize("name", ["summarise", "score_dialogues/red--blue"])
def test_a_table_tells_by_the_record_of_its_job(results, name):
    """Of a job with wildcards, too; another job's half-written record does no harm."""
    below = rests_on([dialogues(results, "a", 0)])
    (results / "table.tsv").write_text("a\n")
    job(results, name, "table.tsv", rests_on=below, params={"revision": 7}, inputs={})
    (results / ids.JOB_RECORDS / "other.json").write_text('{"rule": ')
    lineage._made.cache_clear()
    found = rests_on([results / "table.tsv"])
    assert found.pop("revisions") == below.pop("revisions") | {name.split("/")[0]: 7}
    assert found == below


def test_judges_are_named_with_what_identifies_them():
    settings = {"name": "large", "engine": "openai", "model": "m", "revision": "r", "temperature": 0}
    told = lineage.own({"stage": "judgements", "revision": 2, "settings": settings, "seed": 1})
    assert told == {
        "revisions": {"judgements": 2},
        "asked": {"large": {"engine": "openai", "model": "m", "revision": "r"}},
        "seeds": [1],
    }
