"""Two agents play an episode: the turn loop, the stopping rule, and the record of every turn.

Turns are counted from 0 over both agents; agent 1 has the even ones. An agent answers a prompt of its own (its view and
the dialogue so far); the first line of the answer with words on it is the utterance. Episodes are played together, one turn
of all of them at a time, so that a model computes many prompts at once.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from syncr2.chat import ChatEncoder
from syncr2.errors import SyncR2Error
from syncr2.ids import OrderedPair
from syncr2.prompts import LEAVE_MARK, Prompts
from syncr2.scenarios import Episode
from syncr2.speakers import Answer, Sampling, Speaker
from syncr2.views import agent_view

FORMAT = "syncr2/dialogue/1"
LEAVES = re.compile(rf"(?:^|\s){re.escape(LEAVE_MARK)}\s*[.!]?$", re.IGNORECASE)


@dataclass(frozen=True)
class Turn:
    """One turn as spoken; `text` is the utterance, `raw` all that the model said."""

    turn: int
    agent: int
    speaker: str
    text: str
    raw: str
    finish_reason: str
    n_new_tokens: int
    prompt_ids: tuple[int, ...] = field(repr=False)
    flags: tuple[str, ...] = ()


class Spoken(NamedTuple):
    """What others hear of a turn: enough for a prompt."""

    turn: int
    speaker: str
    text: str


@dataclass(frozen=True)
class StoppingRule:
    """When a dialogue ends.

    It ends after `max_turns` (`turn_limit`), when an utterance is or closes with the leave mark (`left`), after
    `stale_after` empty utterances in a row (`stale`; 0 never), or when the next prompt and answer would not fit the
    model's context (`context`).
    """

    max_turns: int
    stale_after: int

    def reason(self, turns: Sequence[Turn]) -> str | None:
        """Why the dialogue is over after these turns, or None."""
        if turns and LEAVES.search(turns[-1].text):
            return "left"
        recent = turns[-self.stale_after :] if self.stale_after else ()
        if recent and len(recent) == self.stale_after and not any(turn.text for turn in recent):
            return "stale"
        return "turn_limit" if len(turns) >= self.max_turns else None


@dataclass
class _Game:
    """One dialogue while it is played."""

    episode: Episode
    turns: list[Turn] = field(default_factory=list)
    stop_reason: str | None = None


@dataclass(frozen=True)
class Voice:
    """One agent's model: how it speaks, how text becomes its tokens, how many tokens it takes."""

    speaker: Speaker
    encoder: ChatEncoder
    context: int


def turn_seed(pair: OrderedPair, episode_id: str, seed: int, turn: int) -> int:
    """The seed of one turn's randomness, from what the turn is and nothing else.

    Returns
    -------
    int
        64 bits of a SHA-256.
    """
    text = "\0".join((pair.id, episode_id, str(seed), str(turn)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def utterance(raw: str, name: str) -> str:
    """The utterance in a model's answer: its first line with words, without the speaker's own cue.

    The cue comes with or without its turn number (`Turn 3 | Ada Byron:` or `Ada Byron:`), for models like to repeat it.
    Control characters become spaces.
    """
    lines = ("".join(" " if unicodedata.category(c) == "Cc" else c for c in line) for line in raw.splitlines())
    first = next((line.strip() for line in lines if line.strip()), "")
    return re.sub(_cue_pattern(name), "", first, count=1, flags=re.IGNORECASE).strip()


def _cue_pattern(name: str) -> str:
    return rf"^(?:turn\s*#?\d+\s*\|\s*)?{re.escape(name)}\s*:\s*"


def _flags(text: str, answer: Answer, earlier: Sequence[Turn], partner: str) -> tuple[str, ...]:
    """What is wrong with a turn, for the quality table; nothing is left out because of it."""
    said = {turn.text.casefold() for turn in earlier if turn.text}
    found = {
        "empty": not text,
        "cut_off": answer.finish_reason == "length",
        "repeated": text.casefold() in said,
        "wrong_speaker": re.match(_cue_pattern(partner), text, re.IGNORECASE) is not None,
    }
    return tuple(name for name, present in found.items() if present)


def check_contexts(
    episodes: Sequence[Episode], voices: tuple[Voice, Voice], prompts: Prompts, sampling: Sampling
) -> None:
    """See that every episode's opening prompts and one answer fit both models, before anything is generated.

    Raises
    ------
    SyncR2Error
        With the longest prompt, the limit and the episode.
    """
    for agent, voice in enumerate(voices, start=1):
        lengths = {e.id: _opening_length(e, agent, voice, prompts) for e in episodes}
        longest = max(lengths, key=lambda episode_id: lengths[episode_id])
        needed = lengths[longest] + sampling.max_new_tokens
        if needed > voice.context:
            too_long = sum(n + sampling.max_new_tokens > voice.context for n in lengths.values())
            raise SyncR2Error(
                f"Model {voice.encoder.model_name}, agent {agent}: the opening prompt of episode {longest} has "
                f"{lengths[longest]} tokens; with dialogue.max_new_tokens = {sampling.max_new_tokens} that is {needed}, "
                f"but the model takes {voice.context} ({too_long} of {len(episodes)} episodes are too long). "
                "Shorten the prompt templates, lower max_new_tokens or take the model out."
            )


def _opening_length(episode: Episode, agent: int, voice: Voice, prompts: Prompts) -> int:
    """Tokens of an agent's first prompt; agent 2's holds agent 1's first turn, taken as empty here."""
    earlier = [Spoken(0, episode.agents[0].name, "")][: agent - 1]
    return len(voice.encoder.encode(prompts.engaged(agent_view(episode, agent), earlier)))


def play(
    episodes: Sequence[Episode],
    pair: OrderedPair,
    seed: int,
    voices: tuple[Voice, Voice],
    prompts: Prompts,
    rule: StoppingRule,
    sampling: Sampling,
    on_turn: Callable[[int, int], None] = lambda turn, n_playing: None,
) -> Iterator[dict[str, Any]]:
    """Play every episode once and give its record.

    Parameters
    ----------
    episodes : sequence of Episode
        What to play; they are played together but do not touch each other.
    pair : OrderedPair
        Names of the models.
    seed : int
        Seed of generation.
    voices : (Voice, Voice)
        Agent 1's and agent 2's; the same object twice when a model talks to itself.
    prompts : Prompts
        Templates.
    rule : StoppingRule
        When a dialogue ends.
    sampling : Sampling
        For the record, and for the room that an answer needs.
    on_turn : callable, optional
        Told the turn about to be spoken and how many dialogues are still going.

    Yields
    ------
    dict
        One record a dialogue, in the order of `episodes`; docs/formats.md describes it.
    """
    check_contexts(episodes, voices, prompts, sampling)
    games = [_Game(episode) for episode in episodes]
    for turn in range(rule.max_turns):
        playing = [game for game in games if game.stop_reason is None]
        if not playing:
            break
        on_turn(turn, len(playing))
        _speak(playing, turn, pair, seed, voices[turn % 2], prompts, sampling)
        for game in playing:
            game.stop_reason = game.stop_reason or rule.reason(game.turns)
    for game in games:
        yield _record(game, pair, seed, sampling)


def _speak(
    playing: Sequence[_Game],
    turn: int,
    pair: OrderedPair,
    seed: int,
    voice: Voice,
    prompts: Prompts,
    sampling: Sampling,
) -> None:
    """Let the agent whose turn it is speak in every dialogue that is still going."""
    agent = turn % 2 + 1
    asked = []
    for game in playing:
        ids = voice.encoder.encode(prompts.engaged(agent_view(game.episode, agent), game.turns))
        if len(ids) + sampling.max_new_tokens > voice.context:
            game.stop_reason = "context"
        else:
            asked.append((game, ids))
    seeds = [turn_seed(pair, game.episode.id, seed, turn) for game, _ in asked]
    answers = voice.speaker.speak([ids for _, ids in asked], seeds)
    for (game, ids), answer in zip(asked, answers, strict=True):
        name, partner = (game.episode.agents[i].name for i in (agent - 1, 2 - agent))
        text = utterance(answer.raw, name)
        flags = _flags(text, answer, game.turns, partner)
        game.turns.append(
            Turn(
                turn=turn,
                agent=agent,
                speaker=name,
                text=text,
                raw=answer.raw,
                finish_reason=answer.finish_reason,
                n_new_tokens=answer.n_new_tokens,
                prompt_ids=tuple(ids),
                flags=flags,
            )
        )


def _record(game: _Game, pair: OrderedPair, seed: int, sampling: Sampling) -> dict[str, Any]:
    episode = game.episode
    previous: dict[int, tuple[int, ...]] = {}
    turns = []
    for turn in game.turns:
        entry = asdict(turn)
        entry["flags"] = list(turn.flags)
        entry["n_prompt_tokens"] = len(turn.prompt_ids)
        entry["prompt_sha256"] = ids_sha256(turn.prompt_ids)
        entry["prompt"] = _extension(previous.get(turn.agent, ()), entry.pop("prompt_ids"))
        previous[turn.agent] = turn.prompt_ids
        turns.append(entry)
    return {
        "format": FORMAT,
        "episode_id": episode.id,
        "environment_id": episode.environment.id,
        "index": episode.index,
        **pair._asdict(),
        "pair": pair.id,
        "seed": seed,
        "columns": episode.columns(),
        "agents": [{"id": profile.id, "name": profile.name} for profile in episode.agents],
        "turns": turns,
        "stop_reason": game.stop_reason,
        "sampling": sampling._asdict(),
    }


def ids_sha256(ids: Sequence[int]) -> str:
    """SHA-256 of token ids, written as decimal numbers with single spaces between them."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()


def _extension(previous: Sequence[int], ids: Sequence[int]) -> dict[str, Any]:
    """A prompt as what it shares with the agent's previous prompt, and the rest: prompts grow, so the rest is short."""
    keep = 0
    while keep < min(len(previous), len(ids)) and previous[keep] == ids[keep]:
        keep += 1
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
                f"Dialogue of {record['pair']}, episode {record['episode_id']}, seed {record['seed']}: the prompt of turn "
                f"{turn['turn']} does not match its SHA-256. The file was changed; delete it and run again."
            )
        previous[turn["agent"]] = ids
        found.append(ids)
    return found
