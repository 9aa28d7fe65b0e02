"""Sotopia's EpisodeLog, in and out: dialogues and scores made elsewhere, and ours for others to read.

A log names an environment and two profiles, holds messages by turn, and for each agent a reward: its overall
score with the seven dimensions, or a bare number where nobody scored it. That number is 0.0 in Sotopia, which
reads like a score; here it is never one. A log that we write bears its dialogue's models, seed and episode in
`pk`, so that scores given to it elsewhere find their way back.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from syncr2.dialogues.prompts import LEAVE_MARK
from syncr2.errors import SyncR2Error
from syncr2.ids import OrderedPair
from syncr2.judges.base import AGENTS, JudgeSettings, Verdict
from syncr2.judges.dimensions import DIMENSIONS, check_scores, overall
from syncr2.judges.orders import DIALOGUE_FORMAT, record_of
from syncr2.sotopia.scenarios import Episode, ScenarioSet
from syncr2.sotopia.views import agent_view

ENVIRONMENT = "Environment"
NOT_JUDGED = 0.0
_IDLE, _LEFT = "did nothing", "left the conversation"
_SAID = re.compile(r'said: "(.*)"', re.DOTALL)
_OWN_KEY = re.compile(r"(?P<agent1>.+)--(?P<agent2>.+)/seed-(?P<seed>\d+)/(?P<episode>.+)", re.DOTALL)


def to_log(
    dialogue: Mapping[str, Any], episode: Episode, judgement: Mapping[str, Any] | None, tag: str = ""
) -> dict[str, Any]:
    """Write a dialogue, with its judgement if there is one, as an EpisodeLog.

    Parameters
    ----------
    dialogue : mapping
        Format syncr2/dialogue/1.
    episode : Episode
        Of this dialogue.
    judgement : mapping or None
        Format syncr2/judgement/2. Without scores the rewards are bare numbers, as in Sotopia, and `reasoning`
        says why.
    tag : str
        Sotopia's name for a batch of logs.
    """
    rewards: list[Any] = [NOT_JUDGED, NOT_JUDGED]
    reasoning = "Not judged."
    if judgement is not None and judgement["status"] == "ok":
        rewards = [
            [overall(scores), {**scores, "overall_score": overall(scores)}]
            for scores in (judgement["scores"][agent] for agent in AGENTS)
        ]
        reasoning = _reasoning(judgement, [agent.name for agent in episode.agents])
    elif judgement is not None:
        reasoning = f"Not judged: {judgement['status']}. {judgement['error']}"
    return {
        "pk": f"{dialogue['pair']}/seed-{dialogue['seed']}/{dialogue['episode_id']}",
        "environment": dialogue["environment_id"],
        "agents": [agent["id"] for agent in dialogue["agents"]],
        "tag": tag,
        "models": [judgement["judge"] if judgement else "", dialogue["agent1"], dialogue["agent2"]],
        "messages": _messages(dialogue, episode),
        "reasoning": reasoning,
        "rewards": rewards,
        "rewards_prompt": "",
    }


def from_logs(
    logs: Sequence[Any], scenarios: ScenarioSet, judge: str, models: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read EpisodeLogs as our records.

    Parameters
    ----------
    logs : sequence
        EpisodeLogs as parsed from JSON.
    scenarios : ScenarioSet
        Must hold the episode of each log: the environment with these two profiles in this order.
    judge : str
        Name under which the scores are to stand.
    models : mapping
        Other names for models, by the name in the logs.

    Returns
    -------
    dialogues, judgements : list of dict
        One of each a log, in the same order. Dialogues have text and no token ids, so there can be no states
        of them. A log without seven scores in range has a judgement with the status "failed". A log that is
        not ours has no seed: those of the same episode and models are counted from 0.

    Raises
    ------
    SyncR2Error
        If logs cannot be read or belong to other scenarios; the message lists them.
    """
    episodes: dict[tuple[str, ...], list[Episode]] = {}
    for episode in scenarios.episodes:
        key = (episode.environment.id, *(agent.id for agent in episode.agents))
        episodes.setdefault(key, []).append(episode)
    seeds: Counter[tuple[str, ...]] = Counter()
    problems: list[str] = []
    dialogues, judgements = [], []
    for number, log in enumerate(logs):
        try:
            dialogue = _dialogue(log, episodes, models, seeds)
            verdict = _verdict(log)
        except (_BadLogError, KeyError, TypeError, AttributeError, ValueError) as error:
            what = error if isinstance(error, _BadLogError) else f"{type(error).__name__}: {error}"
            problems.append(f"log {number}: {what}")
            continue
        dialogues.append(dialogue)
        provenance = {"source": "EpisodeLog", "pk": log.get("pk")}
        judgements.append(record_of(dialogue, JudgeSettings(judge, "table"), [verdict], provenance))
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise SyncR2Error(
            f"{len(problems)} of {len(logs)} logs cannot be taken over:\n{listed}{more}\n"
            "Take them out of the file, or name the scenarios that they were played in."
        )
    return dialogues, judgements


def score_rows(judgements: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of the table that a judge with engine "table" reads: one an agent, of judged dialogues alone."""
    for judgement in judgements:
        if judgement["status"] == "ok":
            key = {name: judgement[name] for name in ("agent1", "agent2", "seed", "episode_id")}
            for number, agent in enumerate(AGENTS, start=1):
                yield {**key, "agent": number, **judgement["scores"][agent]}


class _BadLogError(Exception):
    """What is wrong with a log, in words."""


def _reasoning(judgement: Mapping[str, Any], names: Sequence[str]) -> str:
    # Of the order in which agent 1 is presented first.
    reasons = judgement["orders"][0]["reasoning"]
    if not reasons:
        return ""
    return "\n".join(
        f"{name}, {dimension.name}: {reasons[agent][dimension.name]}"
        for agent, name in zip(AGENTS, names, strict=True)
        for dimension in DIMENSIONS
    )


def _messages(dialogue: Mapping[str, Any], episode: Episode) -> list[list[list[str]]]:
    names = [agent["name"] for agent in dialogue["agents"]]
    turns: list[list[list[str]]] = [
        [[ENVIRONMENT, name, _background(episode, names, i)] for i, name in enumerate(names)]
    ]
    for turn in dialogue["turns"]:
        text = turn["text"]
        said = _LEFT if text == LEAVE_MARK else f'said: "{text}"' if text else _IDLE
        turns[-1] += [
            [name, ENVIRONMENT, said if i == turn["agent"] - 1 else _IDLE] for i, name in enumerate(names)
        ]
        heard = f"Turn #{turn['turn']}: {names[turn['agent'] - 1]} {said}\n"
        turns.append([[ENVIRONMENT, name, heard] for name in names])
    return turns


def _background(episode: Episode, names: Sequence[str], agent: int) -> str:
    view = agent_view(episode, 1 if agent == 0 else 2)
    goals = [view.goal if i == agent else "Unknown" for i in range(2)]
    return (
        f"\nHere is the context of this interaction:\nScenario: {view.scenario}\n"
        f"Participants: {names[0]} and {names[1]}\n"
        f"{names[0]}'s goal: {goals[0]}\n{names[1]}'s goal: {goals[1]}\n"
        "\nConversation Starts:\n"
    )


def _dialogue(
    log: Any,
    episodes: Mapping[tuple[str, ...], Sequence[Episode]],
    models: Mapping[str, str],
    seeds: Counter[tuple[str, ...]],
) -> dict[str, Any]:
    if not isinstance(log, Mapping):
        raise _BadLogError(f"an object is needed, found {type(log).__name__}.")
    missing = [key for key in ("environment", "agents", "models", "messages", "rewards") if key not in log]
    if missing:
        raise _BadLogError(f"it has no {', no '.join(missing)}.")
    fitting = episodes.get((log["environment"], *log["agents"]), ())
    if not fitting:
        raise _BadLogError(
            f"the scenarios have no episode of environment {log['environment']!r} with the profiles "
            f"{' and '.join(map(repr, log['agents']))} in this order."
        )
    # The first name is that of the environment's model, which judges.
    named = [models.get(name, name) for name in log["models"] or ()]
    if len(named) != 3 or not all(isinstance(name, str) and name for name in named[1:]):
        raise _BadLogError(f"models are {log['models']!r}; the judge's and both agents' are needed.")
    pair = OrderedPair(named[1], named[2])
    own = _OWN_KEY.fullmatch(str(log.get("pk")))
    if own and [own["agent1"], own["agent2"]] != log["models"][1:]:
        own = None
    episode = next((each for each in fitting if own and each.id == own["episode"]), fitting[0])
    if own and episode.id == own["episode"]:
        seed = int(own["seed"])
    else:
        seed = seeds[(*pair, episode.id)]
        seeds[(*pair, episode.id)] += 1
    turns = list(_turns(log["messages"], [agent.name for agent in episode.agents]))
    return {
        "format": DIALOGUE_FORMAT,
        "episode_id": episode.id,
        "environment_id": episode.environment.id,
        "index": episode.index,
        "agent1": pair.agent1,
        "agent2": pair.agent2,
        "pair": pair.id,
        "seed": seed,
        "columns": episode.columns(),
        "agents": [{"id": agent.id, "name": agent.name} for agent in episode.agents],
        "turns": turns,
        "stop_reason": "left" if turns and turns[-1]["text"].endswith(LEAVE_MARK) else "imported",
    }


def _turns(messages: Any, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    number, agent = 0, 1
    for turn in messages:
        acts = [(sender, raw) for sender, receiver, raw in turn if receiver == ENVIRONMENT != sender]
        for sender, _ in acts:
            if sender not in names:
                raise _BadLogError(f"{sender!r} speaks, but the agents are {' and '.join(map(repr, names))}.")
        busy = [(sender, raw) for sender, raw in acts if raw != _IDLE]
        if acts and not busy:
            # Nobody did anything: an empty utterance of the one who had the turn.
            busy = [(names[agent - 1], "")]
        for sender, raw in busy:
            said = _SAID.fullmatch(raw)
            # Gestures and deeds keep their tag: "[action] shows the lamp".
            text = LEAVE_MARK if raw == _LEFT else said[1] if said else raw
            speaker = names.index(sender) + 1
            yield {
                "turn": number,
                "agent": speaker,
                "speaker": sender,
                "text": " ".join(text.split()),
                "raw": raw,
            }
            number, agent = number + 1, 3 - speaker


def _verdict(log: Mapping[str, Any]) -> Verdict:
    rewards = log["rewards"]
    raw = json.dumps(rewards, ensure_ascii=False)
    try:
        scores = {}
        for agent, reward in zip(AGENTS, rewards, strict=True):
            if not isinstance(reward, list | tuple):
                raise SyncR2Error(f"The log has no scores of {agent}, only the number {reward!r}.")
            own = {name: value for name, value in dict(reward[1]).items() if name != "overall_score"}
            check_scores(own)
            scores[agent] = {
                name: int(value) if value == int(value) else value for name, value in own.items()
            }
    except (SyncR2Error, ValueError, TypeError, IndexError) as error:
        return Verdict("failed", None, None, 0, str(error), raw, {})
    return Verdict("ok", scores, None, 0, None, raw, {"reasoning": log.get("reasoning") or ""})
