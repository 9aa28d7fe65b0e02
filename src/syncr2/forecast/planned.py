"""One job of a forecast."""

from __future__ import annotations

from typing import NamedTuple

_RECORDS = 8_000  # bytes of log, benchmark and record of a job


class Planned(NamedTuple):
    """One job.

    Attributes
    ----------
    rule, name : str
        Its rule, and how its log, benchmark and record are called below their folders, without suffix. Both
        are empty where jobs of a stage write something beside their outputs, which then has one entry.
    outputs : tuple of str
        Its files relative to the results; empty where the forecast does not know their names.
    stage : str
        What its disk counts as.
    bytes, seconds, memory_mb : float
        What it writes; wall time, on an H100 where it has a GPU; memory that it asks for.
    threads, gpus : int
    """

    rule: str
    name: str
    outputs: tuple[str, ...]
    stage: str
    bytes: float
    seconds: float
    memory_mb: float
    threads: int = 1
    gpus: int = 0


def records_bytes(n_jobs: int) -> float:
    """Logs, benchmarks and records of as many jobs."""
    return _RECORDS * n_jobs
