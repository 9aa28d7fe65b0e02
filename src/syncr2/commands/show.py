"""What an output holds, from what it was made, and whether it is whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py

from syncr2 import job_records
from syncr2.commands import manifest, whole
from syncr2.embedded import embedded
from syncr2.errors import SyncR2Error
from syncr2.files import read_json, read_jsonl, read_table
from syncr2.ids import JOB_RECORDS
from syncr2.pages.layout import counted, plain
from syncr2.store import STATES_FORMAT

_FIRST = 3
_WIDTH = 100


def show(path: str | Path) -> dict[str, Any]:
    """What can be told of a file, as one JSON value.

    Raises
    ------
    SyncR2Error
        If there is no such file, or nothing is known of its kind.
    """
    file = Path(path)
    if not file.is_file():
        raise SyncR2Error(f"{file}: {'is a folder; give a file in it' if file.is_dir() else 'no such file'}.")
    if file.suffix not in _CONTENT:
        allowed = ", ".join(_CONTENT)
        raise SyncR2Error(f"{file}: nothing is known of the kind {file.suffix!r}; allowed: {allowed}.")
    problem = whole.problem(file)
    content: dict[str, Any] = {}
    if problem is None:
        content = _CONTENT[file.suffix](file)
    record = embedded(file)
    return {
        "path": str(file),
        "bytes": file.stat().st_size,
        "whole": problem is None,
        "problem": problem,
        "content": content,
        "made_by": record,
        "job": _job(file),
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    """The same for a terminal."""
    state = "whole" if found["whole"] else f"NOT WHOLE: {found['problem']}"
    text = [f"{found['path']}: {found['bytes']:,} bytes, {state}"]
    for key, value in found["content"].items():
        if isinstance(value, list):
            text += [f"  {key}", *(f"    {_cut(str(item))}" for item in value)]
        else:
            text.append(f"  {key}: {plain(value)}")
    record, job = found["made_by"], found["job"]
    if record:
        text += ["Its own record", *_record_lines(record)]
    if job:
        text += ["Record of its job", *_job_lines(job)]
    if not record and not job:
        text.append("No record tells what made it.")
    return text


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _record_lines(record: Mapping[str, Any]) -> list[str]:
    begun = f"begun {record['started']}, " if record.get("started") else ""
    found = [
        f"  stage {record.get('stage')}, revision {record.get('revision')}; {begun}"
        f"written {record.get('written')}",
        f"  {_code(record)}",
    ]
    settings = dict(record.get("settings", {}))
    for name, model in (settings.pop("models", None) or {}).items():
        found.append(f"  model {name}: {_cut(plain(model))}")
    found += [f"  {key}: {_cut(plain(value))}" for key, value in settings.items()]
    return found + _inputs(record.get("inputs", {})) + _rests_on(record)


def _job_lines(job: Mapping[str, Any]) -> list[str]:
    return [
        f"  rule {job['rule']}, {job['started']} to {job['ended']}: {job['seconds']} s, "
        f"{job['cpu_seconds']} s of CPU, {job['peak_memory_mb']} MB at the most",
        f"  {_code(job)}",
        *_inputs(job["inputs"]),
        *_rests_on(job),
    ]


def _rests_on(record: Mapping[str, Any]) -> list[str]:
    return [f"  rests on {key}: {_cut(plain(facts))}" for key, facts in record.get("rests_on", {}).items()]


def _code(record: Mapping[str, Any]) -> str:
    code, host = record.get("code", {}), record.get("host", {})
    changed = {True: ", with changes in no commit", False: "", None: ""}[code.get("dirty")]
    libraries = record.get("libraries", {})
    shown = ", ".join(
        f"{name} {libraries[name]}" for name in ("python", "numpy", "torch") if name in libraries
    )
    where = " ".join(str(host[key]) for key in ("system", "machine", "accelerator") if host.get(key))
    return (
        f"syncr2 {code.get('version')}, commit {code.get('commit') or 'unknown'}{changed}; {shown}; {where}"
    )


def _inputs(inputs: Mapping[str, str]) -> list[str]:
    text = [f"  from {path} ({sha[:12]}…)" for path, sha in list(inputs.items())[: 2 * _FIRST]]
    more = len(inputs) - len(text)
    return [*text, f"  and {counted(more, 'more file')}"] if more else text


def _job(file: Path) -> dict[str, Any] | None:
    """The record of the job that made the file, if it lies in a results folder."""
    for folder in file.absolute().parents:
        if (folder / JOB_RECORDS).is_dir():
            place = file.absolute().relative_to(folder).as_posix()
            found = [
                record
                for _, record in job_records.read_all(folder)
                if place in {manifest.below(path, record["results"]) for path in record["outputs"]}
            ]
            return max(found, key=lambda record: record["ended"], default=None)
    return None


def _hdf5(path: Path) -> dict[str, Any]:
    arrays: list[str] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            columns = f", columns {', '.join(item.dtype.names)}" if item.dtype.names else f" {item.dtype}"
            arrays.append(f"{name}: {' × '.join(map(str, item.shape)) or 'one value'}{columns}")

    with h5py.File(path, "r", locking=False) as file:
        file.visititems(note)
        kind = str(file.attrs.get("format"))
        found: dict[str, Any] = {"format": kind}
        if kind == STATES_FORMAT:
            for agent in ("agent1", "agent2"):
                n_layers, n_rows, width = file[agent]["hidden"].shape
                rows = file[agent]["rows"][:_FIRST]
                found[agent] = f"{n_layers} layers, {n_rows} rows, width {width}"
                found[f"first rows of {agent}"] = [
                    ", ".join(
                        f"{key} {_text(value)}" for key, value in zip(rows.dtype.names, row, strict=True)
                    )
                    for row in rows
                ]
        many = len(arrays) - 5 * _FIRST
        found["arrays"] = arrays[: 5 * _FIRST] + ([f"and {many} more"] if many > 0 else [])
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _jsonl(path: Path) -> dict[str, Any]:
    records = read_jsonl(path)
    found: dict[str, Any] = {"lines": len(records), "keys": ", ".join(records[0])}
    for key in ("pair", "seed", "status", "stop_reason"):
        if key in records[0]:
            counts = Counter(str(record.get(key)) for record in records)
            found[key] = ", ".join(f"{value} ({n})" for value, n in counts.most_common())
    if "turns" in records[0]:
        found["turns"] = sum(len(record["turns"]) for record in records)
        first = records[0]["turns"][: 2 * _FIRST]
        found[f"begin of {records[0]['episode_id']}"] = [
            f"{t.get('speaker')}: {t.get('text')}" for t in first
        ]
    else:
        shown = [{key: value for key, value in r.items() if key != "made_by"} for r in records[:_FIRST]]
        found["first lines"] = [json.dumps(record, ensure_ascii=False) for record in shown]
    return found


def _json(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        return {
            "value": f"{type(value).__name__} of {len(value)}" if isinstance(value, list) else plain(value)
        }
    return {
        key: f"{len(part)} entries" if isinstance(part, dict | list) else _cut(str(part))
        for key, part in value.items()
        if key != "made_by"
    }


def _table(path: Path) -> dict[str, Any]:
    table = read_table(path)
    text = table.head(_FIRST).to_csv(sep="\t", index=False).splitlines()
    return {"rows": len(table), "columns": ", ".join(map(str, table.columns)), "first rows": text}


def _nothing(_: Path) -> dict[str, Any]:
    return {}


_CONTENT: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".h5": _hdf5,
    ".jsonl": _jsonl,
    ".json": _json,
    ".tsv": _table,
    ".svg": _nothing,
    ".png": _nothing,
    ".html": _nothing,
}
