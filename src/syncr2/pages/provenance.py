"""The page "Provenance": what made the results, as their own records tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncr2.pages.layout import UNDEFINED, Column, Head, Table, moment, plain, render, whole
from syncr2.pages.records import Record, Trace, distinct, models_used

_STAGES = {
    "dialogues": "dialogues",
    "states": "states",
    "r2": "R² of the layer maps",
    "judgements": "judgements",
}


@dataclass(frozen=True)
class Origin:
    """Where the episodes come from.

    Attributes
    ----------
    origin : str
        `bundled`, `local` or `public`.
    address : str
        The folder or the pinned address.
    sha256 : mapping
        Of each of the three files.
    checked_sha256 : str
        Of the one file that the workflow made of them.
    n_episodes : int
    """

    origin: str
    address: str
    sha256: Mapping[str, str]
    checked_sha256: str
    n_episodes: int


def provenance_page(
    head: Head,
    trace: Trace,
    origin: Origin,
    n_dialogues: int,
    n_turns: int,
    tables: Mapping[str, str],
    writer: Record,
) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    trace : Trace
        From `records.gather`.
    origin : Origin
    n_dialogues, n_turns : int
        Over all pairs and seeds.
    tables : mapping
        SHA-256 of the tables that the report shows, by path.
    writer : mapping
        `code`, `libraries` and `host` of the process that writes this page.
    """
    records = [record for _, record in trace.records]
    written = sorted(record["written"] for record in records)
    codes = distinct(record["code"] for record in records)
    return render(
        "provenance.html",
        head,
        codes=_codes(records),
        dirty=any(code.get("dirty") for code in codes),
        several=len(distinct(code.get("commit") for code in codes)) > 1,
        first=moment(written[0]),
        last=moment(written[-1]),
        machines=distinct(_machine(record["host"]) for record in records),
        counts=_counts(trace, n_dialogues, n_turns),
        states_gone=trace.states_gone,
        origin=origin,
        same_scenarios=_same_scenarios(records, origin),
        models=_models(models_used(records)),
        judges=_judges(trace.of_stage("judgements")),
        stages=_stages(trace),
        libraries=_libraries(records, writer),
        tables=Table((Column("table", "code"), Column("SHA-256", "code")), tuple(tables.items())),
        page_written=moment(writer["written"]),
        page_commit=writer["code"].get("commit") or "unknown",
    )


def _machine(host: Mapping[str, Any]) -> str:
    accelerator = host.get("accelerator")
    return f"{host['system']} on {host['machine']}" + (f" with {accelerator}" if accelerator else "")


def _codes(records: Sequence[Record]) -> Table:
    rows = []
    for code in distinct(record["code"] for record in records):
        n_files = sum(record["code"] == code for record in records)
        state = {True: "with changes that are in no commit", False: "as committed", None: "not known"}[
            code.get("dirty")
        ]
        rows.append((code["version"], code.get("commit") or "not a git checkout", state, whole(n_files)))
    columns = (
        Column("syncr2"),
        Column("git commit", "code"),
        Column("tracked files"),
        Column("outputs", "number"),
    )
    return Table(columns, tuple(rows))


def _counts(trace: Trace, n_dialogues: int, n_turns: int) -> Table:
    judged = len(trace.of_stage("judgements"))
    rows = [("dialogues", whole(n_dialogues)), ("turns", whole(n_turns))]
    rows += [(f"prompts read for their states, {reading}", whole(n)) for reading, n in trace.n_states.items()]
    rows += [
        ("files of R² matrices", whole(len(trace.of_stage("r2")))),
        ("files of judgements", whole(judged)),
    ]
    return Table((Column("what"), Column("number", "number")), tuple(rows))


def _same_scenarios(records: Sequence[Record], origin: Origin) -> bool:
    """Whether everything was made from the scenarios file that is there now."""
    read = {
        sha for record in records for path, sha in record["inputs"].items() if path.endswith("scenarios.json")
    }
    return read == {origin.checked_sha256}


def _weights(model: Mapping[str, Any]) -> str:
    # Only an untrained twin has a record of its weights.
    if "weights" in model:
        return f"random, seed {model['seed']}"
    return "as loaded" if model["path"] else "as served"


def _models(models: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            model["name"],
            model["path"] or model.get("speaks", {}).get("model", UNDEFINED),
            plain(model["revision"]),
            model["resolved_revision"] or UNDEFINED,
            model.get("files_sha256") or UNDEFINED,
            model["dtype"] or UNDEFINED,
            model["chat_template_sha256"] or UNDEFINED,
            _weights(model),
        )
        for model in models
    ]
    columns = (
        Column("model"),
        Column("loaded from", "code"),
        Column("revision", "code", "asked for"),
        Column("revision", "code", "found"),
        Column("files", "code", "SHA-256"),
        Column("dtype", "code"),
        Column("chat template", "code", "SHA-256"),
        Column("weights"),
    )
    return Table(columns, tuple(sorted(rows)))


def _judges(records: Sequence[Record]) -> Table:
    keys = ("name", "engine", "model", "base_url", "temperature", "template_sha256")
    rows = []
    for record in distinct({**record["settings"], "note": record.get("note")} for record in records):
        rows.append((*(plain(record.get(key)) for key in keys), record["note"] or ""))
    columns = (
        Column("judge"),
        Column("engine"),
        Column("model"),
        Column("address", "value"),
        Column("temperature"),
        Column("prompt template", "code", "SHA-256"),
        Column("note", "prose"),
    )
    return Table(columns, tuple(dict.fromkeys(rows)))


def _stages(trace: Trace) -> Table:
    rows = []
    for stage, words in _STAGES.items():
        records = trace.of_stage(stage)
        if not records:
            rows.append((words, UNDEFINED, "0", UNDEFINED, UNDEFINED, UNDEFINED))
            continue
        written = sorted(record["written"] for record in records)
        revisions = plain(sorted({record["revision"] for record in records}))
        templates = sorted({sha for r in records if (sha := r["settings"].get("template_sha256"))})
        rows.append(
            (
                words,
                revisions,
                whole(len(records)),
                moment(written[0]),
                moment(written[-1]),
                ", ".join(templates) or UNDEFINED,
            )
        )
    columns = (
        Column("stage"),
        Column("revision", "number", "of the stage's code"),
        Column("files", "number"),
        Column("first written"),
        Column("last written"),
        Column("prompt templates", "code", "SHA-256"),
    )
    return Table(columns, tuple(rows))


def _libraries(records: Sequence[Record], writer: Record) -> Table:
    """Versions by library: those that made the results, and those that made this page where they differ."""
    names = dict.fromkeys(name for record in [*records, writer] for name in record["libraries"])
    rows = []
    for name in names:
        used = sorted({record["libraries"][name] for record in records if name in record["libraries"]})
        here = writer["libraries"].get(name, UNDEFINED)
        rows.append((name, ", ".join(used) or UNDEFINED, here))
    columns = (Column("library"), Column("results", "code"), Column("this page", "code"))
    return Table(columns, tuple(rows))
