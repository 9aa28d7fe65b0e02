"""What finished jobs of a results folder took, beside what was expected of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from syncr2 import job_records
from syncr2.errors import SyncR2Error
from syncr2.files import read_jsonl
from syncr2.forecast.facts import Speech
from syncr2.forecast.planned import Planned
from syncr2.ids import JOB_RECORDS

# Files of dialogues that are read to count what is said.
_READ = 12


class Taken(NamedTuple):
    """What one finished job took; None where neither its record nor its benchmark tells."""

    bytes: float
    seconds: float | None
    cpu_seconds: float | None
    memory_mb: float | None
    accelerator: str | None


def spoken(results: Path, assumed: Speech) -> Speech:
    """How much is said in the dialogues that are there; what was assumed if there are none."""
    files = sorted((results / "dialogues").glob("*/seed-*/shard-*.jsonl"))
    firsts, prompts, answers, turns = [], [], [], []
    # Spread over all pairs, for models differ in how much they say.
    for path in files[:: max(1, len(files) // _READ)]:
        try:
            records = read_jsonl(path)
        except SyncR2Error:
            continue
        for record in records:
            counts = [turn.get("n_prompt_tokens") for turn in record["turns"]]
            new = [turn.get("n_new_tokens") for turn in record["turns"]]
            if not counts or None in counts or None in new:
                continue
            turns.append(len(counts))
            firsts.append(counts[0])
            answers.append(sum(new) / len(new))
            prompts.append((counts[-1] - counts[0]) / max(len(counts) - 1, 1))
    if not turns:
        return assumed
    n = len(turns)
    answer = sum(answers) / n
    return Speech(
        sum(firsts) / n,
        answer,
        max(sum(prompts) / n - answer, 0),
        sum(turns) / n,
        f"{n} finished dialogues",
    )


def finished(results: Path, jobs: Iterable[Planned]) -> dict[Planned, Taken]:
    """What those of the jobs took that are done: their record or benchmark is there, and their outputs."""
    found = {}
    for job in jobs:
        taken = _taken(results, job) if job.name else None
        if taken is not None:
            found[job] = taken
    return found


def _taken(results: Path, job: Planned) -> Taken | None:
    if not all((results / path).exists() for path in job.outputs):
        return None
    record = _json(results / JOB_RECORDS / f"{job.name}.json")
    if record:
        size = sum(made["bytes"] for made in record["outputs"].values())
        accelerator = record["host"].get("accelerator")
        return Taken(size, record["seconds"], record["cpu_seconds"], record["peak_memory_mb"], accelerator)
    seconds = _benchmark(results / "benchmarks" / f"{job.name}.tsv")
    if seconds is None:
        return None
    # Of a job without a record, the names of tables and figures are not known.
    size = sum(_size(results / path) for path in job.outputs) if job.outputs else job.bytes
    return Taken(size, seconds, None, None, None)


def _json(path: Path) -> dict | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == job_records.FORMAT else None


def _benchmark(path: Path) -> float | None:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            seconds = [float(row["s"]) for row in csv.DictReader(stream, delimiter="\t")]
    except (OSError, KeyError, ValueError):
        return None
    return sum(seconds) / len(seconds) if seconds else None


def _size(path: Path) -> int:
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files)
