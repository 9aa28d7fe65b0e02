"""What a trained miniature can do, measured: it talks to itself in episodes that it has not met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncr2.dialogues.turns import Spoken, utterance
from syncr2.sotopia.episodes import Episode
from syncr2.sotopia.views import Agent, agent_view
from syncr2.world.dynamics import MAX_TURNS
from syncr2.world.hearing import Hearing, Line, hear, quality
from syncr2.world.setting import draw_episode, game_of, seed_of
from syncr2.world.training import HELD_OUT_SEED

if TYPE_CHECKING:
    from syncr2.dialogues.chat import ChatEncoder
    from syncr2.dialogues.prompts import Prompts

# As in the published experiment: temperature 0.7, nothing else.
TEMPERATURE = 0.7
MOST_TOKENS = 32
_LEAVE = "[leaves]"


def self_play(
    model: Any,
    encoder: ChatEncoder,
    prompts: Prompts,
    episodes: Sequence[Episode],
    max_turns: int = MAX_TURNS,
) -> list[list[str]]:
    """Let a model play both agents of every episode; the utterances, dialogue by dialogue."""
    from syncr2.speakers import Sampling
    from syncr2.speakers.local import LocalSpeaker

    speaker = LocalSpeaker(model, encoder.tokenizer, Sampling(TEMPERATURE, 1.0, 0, MOST_TOKENS))
    sides = [speaker.join(), speaker.join()]
    said: list[list[Spoken]] = [[] for _ in episodes]
    agents: tuple[Agent, Agent] = (1, 2)
    for turn in range(max_turns):
        agent = agents[turn % 2]
        playing = [i for i in range(len(episodes)) if not (said[i] and said[i][-1].text == _LEAVE)]
        if not playing:
            break
        asked = [encoder.encode(prompts.engaged(agent_view(episodes[i], agent), said[i])) for i in playing]
        seeds = [seed_of("trial", episodes[i].id, turn) for i in playing]
        answers = sides[agent - 1].answer([episodes[i].id for i in playing], asked, seeds)
        for i, answer in zip(playing, answers, strict=True):
            name = episodes[i].agents[agent - 1].name
            said[i].append(Spoken(turn, name, utterance(answer.raw, name)))
    return [[spoken.text for spoken in dialogue] for dialogue in said]


def trial(
    model: Any, encoder: ChatEncoder, prompts: Prompts, n_episodes: int
) -> tuple[Mapping[str, float], list[str]]:
    """Quality of a model's dialogues with itself, and the lines of the first as a sample.

    Returns
    -------
    (mapping, list of str)
        `quality` of `syncr2.world.hearing`, with `distinct`, the share of utterances that differ from all
        others, and `turns`, the mean length of a dialogue.
    """
    episodes = [draw_episode(HELD_OUT_SEED, 10_000 + i) for i in range(n_episodes)]
    games = [game_of(episode) for episode in episodes]
    dialogues = self_play(model, encoder, prompts, episodes)
    hearings: list[Hearing] = []
    for episode, game, texts in zip(episodes, games, dialogues, strict=True):
        lines = [Line(1 + i % 2, text) for i, text in enumerate(texts)]
        names = [agent.name for agent in episode.agents]
        hearings.append(hear(game, names, episode.environment.relationship, lines))
    every = [text for texts in dialogues for text in texts]
    found = dict(quality(hearings, games))
    found["distinct"] = len(set(every)) / max(1, len(every))
    found["turns"] = len(every) / n_episodes
    names = [agent.name for agent in episodes[0].agents]
    return found, [f"{names[i % 2]}: {text}" for i, text in enumerate(dialogues[0])]
