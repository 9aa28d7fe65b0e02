"""A forecast for a terminal."""

from __future__ import annotations

from syncr2.forecast import Forecast, RuleCost


def lines(found: Forecast) -> list[str]:
    """The forecast in words and figures."""
    text = [f"{name:>18}  {value:>16,.0f}" for name, value in found.counts.items()]
    text += ["", f"Disk: {_size(found.bytes)}, of which {_size(found.disk_there)} are there"]
    text += [f"{stage:>18}  {_size(size):>16}" for stage, size in _largest(found.disk)]
    text += ["", "Jobs, each by itself:"]
    text.append(f"{'rule':>24}  {'jobs':>6} {'done':>6} {'all':>9} {'left':>9} {'memory':>9}  from")
    text += [_rule(rule) for rule in sorted(found.rules, key=lambda rule: -rule.seconds)]
    left = sum(rule.seconds_left for rule in found.rules)
    cpu = sum(rule.cpu_hours for rule in found.rules if not rule.gpu_hours)
    text.append(
        f"All jobs one after another: {_time(found.seconds)}; left: {_time(left)}; CPU hours: {cpu:,.1f}"
    )
    text += _gpus(found)
    said = found.speech
    text += [
        "",
        f"Said, from {said.source}: {said.turns:.1f} turns, first prompt {said.first_prompt:.0f} tokens, "
        f"answer {said.answer:.0f} tokens.",
        "Models: " + "; ".join(f"{name}: {source}" for name, source in found.models.items()),
    ]
    if not any(rule.calibrated for rule in found.rules):
        text.append(
            "No job has finished here: times rest on assumed speeds and may be wrong by a factor of three. "
            "They get better as jobs finish."
        )
    return text


def _largest(disk: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(disk.items(), key=lambda item: -item[1])


def _rule(rule: RuleCost) -> str:
    known = "finished jobs" if rule.calibrated else "assumed speeds"
    return (
        f"{rule.rule:>24}  {rule.jobs:>6} {rule.done:>6} {_time(rule.seconds):>9} "
        f"{_time(rule.seconds_left):>9} {rule.memory_mb / 1000:>6.1f} GB  {known}"
    )


def _gpus(found: Forecast) -> list[str]:
    text = []
    for rule in found.rules:
        if rule.gpu_hours:
            each = ", ".join(f"{hours:,.1f} on {kind}" for kind, hours in rule.gpu_hours.items())
            text.append(f"GPU hours of {rule.rule}: {each}")
    return text


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def _size(size: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size / 1e3:,.1f} kB"
