"""All outputs of a run with their hashes, as the records of its jobs tell them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from syncr2 import job_records
from syncr2.errors import SyncR2Error
from syncr2.files import read_json

FORMAT = "syncr2/manifest/1"
MANIFEST = Path("provenance", "manifest.json")


class Output(NamedTuple):
    """A file or folder that a job made.

    Attributes
    ----------
    sha256 : str
    bytes : int
    rule : str
    job : str
        Name of the job's record.
    revision : int or None
        Of the rule's stage, when it ran.
    inputs : mapping
        SHA-256 of what the job read, by path; paths below the results are relative to them.
    """

    sha256: str
    bytes: int
    rule: str
    job: str
    revision: int | None
    inputs: Mapping[str, str]


def outputs(results: str | Path) -> dict[str, Output]:
    """Every recorded output, by its path relative to the results.

    Raises
    ------
    SyncR2Error
        If no job left a record there.
    """
    found: dict[str, Output] = {}
    ended: dict[str, str] = {}
    for name, record in job_records.read_all(results):
        inputs = {below(path, record["results"]): sha for path, sha in record["inputs"].items()}
        for path, made in record["outputs"].items():
            place = below(path, record["results"])
            # A job that was called otherwise once may have made the same file: the last one counts.
            if ended.get(place, "") > record["ended"]:
                continue
            ended[place] = record["ended"]
            revision = record["params"].get("revision")
            found[place] = Output(made["sha256"], made["bytes"], record["rule"], name, revision, inputs)
    if not found:
        raise SyncR2Error(
            f"{results}: no records of jobs there. Give the results folder of a run, or a file in it; a run "
            "of an older version has none, and its files cannot be held against anything."
        )
    return found


def below(path: str, results: str) -> str:
    """A path relative to the results where it lies below them, as it is where not."""
    place = Path(path)
    return place.relative_to(results).as_posix() if place.is_relative_to(results) else path


def build(results: str | Path, made_by: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest as one JSON value: each output's SHA-256, size, rule and job; and each file read."""
    made = outputs(results)
    read = {path: sha for output in made.values() for path, sha in output.inputs.items() if path not in made}
    return {
        "format": FORMAT,
        "made_by": dict(made_by),
        "files": {
            path: {key: getattr(made[path], key) for key in ("sha256", "bytes", "rule", "revision", "job")}
            for path in sorted(made)
        },
        "read": dict(sorted(read.items())),
    }


def read_manifest(results: str | Path) -> dict[str, Any] | None:
    """The manifest of a results folder; None where there is none yet."""
    path = Path(results) / MANIFEST
    if not path.is_file():
        return None
    found = read_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise SyncR2Error(f"{path}: not a manifest of the format {FORMAT}. Delete it and run again.")
    return found
