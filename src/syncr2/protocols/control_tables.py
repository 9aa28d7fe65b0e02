"""Controls of ordered pairs as tidy tables, a row an unordered pair.

A pair's value is the mean over both directions and both speaking orders, as SyncR² is; so is every
bootstrap draw, since all of them rest on the same environments' weights. Rows over all pairs average these
draws once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from syncr2.ids import DIRECTIONS, INTERACTION, OrderedPair, pair_family, played_orders
from syncr2.maps.nulls import holm, p_value
from syncr2.protocols.measures import Measure, Measures
from syncr2.protocols.partners import PartnerNull
from syncr2.protocols.pooled import Pooled
from syncr2.protocols.synchrony import directed_sync
from syncr2.store import DirectionR2

Pair = tuple[str, str]
Measured = Mapping[OrderedPair, Mapping[str, Measures]]
# Baselines whose difference is what the source adds, and what they are differences of.
GAINS = {
    "own_past_gain": ("own_past_and_source", "own_past"),
    "context_gain": ("context_and_source", "context"),
    "text_gain": ("text_and_source", "text"),
    "kernel_ridge_gain": ("kernel_ridge", "affine"),
    "mlp_gain": ("mlp", "affine"),
}
LEVELS = (
    *("own_past", "own_past_and_source", "context", "context_and_source", "text", "text_and_source"),
    *("ceiling", "affine", "kernel_ridge", "mlp"),
)
# More values of a column have more contrasts than anyone reads.
MOST_CONTRASTED = 8


def corrected_tables(
    corrected: Measured,
    published: Mapping[tuple[OrderedPair, str], Mapping[str, DirectionR2]],
    pairs: Sequence[Pair],
    conditions: Sequence[str],
    family: Mapping[str, str],
    n_draws: int,
) -> dict[str, pd.DataFrame]:
    """Tables `protocols` and `contrasts`, both over all pairs too, and `groups`.

    Parameters
    ----------
    corrected : mapping
        Measures of both directions by ordered pair.
    published : mapping
        R² of the published protocol by ordered pair and condition.
    pairs : sequence of (model, model)
    conditions : sequence of str
    family : mapping
        Family by model name.
    n_draws : int
        Draws of the bootstrap; 0 makes no intervals.
    """
    protocols, contrasts, groups = [], [], []
    differences: dict[tuple[str, str], list[Pooled]] = {}
    levels: dict[tuple[str, str], list[Pooled]] = {}
    for pair, who in _each(pairs, family):
        for condition in conditions:
            protocols.append(who | _published_row(published, pair, condition))
        kinds = _first(corrected, pair).by_name
        for kind, condition in kinds:
            measures = [each.by_name[kind, condition] for each in _directions(corrected, pair)]
            protocols.append(who | _corrected_row(kind, condition, measures, n_draws))
            levels.setdefault((kind, condition), []).append(Pooled.of(measures, n_draws))
            if condition != INTERACTION.name:
                whole = [each.by_name[kind, INTERACTION.name] for each in _directions(corrected, pair)]
                difference = Pooled.of(whole, n_draws) - Pooled.of(measures, n_draws)
                differences.setdefault((kind, condition), []).append(difference)
                contrasts.append(
                    who | {"states": kind, "minus": condition} | difference.columns("difference")
                )
        groups += [who | row for row in _group_rows(corrected, pair, n_draws)]
    overall = [
        {"states": kind, "minus": condition, **Pooled.mean(each).columns("difference"), "n_pairs": len(each)}
        for (kind, condition), each in differences.items()
    ]
    columns = ["states", "minus", "difference", "low", "high"]
    means = [
        {
            "protocol": "corrected",
            "states": kind,
            "condition": condition,
            **Pooled.mean(each).columns("sync_r2_raw", "raw_low", "raw_high"),
            "n_pairs": len(each),
        }
        for (kind, condition), each in levels.items()
    ]
    return {
        "protocols": pd.DataFrame(protocols),
        "protocols_overall": pd.DataFrame(means),
        "contrasts": pd.DataFrame(contrasts, columns=["model_1", "model_2", "family", *columns]),
        "contrasts_overall": pd.DataFrame(overall, columns=[*columns, "n_pairs"]),
        "groups": pd.DataFrame(groups, columns=["model_1", "model_2", "family", *GROUP_COLUMNS]),
    }


GROUP_COLUMNS = (
    *("fit", "column", "value", "versus", "sync_r2_raw", "low", "high", "n_samples", "n_environments"),
)


def _each(pairs: Sequence[Pair], family: Mapping[str, str]) -> Iterator[tuple[Pair, dict[str, Any]]]:
    for first, second in pairs:
        yield (
            (first, second),
            {"model_1": first, "model_2": second, "family": pair_family(first, second, family)},
        )


def _directions(measured: Measured, pair: Pair) -> list[Measures]:
    """Both directions of each speaking order."""
    return [
        measured[order][direction] for order in played_orders(*pair, measured) for direction in DIRECTIONS
    ]


def _first(measured: Measured, pair: Pair) -> Measures:
    return _directions(measured, pair)[0]


def _published_row(
    published: Mapping[tuple[OrderedPair, str], Mapping[str, DirectionR2]], pair: Pair, condition: str
) -> dict[str, Any]:
    orders = played_orders(*pair, {order for order, _ in published})
    found = [published[order, condition][d] for order in orders for d in DIRECTIONS]
    matrices = [each.r2.mean(axis=0) for each in found]
    return {
        "protocol": "paper",
        "states": "plain",
        "condition": condition,
        "sync_r2": np.mean([directed_sync(matrix) for matrix in matrices]),
        "sync_r2_raw": np.mean([matrix.max(axis=1).mean() for matrix in matrices]),
        "n_samples": int(np.mean([each.n_test.mean() for each in found])),
    }


def _corrected_row(kind: str, condition: str, measures: Sequence[Measure], n_draws: int) -> dict[str, Any]:
    return {
        "protocol": "corrected",
        "states": kind,
        "condition": condition,
        **Pooled.of(measures, n_draws, clipped=True).columns("sync_r2"),
        **Pooled.of(measures, n_draws).columns("sync_r2_raw", "raw_low", "raw_high"),
        "n_samples": int(np.mean([measure.n_samples for measure in measures])),
        "n_environments": min(measure.n_environments for measure in measures),
    }


def _group_rows(corrected: Measured, pair: Pair, n_draws: int) -> Iterator[dict[str, Any]]:
    """Each value of each column, and the differences between values, where all directions have them."""
    directions = _directions(corrected, pair)
    shared = [key for key in directions[0].groups if all(key in each.groups for each in directions)]
    pooled = {key: Pooled.of([each.groups[key] for each in directions], n_draws) for key in shared}
    for fit, column, value in shared:
        measures = [each.groups[fit, column, value] for each in directions]
        yield {
            "fit": fit, "column": column, "value": value, "versus": "",
            **pooled[fit, column, value].columns("sync_r2_raw"),
            "n_samples": int(np.mean([measure.n_samples for measure in measures])),
            "n_environments": min(measure.n_environments for measure in measures),
        }  # fmt: skip
    for fit, column in dict.fromkeys(key[:2] for key in shared):
        values = [key[2] for key in shared if key[:2] == (fit, column)]
        for value, versus in combinations(values[:MOST_CONTRASTED], 2):
            difference = pooled[fit, column, value] - pooled[fit, column, versus]
            yield {
                "fit": fit, "column": column, "value": value, "versus": versus,
                **difference.columns("sync_r2_raw"),
            }  # fmt: skip


def null_table(
    nulls: Mapping[OrderedPair, Mapping[str, Mapping[tuple[str, str], PartnerNull]]],
    pairs: Sequence[Pair],
    family: Mapping[str, str],
) -> pd.DataFrame:
    """Observed statistic, null and p of every pair, with Holm's p over pairs.

    Parameters
    ----------
    nulls : mapping
        By ordered pair, direction, and (null, index).
    pairs, family
        As for `corrected_tables`.
    """
    rows = []
    for pair, who in _each(pairs, family):
        orders = [nulls[order] for order in played_orders(*pair, nulls)]
        for null, index in orders[0][DIRECTIONS[0]]:
            made = [order[direction][null, index] for order in orders for direction in DIRECTIONS]
            observed = float(np.mean([each.statistic for each in made]))
            draws = np.mean([each.draws for each in made], axis=0)
            movable = float(np.mean([each.movable_share for each in made]))
            rows.append(
                who
                | {
                    "index": index,
                    "null": null,
                    "observed": observed,
                    "null_mean": draws.mean(),
                    "null_high": np.quantile(draws, 0.95),
                    # Where no dialogue can move, every draw is the observed one and says nothing.
                    "p": p_value(observed, draws) if movable else np.nan,
                    "n_draws": len(draws),
                    "movable_share": movable,
                }
            )
    table = pd.DataFrame(rows)
    adjusted = table.groupby(["index", "null"])["p"].transform(lambda p: holm(p.tolist()))
    table.insert(list(table.columns).index("p") + 1, "p_holm", adjusted)
    return table


def baseline_tables(
    measured: Measured, pairs: Sequence[Pair], family: Mapping[str, str], n_draws: int
) -> dict[str, pd.DataFrame]:
    """Tables `baselines` and `lag_profile`, and both over all pairs.

    Parameters
    ----------
    measured : mapping
        Baseline measures of both directions by ordered pair.
    pairs, family, n_draws
        As for `corrected_tables`.
    """
    found: dict[str, list[tuple[dict[str, Any], Pooled]]] = {}
    for pair, who in _each(pairs, family):
        directions = _directions(measured, pair)
        pooled = {
            name: Pooled.of([each.by_name["plain", name] for each in directions], n_draws)
            for _, name in directions[0].by_name
        }
        for name, value in pooled.items():
            found.setdefault(name, []).append((who, value))
        for name, (more, less) in GAINS.items():
            # Nonlinear maps may have been left out.
            if more in pooled:
                found.setdefault(name, []).append((who, pooled[more] - pooled[less]))
        # A share of nothing is no number.
        if "ceiling" in pooled and pooled["ceiling"].value > 0:
            share = pooled["ceiling_interaction"] / pooled["ceiling"]
            found.setdefault("share_of_ceiling", []).append((who, share))
    measures = [name for name in (*GAINS, *LEVELS, "share_of_ceiling") if name in found]
    lags = [name for name in found if _lag_of(name) is not None]
    pair_columns = ["model_1", "model_2", "family"]

    def rows(names: Sequence[str], named: Callable[[str], dict[str, Any]], value: str) -> pd.DataFrame:
        made = [who | named(name) | each.columns(value) for name in names for who, each in found[name]]
        return pd.DataFrame(made, columns=[*pair_columns, *named(names[0]), value, "low", "high"])

    def overall(names: Sequence[str], named: Callable[[str], dict[str, Any]], value: str) -> pd.DataFrame:
        made = [
            {
                **named(name),
                **Pooled.mean([each for _, each in found[name]]).columns(value),
                "n_pairs": len(found[name]),
            }
            for name in names
        ]
        return pd.DataFrame(made)

    def as_measure(name: str) -> dict[str, Any]:
        return {"measure": name}

    def as_lag(name: str) -> dict[str, Any]:
        return dict(zip(("agent", "lag"), _lag_of(name) or ("", 0), strict=True))

    return {
        "baselines": rows(measures, as_measure, "value"),
        "baselines_overall": overall(measures, as_measure, "value"),
        "lag_profile": rows(lags, as_lag, "sync_r2_raw"),
        "lag_profile_overall": overall(lags, as_lag, "sync_r2_raw"),
    }


def _lag_of(name: str) -> tuple[str, int] | None:
    """Agent and lag of a measure of the lag profile, `partner3` or `self2`; None for any other."""
    for agent in ("partner", "self"):
        lag = name.removeprefix(agent)
        if name.startswith(agent) and lag.removeprefix("-").isdigit():
            return agent, int(lag)
    return None
