"""The record that a job leaves when it has ended well: what it read, what it wrote, what it took.

Tables cannot hold such a record without breaking those who read them, and a folder cannot either; so each
job writes one below `provenance/jobs` of the results, named like its log. `verify` holds files against the
records; `forecast` learns from the time and memory in them.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from syncr2.errors import SyncR2Error
from syncr2.files import read_json, write_json
from syncr2.ids import JOB_RECORDS
from syncr2.lineage import rests_on
from syncr2.provenance import code_version, host, library_versions, now, sha256_of

FORMAT = "syncr2/job/1"


class Usage:
    """Time and memory of this process from now on, its children included.

    A process forked from the warm one counts what it shares with it as its own, as a scheduler would.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._cpu = _cpu_seconds()

    def taken(self) -> dict[str, Any]:
        """Seconds of wall and of CPU time; MB of memory at the most, and of GPU memory if one was used."""
        return {
            "seconds": round(time.monotonic() - self._started, 3),
            "cpu_seconds": round(_cpu_seconds() - self._cpu, 3),
            "peak_memory_mb": round(_peak_bytes() / 1e6, 1),
            "peak_gpu_memory_mb": _peak_gpu_mb(),
        }


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak_bytes() -> int:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    largest = max(resource.getrusage(who).ru_maxrss for who in whose)
    return largest if sys.platform == "darwin" else 1024 * largest


def _peak_gpu_mb() -> float | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return round(torch.cuda.max_memory_reserved() / 1e6, 1)


def write(described: Mapping[str, Any], started: str, usage: Usage) -> None:
    """Write the record of a job whose outputs are all there."""
    kept = {key: value for key, value in described.items() if key not in ("record", "inputs", "outputs")}
    record = {
        "format": FORMAT,
        **kept,
        "code": code_version(),
        "libraries": library_versions(),
        "host": host(),
        "started": started,
        "ended": now(),
        **usage.taken(),
        "inputs": {path: sha256_of(path) for path in described["inputs"]},
        "rests_on": rests_on(described["inputs"]),
        "outputs": {path: {"sha256": sha256_of(path), "bytes": _size(path)} for path in described["outputs"]},
    }
    write_json(described["record"], record)


def _size(path: str) -> int:
    given = Path(path)
    files = [each for each in given.rglob("*") if each.is_file()] if given.is_dir() else [given]
    return sum(each.stat().st_size for each in files)


def read_all(results: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of every job's record below a results folder, in the order of their names.

    Raises
    ------
    SyncR2Error
        If one is not such a record.
    """
    folder = Path(results) / JOB_RECORDS
    for path in sorted(folder.rglob("*.json")):
        if path.name.startswith("."):
            continue
        record = read_json(path)
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise SyncR2Error(f"{path}: not a job's record of the format {FORMAT}. Delete it and run again.")
        yield path.relative_to(folder).as_posix(), record
