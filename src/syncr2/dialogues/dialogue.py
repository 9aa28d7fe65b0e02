"""One dialogue of two agents: whose turn it is, what it reads, what becomes of its answer.

Turns are counted from 0 over both agents; agent 1 has the even ones. An agent answers a prompt of its own
(its view and the dialogue so far); the first line of the answer with words on it is the utterance.
`playing` asks the models, many dialogues at once; `dialogue_records` writes down what was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from syncr2.dialogues.chat import ChatEncoder
from syncr2.dialogues.conventions import CORRECTED, Convention, turn_seed
from syncr2.dialogues.dialogue_records import FORMAT, prompt_ids, turn_records
from syncr2.dialogues.prompts import Prompts
from syncr2.dialogues.turns import Spoken, StoppingRule, Turn, flags
from syncr2.errors import SyncR2Error
from syncr2.ids import OrderedPair
from syncr2.sotopia.scenarios import Episode
from syncr2.sotopia.views import Agent, agent_view
from syncr2.speakers import Answer, Prompt, Sampling, Speaker

__all__ = [
    "AGENTS",
    "FORMAT",
    "Asked",
    "Dialogue",
    "Listener",
    "Match",
    "check_contexts",
    "prompt_ids",
    "turn_seed",
]

AGENTS: tuple[Agent, Agent] = (1, 2)


class Listener(NamedTuple):
    """How a model takes a prompt in: text to token ids, and how many of them with the answer.

    `encoder` is None for a model that reads text, behind a server that puts it into the chat format; then
    `context` may be None too, and the server says when a prompt is too long.
    """

    encoder: ChatEncoder | None
    context: int | None

    def prompt(self, text: str) -> Prompt:
        """What the model is sent."""
        return text if self.encoder is None else self.encoder.encode(text)

    def fits(self, prompt: Prompt, room: int) -> bool:
        """Whether a prompt and `room` tokens of an answer are not too much."""
        return isinstance(prompt, str) or self.context is None or len(prompt) + room <= self.context


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
    sampling : tuple of Sampling
        Agent 1's and agent 2's, for the record and for the room that an answer needs.
    convention : Convention, optional
        How answers become turns.
    """

    pair: OrderedPair
    seed: int
    listeners: tuple[Listener, Listener]
    speakers: tuple[Speaker, Speaker]
    prompts: Prompts
    rule: StoppingRule
    sampling: tuple[Sampling, Sampling]
    convention: Convention = CORRECTED


class Asked(NamedTuple):
    """A turn about to be spoken: its number, the agent, its prompt and the seed of its randomness."""

    turn: int
    agent: Agent
    prompt: Prompt
    seed: int


class Dialogue:
    """One dialogue while it is played: `ask`, have the model answer, `hear`, until `ask` gives nothing.

    Parameters
    ----------
    match : Match
    episode : Episode

    Attributes
    ----------
    episode : Episode
        As given.
    stop_reason : str or None
        Why it is over; see docs/formats.md.
    """

    def __init__(self, match: Match, episode: Episode) -> None:
        self.episode = episode
        self.stop_reason: str | None = None
        self._match = match
        self._turns: list[Turn] = []
        self._asked: Asked | None = None

    def ask(self) -> Asked | None:
        """The next turn; None if the dialogue is over, which a prompt that no longer fits makes it."""
        if self.stop_reason is not None:
            return None
        match, turn = self._match, len(self._turns)
        agent = AGENTS[turn % 2]
        listener = match.listeners[agent - 1]
        prompt = listener.prompt(match.prompts.engaged(agent_view(self.episode, agent), self._turns))
        if not listener.fits(prompt, match.sampling[agent - 1].max_new_tokens):
            self.stop_reason = "context"
            return None
        seed = match.convention.seed(match.pair, self.episode.id, match.seed, turn)
        self._asked = Asked(turn, agent, prompt, seed)
        return self._asked

    def hear(self, answer: Answer) -> None:
        """Take the answer to what was asked last."""
        asked, self._asked = self._asked, None
        if asked is None:
            raise ValueError("nothing was asked that could be answered")
        if answer.finish_reason == "context":
            self.stop_reason = "context"
            return
        name, partner = (self.episode.agents[i].name for i in (asked.agent - 1, 2 - asked.agent))
        text = self._match.convention.utterance(answer.raw, name)
        prompt = asked.prompt if isinstance(asked.prompt, str) else tuple(asked.prompt)
        self._turns.append(
            Turn(
                turn=asked.turn,
                agent=asked.agent,
                speaker=name,
                text=text,
                raw=answer.raw,
                finish_reason=answer.finish_reason,
                n_new_tokens=answer.n_new_tokens,
                prompt=prompt,
                flags=flags(text, answer.finish_reason, self._turns, partner),
                thought=answer.thought,
                n_prompt_tokens=answer.n_prompt_tokens if isinstance(prompt, str) else len(prompt),
            )
        )
        self.stop_reason = self._match.rule.reason(self._turns)

    def record(self) -> dict[str, Any]:
        """The dialogue as it stands in a file; see docs/formats.md."""
        episode, match = self.episode, self._match
        return {
            "format": FORMAT,
            "episode_id": episode.id,
            "environment_id": episode.environment.id,
            "index": episode.index,
            **match.pair._asdict(),
            "pair": match.pair.id,
            "seed": match.seed,
            "protocol": match.convention.name,
            "columns": episode.columns(),
            "agents": [{"id": profile.id, "name": profile.name} for profile in episode.agents],
            "turns": turn_records(self._turns),
            "stop_reason": self.stop_reason,
            "sampling": _sampling(*match.sampling),
        }


def _sampling(first: Sampling, second: Sampling) -> dict[str, Any]:
    """Each knob once where both agents have the same, else both values, agent 1's first."""
    pairs = zip(Sampling._fields, first, second, strict=True)
    return {name: one if one == other else [one, other] for name, one, other in pairs}


def check_contexts(
    episodes: Sequence[Episode], listeners: tuple[Listener, Listener], prompts: Prompts, room: int
) -> None:
    """See that every episode's opening prompts and one answer fit both models, before anything is generated.

    Of a model that reads text nothing is known here.

    Parameters
    ----------
    episodes, listeners, prompts
        What is to be played.
    room : int
        Tokens of the longest answer.

    Raises
    ------
    SyncR2Error
        With the longest prompt, the limit and the episode.
    """
    for agent, (encoder, context) in zip(AGENTS, listeners, strict=True):
        if encoder is None or context is None:
            continue
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
