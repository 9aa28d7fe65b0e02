"""Two agents play an episode: the turn loop, and the record of every turn.

Turns are counted from 0 over both agents; agent 1 has the even ones. An agent answers a prompt of its own
(its view and the dialogue so far); the first line of the answer with words on it is the utterance. Dialogues
are played in groups, from beginning to end and one turn of all of them at a time, so that a model computes
many prompts at once and remembers those of one group only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from syncr2.chat import ChatEncoder
from syncr2.errors import SyncR2Error
from syncr2.ids import OrderedPair
from syncr2.prompts import Prompts
from syncr2.scenarios import Episode
from syncr2.speakers import Answer, Sampling, Side, Speaker
from syncr2.tokens import common_prefix, ids_sha256
from syncr2.turns import Spoken, StoppingRule, Turn, flags, utterance
from syncr2.views import Agent, agent_view

FORMAT = "syncr2/dialogue/1"
AGENTS: tuple[Agent, Agent] = (1, 2)


class Listener(NamedTuple):
    """How a model takes a prompt in: text to token ids, and how many of them with the answer."""

    encoder: ChatEncoder
    context: int


@dataclass(frozen=True)
class Match:
    """What the dialogues of one job have in common.

    Attributes
    ----------
    pair : OrderedPair
        Names of the models, agent 1's first.
    seed : int
        Seed of generation.
    listeners, speakers : tuple
        Agent 1's and agent 2's; the same object twice where a model talks to itself.
    prompts : Prompts
        Templates.
    rule : StoppingRule
        When a dialogue is over.
    sampling : Sampling
        For the record, and for the room that an answer needs.
    """

    pair: OrderedPair
    seed: int
    listeners: tuple[Listener, Listener]
    speakers: tuple[Speaker, Speaker]
    prompts: Prompts
    rule: StoppingRule
    sampling: Sampling


class Progress(NamedTuple):
    """A turn about to be spoken: dialogues `first` to `last`, counted from 1, of which `n_playing` go on."""

    first: int
    last: int
    turn: int
    n_playing: int


@dataclass
class _Dialogue:
    """One dialogue while it is played."""

    episode: Episode
    turns: list[Turn] = field(default_factory=list)
    stop_reason: str | None = None


def turn_seed(pair: OrderedPair, episode_id: str, seed: int, turn: int) -> int:
    """The seed of one turn's randomness, from what the turn is and nothing else.

    Returns
    -------
    int
        64 bits of a SHA-256.
    """
    text = "\0".join((pair.id, episode_id, str(seed), str(turn)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def check_contexts(
    episodes: Sequence[Episode], listeners: tuple[Listener, Listener], prompts: Prompts, sampling: Sampling
) -> None:
    """See that every episode's opening prompts and one answer fit both models, before anything is generated.

    Raises
    ------
    SyncR2Error
        With the longest prompt, the limit and the episode.
    """
    room = sampling.max_new_tokens
    for agent, (encoder, context) in zip(AGENTS, listeners, strict=True):
        lengths = {episode.id: _opening_length(episode, agent, encoder, prompts) for episode in episodes}
        too_long = [episode_id for episode_id, length in lengths.items() if length + room > context]
        if too_long:
            longest = max(too_long, key=lambda episode_id: lengths[episode_id])
            raise SyncR2Error(
                f"Model {encoder.model_name}, agent {agent}: the opening prompt of episode {longest} has "
                f"{lengths[longest]} tokens; with dialogue.max_new_tokens = {room} that is "
                f"{lengths[longest] + room}, but the model takes {context} ({len(too_long)} of "
                f"{len(episodes)} episodes are too long). Shorten the prompt templates, lower max_new_tokens "
                "or take the model out."
            )


def _opening_length(episode: Episode, agent: Agent, encoder: ChatEncoder, prompts: Prompts) -> int:
    """Tokens of an agent's first prompt; agent 2's holds agent 1's first turn, taken as empty here."""
    earlier = [Spoken(0, episode.agents[0].name, "")][: agent - 1]
    return len(encoder.encode(prompts.engaged(agent_view(episode, agent), earlier)))


def play(
    match: Match,
    episodes: Sequence[Episode],
    group_size: int,
    on_turn: Callable[[Progress], None] = lambda progress: None,
) -> Iterator[dict[str, Any]]:
    """Play every episode once and give its record.

    Parameters
    ----------
    match : Match
        Who plays, and by what rules.
    episodes : sequence of Episode
        What to play.
    group_size : int
        Dialogues played together; it bounds memory and does not change what is said.
    on_turn : callable, optional
        Told of every turn of a group before it is spoken.

    Yields
    ------
    dict
        One record a dialogue (see docs/formats.md), in the order of `episodes`, as soon as its group is done.
    """
    for start in range(0, len(episodes), group_size):
        group = [_Dialogue(episode) for episode in episodes[start : start + group_size]]
        _play_group(match, group, start + 1, on_turn)
        for dialogue in group:
            yield _record(match, dialogue)


def _play_group(
    match: Match, group: Sequence[_Dialogue], first: int, on_turn: Callable[[Progress], None]
) -> None:
    # One side an agent, not one a model: a model that talks to itself reads two prompts of each dialogue.
    sides = [speaker.join() for speaker in match.speakers]
    for turn in range(match.rule.max_turns):
        agent = AGENTS[turn % 2]
        asked = _prompts(match, agent, [dialogue for dialogue in group if dialogue.stop_reason is None])
        if not asked:
            break
        on_turn(Progress(first, first + len(group) - 1, turn, len(asked)))
        for (dialogue, ids), answer in zip(
            asked, _answers(match, turn, sides[agent - 1], asked), strict=True
        ):
            dialogue.turns.append(_turn(dialogue, turn, agent, ids, answer))
            dialogue.stop_reason = match.rule.reason(dialogue.turns)


def _prompts(match: Match, agent: Agent, playing: Sequence[_Dialogue]) -> list[tuple[_Dialogue, list[int]]]:
    """The agent's prompt in each dialogue; one that no longer fits its model ends the dialogue."""
    encoder, context = match.listeners[agent - 1]
    asked = []
    for dialogue in playing:
        ids = encoder.encode(match.prompts.engaged(agent_view(dialogue.episode, agent), dialogue.turns))
        if len(ids) + match.sampling.max_new_tokens > context:
            dialogue.stop_reason = "context"
        else:
            asked.append((dialogue, ids))
    return asked


def _answers(
    match: Match, turn: int, side: Side, asked: Sequence[tuple[_Dialogue, list[int]]]
) -> list[Answer]:
    names = [dialogue.episode.id for dialogue, _ in asked]
    seeds = [turn_seed(match.pair, name, match.seed, turn) for name in names]
    return side.answer(names, [ids for _, ids in asked], seeds)


def _turn(dialogue: _Dialogue, turn: int, agent: int, ids: Sequence[int], answer: Answer) -> Turn:
    name, partner = (dialogue.episode.agents[i].name for i in (agent - 1, 2 - agent))
    text = utterance(answer.raw, name)
    return Turn(
        turn=turn,
        agent=agent,
        speaker=name,
        text=text,
        raw=answer.raw,
        finish_reason=answer.finish_reason,
        n_new_tokens=answer.n_new_tokens,
        prompt_ids=tuple(ids),
        flags=flags(text, answer.finish_reason, dialogue.turns, partner),
    )


def _record(match: Match, dialogue: _Dialogue) -> dict[str, Any]:
    episode = dialogue.episode
    previous: dict[int, tuple[int, ...]] = {}
    turns = []
    for turn in dialogue.turns:
        said = {key: value for key, value in vars(turn).items() if key not in ("prompt_ids", "flags")}
        read = {
            "n_prompt_tokens": len(turn.prompt_ids),
            "prompt_sha256": ids_sha256(turn.prompt_ids),
            "prompt": _extension(previous.get(turn.agent, ()), turn.prompt_ids),
        }
        previous[turn.agent] = turn.prompt_ids
        turns.append({**said, **read, "flags": list(turn.flags)})
    return {
        "format": FORMAT,
        "episode_id": episode.id,
        "environment_id": episode.environment.id,
        "index": episode.index,
        **match.pair._asdict(),
        "pair": match.pair.id,
        "seed": match.seed,
        "columns": episode.columns(),
        "agents": [{"id": profile.id, "name": profile.name} for profile in episode.agents],
        "turns": turns,
        "stop_reason": dialogue.stop_reason,
        "sampling": match.sampling._asdict(),
    }


def _extension(previous: Sequence[int], ids: Sequence[int]) -> dict[str, Any]:
    """A prompt as the length that it shares with the agent's previous one, and the rest, which is short."""
    keep = common_prefix(previous, ids)
    return {"keep": keep, "ids": list(ids[keep:])}


def prompt_ids(record: Mapping[str, Any]) -> list[list[int]]:
    """The token ids of every turn's prompt, exactly as they were read by the model.

    Parameters
    ----------
    record : mapping
        One dialogue.

    Raises
    ------
    SyncR2Error
        If the ids do not match the SHA-256 kept with them.
    """
    previous: dict[int, list[int]] = {}
    found = []
    for turn in record["turns"]:
        ids = previous.get(turn["agent"], [])[: turn["prompt"]["keep"]] + turn["prompt"]["ids"]
        if ids_sha256(ids) != turn["prompt_sha256"]:
            raise SyncR2Error(
                f"Dialogue of {record['pair']}, episode {record['episode_id']}, seed {record['seed']}: the "
                f"prompt of turn {turn['turn']} does not match its SHA-256. The file was changed; delete it "
                "and run again."
            )
        previous[turn["agent"]] = ids
        found.append(ids)
    return found
