"""What the miniatures learn from: dialogues of the world as the experiment's own prompts show them.

A reading is one agent's or one bystander's way through a dialogue: for each of its turns the prompt exactly
as the experiment would give it, and the answer. Prompts of one reading begin alike, so a reading is kept as a
tree: what they share is computed once, and each answer sees what stood in its own prompt and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.dialogues.turns import Spoken
from syncr2.sotopia.episodes import Episode
from syncr2.sotopia.views import Agent, agent_view, bystander_view
from syncr2.world.dynamics import Turn, play
from syncr2.world.sentences import grammar, note
from syncr2.world.setting import draw_episode, seed_of

if TYPE_CHECKING:
    from syncr2.dialogues.chat import ChatEncoder
    from syncr2.dialogues.prompts import Prompts

# Who reads: the agent itself; a third person who knows what the speaker knows, or what everybody sees.
READERS = ("engaged", "private", "public")


class Branch(NamedTuple):
    """One prompt with its answer, in tokens, and for each token whether a model's perplexity counts it."""

    ids: list[int]
    scored: list[bool]


@dataclass(frozen=True)
class Tree:
    """Branches with their common beginnings laid over each other.

    Attributes
    ----------
    ids : ndarray of int, shape (n,)
        Tokens; each comes after its parent.
    parents : ndarray of int, shape (n,)
        -1 for the first.
    positions : ndarray of int, shape (n,)
        Place of a token in its branch.
    scored : ndarray of bool, shape (n,)
        Whether perplexity counts it.
    """

    ids: NDArray[np.int64]
    parents: NDArray[np.int64]
    positions: NDArray[np.int64]
    scored: NDArray[np.bool_]

    def sees(self, window: int | None = None) -> NDArray[np.bool_]:
        """Which tokens each sees: itself and its ancestors, with a window only the nearest of them.

        Returns
        -------
        ndarray of bool, shape (n, n)
        """
        n = len(self.ids)
        seen = np.zeros((n, n), dtype=bool)
        for i, parent in enumerate(self.parents):
            if parent >= 0:
                seen[i] = seen[parent]
            seen[i, i] = True
        if window is not None:
            seen &= self.positions[:, None] - self.positions[None, :] < window
        return seen


def tree(branches: Sequence[Branch]) -> Tree:
    """Lay branches over each other; a token is scored if it is in any of the branches that share it."""
    children: dict[tuple[int, int], int] = {}
    ids: list[int] = []
    parents: list[int] = []
    positions: list[int] = []
    scored: list[bool] = []
    for branch in branches:
        parent = -1
        for position, (token, score) in enumerate(zip(branch.ids, branch.scored, strict=True)):
            node = children.setdefault((parent, token), len(ids))
            if node == len(ids):
                ids.append(token)
                parents.append(parent)
                positions.append(position)
                scored.append(score)
            else:
                scored[node] = scored[node] or score
            parent = node
    return Tree(np.array(ids), np.array(parents), np.array(positions), np.array(scored))


def reading(
    episode: Episode,
    turns: Sequence[Turn],
    agent: Agent,
    reader: str,
    encoder: ChatEncoder,
    prompts: Prompts,
    stop: int,
) -> list[Branch]:
    """One way through a dialogue.

    Parameters
    ----------
    episode : Episode
    turns : sequence of Turn
        Of `play`.
    agent : {1, 2}
        Whose turns: its prompts are read and its answers given; a bystander reads before the same turns.
    reader : {"engaged", "private", "public"}
        An engaged reader is scored on what the agent says and the stop token. A bystander is scored on the
        lines that it hears, as text to be foreseen, and on a short note of the last of them.
    encoder : ChatEncoder
        Of the model.
    prompts : Prompts
        The experiment's templates.
    stop : int
        Token that closes an answer.
    """
    spoken = [Spoken(turn.turn, episode.agents[turn.agent - 1].name, turn.text) for turn in turns]
    branches = []
    for turn in turns[agent - 1 :: 2]:
        history = spoken[: turn.turn]
        if reader == "engaged":
            ids = encoder.encode(prompts.engaged(agent_view(episode, agent), history))
            heard = [False] * len(ids)
            answer = turn.text
        else:
            view = bystander_view(episode, agent, reader == "private")
            ids = encoder.encode(prompts.bystander(view, history))
            first = encoder.encode(prompts.bystander(view, []))
            heard = _heard(first, ids)
            answer = _note(episode, turns[: turn.turn], reader)
        tail = _tokens(encoder, answer, stop)
        branches.append(Branch(ids + tail, heard + [True] * len(tail)))
    return branches


def readings(
    seed: int,
    coupling: float,
    shares: Sequence[float],
    encoder: ChatEncoder,
    prompts: Prompts,
    stop: int,
) -> Iterator[Tree]:
    """Readings without end: new episodes, of each dialogue one agent's side, readers by their shares.

    Parameters
    ----------
    seed : int
        The same seed gives the same readings.
    coupling : float
        Of the world.
    shares : sequence of float
        Share of each of `READERS`.
    encoder, prompts, stop
        As in `reading`.
    """
    number = 0
    while True:
        episode = draw_episode(seed, number)
        rng = random.Random(seed_of("reading", seed, number))
        agent: Agent = 1 if rng.random() < 0.5 else 2
        reader = rng.choices(READERS, shares)[0]
        turns = play(episode, seed, coupling)
        yield tree(reading(episode, turns, agent, reader, encoder, prompts, stop))
        number += 1


def corpus(seed: int, n_episodes: int, prompts: Prompts) -> Iterator[str]:
    """Text for counting a tokenizer: prompts with whole dialogues, of agents and bystanders."""
    for number in range(n_episodes):
        episode = draw_episode(seed, number)
        turns = play(episode, seed, 1.0)
        spoken = [Spoken(turn.turn, episode.agents[turn.agent - 1].name, turn.text) for turn in turns]
        agent: Agent = 1 if len(turns) % 2 == 0 else 2
        yield prompts.engaged(agent_view(episode, agent), spoken)
        yield prompts.bystander(bystander_view(episode, agent, False), spoken)
        yield " " + _note(episode, turns, "public")


def _tokens(encoder: ChatEncoder, answer: str, stop: int) -> list[int]:
    # With the space that stands before it in the next prompt, so that what is said and what is read agree.
    ids = encoder.tokenizer(f" {answer}", add_special_tokens=False)["input_ids"]
    return [*ids, stop]


def _heard(first: Sequence[int], ids: Sequence[int]) -> list[bool]:
    """Score what a prompt has beyond the same prompt without history, save the chat format's own end."""
    start = next((i for i, (a, b) in enumerate(zip(first, ids, strict=False)) if a != b), len(first))
    # The end that both have, in tokens.
    shorter = min(len(first), len(ids)) - start
    end = next((k for k in range(shorter) if first[-1 - k] != ids[-1 - k]), shorter)
    return [start <= i < len(ids) - end for i in range(len(ids))]


def _note(episode: Episode, turns: Sequence[Turn], reader: str) -> str:
    if not turns:
        return str(grammar().notes["nothing_said"])
    rng = random.Random(seed_of("note", episode.id, len(turns), reader))
    last = turns[-1]
    who = episode.agents[last.agent - 1].name
    return note(who, last.said, lambda listed: listed[int(rng.random() * len(listed))])
