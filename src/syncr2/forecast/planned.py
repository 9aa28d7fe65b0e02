"""One job of a forecast, and those that gather all pairs into tables, figures and pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from syncr2.config import Experiment
from syncr2.forecast.facts import Size

# Values of a column that episodes are grouped by; relationship has five.
VALUES = 5
_RECORDS = 8_000  # bytes of log, benchmark and record of a job


class Planned(NamedTuple):
    """One job.

    Attributes
    ----------
    rule, name : str
        Its rule, and how its log, benchmark and record are called below their folders, without suffix.
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


def last_jobs(experiment: Experiment, sizes: Mapping[str, Size]) -> Iterator[Planned]:
    """Tables, figures and pages: seconds and sizes of the demo, by the number of rows or pairs."""
    n_pairs, n_orders = len(experiment.pairs), len(experiment.ordered_pairs)
    dialogues = n_orders * experiment.scenarios.episodes * len(experiment.seeds)
    conditions = len(experiment.synchrony.conditions)
    layers = sum(size.layers for size in sizes.values()) / max(len(sizes), 1)
    rows = n_orders * conditions * 2
    lines: list[tuple[str, str, float, float]] = [
        ("summarise_synchrony", "tables", rows * (86 * layers + 85 + 45 * VALUES), 1.7),
        ("summarise_performance", "tables", 250 * n_pairs, 0.5 + 2e-5 * dialogues),
        ("describe_dialogues", "tables", 225 * dialogues + 200 * n_orders, 0.5 + 2e-4 * dialogues),
        ("summarise_outcomes", "tables", 60 * dialogues, 0.5 + 2e-4 * dialogues),
        ("correlate", "statistics", 20_000, 1.0),
        ("draw_summary", "figures", 500_000, 2.8),
        ("draw_groups", "figures", 150_000, 1.2),
        ("draw_heatmaps", "figures", 150_000 * n_pairs, 0.45 * n_pairs),
        ("write_pages", "pages", 250_000, 1.5),
    ]
    if "corrected" in experiment.synchrony.protocols:
        lines += [
            ("summarise_controls", "controls", 9_000 * n_pairs * conditions, 4.0),
            ("relate_dialogues", "statistics", 240 * dialogues, 0.8),
            ("locate_synchrony", "statistics", 60_000, 1.4),
            ("draw_controls", "figures", 800_000, 4.2),
        ]
    for rule, stage, size, seconds in lines:
        yield Planned(rule, rule, (), stage, size, seconds, 4000)


def records_bytes(n_jobs: int) -> float:
    """Logs, benchmarks and records of as many jobs."""
    return _RECORDS * n_jobs
