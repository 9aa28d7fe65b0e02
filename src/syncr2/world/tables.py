"""Dialogues of the world as records, and what is true of every turn as a table of labels.

The tables have the form of `syncr2.labels`, one row a turn: `labels` of a configuration and every question
about turns take them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncr2.dialogues.dialogue import FORMAT
from syncr2.errors import SyncR2Error
from syncr2.ids import OrderedPair
from syncr2.sotopia.episodes import Episode
from syncr2.world import tendencies
from syncr2.world.dynamics import Turn
from syncr2.world.hearing import Hearing, Line, hear, heard_labels
from syncr2.world.sentences import emotion, valence
from syncr2.world.setting import game_of

if TYPE_CHECKING:
    import pandas as pd

# Who speaks in dialogues that no model played.
WORLD = OrderedPair("world", "world")
_KEYS = ("agent1", "agent2", "seed", "episode_id")


def world_record(episode: Episode, turns: Sequence[Turn], seed: int) -> dict[str, Any]:
    """A dialogue of the world itself: format syncr2/dialogue/1 as far as there are no models."""
    said = [
        {
            "turn": turn.turn,
            "agent": turn.agent,
            "speaker": episode.agents[turn.agent - 1].name,
            "text": turn.text,
        }
        for turn in turns
    ]
    return {
        "format": FORMAT,
        "episode_id": episode.id,
        "environment_id": episode.environment.id,
        "index": episode.index,
        **WORLD._asdict(),
        "pair": WORLD.id,
        "seed": seed,
        "columns": episode.columns(),
        "agents": [{"id": profile.id, "name": profile.name} for profile in episode.agents],
        "turns": said,
        "stop_reason": "left" if turns[-1].said.act == "leave" else "turn_limit",
    }


def truth(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Hidden states turn by turn: what is to be found in models' states (docs/world.md)."""
    rows: list[dict[str, Any]] = []
    for turn in turns:
        other = turns[turn.turn - 1].mind if turn.turn else None
        rows.append(
            {
                "turn": turn.turn,
                "mood": turn.mind.mood,
                "trust": turn.mind.trust,
                "demand": turn.mind.demand,
                "partner_mood": other.mood if other else None,
                "partner_trust": other.trust if other else None,
                "partner_demand": other.demand if other else None,
                "emotion": emotion(turn.said.feeling),
                "valence": valence(turn.said.feeling),
                "act": turn.said.act,
                "intention": tendencies.INTENTIONS[turn.said.act],
                "action": tendencies.action(turn.said.act),
                "offer_level": turn.level,
                "attends": int(turn.attends),
            }
        )
    return rows


def truth_table(dialogues: Iterable[tuple[Episode, Sequence[Turn], int]]) -> pd.DataFrame:
    """The hidden states of dialogues of the world, one row a turn.

    Parameters
    ----------
    dialogues : iterable of (Episode, turns, seed)
        Of `dynamics.play`.
    """
    import pandas as pd

    rows = [
        {**WORLD._asdict(), "seed": seed, "episode_id": episode.id, **row}
        for episode, turns, seed in dialogues
        for row in truth(turns)
    ]
    return pd.DataFrame(rows)


def heard_table(episodes: Mapping[str, Episode], dialogues: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """What can be read from what was said, one row a turn; for dialogues that models played.

    Parameters
    ----------
    episodes : mapping
        By id.
    dialogues : iterable of mapping
        Records of format syncr2/dialogue/1.
    """
    import pandas as pd

    rows = [
        {**{key: dialogue[key] for key in _KEYS}, **row}
        for dialogue in dialogues
        for row in heard_labels(hearing_of(episodes, dialogue))
    ]
    return pd.DataFrame(rows)


def hearing_of(episodes: Mapping[str, Episode], dialogue: Mapping[str, Any]) -> Hearing:
    """A recorded dialogue, read back.

    Raises
    ------
    SyncR2Error
        If its episode is unknown or not of the world.
    """
    episode = episodes.get(dialogue["episode_id"])
    if episode is None:
        raise SyncR2Error(
            f"A dialogue is of episode {dialogue['episode_id']!r}, which is not in the scenarios. Name the "
            "scenarios that it was made with."
        )
    names = [agent.name for agent in episode.agents]
    lines = [Line(turn["agent"], turn["text"]) for turn in dialogue["turns"]]
    return hear(game_of(episode), names, episode.environment.relationship, lines)
