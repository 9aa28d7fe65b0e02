"""A forecast for a terminal."""

from __future__ import annotations

from syncr2.forecast import Forecast, RuleCost


def lines(found: Forecast) -> list[str]:
    """The forecast in words and figures."""
    text = [f"{name:>18}  {value:>16,.0f}" for name, value in found.counts.items()]
    text += ["", f"Disk: {_size(found.bytes)}, of which {_size(found.disk_there)} are there"]
    text += [f"{stage:>18}  {_size(size):>16}" for stage, size in _largest(found.disk)]
    text += ["", "Time of all jobs of a rule, each by itself; memory that one asks for, or took at the most:"]
    text.append(
        f"{'rule':>24}  {'jobs':>6} {'done':>6} {'all':>9} {'left':>9} {'CPU hours':>10} {'memory':>9}  from"
    )
    text += [_rule(rule) for rule in sorted(found.rules, key=lambda rule: -rule.seconds)]
    left = sum(rule.seconds_left for rule in found.rules)
    cpu = sum(rule.cpu_hours for rule in found.rules)
    text += ["", f"One after another: {_time(found.seconds)}, left: {_time(left)}. CPU hours: {cpu:,.1f}."]
    text += _gpus(found)
    said = found.speech
    text.append(
        f"Said ({said.source}): {said.turns:.1f} turns, first prompt {said.first_prompt:.0f} tokens, answer "
        f"{said.answer:.0f} tokens."
    )
    text += _models(found)
    if not any(rule.calibrated for rule in found.rules):
        text.append(
            "No job has finished here: times rest on assumed speeds and may be wrong by a factor of three. "
            "They get better as jobs finish."
        )
    return text


def _models(found: Forecast) -> list[str]:
    """Where sizes of models are known from, those that are known in one way together."""
    by_source: dict[str, list[str]] = {}
    for name, source in found.models.items():
        by_source.setdefault(source.replace(name, "*"), []).append(name)
    return [f"Sizes from {source}: {', '.join(names)}." for source, names in by_source.items()]


def _largest(disk: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(disk.items(), key=lambda item: -item[1])


def _rule(rule: RuleCost) -> str:
    known = "finished jobs" if rule.calibrated else "assumed speeds"
    return (
        f"{rule.rule:>24}  {rule.jobs:>6} {rule.done:>6} {_time(rule.seconds):>9} "
        f"{_time(rule.seconds_left):>9} {rule.cpu_hours:>10,.1f} {rule.memory_mb / 1000:>6.1f} GB  {known}"
    )


def _gpus(found: Forecast) -> list[str]:
    """A table of GPU hours: a row for each rule that asks for GPUs, a column for each kind."""
    asking = [rule for rule in found.rules if rule.gpu_hours]
    if not asking:
        return ["GPU hours: none, no job asks for one."]
    kinds = list(dict.fromkeys(kind for rule in asking for kind in rule.gpu_hours))
    text = ["", f"{'GPU hours, if all were':>24}  " + " ".join(f"{kind:>9}" for kind in kinds)]
    for rule in asking:
        hours = [
            f"{rule.gpu_hours[kind]:>9,.1f}" if kind in rule.gpu_hours else f"{'–':>9}" for kind in kinds
        ]
        text.append(f"{rule.rule:>24}  " + " ".join(hours))
    return [*text, ""]


def _time(seconds: float) -> str:
    if 0 < seconds < 1:
        return "< 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def _size(size: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size / 1e3:,.1f} kB"
