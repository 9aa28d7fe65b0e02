"""From single judgements to the social performance of a pair of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from syncr2 import ids
from syncr2.errors import SyncR2Error
from syncr2.judges.dimensions import DIMENSIONS, check_scores

_DIMENSION_NAMES = [dimension.name for dimension in DIMENSIONS]
_COUNTS = ["n_dialogues", "n_judged", "failure_rate"]


def dialogue_performance(judgement: Mapping[str, Any]) -> float:
    """Social performance in one dialogue: mean over both agents of their overall score; NaN if it was not
    judged.

    Raises
    ------
    SyncR2Error
        If the status is "ok" and the scores are not whole; the message names the dialogue.
    """
    means = _dimension_means(judgement)
    return float("nan") if means is None else sum(means) / len(means)


def performance_table(judgements: Iterable[Mapping[str, Any]], family: Mapping[str, str]) -> pd.DataFrame:
    """Average judgements over agents, episodes, seeds and both speaking orders.

    Every judged dialogue counts the same, so a speaking order counts by its judged dialogues.

    Parameters
    ----------
    judgements : iterable of mapping
        Records of format syncr2/judgement/1, of any pairs and judges, in any order.
    family : mapping
        Family of each model, in the order of the config: it decides which model of a pair is `model_1`.

    Returns
    -------
    DataFrame
        One row a judge and unordered pair: `judge`, `model_1`, `model_2`, `family`, `social_performance`,
        `n_dialogues`, `n_judged`, `failure_rate` (0..1, whatever is not "ok"), and the mean of each
        dimension. Means are over judged dialogues only, NaN where there is none.

    Raises
    ------
    SyncR2Error
        If there is no judgement, a model is unknown, a dialogue was judged twice by one judge, or scores are
        not whole.
    """
    order = {model: position for position, model in enumerate(family)}
    rows = [_row(judgement, order) for judgement in judgements]
    if not rows:
        raise SyncR2Error("There is no judgement to average. Check that the judging rules wrote anything.")
    table = pd.DataFrame(rows)
    dialogue = ["judge", "agent1", "agent2", "seed", "episode_id"]
    twice = table[table.duplicated(dialogue)]
    if not twice.empty:
        first = twice.iloc[0]
        raise SyncR2Error(
            f"{len(twice)} dialogue(s) were judged more than once by the same judge, such as judge "
            f"{first['judge']}, {first['agent1']}--{first['agent2']}, seed {first['seed']}, episode "
            f"{first['episode_id']}. Are shards read twice, or left over from an earlier run?"
        )
    groups = table.groupby(["judge", "first", "second"], sort=False)
    result = groups[_DIMENSION_NAMES].mean()
    result.insert(0, "social_performance", result[_DIMENSION_NAMES].mean(axis=1, skipna=False))
    result.insert(1, "n_dialogues", groups.size())
    result.insert(2, "n_judged", groups["judged"].sum())
    result.insert(3, "failure_rate", 1.0 - result["n_judged"] / result["n_dialogues"])
    result = result.reset_index()
    judges = {judge: position for position, judge in enumerate(dict.fromkeys(table["judge"]))}
    result = result.sort_values(
        ["judge", "first", "second"], key=lambda c: c.map(judges) if c.name == "judge" else c
    )
    names = list(family)
    result["model_1"] = [names[position] for position in result["first"]]
    result["model_2"] = [names[position] for position in result["second"]]
    result["family"] = [
        ids.pair_family(*pair, family) for pair in zip(result["model_1"], result["model_2"], strict=True)
    ]
    columns = ["judge", "model_1", "model_2", "family", "social_performance", *_COUNTS, *_DIMENSION_NAMES]
    return result[columns].reset_index(drop=True)


def social_performance(performance: pd.DataFrame, max_failure_rate: float) -> pd.DataFrame:
    """Average over judges, and refuse where too much is missing.

    Parameters
    ----------
    performance : DataFrame
        As made by `performance_table`.
    max_failure_rate : float
        Largest part of a pair's dialogues that may be without scores, for each judge, 0..1. Failures are not
        a random sample (a judge refuses what is offensive, cuts off what is long), so their absence moves the
        mean.

    Returns
    -------
    DataFrame
        One row an unordered pair: `model_1`, `model_2`, `family`, `social_performance`; judges count the
        same.

    Raises
    ------
    SyncR2Error
        If a failure rate is above `max_failure_rate` or no dialogue of a pair was judged, or if the judges do
        not all cover the same pairs (means over different judges cannot be compared).
    """
    if performance.empty:
        raise SyncR2Error(
            "The table of performance has no rows. Check that the judging rules wrote anything."
        )
    above = performance[(performance["failure_rate"] > max_failure_rate) | (performance["n_judged"] == 0)]
    if not above.empty:
        listed = "; ".join(
            f"{row['model_1']} with {row['model_2']}, judge {row['judge']}: failure rate "
            f"{row['failure_rate']:.3f} ({row['n_dialogues'] - row['n_judged']} of {row['n_dialogues']} "
            "dialogues without scores)"
            for row in above.head(5).to_dict("records")
        )
        more = f"; and {len(above) - 5} more" if len(above) > 5 else ""
        raise SyncR2Error(
            f"Too many dialogues without scores: {listed}{more}. The highest rate allowed is "
            f"{max_failure_rate:g} (max_failure_rate). The fields status and error of the judgements say "
            "what happened; mend that, delete those judgement files and run again, or raise the limit on "
            "purpose."
        )
    pair = ["model_1", "model_2"]
    n_judges = performance["judge"].nunique()
    short = performance.groupby(pair, sort=False)["judge"].nunique()
    short = short[short < n_judges]
    if not short.empty:
        model_1, model_2 = short.index[0]
        raise SyncR2Error(
            f"Not every judge judged every pair: {model_1} with {model_2} has {short.iloc[0]} of {n_judges} "
            "judges. Means over different judges cannot be compared: let every judge judge every pair."
        )
    grouped = performance.groupby([*pair, "family"], sort=False)["social_performance"]
    return grouped.mean().reset_index()


def _row(judgement: Mapping[str, Any], order: Mapping[str, int]) -> dict[str, Any]:
    """Flatten one judgement; `first` and `second` are the models' places in the config, smaller first."""
    agents = (judgement["agent1"], judgement["agent2"])
    unknown = [model for model in agents if model not in order]
    if unknown:
        raise SyncR2Error(
            f"A judgement is of the model {unknown[0]!r}, which the config does not have "
            f"({', '.join(order)}). Is it left over from an earlier run?"
        )
    first, second = sorted(order[model] for model in agents)
    means = _dimension_means(judgement)
    return {
        **{key: judgement[key] for key in ("judge", "agent1", "agent2", "seed", "episode_id")},
        "first": first,
        "second": second,
        "judged": means is not None,
        **dict(zip(_DIMENSION_NAMES, means or [np.nan] * len(_DIMENSION_NAMES), strict=True)),
    }


def _dimension_means(judgement: Mapping[str, Any]) -> list[float] | None:
    """Mean of the two agents in each dimension, or None if there are no scores."""
    if judgement["status"] != "ok":
        return None
    try:
        agents = [judgement["scores"][agent] for agent in ("agent1", "agent2")]
        for scores in agents:
            check_scores(scores)
    except (SyncR2Error, KeyError, TypeError) as error:
        raise SyncR2Error(
            f"The judgement of judge {judgement['judge']}, {judgement['agent1']}--{judgement['agent2']}, "
            f"seed {judgement['seed']}, episode {judgement['episode_id']} has the status ok without whole "
            f"scores: {error} Delete its file and run again."
        ) from None
    return [sum(scores[name] for scores in agents) / len(agents) for name in _DIMENSION_NAMES]
