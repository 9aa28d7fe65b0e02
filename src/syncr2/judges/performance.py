"""From single judgements to the social performance of a pair of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from syncr2 import ids
from syncr2.errors import SyncR2Error
from syncr2.judges.scores import DIMENSION_NAMES, Scores, agent_scores, read_scores

# Where a table names a judge: their mean. No judge of a config can be called so.
ALL_JUDGES = "all judges"

_KEYS = ["judge", "model_1", "model_2", "family"]
_COUNTS = ["n_dialogues", "n_judged", "failure_rate"]
_UNJUDGED = ("failed", "refused", "truncated")
# Both ways of summing up a pair: as published, and with the dimensions brought to one scale.
_OVERALL = ["social_performance", "social_performance_standardised"]
_MORE = [_OVERALL[1], "order_effect", "order_change", *(f"n_{status}" for status in _UNJUDGED)]


def dialogue_performance(judgement: Mapping[str, Any]) -> float:
    """Social performance in one dialogue: mean over both agents of their overall score; NaN if it was not
    judged.

    Raises
    ------
    SyncR2Error
        If the status is "ok" and the scores are not whole; the message names the dialogue.
    """
    scores = agent_scores(judgement)
    return float("nan") if scores is None else float(scores.mean())


def performance_table(judgements: Iterable[Mapping[str, Any]], family: Mapping[str, str]) -> pd.DataFrame:
    """Average judgements over agents, orders, episodes, seeds and both speaking orders.

    See `performance_of`, and `syncr2.judges.scores.read_scores` for the parameters.
    """
    return performance_of(read_scores(judgements, family), family)


def performance_of(scores: Scores, family: Mapping[str, str]) -> pd.DataFrame:
    """Average scores by judge and unordered pair.

    Every judged dialogue counts the same, so a speaking order counts by its judged dialogues.

    Parameters
    ----------
    scores : Scores
    family : mapping
        Family of each model, in the order of the config: it decides which model of a pair is `model_1`.

    Returns
    -------
    DataFrame
        One row a judge and pair: `judge`, `model_1`, `model_2`, `family`, `social_performance` (mean of the
        seven), `n_dialogues`, `n_judged`, `failure_rate` (0..1, whatever is not "ok"), the mean of each
        dimension, `social_performance_standardised` (dimensions as z scores over all dialogues of the judge),
        `order_effect` and `order_change` (see `Scores.order_effects`), and the numbers of dialogues that
        failed, were refused or cut off. Means are over judged dialogues only, NaN where there is none.
    """
    table = scores.rows[["judge", "first", "second"]].copy()
    table[DIMENSION_NAMES] = scores.means.mean(axis=1)
    table["judged"] = scores.judged
    table[_OVERALL[1]] = scores.standardised().mean(axis=1)
    table["order_effect"], table["order_change"] = scores.order_effects()
    for status in _UNJUDGED:
        table[f"n_{status}"] = scores.rows["status"] == status
    groups = table.groupby(["judge", "first", "second"], sort=False)
    result = groups[[*DIMENSION_NAMES, *_MORE[:3]]].mean()
    result["social_performance"] = result[DIMENSION_NAMES].mean(axis=1, skipna=False)
    result["n_dialogues"] = groups.size()
    for count in ("judged", *(f"n_{status}" for status in _UNJUDGED)):
        result["n_judged" if count == "judged" else count] = groups[count].sum()
    result["failure_rate"] = 1.0 - result["n_judged"] / result["n_dialogues"]
    result = result.reset_index()
    judges = {judge: place for place, judge in enumerate(scores.judges)}
    result = result.sort_values(
        ["judge", "first", "second"], key=lambda c: c.map(judges) if c.name == "judge" else c
    )
    names = list(family)
    result["model_1"] = [names[place] for place in result["first"]]
    result["model_2"] = [names[place] for place in result["second"]]
    result["family"] = [
        ids.pair_family(*pair, family) for pair in zip(result["model_1"], result["model_2"], strict=True)
    ]
    columns = [*_KEYS, "social_performance", *_COUNTS, *DIMENSION_NAMES, *_MORE]
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
        One row an unordered pair: `model_1`, `model_2`, `family`, `social_performance` and
        `social_performance_standardised`; judges count the same.

    Raises
    ------
    SyncR2Error
        If a failure rate is above `max_failure_rate` or no dialogue of a pair was judged, or if the judges do
        not all cover the same pairs (means over different judges cannot be compared).
    """
    _check(performance, max_failure_rate)
    overall = [column for column in _OVERALL if column in performance]
    return performance.groupby(_KEYS[1:], sort=False)[overall].mean().reset_index()


def performance_by_judge(performance: pd.DataFrame, max_failure_rate: float) -> pd.DataFrame:
    """Social performance by each judge and by all of them, to see whether a result depends on the judge.

    Parameters and errors are those of `social_performance`.

    Returns
    -------
    DataFrame
        One row a judge and pair: `judge`, `model_1`, `model_2`, `family`, `social_performance` and
        `social_performance_standardised`; the rows of `ALL_JUDGES` come first and hold the mean.
    """
    mean = social_performance(performance, max_failure_rate)
    mean.insert(0, "judge", ALL_JUDGES)
    return pd.concat([mean, performance[mean.columns]], ignore_index=True)


def _check(performance: pd.DataFrame, max_failure_rate: float) -> None:
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
    n_judges = performance["judge"].nunique()
    short = performance.groupby(_KEYS[1:3], sort=False)["judge"].nunique()
    short = short[short < n_judges]
    if not short.empty:
        model_1, model_2 = short.index[0]
        raise SyncR2Error(
            f"Not every judge judged every pair: {model_1} with {model_2} has {short.iloc[0]} of {n_judges} "
            "judges. Means over different judges cannot be compared: let every judge judge every pair."
        )
