"""Accidents that a run is put through, by `reliability.py` and by tests/workflow/test_accidents.py.

Each is done to the real workflow, called as a user calls it, in a folder of its own.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from syncr2 import job_records, warm
from syncr2.ids import JOB_RECORDS
from syncr2.provenance import REPOSITORY

DEADLINE = 1800.0  # seconds; a run that takes longer hangs
POLL = 0.02


@dataclass
class Place:
    """A folder in which a run goes on, with its configuration; the results are in `results`."""

    folder: Path
    config: Mapping[str, Any]
    cores: int = 2
    arguments: tuple[str, ...] = ()
    drivers: int = field(default=0, init=False)
    begun: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "test.yaml").write_text(yaml.safe_dump(dict(self.config)))

    @property
    def results(self) -> Path:
        """Where the outputs are."""
        return self.folder / "results"

    @property
    def log(self) -> Path:
        """What the last driver said; beside the folder, whose disk may be full."""
        return self.folder.with_name(f"{self.folder.name}-driver-{self.drivers}.log")

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """Snakemake as a user calls it, in a process group of its own."""
        self.drivers += 1
        self.begun = time.time()
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
        command += ["--cores", str(self.cores), *self.arguments, *more, "--configfile", "test.yaml"]
        # A warm process of whoever calls this knows nothing of this run.
        kept = {name: value for name, value in os.environ.items() if name != warm.ADDRESS_VARIABLE}
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=kept, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, *more: str) -> int:
        """The same to its end; gives the exit code."""
        driver = self.start(*more)
        try:
            return driver.wait(DEADLINE)
        except BaseException:
            kill(driver)
            raise

    def said(self) -> str:
        """What the last driver and the jobs' logs say."""
        logs = sorted((self.results / "logs").rglob("*.log"))
        return "\n".join(path.read_text(errors="replace") for path in [self.log, *logs])

    def records(self) -> dict[str, int]:
        """Name and time of writing of every finished job's record."""
        folder = self.results / JOB_RECORDS
        found = {}
        for path in folder.rglob("[!.]*.json"):
            found[path.relative_to(folder).as_posix()] = path.stat().st_mtime_ns
        return found

    def unfinished(self, since: float = 0.0) -> set[str]:
        """Outputs that Snakemake holds for unfinished, of jobs that began after a time."""
        folder = self.folder / ".snakemake/incomplete"
        found = set()
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file() and path.stat().st_mtime >= since and path.name != "migration_underway":
                    parts = [part.removeprefix("@") for part in path.relative_to(folder).parts]
                    found.add(urlsafe_b64decode("".join(parts)).decode())
        return found

    def under_way(self) -> set[str]:
        """Outputs of the jobs that the last driver has begun and not ended."""
        return self.unfinished(self.begun)


def kill(driver: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the whole process group at once: driver, scripts, jobs, as when a machine goes down."""
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()


def wait_for(
    condition: Callable[[], object], driver: subprocess.Popen[bytes], seconds: float = DEADLINE
) -> bool:
    """Until it holds, the driver ends or the time is over; says whether it held."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        if driver.poll() is not None:
            return bool(condition())
        time.sleep(POLL)
    return False


@dataclass(frozen=True)
class Job:
    """A job of the undisturbed run: when a kill may come."""

    name: str
    rule: str
    stage: str
    outputs: frozenset[str]
    started: str
    seconds: float


def jobs_of(results: Path) -> list[Job]:
    """Jobs of a finished run, in the order in which they were begun."""
    found = []
    for name, record in job_records.read_all(results):
        outputs = frozenset(record["outputs"])
        stage = STAGES[record["rule"]]
        found.append(Job(name, record["rule"], stage, outputs, record["started"], record["seconds"]))
    return sorted(found, key=lambda job: (job.started, job.name))


STAGES = {
    **dict.fromkeys(("prepare_scenarios", "fetch_scenarios"), "scenarios"),
    **dict.fromkeys(("build_miniature", "fetch_model", "record_model"), "models"),
    "play_dialogues": "dialogues",
    "replay_states": "states",
    **dict.fromkeys(("fit_layer_maps", "summarise_synchrony"), "synchrony"),
    **dict.fromkeys(
        ("fit_nested_maps", "permute_partners", "fit_baselines", "summarise_controls"), "controls"
    ),
    **dict.fromkeys(("judge_dialogues", "summarise_performance", "summarise_outcomes"), "judgements"),
    **dict.fromkeys(("label_utterances", "summarise_labels", "correlate_labels"), "labels"),
    **dict.fromkeys(("fit_probes", "summarise_probes", "draw_probes", "write_probe_page"), "probes"),
    **dict.fromkeys(
        ("describe_dialogues", "correlate", "score_dialogues", "relate_dialogues", "locate_synchrony"),
        "statistics",
    ),
    "compare_with_paper": "paper",
    **dict.fromkeys(
        (
            *("draw_summary", "draw_groups", "draw_heatmaps", "draw_controls", "draw_statistics"),
            *("write_pages", "write_statistics_pages"),
        ),
        "report",
    ),
    "record_provenance": "provenance",
}


@dataclass(frozen=True)
class Kill:
    """One kill of a run: at which job it was aimed, what was under way, what was finished.

    Attributes
    ----------
    aim : str
        Rule at whose job it was aimed.
    running : tuple of str
        Rules of the jobs that were under way.
    hit : tuple of str
        Their stages.
    finished : int
        Jobs that had left their record.
    repeated : tuple of str
        Finished jobs that were done again though they were not under way any more.
    """

    aim: str
    running: tuple[str, ...]
    hit: tuple[str, ...]
    finished: int
    repeated: tuple[str, ...] = ()


def moments(jobs: Sequence[Job], n: int, seed: int, every_stage: bool = True) -> list[tuple[Job, float]]:
    """Random moments of a run: jobs in the order of their beginning, and seconds from then on.

    Parameters
    ----------
    jobs : sequence of Job
        Of an undisturbed run.
    n : int
        How many.
    seed : int
    every_stage : bool
        One moment of each stage at least.
    """
    draw = random.Random(seed)
    stages = dict.fromkeys(job.stage for job in jobs)
    chosen = [draw.choice([job for job in jobs if job.stage == stage]) for stage in stages if every_stage]
    rest = [job for job in jobs if job not in chosen]
    chosen = (chosen + draw.sample(rest, min(max(n - len(chosen), 0), len(rest))))[: max(n, len(stages))]
    place = {job.name: i for i, job in enumerate(jobs)}
    return [(job, draw.uniform(0, job.seconds)) for job in sorted(chosen, key=lambda job: place[job.name])]


def kill_again_and_again(
    place: Place, planned: Sequence[tuple[Job, float]], jobs: Sequence[Job]
) -> list[Kill]:
    """Start the run, kill it at the first moment, start it again, and so on; then let it end.

    Raises
    ------
    RuntimeError
        If the last call does not end well.
    """
    by_output = {output: job for job in jobs for output in job.outputs}
    found: list[tuple[Kill, dict[str, int], set[str]]] = []
    for job, delay in planned:
        if not _start_and_kill(place, job, delay):
            break
        running = {by_output[path] for path in place.under_way() if path in by_output}
        unfinished = {by_output[path].name for path in place.unfinished() if path in by_output}
        finished = place.records()
        rules, stages = {each.rule for each in running}, {each.stage for each in running}
        killed = Kill(job.rule, tuple(sorted(rules)), tuple(sorted(stages)), len(finished))
        found.append((killed, finished, unfinished))
    if place.run():
        raise RuntimeError(f"The last run did not end well:\n{place.said()[-4000:]}")
    now = place.records()
    return [
        replace(killed, repeated=tuple(n for n, at in done.items() if n not in unfinished and now[n] != at))
        for killed, done, unfinished in found
    ]


def _start_and_kill(place: Place, job: Job, delay: float) -> bool:
    """Start the run and kill it at a moment of a job, or of any if that one is done; False if it ended."""
    done = job.name in place.records()

    def over() -> bool:
        return not done and job.name in place.records()

    driver = place.start()
    wait_for(lambda: (done and place.under_way()) or job.outputs & place.under_way() or over(), driver)
    wait_for(over, driver, delay)
    if driver.poll() is None:
        kill(driver)
        return True
    if driver.returncode:
        raise RuntimeError(f"The run ended with {driver.returncode}:\n{place.said()[-4000:]}")
    return False
