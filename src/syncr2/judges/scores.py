"""All judgements of an experiment as arrays, each checked on its way in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.judges.base import AGENTS
from syncr2.judges.dimensions import DIMENSIONS, check_scores

DIMENSION_NAMES = [dimension.name for dimension in DIMENSIONS]
DIALOGUE = ["judge", "agent1", "agent2", "seed", "episode_id"]

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """One entry a judge and dialogue, in every attribute in the same order.

    Attributes
    ----------
    rows : DataFrame
        `judge`, `agent1`, `agent2`, `seed`, `episode_id`, `status`, and `first` and `second`, the models'
        places in the config, the smaller one first.
    means : array of shape (n, 2, 7)
        Scores of agent 1 and agent 2 in each dimension, the mean over orders; NaN without scores.
    orders : array of shape (n, 2, 2, 7)
        The same with agent 1 (0) and with agent 2 (1) presented first; NaN where not asked or not answered.
    """

    rows: pd.DataFrame
    means: Values
    orders: Values

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Whether there are scores, for each entry."""
        return np.asarray(self.rows["status"] == "ok")

    @property
    def judges(self) -> list[str]:
        """Names of the judges in the order of the records."""
        return list(dict.fromkeys(self.rows["judge"]))

    def order_effects(self) -> tuple[Values, Values]:
        """What the order of presenting the agents changes, for each entry; NaN where one order was asked.

        Returns
        -------
        effect : array of shape (n,)
            Overall score of an agent when presented first, less its score when presented second, mean over
            the two agents. Above 0: the judge favours whom it meets first.
        change : array of shape (n,)
            Absolute difference between an agent's two overall scores, mean over the two agents.
        """
        overall = self.orders.mean(axis=3)
        first_less_second = np.stack(
            [overall[:, 0, 0] - overall[:, 1, 0], overall[:, 1, 1] - overall[:, 0, 1]], axis=1
        )
        return first_less_second.mean(axis=1), np.abs(first_less_second).mean(axis=1)

    def standardised(self) -> Values:
        """Mean of the seven dimensions as z scores, of shape (n, 2); NaN without scores.

        A dimension is centred and scaled over both agents of all judged dialogues of the same judge. One that
        does not vary says nothing and counts as 0.
        """
        result = np.full(self.means.shape[:2], np.nan)
        for judge in self.judges:
            own = np.asarray(self.rows["judge"] == judge) & self.judged
            values = self.means[own]
            if not len(values):
                continue
            centred = values - values.mean(axis=(0, 1))
            scale = np.sqrt((centred**2).mean(axis=(0, 1)))
            result[own] = (centred / np.where(scale > 0, scale, 1.0)).mean(axis=2)
        return result


def read_scores(judgements: Iterable[Mapping[str, Any]], family: Mapping[str, str]) -> Scores:
    """Gather judgements.

    Parameters
    ----------
    judgements : iterable of mapping
        Records of format syncr2/judgement/2, of any pairs and judges, in any order.
    family : mapping
        Family of each model, in the order of the config.

    Raises
    ------
    SyncR2Error
        If there is no judgement, a model is unknown, a dialogue was judged twice by one judge, or scores are
        not whole.
    """
    places = {model: place for place, model in enumerate(family)}
    rows, means, orders = [], [], []
    for judgement in judgements:
        first, second = sorted(_place(judgement[agent], places) for agent in AGENTS)
        own = {key: judgement[key] for key in DIALOGUE}
        rows.append({**own, "status": judgement["status"], "first": first, "second": second})
        mean, by_order = _values(judgement)
        means.append(mean)
        orders.append(by_order)
    if not rows:
        raise SyncR2Error("There is no judgement to average. Check that the judging rules wrote anything.")
    table = pd.DataFrame(rows)
    twice = table[table.duplicated(DIALOGUE)]
    if not twice.empty:
        row = twice.iloc[0]
        raise SyncR2Error(
            f"{len(twice)} dialogue(s) were judged more than once by the same judge, such as judge "
            f"{row['judge']}, {row['agent1']}--{row['agent2']}, seed {row['seed']}, episode "
            f"{row['episode_id']}. Are shards read twice, or left over from an earlier run?"
        )
    return Scores(table, np.stack(means), np.stack(orders))


def agent_scores(judgement: Mapping[str, Any]) -> Values | None:
    """Scores of both agents in one dialogue, of shape (2, 7); None without scores.

    Raises
    ------
    SyncR2Error
        If the status is "ok" and the scores are not whole; the message names the dialogue.
    """
    return _checked(judgement, judgement["scores"]) if judgement["status"] == "ok" else None


def _place(model: str, places: Mapping[str, int]) -> int:
    if model not in places:
        raise SyncR2Error(
            f"A judgement is of the model {model!r}, which the config does not have "
            f"({', '.join(places)}). Is it left over from an earlier run?"
        )
    return places[model]


def _values(judgement: Mapping[str, Any]) -> tuple[Values, Values]:
    by_order = np.full((2, 2, len(DIMENSIONS)), np.nan)
    for order in judgement.get("orders", ()):
        if order["status"] == "ok":
            by_order[AGENTS.index(order["first"])] = _checked(judgement, order["scores"])
    mean = agent_scores(judgement)
    return np.full((2, len(DIMENSIONS)), np.nan) if mean is None else mean, by_order


def _checked(judgement: Mapping[str, Any], scores: Any) -> Values:
    try:
        for agent in AGENTS:
            check_scores(scores[agent])
    except (SyncR2Error, KeyError, TypeError) as error:
        raise SyncR2Error(
            f"The judgement of judge {judgement['judge']}, {judgement['agent1']}--{judgement['agent2']}, "
            f"seed {judgement['seed']}, episode {judgement['episode_id']} has the status ok without whole "
            f"scores: {error} Delete its file and run again."
        ) from None
    return np.array([[scores[agent][name] for name in DIMENSION_NAMES] for agent in AGENTS], dtype=float)
