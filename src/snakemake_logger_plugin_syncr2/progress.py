"""How far a workflow is and when it will end: numbers and text, with the time always passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass
class Stage:
    """The jobs of one rule, and the seconds of wall time that its finished jobs took."""

    total: int
    done: int = 0
    cost: float = 0.0


@dataclass
class Running:
    """A job under way, and the seconds of wall time that it took so far."""

    stage: str
    cost: float = 0.0


class Progress:
    """State of a run: the plan (jobs by rule), moved on by events at times `now`, seconds since the epoch.

    Every second of wall time is split evenly over the jobs that run in it. What a job collects is thus its
    duration divided by the concurrency while it ran: right for a stage that runs one job at a time (one GPU)
    and for one that fills all cores, without knowing why they differ.
    """

    def __init__(self, stats: Mapping[str, int], now: float) -> None:
        self.stages = {name: Stage(count) for name, count in stats.items() if name != "total"}
        self.total = sum(stage.total for stage in self.stages.values())
        self.running: dict[int, Running] = {}
        self.failed: dict[int, str] = {}
        self.latest = ""  # stage of the job that finished last
        self.started_at = self.time = now

    @property
    def done(self) -> int:
        return sum(stage.done for stage in self.stages.values())

    @property
    def left(self) -> int:
        return max(self.total - self.done - len(self.failed), 0)

    def costs(self, rule: str) -> list[float]:
        return [job.cost for job in self.running.values() if job.stage == rule]

    def advance(self, now: float) -> None:
        """Book the time since the last event; a clock that was set back counts as no time."""
        for job in self.running.values():
            job.cost += max(now - self.time, 0.0) / len(self.running)
        self.time = now

    def start(self, job_id: int, rule: str, now: float) -> None:
        self.advance(now)
        self.failed.pop(job_id, None)  # a second attempt
        self.running[job_id] = Running(rule)
        stage = self.stages.setdefault(rule, Stage(0))
        stage.total = max(stage.total, stage.done + len(self.costs(rule)))  # a checkpoint adds to the plan

    def finish(self, job_id: int, now: float) -> None:
        self.advance(now)
        if job := self.running.pop(job_id, None):
            self.latest = job.stage
            self.stages[job.stage].done += 1
            self.stages[job.stage].cost += job.cost

    def fail(self, job_id: int, now: float) -> None:
        self.advance(now)
        if job := self.running.pop(job_id, None):
            self.failed[job_id] = job.stage

    def seconds_left(self) -> float | None:
        """Estimate the wall time to the end; None while there is nothing to base it on.

        A job is taken to cost the mean of its rule's finished jobs; where none has finished, the mean over
        all finished jobs, or what the rule's longest running job has cost already if that is more.
        """
        if not self.done:
            return None
        overall = sum(stage.cost for stage in self.stages.values()) / self.done
        seconds, known = 0.0, False
        for name, stage in self.stages.items():
            costs = self.costs(name)
            mean = stage.cost / stage.done if stage.done else max([overall, *costs])
            n_failed = sum(rule == name for rule in self.failed.values())
            n_waiting = max(stage.total - stage.done - len(costs) - n_failed, 0)
            seconds += n_waiting * mean + sum(max(mean - cost, 0.0) for cost in costs)
            known = known or n_waiting > 0 or any(cost < mean for cost in costs)
        return seconds if known else None  # only jobs that take longer than expected are left


def clock(seconds: float) -> str:
    """Write a duration as ``mm:ss``, from an hour on as ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def estimate_text(seconds: float | None, now: float) -> str:
    """Write the time left and the local clock time of the end, with the day if it is not today's."""
    if seconds is None:
        return "end not known yet"
    start, end = datetime.fromtimestamp(now), datetime.fromtimestamp(now + seconds)
    minutes = round(seconds / 60)
    if minutes < 1:
        left = "under 1 min"
    elif minutes < 90:
        left = f"about {minutes} min"
    else:
        left = f"about {minutes // 60} h {minutes % 60} min"
    return f"{left} (until {end:{'%H:%M' if end.date() == start.date() else '%a %d %b %H:%M'}})"


def plan_text(progress: Progress, cores: int | None) -> str:
    width = max((len(name) for name in progress.stages), default=0)
    rows = [f"  {name:<{width}}  {stage.total:>5}" for name, stage in progress.stages.items()]
    place = "" if cores is None else f" on {count(cores, 'core')}"
    return "\n".join([f"Plan: {count(progress.total, 'job')}{place}", *rows])


def status_text(progress: Progress, width: int | None = None) -> str:
    """Write the state in one line; if it is wider than `width`, the stages give way, last ones first."""
    active = {progress.latest, *(job.stage for job in progress.running.values())}
    middle = [f"{name} {s.done}/{s.total}" for name, s in progress.stages.items() if name in active]
    failed = [f"{len(progress.failed)} failed"] if progress.failed else []
    end = [f"{count(progress.left, 'job')} left", estimate_text(progress.seconds_left(), progress.time)]
    percent = 100 * progress.done // max(progress.total, 1)
    head = f"[{clock(progress.time - progress.started_at)}] {percent:>2} %  "
    while width and middle and len(head + " · ".join([*middle, *failed, *end])) > width:
        middle.pop()
    return (head + " · ".join([*middle, *failed, *end]))[:width]


def summary_text(progress: Progress) -> str:
    time, total = clock(progress.time - progress.started_at), count(progress.total, "job")
    if progress.done >= progress.total:
        return f"[{time}] Finished: {total} done."
    failed = f", {len(progress.failed)} failed" if progress.failed else ""
    return f"[{time}] Stopped: {progress.done} of {total} done{failed}, {progress.left} not finished."
