"""Outcomes as tables: one row a dialogue that plays for something, and one row a pair of models and game."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from syncr2 import ids
from syncr2.outcomes.games import Bargain, Division, Game, MutualFriend, Worth, game_of
from syncr2.outcomes.reading import Agreement, read_agreement
from syncr2.sotopia.scenarios import ScenarioSet

_KEYS = ["agent1", "agent2", "seed", "episode_id", "environment_id"]
_VALUES = ["points_1", "points_2", "gain_1", "gain_2", "pareto_distance", "fairness"]
COLUMNS = [*_KEYS, "game", "outcome", "price", *_VALUES]
PAIR_COLUMNS = [
    *("model_1", "model_2", "family", "game", "n_dialogues", "n_unreadable", "unreadable_rate"),
    *("agreement_rate", "gain", "pareto_distance", "fairness"),
]


@dataclass(frozen=True)
class _Line:
    agent: int
    text: str


def outcome_row(game: Game, dialogue: Mapping[str, Any]) -> dict[str, Any]:
    """What came of one dialogue.

    Parameters
    ----------
    game : Game
        Of the dialogue's environment.
    dialogue : mapping
        Format syncr2/dialogue/1.

    Returns
    -------
    dict
        `COLUMNS`. NaN where there is nothing to say: all values of an unreadable dialogue, the fairness where
        nothing was agreed on, the price and the points of other games.
    """
    lines = [_Line(turn["agent"], turn["text"]) for turn in dialogue["turns"]]
    agreement = read_agreement(game, lines)
    row = {**{key: dialogue[key] for key in _KEYS}, "game": game.kind, "outcome": agreement.outcome}
    row |= dict.fromkeys(["price", *_VALUES], math.nan)
    if agreement.outcome == "unreadable":
        return row
    worth, points = _worth(game, agreement)
    row |= {
        "gain_1": worth.gains[0],
        "gain_2": worth.gains[1],
        "pareto_distance": worth.pareto_distance,
        "fairness": worth.fairness,
    }
    if points is not None:
        row |= {"points_1": points[0], "points_2": points[1]}
    if isinstance(game, Bargain) and agreement.outcome == "deal":
        row["price"] = agreement.terms
    return row


def outcome_table(scenarios: ScenarioSet, dialogues: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each dialogue whose environment says in figures what it plays for; others have none."""
    games = {episode.environment.id: game_of(episode.environment) for episode in scenarios.episodes}
    rows = [
        outcome_row(game, dialogue)
        for dialogue in dialogues
        if (game := games.get(dialogue["environment_id"])) is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def outcome_pairs(outcomes: pd.DataFrame, family: Mapping[str, str]) -> pd.DataFrame:
    """Average outcomes by unordered pair of models and game.

    Parameters
    ----------
    outcomes : DataFrame
        From `outcome_table`.
    family : mapping
        Family of each model, in the order of the config.

    Returns
    -------
    DataFrame
        `PAIR_COLUMNS`. `unreadable_rate` is of all dialogues; the other means are of those that could be
        read, `gain` over both agents, `fairness` over agreements.
    """
    place = {model: i for i, model in enumerate(family)}
    names = list(family)
    table = outcomes.copy()
    table["model_1"] = [min(pair) for pair in _places(outcomes, place)]
    table["model_2"] = [max(pair) for pair in _places(outcomes, place)]
    rows = []
    for key, part in table.groupby(["model_1", "model_2", "game"]):
        first, second, game = cast("tuple[int, int, str]", key)
        read = part[part["outcome"] != "unreadable"]
        pair = names[first], names[second]
        rows.append(
            {
                "model_1": pair[0],
                "model_2": pair[1],
                "family": ids.pair_family(*pair, family),
                "game": game,
                "n_dialogues": len(part),
                "n_unreadable": len(part) - len(read),
                "unreadable_rate": 1.0 - len(read) / len(part),
                "agreement_rate": (read["outcome"] == "deal").mean(),
                "gain": read[["gain_1", "gain_2"]].to_numpy().mean() if len(read) else math.nan,
                "pareto_distance": read["pareto_distance"].mean(),
                "fairness": read["fairness"].mean(),
            }
        )
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def _places(outcomes: pd.DataFrame, place: Mapping[str, int]) -> list[tuple[int, int]]:
    pairs = zip(outcomes["agent1"], outcomes["agent2"], strict=True)
    return [(place[first], place[second]) for first, second in pairs]


def _worth(game: Game, agreement: Agreement) -> tuple[Worth, tuple[float, float] | None]:
    terms: Any = agreement.terms
    if isinstance(game, Division):
        points = (0.0, 0.0) if terms is None else game.points(terms)
        return game.worth(terms), points
    if isinstance(game, MutualFriend):
        return game.worth(terms), None
    return game.worth(terms), None
