"""What a run will cost, before anything runs.

The jobs of a configuration follow from it (`plan`), and so does what each writes and computes, given how
much is said and how fast a device is (`facts`). Where jobs of a rule have finished in the results folder, the
ratio of what they took to what was expected of them corrects those that are left (`calibration`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from syncr2.config import Experiment
from syncr2.forecast.calibration import Taken, finished, spoken
from syncr2.forecast.facts import GPUS, REFERENCE, Speech, speech_of
from syncr2.forecast.plan import Plan
from syncr2.forecast.planned import Planned, records_bytes

__all__ = ["Forecast", "RuleCost", "forecast"]


@dataclass(frozen=True)
class RuleCost:
    """What the jobs of one rule take.

    Attributes
    ----------
    rule : str
    jobs, done : int
        All of them, and those that have finished.
    seconds, seconds_left : float
        Wall time of all jobs, each by itself; of those that are left.
    cpu_hours : float
        Threads that are held, times that.
    gpu_hours : mapping
        By kind of GPU, where the rule asks for GPUs: on each kind, if all of them were that.
    memory_mb : float
        The most that one job asks for, or took where that is known.
    calibrated : bool
        Whether finished jobs correct it.
    """

    rule: str
    jobs: int
    done: int
    seconds: float
    seconds_left: float
    cpu_hours: float
    gpu_hours: dict[str, float]
    memory_mb: float
    calibrated: bool


@dataclass(frozen=True)
class Forecast:
    """What a run comes to.

    Attributes
    ----------
    counts : mapping
        Pairs, dialogues, turns, tokens, states, files, jobs.
    disk : mapping
        Bytes by stage.
    disk_there : float
        Bytes of it that finished jobs have written.
    rules : tuple of RuleCost
    speech : Speech
        How much is said, and whether that is assumed.
    models : mapping
        Where each model's size is known from.
    """

    counts: dict[str, float]
    disk: dict[str, float]
    disk_there: float
    rules: tuple[RuleCost, ...]
    speech: Speech
    models: dict[str, str]

    @property
    def bytes(self) -> float:
        """All disk."""
        return sum(self.disk.values())

    @property
    def seconds(self) -> float:
        """Wall time of all jobs, one after another."""
        return sum(rule.seconds for rule in self.rules)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            **asdict(self),
            "speech": self.speech._asdict(),
            "bytes": self.bytes,
            "job_hours": self.seconds / 3600,
        }


def forecast(experiment: Experiment) -> Forecast:
    """Say what an experiment will cost, and what of it is done."""
    speech = spoken(experiment.results, speech_of(experiment))
    plan = Plan.of(experiment, speech)
    entries = list(plan.jobs())
    jobs = [job for job in entries if job.name]
    done = finished(experiment.results, jobs)
    disk: dict[str, float] = defaultdict(float)
    rules = []
    for rule in dict.fromkeys(job.rule for job in jobs):
        of_rule = [job for job in jobs if job.rule == rule]
        taken = {job: done[job] for job in of_rule if job in done}
        size = _ratio([each.bytes for each in taken.values()], [job.bytes for job in taken])
        for job in of_rule:
            disk[job.stage] += taken[job].bytes if job in taken else size * job.bytes
        rules.append(_cost(rule, of_rule, taken))
    for entry in entries:
        if not entry.name:
            disk[entry.stage] += entry.bytes
    disk["records"] += records_bytes(len(jobs))
    return Forecast(
        _counts(experiment, plan, jobs, len(done)),
        dict(disk),
        sum(each.bytes for each in done.values()) + records_bytes(len(done)),
        tuple(rules),
        speech,
        {name: size.source for name, size in plan.amounts.sizes.items()},
    )


def _ratio(taken: Sequence[float], expected: Iterable[float]) -> float:
    """What was taken to what was expected; 1 where nothing is known."""
    total = sum(expected)
    return sum(taken) / total if taken and total else 1.0


def _cost(rule: str, jobs: Sequence[Planned], taken: dict[Planned, Taken]) -> RuleCost:
    timed = {job: each for job, each in taken.items() if each.seconds is not None}
    speed = _ratio([each.seconds or 0 for each in timed.values()], [job.seconds for job in timed])
    seconds = {job: (timed[job].seconds or 0) if job in timed else speed * job.seconds for job in jobs}
    left = sum(value for job, value in seconds.items() if job not in taken)
    memory = [each.memory_mb for each in taken.values() if each.memory_mb]
    used = next((each.accelerator for each in timed.values() if each.accelerator), None)
    gpu_hours = {}
    if any(job.gpus for job in jobs):
        held = sum(value * job.gpus for job, value in seconds.items()) / 3600
        if used:
            gpu_hours[used] = held
        else:
            gpu_hours = {kind: held * _slower(rule, kind) for kind in GPUS}
    return RuleCost(
        rule,
        len(jobs),
        len(taken),
        sum(seconds.values()),
        left,
        sum(value * job.threads for job, value in seconds.items()) / 3600,
        gpu_hours,
        max(memory) if memory else max(job.memory_mb for job in jobs),
        bool(timed),
    )


def _slower(rule: str, kind: str) -> float:
    """How much longer than the reference a kind of GPU takes: by memory where it writes, else by rate."""
    here, device = GPUS[REFERENCE], GPUS[kind]
    return here.bandwidth / device.bandwidth if rule == "play_dialogues" else here.flops / device.flops


def _counts(experiment: Experiment, plan: Plan, jobs: Sequence[Planned], n_done: int) -> dict[str, float]:
    per_pair = experiment.scenarios.episodes * len(experiment.seeds)
    dialogues = len(experiment.ordered_pairs) * per_pair
    turns = dialogues * plan.amounts.speech.turns
    with_states = len(experiment.pairs_with_states) * per_pair * plan.amounts.speech.turns
    return {
        "models": len(experiment.models),
        "ordered pairs": len(experiment.ordered_pairs),
        "dialogues": dialogues,
        "turns": round(turns),
        "prompt tokens": round(dialogues * plan.amounts.prompt_tokens()),
        "generated tokens": round(turns * plan.amounts.speech.answer),
        "states": round(with_states * len(plan.readings)),
        "jobs": len(jobs),
        "jobs done": n_done,
        "files": sum(max(len(job.outputs), 1) for job in jobs) + 3 * len(jobs),
    }
