"""What a file rests on, as the files that it was made from tell: stages, models, templates, data, seeds.

Each file's record names its own stage, settings and inputs. Who has only that file cannot open the inputs, so
what their records say goes into the file's own as `rests_on`, and so on along the way of the data.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from syncr2.embedded import embedded
from syncr2.ids import JOB_RECORDS

# Of a model, what tells which weights, tokenizer and chat template it is.
_IDENTITY = ("revision", "resolved_revision", "files_sha256", "chat_template_sha256")
# Of a judge or labeller, what tells who answers.
_ASKED = ("engine", "model", "revision")


def rests_on(inputs: Iterable[str | Path]) -> dict[str, Any]:
    """What a file rests on that is made from these.

    Parameters
    ----------
    inputs : iterable of paths
        Files with a record in them, tables and others of which a job's record tells, and files that nothing
        tells of, which add nothing.

    Returns
    -------
    dict
        `revisions` by stage (by rule, of tables), `models` with what identifies weights, tokenizer and chat
        template, `asked` (judges and labellers), `templates` of prompts (SHA-256, by stage), `data` (SHA-256
        of the scenario files), `seeds` of generation. Where files differ in one of these, it is the list of
        all values. What nothing tells of is left out.
    """
    found: dict[str, Any] = {}
    for path in dict.fromkeys(map(str, inputs)):
        record = _record(path)
        if record:
            _add(found, record.get("rests_on", {}))
            _add(found, own(record))
    return {key: found[key] for key in sorted(found)}


def own(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record itself tells, without what it rests on."""
    stage, settings = str(record.get("stage") or record.get("rule")), _settings(record)
    told: dict[str, Any] = {"revisions": {stage: record.get("revision", settings.get("revision"))}}
    models = settings.get("models")
    if isinstance(models, Mapping):
        told["models"] = {name: _identity(model) for name, model in models.items()}
    if settings.get("template_sha256"):
        told["templates"] = {stage: settings["template_sha256"]}
    if stage in ("judgements", "labels") and "name" in settings:
        told["asked"] = {settings["name"]: _only(settings, _ASKED)}
    if stage == "prepare_scenarios":
        told["data"] = {Path(path).name: sha for path, sha in record.get("inputs", {}).items()}
    if record.get("seed") is not None:
        told["seeds"] = [record["seed"]]
    return {key: value for key, value in told.items() if value not in ({}, {stage: None})}


def _settings(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found = record.get("settings", record.get("params"))
    return found if isinstance(found, Mapping) else {}


def _identity(model: Any) -> dict[str, Any]:
    return _only(model, _IDENTITY) if isinstance(model, Mapping) else {}


def _only(values: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: values[key] for key in keys if values.get(key) is not None}


def _add(found: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Lay more facts beside those that are there; values that differ become a list of all of them."""
    for kind, facts in more.items():
        if isinstance(facts, list):
            found[kind] = sorted({*found.get(kind, []), *facts})
            continue
        there = found.setdefault(kind, {})
        for name, value in facts.items():
            values = _listed(there[name]) if name in there else []
            values += [each for each in _listed(value) if each not in values]
            there[name] = values[0] if len(values) == 1 else values


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _record(path: str) -> Mapping[str, Any] | None:
    return embedded(path) or _of_its_job(path)


def _of_its_job(path: str) -> Mapping[str, Any] | None:
    """The record of the job that made a table, or the scenarios, if they lie in a results folder."""
    if Path(path).suffix not in (".tsv", ".json"):
        return None
    for folder in Path(path).parents:
        if (folder / JOB_RECORDS).is_dir():
            # Jobs without wildcards first: they are few. Tables of one pair are looked for among all.
            patterns = ("*.json", "**/*.json") if Path(path).suffix == ".tsv" else ("*.json",)
            records = (_made(str(folder / JOB_RECORDS), pattern).get(path) for pattern in patterns)
            return next((record for record in records if record), None)
    return None


@functools.cache
def _made(records: str, pattern: str) -> dict[str, Mapping[str, Any]]:
    """Records of jobs by the files that they made; read once in a process, which is one job."""
    found: dict[str, Mapping[str, Any]] = {}
    for place in sorted(Path(records).glob(pattern)):
        try:
            record = json.loads(place.read_text(encoding="utf-8"))
            found |= dict.fromkeys(record["outputs"], record)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another job is writing it, or has left it broken: `verify` tells of that
    return found
