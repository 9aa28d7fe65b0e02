"""Judges score each agent of a dialogue on the seven dimensions of Sotopia.

Two engines: `surface` (rules over words; for demonstrations, of no scientific meaning) and `openai` (a model
behind any OpenAI-compatible endpoint). Whatever happens to a dialogue, it leaves exactly one record, with a
status that says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncr2.errors import SyncR2Error
from syncr2.judges.base import Case, JudgeEngine, JudgeSettings, Line, Verdict
from syncr2.judges.dimensions import DIMENSIONS, Dimension, check_scores, overall

if TYPE_CHECKING:
    from syncr2.judges.openai import Backoff
    from syncr2.prompts import Prompts
    from syncr2.scenarios import Episode, ScenarioSet

__all__ = [
    "DIMENSIONS",
    "JUDGEMENT_FORMAT",
    "Case",
    "Dimension",
    "JudgeEngine",
    "JudgeSettings",
    "Line",
    "Verdict",
    "check_scores",
    "judge_shard",
    "overall",
]

DIALOGUE_FORMAT = "syncr2/dialogue/1"
JUDGEMENT_FORMAT = "syncr2/judgement/1"

_log = logging.getLogger(__name__)


def judge_shard(
    scenarios: ScenarioSet,
    dialogues: Sequence[Mapping[str, Any]],
    prompts: Prompts,
    settings: JudgeSettings,
    *,
    backoff: Backoff | None = None,
) -> list[dict[str, Any]]:
    """Judge the dialogues of one shard.

    Parameters
    ----------
    scenarios : ScenarioSet
        Holds the episode of every dialogue.
    dialogues : sequence of mapping
        Records of format syncr2/dialogue/1.
    prompts : Prompts
        Prompt templates; the surface engine does not use them.
    settings : JudgeSettings
        The judge.
    backoff : Backoff, optional
        Waiting times between requests of the openai engine.

    Returns
    -------
    list of dict
        One record of format syncr2/judgement/1 a dialogue, in the same order. A dialogue that could not be
        judged has `scores` null and a status other than "ok".

    Raises
    ------
    SyncR2Error
        If a record is not a dialogue or belongs to other scenarios; if the endpoint cannot be used at all (no
        key, turned down on first contact).
    """
    episodes = {episode.id: episode for episode in scenarios.episodes}
    cases = [_case(episodes, dialogue) for dialogue in dialogues]
    engine = _engine(settings, prompts, backoff)
    verdicts = engine.judge(cases)
    provenance = engine.provenance()
    records = []
    for dialogue, verdict in zip(dialogues, verdicts, strict=True):
        if verdict.status != "ok":
            _log.warning(
                "Judge %s, %s, seed %s, episode %s: %s. %s",
                *(settings.name, dialogue["pair"], dialogue["seed"], dialogue["episode_id"]),
                *(verdict.status, verdict.error),
            )
        records.append(_record(dialogue, settings, verdict, provenance))
    return records


def _engine(settings: JudgeSettings, prompts: Prompts, backoff: Backoff | None) -> JudgeEngine:
    # Imported here, so that reading the config loads neither engine.
    if settings.engine == "surface":
        from syncr2.judges.surface import SurfaceJudge

        return SurfaceJudge()
    from syncr2.judges.openai import OpenAIJudge

    return OpenAIJudge(settings, prompts, backoff)


def _case(episodes: Mapping[str, Episode], dialogue: Mapping[str, Any]) -> Case:
    from syncr2.views import judge_view

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
        Line(turn["turn"], turn["agent"], turn["speaker"], turn["text"]) for turn in dialogue["turns"]
    )
    return Case(judge_view(episode), lines)


def _record(
    dialogue: Mapping[str, Any], settings: JudgeSettings, verdict: Verdict, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    copied = ("episode_id", "environment_id", "pair", "agent1", "agent2", "seed", "columns")
    return {
        "format": JUDGEMENT_FORMAT,
        **{key: dialogue[key] for key in copied},
        "judge": settings.name,
        "engine": settings.engine,
        "status": verdict.status,
        "scores": verdict.scores,
        "reasoning": verdict.reasoning,
        "attempts": verdict.attempts,
        "error": verdict.error,
        "raw": verdict.raw,
        "made_by": {**provenance, **verdict.made_by},
    }
