"""From a dialogue to the cases that a judge is asked about, and from its verdicts to one record.

A model that judges two people may favour the one whom it meets first. So each dialogue is judged with either
agent presented first. What is said keeps its order; who is called agent1, whose description comes first and
whose scores are given first change together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from syncr2.errors import SyncR2Error
from syncr2.judges.base import AGENTS, Case, DialogueKey, JudgeSettings, Line, Verdict
from syncr2.judges.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from syncr2.sotopia.scenarios import Episode

DIALOGUE_FORMAT = "syncr2/dialogue/1"
JUDGEMENT_FORMAT = "syncr2/judgement/2"


def presented_first(settings: JudgeSettings) -> tuple[int, ...]:
    """The orders that a judge is asked in: the agent presented first, 1 or 2."""
    return (1, 2) if settings.both_orders and settings.engine != "table" else (1,)


def case_of(episodes: Mapping[str, Episode], dialogue: Mapping[str, Any]) -> Case:
    """The case of a dialogue with agent 1 presented first.

    Raises
    ------
    SyncR2Error
        If the record is not a dialogue, or belongs to other scenarios.
    """
    from syncr2.sotopia.views import judge_view

    if dialogue.get("format") != DIALOGUE_FORMAT:
        raise SyncR2Error(
            f"A record to be judged has the format {dialogue.get('format')!r}; {DIALOGUE_FORMAT!r} is "
            "needed. Make the dialogues again with this version."
        )
    episode = episodes.get(dialogue["episode_id"])
    if episode is None or [agent["id"] for agent in dialogue["agents"]] != [
        agent.id for agent in episode.agents
    ]:
        raise SyncR2Error(
            f"A dialogue to be judged is of episode {dialogue['episode_id']!r} between the profiles "
            f"{' and '.join(agent['id'] for agent in dialogue['agents'])}, which is not in the scenarios. "
            "They were changed after the dialogues were made: make the dialogues again."
        )
    lines = tuple(
        Line(turn["turn"], turn["agent"], turn["speaker"], _one_line(turn["text"]))
        for turn in dialogue["turns"]
    )
    key = DialogueKey(*(dialogue[name] for name in DialogueKey._fields))
    return Case(key, judge_view(episode), lines)


def _one_line(text: str) -> str:
    """Without any character that could begin a new line: a line of the transcript is one turn's."""
    return " ".join(text.splitlines())


def swapped(case: Case) -> Case:
    """The same case with the other agent presented first."""
    view = case.view
    return replace(
        case,
        view=replace(
            view,
            participants=(view.participants[1], view.participants[0]),
            agents=(view.agents[1], view.agents[0]),
            goals=(view.goals[1], view.goals[0]),
        ),
        lines=tuple(replace(line, agent=3 - line.agent) for line in case.lines),
    )


def record_of(
    dialogue: Mapping[str, Any],
    settings: JudgeSettings,
    verdicts: Sequence[Verdict],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of one dialogue, format syncr2/judgement/2.

    Parameters
    ----------
    dialogue : mapping
        Format syncr2/dialogue/1.
    settings : JudgeSettings
    verdicts : sequence of Verdict
        One for each of `presented_first(settings)`.
    provenance : mapping
        What all verdicts of the judge depend on.

    Returns
    -------
    dict
        `orders` holds every verdict, with scores and reasoning by the dialogue's own agents. `status` is "ok"
        if all of them are, else that of the first that is not: a mean of one order beside means of two would
        mix the order effect into comparisons. `scores` is the mean over orders, or null.
    """
    orders = [
        _order(first, verdict) for first, verdict in zip(presented_first(settings), verdicts, strict=True)
    ]
    bad = next((order for order in orders if order["status"] != "ok"), None)
    copied = ("episode_id", "environment_id", "pair", "agent1", "agent2", "seed", "columns")
    return {
        "format": JUDGEMENT_FORMAT,
        **{key: dialogue[key] for key in copied},
        "judge": settings.name,
        "engine": settings.engine,
        "status": bad["status"] if bad else "ok",
        "scores": None if bad else _mean_scores([order["scores"] for order in orders]),
        "error": bad["error"] if bad else None,
        "orders": orders,
        "made_by": dict(provenance),
    }


def _order(first: int, verdict: Verdict) -> dict[str, Any]:
    return {
        "first": f"agent{first}",
        "status": verdict.status,
        "scores": _by_own_agents(first, verdict.scores),
        "reasoning": _by_own_agents(first, verdict.reasoning),
        "attempts": verdict.attempts,
        "error": verdict.error,
        "raw": verdict.raw,
        "made_by": dict(verdict.made_by),
    }


def _by_own_agents(first: int, values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {own: values[shown] for own, shown in zip(AGENTS, AGENTS[:: 1 if first == 1 else -1], strict=True)}


def _mean_scores(scores: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        agent: {d.name: _mean(each[agent][d.name] for each in scores) for d in DIMENSIONS} for agent in AGENTS
    }


def _mean(values: Iterable[float]) -> float:
    """A whole number where the mean is one, so that records read as what was answered."""
    listed = list(values)
    mean = sum(listed) / len(listed)
    return int(mean) if float(mean).is_integer() else mean
