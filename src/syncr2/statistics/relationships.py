"""SyncR² over the relationship of the two characters: means by relationship, and a test for trend.

A relationship belongs to an environment, so environments are the units: each has one value, the mean SyncR²
of its dialogues (see `protocols.dialogue_scores`), which is the mean over pairs of models where there are
several. Intervals come from a bootstrap over environments, and p from giving the relationships to
environments at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from syncr2.ids import speaking_orders
from syncr2.maps.intervals import interval
from syncr2.maps.nulls import holm
from syncr2.statistics.correlation import Matrix, Vector, rank_correlation
from syncr2.statistics.pooled import Pair, scopes
from syncr2.statistics.resampling import Resampling

# Environments that a mean's interval needs; fewer say next to nothing of others.
LEAST_ENVIRONMENTS = 5
_TIE = 1e-12
_MEAN_COLUMNS = ["family", "relationship", "n_environments", "sync_r2", "low", "high"]
_ENVIRONMENT_COLUMNS = ["family", "environment_id", "relationship", "sync_r2"]
_CORRECTED_OVER = {"pair": "pairs", "family": "families", "all": ""}


def relationship_tables(
    dialogues: pd.DataFrame,
    pairs: Sequence[Pair],
    families: Mapping[str, str],
    order: Sequence[str],
    resampling: Resampling | None = None,
) -> dict[str, pd.DataFrame]:
    """SyncR² by relationship, and its slope over relationships.

    Parameters
    ----------
    dialogues : DataFrame
        One row a dialogue: `agent1`, `agent2`, `environment_id`, `relationship`, `sync_r2`.
    pairs : sequence of (model, model)
        Unordered pairs.
    families : mapping
        Family by model.
    order : sequence of str
        Relationships, from the least to the most intimate, one step apart each.
    resampling : Resampling, optional

    Returns
    -------
    dict
        `relationship`: by family and `all`, the mean over the environments of each relationship with its
        interval. `relationship_trend`: by pair, family and `all`, the slope of a line through environments
        (R² a step), its interval, p, the rank correlation, and Holm's p over the rows of a level.
        `relationship_environments`: by family and `all`, the value of each environment.
    """
    how = resampling or Resampling()
    environments = dialogues.drop_duplicates("environment_id")
    environments = environments[environments["relationship"].isin(list(order))]
    names = sorted(environments["environment_id"].astype(str))
    relation = environments.set_index(environments["environment_id"].astype(str))["relationship"]
    step = np.array([list(order).index(relation[name]) for name in names], dtype=np.float64)
    values = {pair: _by_environment(dialogues, pair, names) for pair in pairs}
    drawn = how.rng("environments").integers(0, max(1, len(names)), (how.draws, len(names)))
    shuffled = how.rng("relationships").permuted(np.tile(step, (how.relabellings - 1, 1)), axis=1)
    means: list[dict[str, Any]] = []
    single = []
    trends = []
    for scope in scopes(pairs, families):
        value = np.mean([values[pair] for pair in scope.pairs], axis=0)
        there = np.isfinite(value)
        if scope.level != "pair":
            family = {"family": scope.who["family"]}
            means += ({**family, **row} for row in _means(value[there], step[there], order, how))
            each = pd.DataFrame({"environment_id": names, "relationship": relation[names].to_numpy()})
            single.append(each.assign(**family, sync_r2=value)[there])
        trend = _trend(np.where(there, value, 0.0), step, there.astype(float), drawn, shuffled)
        trends.append({"level": scope.level, **scope.who, **trend})
    table = pd.DataFrame(trends)
    adjusted = table.groupby("level")["p"].transform(lambda p: holm(p.tolist()))
    table.insert(list(table.columns).index("p") + 1, "p_holm", adjusted)
    table["corrected_over"] = table["level"].map(_CORRECTED_OVER)
    return {
        "relationship": pd.DataFrame(means, columns=_MEAN_COLUMNS),
        "relationship_trend": table,
        "relationship_environments": pd.concat(single)[_ENVIRONMENT_COLUMNS],
    }


def _by_environment(dialogues: pd.DataFrame, pair: Pair, names: Sequence[str]) -> Vector:
    """Mean SyncR² of a pair in every environment, both speaking orders; NaN where there is no dialogue."""
    orders = [tuple(order) for order in speaking_orders(*pair)]
    agents = zip(dialogues["agent1"].astype(str), dialogues["agent2"].astype(str), strict=True)
    mine = dialogues[np.array([both in orders for both in agents], dtype=bool)]
    found = mine.groupby(mine["environment_id"].astype(str))["sync_r2"].mean()
    return found.reindex(list(names)).to_numpy(dtype=np.float64)


def _means(value: Vector, step: Vector, order: Sequence[str], how: Resampling) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(order):
        of_level = value[step == i]
        if not len(of_level):
            continue
        draws = np.empty(0)
        if len(of_level) >= LEAST_ENVIRONMENTS:
            where = how.rng(name).integers(0, len(of_level), (how.draws, len(of_level)))
            draws = of_level[where].mean(axis=1)
        found = interval(float(of_level.mean()), draws)
        rows.append(
            {
                "relationship": name,
                "n_environments": len(of_level),
                "sync_r2": found.value,
                "low": found.low,
                "high": found.high,
            }
        )
    return rows


def _trend(
    value: Vector, step: Vector, there: Vector, drawn: NDArray[np.int64], shuffled: Matrix
) -> dict[str, Any]:
    """Slope over environments that are there (1) or not (0)."""
    n = int(there.sum())
    row = {"n_environments": n, **dict.fromkeys(("slope", "low", "high", "p", "spearman"), np.nan)}
    known = there > 0
    if n < LEAST_ENVIRONMENTS or np.ptp(step[known]) == 0:
        return row
    slope = float(_slopes(value, step[None], there[None])[0])
    counts = np.stack([np.bincount(draw, minlength=len(value)) for draw in drawn]) if len(drawn) else drawn
    draws = _slopes(value, np.tile(step, (len(drawn), 1)), counts * there) if len(drawn) else np.empty(0)
    null = _slopes(value, shuffled, np.tile(there, (len(shuffled), 1)))
    found = interval(slope, draws[np.isfinite(draws)])
    return row | {
        "slope": slope,
        "low": found.low,
        "high": found.high,
        "p": float((1 + (np.abs(null) >= abs(slope) - _TIE).sum()) / (1 + len(null))),
        "spearman": rank_correlation(value[known], step[known]).r,
    }


def _slopes(value: Vector, step: Matrix, weight: Matrix) -> Vector:
    """Weighted least-squares slopes, (n,), with steps and weights (n, n_environments); NaN where none is."""
    total = weight.sum(axis=1, keepdims=True)
    centred = step - (weight * step).sum(axis=1, keepdims=True) / np.maximum(total, 1)
    spread = (weight * centred**2).sum(axis=1)
    product = (weight * centred) @ value
    return np.divide(product, spread, out=np.full(len(spread), np.nan), where=spread > _TIE)
