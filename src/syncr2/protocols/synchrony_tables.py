"""From the R² files of all pairs and conditions to tidy tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from syncr2 import ids
from syncr2.ids import OrderedPair
from syncr2.protocols.synchrony import ENDS, directed_sync
from syncr2.store import DirectionR2

# What was measured of one ordered pair under one condition, by direction.
Measured = Mapping[tuple[OrderedPair, str], Mapping[str, DirectionR2]]


class SynchronyTables(NamedTuple):
    """The four tables; docs/formats.md describes their columns."""

    pairs: pd.DataFrame
    directed: pd.DataFrame
    layers: pd.DataFrame
    groups: pd.DataFrame


def tables(
    measured: Measured, pairs: Sequence[tuple[str, str]], conditions: Sequence[str], family: Mapping[str, str]
) -> SynchronyTables:
    """All tables of an experiment.

    Parameters
    ----------
    measured : mapping
        `(ordered pair, condition)` → direction → R².
    pairs : sequence of (model, model)
        Unordered pairs, in the order of the rows.
    conditions : sequence of str
    family : mapping
        Family by model name.
    """
    directed, layers = [], []
    for (pair, condition), directions in measured.items():
        for name, result in directions.items():
            head = _head(pair, condition, name)
            directed.append({**head, **_directed_row(result)})
            layers += [{**head, **row} for row in _layer_rows(result)]
    directed_table = pd.DataFrame(directed)
    return SynchronyTables(
        pairs=_pair_table(directed_table, pairs, conditions, family),
        directed=directed_table,
        layers=pd.DataFrame(layers),
        groups=_group_table(measured, pairs, conditions, family),
    )


def _head(pair: OrderedPair, condition: str, direction: str) -> dict[str, str]:
    ends = ENDS[direction]
    source, target = getattr(pair, ends.source), getattr(pair, ends.target)
    return {
        **pair._asdict(),
        "condition": condition,
        "direction": direction,
        "source": source,
        "target": target,
    }


def _directed_row(result: DirectionR2) -> dict[str, Any]:
    by_split = [directed_sync(r2) for r2 in result.r2]
    return {
        "sync_r2": directed_sync(result.r2.mean(axis=0)),
        "sync_r2_sd_splits": float(np.std(by_split, ddof=1)) if len(by_split) > 1 else np.nan,
        "n_train": int(result.n_train.min()),
        "n_test": int(result.n_test.min()),
        "n_available": result.n_available,
    }


def _layer_rows(result: DirectionR2) -> list[dict[str, Any]]:
    """Which layers carry it: each source layer's best R² (not clipped) and where it is."""
    r2 = result.r2.mean(axis=0)
    n_source, n_target = r2.shape
    depth = np.linspace(0, 1, n_source) if n_source > 1 else np.zeros(1)
    return [
        {
            "source_layer": layer,
            "relative_depth": depth[layer],
            "best_r2": r2[layer].max(),
            "best_target_layer": int(r2[layer].argmax()),
            "n_source_layers": n_source,
            "n_target_layers": n_target,
        }
        for layer in range(n_source)
    ]


def _pair_table(
    directed: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    conditions: Sequence[str],
    family: Mapping[str, str],
) -> pd.DataFrame:
    rows = []
    for first, second in pairs:
        orders = [order.id for order in ids.speaking_orders(first, second)]
        of_pair = directed[(directed["agent1"] + ids.PAIR_SEPARATOR + directed["agent2"]).isin(orders)]
        for condition in conditions:
            values = of_pair[of_pair["condition"] == condition]
            rows.append(
                {
                    "model_1": first,
                    "model_2": second,
                    "family": ids.pair_family(first, second, family),
                    "condition": condition,
                    "sync_r2": values["sync_r2"].mean(),
                    "lowest_directed": values["sync_r2"].min(),
                    "highest_directed": values["sync_r2"].max(),
                    "n_directed": len(values),
                }
            )
    return pd.DataFrame(rows)


def _group_table(
    measured: Measured, pairs: Sequence[tuple[str, str]], conditions: Sequence[str], family: Mapping[str, str]
) -> pd.DataFrame:
    rows = []
    played = {order for order, _ in measured}
    for first, second in pairs:
        for condition in conditions:
            results = [
                result
                for order in ids.played_orders(first, second, played)
                for result in measured[order, condition].values()
            ]
            for column, value in sorted(
                {(c, v) for result in results for c in result.groups for v in result.groups[c]}
            ):
                parts = [result.groups[column][value] for result in results if value in result.groups[column]]
                rows.append(
                    {
                        "model_1": first,
                        "model_2": second,
                        "family": ids.pair_family(first, second, family),
                        "condition": condition,
                        "column": column,
                        "value": value,
                        "sync_r2": np.mean([_group_sync(r2, sizes) for r2, sizes in parts]),
                        "n_test": int(sum(sizes.sum() for _, sizes in parts)),
                    }
                )
    columns = ["model_1", "model_2", "family", "condition", "column", "value", "sync_r2", "n_test"]
    return pd.DataFrame(rows, columns=columns)


def _group_sync(r2: np.ndarray, sizes: np.ndarray) -> float:
    """Directed SyncR² within a group, over the splits with at least two of its test rows; NaN without any."""
    usable = sizes >= 2
    if not usable.any():
        return float("nan")
    return float(np.maximum(r2[usable].mean(axis=0), 0).mean())
