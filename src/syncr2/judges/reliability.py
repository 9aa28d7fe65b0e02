"""How far judges agree with each other, and each with itself when it meets the agents in the other order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from syncr2.judges.agreement import Ratings, agreement
from syncr2.judges.performance import ALL_JUDGES
from syncr2.judges.scores import DIALOGUE, DIMENSION_NAMES, Scores, Values

OVERALL = "overall"
COLUMNS = ["between", "judge", "unit", "dimension"]
_MEASURES = ["n_raters", "n_units", "n_complete", "icc_single", "icc_mean", "alpha"]


def agreement_table(scores: Scores) -> pd.DataFrame:
    """Agreement by dimension and for the mean of the seven.

    Returns
    -------
    DataFrame
        `between`: "judges" (where there are two or more) or "orders" (of presenting the agents, for each
        judge that was asked in both); `judge`; `unit`, what is rated: an "agent" in a dialogue, or a "pair"
        of models by the mean over its dialogues; `dimension`; and the fields of
        `syncr2.judges.agreement.Agreement`.
    """
    rows = [*_between_judges(scores), *_between_orders(scores)]
    return pd.DataFrame(rows, columns=[*COLUMNS, *_MEASURES])


def _between_judges(scores: Scores) -> Iterator[dict[str, object]]:
    judges = scores.judges
    if len(judges) < 2:
        return
    keys = pd.MultiIndex.from_frame(scores.rows[DIALOGUE[1:]])
    dialogues = keys.unique()
    place = dialogues.get_indexer(keys)
    judge = scores.rows["judge"].map({name: i for i, name in enumerate(judges)}).to_numpy()
    # (dialogue, agent, dimension, judge)
    by_judge = np.full((len(dialogues), *scores.means.shape[1:], len(judges)), np.nan)
    by_judge[place, :, :, judge] = scores.means
    yield from _rows("judges", ALL_JUDGES, "agent", by_judge.reshape(-1, *by_judge.shape[2:]))
    # Over pairs only dialogues that all judges scored: others would compare different dialogues.
    together = np.isfinite(by_judge).all(axis=(1, 2, 3))
    first_of = pd.DataFrame({"place": place, "pair": _pair_numbers(scores)}).drop_duplicates("place")
    pair = first_of.sort_values("place")["pair"].to_numpy()[together]
    values = by_judge[together].mean(axis=1)
    pairs = [values[pair == number].mean(axis=0) for number in np.unique(pair)]
    if pairs:
        yield from _rows("judges", ALL_JUDGES, "pair", np.stack(pairs))


def _between_orders(scores: Scores) -> Iterator[dict[str, object]]:
    for judge in scores.judges:
        own = np.asarray(scores.rows["judge"] == judge)
        orders = scores.orders[own]
        if not np.isfinite(orders).any(axis=(0, 2, 3)).all():
            continue
        # (dialogue, agent, dimension, order)
        values = np.moveaxis(orders, 1, 3)
        yield from _rows("orders", judge, "agent", values.reshape(-1, *values.shape[2:]))


def _rows(between: str, judge: str, unit: str, values: Values) -> Iterator[dict[str, object]]:
    """One row a dimension; `values` of shape (n_units, 7, n_raters)."""
    of_dimensions: list[tuple[str, Ratings]] = [
        (name, values[:, i]) for i, name in enumerate(DIMENSION_NAMES)
    ]
    for name, ratings in (*of_dimensions, (OVERALL, values.mean(axis=1))):
        key = dict(zip(COLUMNS, (between, judge, unit, name), strict=True))
        yield {**key, **agreement(ratings)._asdict()}


def _pair_numbers(scores: Scores) -> list[int]:
    return [int(n) for n in scores.rows.groupby(["first", "second"], sort=False).ngroup()]
