"""Probes of all pairs as tidy tables.

A pair's value is the mean over both directions and both speaking orders, over all pairs the mean of those;
environments' influences are averaged alike. Layers of models of different depth meet at relative depths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from syncr2.ids import DIRECTIONS, OrderedPair, pair_family, played_orders
from syncr2.probing.probes import MEASURES, Probe, Scores
from syncr2.probing.storage import Probed, Wanted
from syncr2.statistics.pooled import Estimate

DEPTHS = np.linspace(0, 1, 11)
Pair = tuple[str, str]
# By labeller, ordered pair and direction.
Found = Mapping[str, Mapping[OrderedPair, Mapping[str, Mapping[Wanted, Probed]]]]
_N = len(MEASURES)
_WHO = ["model_1", "model_2", "family"]
_WHAT = ["labeller", "label", "target", "measure"]
_VALUES = ["value", "low", "high", "majority", "text", "text_low", "text_high", "shuffled"]
_GAIN = ["over_text", "over_text_low", "over_text_high"]
_REST = ["n_samples", "n_environments", "classes", "reason"]
_DEPTH = ["relative_depth", "value", "low", "high", "shuffled"]


def probe_tables(found: Found, pairs: Sequence[Pair], family: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Tables `pairs` and `overall` (means over layers) and `profile` and `profile_overall` (by depth).

    Parameters
    ----------
    found : mapping
        Probes by labeller, ordered pair and direction.
    pairs : sequence of (model, model)
    family : mapping
        Family by model name.
    """
    rows: dict[str, list[dict[str, Any]]] = {"pairs": [], "overall": [], "profile": [], "profile_overall": []}
    for labeller, by_pair in found.items():
        wanted = dict.fromkeys(w for each in by_pair.values() for one in each.values() for w in one)
        for what in wanted:
            head = {"labeller": labeller, **what._asdict()}
            estimates = []
            for pair in pairs:
                parts = [
                    by_pair[order][direction][what]
                    for order in played_orders(*pair, by_pair)
                    for direction in DIRECTIONS
                ]
                who = dict(zip(_WHO, (*pair, pair_family(*pair, family)), strict=True))
                rest = _rest(parts)
                probes = [(part.probe, part.environments) for part in parts if part.probe is not None]
                if not probes:
                    nothing = {**who, **head, "measure": "", **rest}
                    rows["pairs"] += [{**nothing, "measure": measure} for measure in MEASURES]
                    continue
                pooled = Estimate.mean([_estimate(*probe) for probe in probes])
                estimates.append(pooled)
                rows["pairs"] += [{**who, **head, **row, **rest} for row in _means(pooled)]
                rows["profile"] += [{**who, **head, **row} for row in _profile(pooled)]
            if estimates:
                over_pairs = Estimate.mean(estimates)
                count = {"n_pairs": len(estimates)}
                rows["overall"] += [{**head, **row, **count} for row in _means(over_pairs)]
                rows["profile_overall"] += [{**head, **row, **count} for row in _profile(over_pairs)]
    columns = {
        "pairs": [*_WHO, *_WHAT, *_VALUES, *_GAIN, *_REST],
        "overall": [*_WHAT, *_VALUES, *_GAIN, "n_pairs"],
        "profile": [*_WHO, *_WHAT, *_DEPTH],
        "profile_overall": [*_WHAT, *_DEPTH, "n_pairs"],
    }
    return {name: pd.DataFrame(rows[name], columns=columns[name]) for name in rows}


def _rest(parts: Sequence[Probed]) -> dict[str, Any]:
    return {
        "n_samples": int(np.mean([part.n_samples for part in parts])),
        "n_environments": min(part.n_environments for part in parts),
        "classes": ", ".join(dict.fromkeys(name for part in parts for name in part.classes)),
        "reason": "; ".join(dict.fromkeys(part.reason for part in parts if part.reason)),
    }


def _estimate(probe: Probe, environments: tuple[str, ...]) -> Estimate:
    """All that tables show, side by side: at each depth, of states and shuffled, the mean over layers of
    both, text, majority; of each all measures.
    """
    n_layers = len(probe.layers.value)
    weights = np.vstack([_interpolation(n_layers), np.full((1, n_layers), 1 / n_layers)])
    parts = [_weighted(scores, weights) for scores in (probe.layers, probe.shuffled)]
    parts += [
        Scores(scores.value[None], scores.influence[:, None]) for scores in (probe.text, probe.majority)
    ]
    value = np.concatenate([part.value for part in parts])
    influence = np.concatenate([part.influence for part in parts], axis=1)
    return Estimate(value.ravel(), influence.reshape(len(influence), -1), environments)


def _weighted(scores: Scores, weights: NDArray[np.float64]) -> Scores:
    return Scores(weights @ scores.value, np.einsum("dl,elm->edm", weights, scores.influence))


def _interpolation(n_layers: int) -> NDArray[np.float64]:
    """Weights of the layers at every depth, (n_depths, n_layers)."""
    if n_layers == 1:
        return np.ones((len(DEPTHS), 1))
    places = np.linspace(0, 1, n_layers)
    return np.column_stack([np.interp(DEPTHS, places, unit) for unit in np.eye(n_layers)])


# Where `_estimate` puts things, in multiples of the number of measures.
_SHUFFLED = len(DEPTHS) + 1
_TEXT = 2 * _SHUFFLED
_MAJORITY = _TEXT + 1


def _means(pooled: Estimate) -> list[dict[str, Any]]:
    """A row a measure: the mean over layers beside the baselines."""
    rows = []
    for i, measure in enumerate(MEASURES):
        at = {
            "value": len(DEPTHS) * _N + i,
            "shuffled": (_SHUFFLED + len(DEPTHS)) * _N + i,
            "text": _TEXT * _N + i,
            "majority": _MAJORITY * _N + i,
        }
        unit = np.eye(len(pooled.value))
        chosen = pooled.combined(
            np.array([unit[at["value"]], unit[at["text"]], unit[at["value"]] - unit[at["text"]]])
        )
        low, high = chosen.interval()
        row: dict[str, Any] = {"measure": measure}
        for k, name in enumerate(("", "text", "over_text")):
            row |= {
                name or "value": chosen.value[k],
                f"{name}_low".strip("_"): low[k],
                f"{name}_high".strip("_"): high[k],
            }
        row |= {name: pooled.value[at[name]] for name in ("majority", "shuffled")}
        rows.append(row)
    return rows


def _profile(pooled: Estimate) -> list[dict[str, Any]]:
    """A row a measure and depth."""
    low, high = pooled.interval()
    rows = []
    for i, measure in enumerate(MEASURES):
        for d, depth in enumerate(DEPTHS):
            at = d * _N + i
            rows.append(
                {
                    "measure": measure,
                    "relative_depth": depth,
                    "value": pooled.value[at],
                    "low": low[at],
                    "high": high[at],
                    "shuffled": pooled.value[(_SHUFFLED + d) * _N + i],
                }
            )
    return rows
