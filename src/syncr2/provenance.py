"""What made a file: code, libraries, machine, settings, inputs."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from syncr2.files import sha256_file
from syncr2.lineage import rests_on
from syncr2.revisions import REVISIONS

REPOSITORY = Path(__file__).resolve().parents[2]
# Snakemake's own file in folders that it made.
_TIMESTAMP = ".snakemake_timestamp"
# Set inside a git hook, these point to the hook's repository, whatever the folder.
_OF_ANOTHER_CHECKOUT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
LIBRARIES = (
    "numpy",
    "scipy",
    "h5py",
    "scikit-learn",
    "statsmodels",
    "pandas",
    "torch",
    "transformers",
    "tokenizers",
    "openai",
)


@dataclass(frozen=True)
class Job:
    """The job of the workflow that this process does.

    Attributes
    ----------
    rule : str
    settings : mapping
        The slice of the configuration that the rule took as params.
    inputs : tuple of str
        Files that the rule read.
    started : str
        Time at which it began, in UTC.
    seed : int, optional
        Seed of generation, where the job has one.
    """

    rule: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    started: str = field(default_factory=lambda: now())
    seed: int | None = None


# Context, not an argument: every stage writes records, and none of them knows of jobs.
_JOB: ContextVar[Job | None] = ContextVar("job", default=None)


def now() -> str:
    """The time, to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def within(job: Job | None) -> Iterator[None]:
    """Records that are made in this block tell of the job."""
    token = _JOB.set(job)
    try:
        yield
    finally:
        _JOB.reset(token)


@functools.cache
def code_version() -> dict[str, Any]:
    """Version of the package, git commit, and whether tracked files differ from it.

    The version is None where the package is not installed; the others are None outside a checkout of it.
    """
    try:
        version: str | None = metadata.version("syncr2")
    except metadata.PackageNotFoundError:
        version = None
    return {"version": version, **_checkout(REPOSITORY)}


def _checkout(folder: Path) -> dict[str, Any]:
    top, _, commit = (_git(folder, "rev-parse", "--show-toplevel", "HEAD") or "").partition("\n")
    # A copy without git of its own may lie inside another checkout, whose commit says nothing of this code.
    if not commit or Path(top).resolve() != folder.resolve():
        return {"commit": None, "dirty": None}
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _git(folder: Path, *arguments: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_CHECKOUT}
    # Without optional locks, for many jobs ask at once.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that can change a number, as installed (nothing is imported)."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def made_by(stage: str, settings: Mapping[str, Any], inputs: Sequence[str | Path] = ()) -> dict[str, Any]:
    """The record that goes into a file.

    Parameters
    ----------
    stage : str
        A key of `revisions.REVISIONS`.
    settings : mapping
        The slice of the configuration on which the file depends.
    inputs : sequence of paths
        Files read; their SHA-256 is taken now, and what they rest on is told of this one, too.
    """
    job = _JOB.get()
    return {
        "stage": stage,
        "revision": REVISIONS[stage],
        "seed": job.seed if job else None,
        "code": code_version(),
        "libraries": library_versions(),
        "host": host(),
        "started": job.started if job else None,
        "written": now(),
        "settings": dict(settings),
        "inputs": {str(path): sha256_of(path) for path in dict.fromkeys(inputs)},
        "rests_on": rests_on(inputs),
    }


def made_by_job(stage: str) -> dict[str, Any] | None:
    """The record of what this job writes, from its rule's params and inputs; None outside a job.

    For outputs whose stage functions are handed tables and plain values: figures and pages.
    """
    job = _JOB.get()
    return None if job is None else {"rule": job.rule, **made_by(stage, job.settings, job.inputs)}


def host() -> dict[str, Any]:
    """What kind of machine this is: no name of it or of a person."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "accelerator": _accelerator(),
    }


def _accelerator() -> str | None:
    # Only where the job has used one: asking would import torch, or take hold of the device.
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name())


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names; asked twice in one process, read once."""
    given = Path(path)
    if not given.is_dir():
        status = given.stat()
        return _sha256(str(given), status.st_size, status.st_mtime_ns, status.st_ino)
    parts = [each for each in sorted(given.rglob("*")) if each.is_file() and each.name != _TIMESTAMP]
    lines = [f"{sha256_of(each)}  {each.relative_to(given).as_posix()}\n" for each in parts]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@functools.cache
def _sha256(path: str, *_: int) -> str:
    return sha256_file(path)
