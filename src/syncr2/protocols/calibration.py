"""SyncR² and what it is held against by the coupling of the world that the models come from.

The world's coupling is known, so this is the metric's calibration curve: does a quantity rise with what it
is taken for, and is it 0 where there is nothing? Pairs count whose models come from worlds of one coupling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from syncr2.ids import DIRECTIONS, OrderedPair, played_orders
from syncr2.maps.intervals import Interval
from syncr2.protocols.measures import Measures
from syncr2.protocols.pooled import Pooled, multipliers_of
from syncr2.world.transcripts import Estimate

Pair = tuple[str, str]
Measured = Mapping[OrderedPair, Mapping[str, Measures]]
PER_PAIR = ("model_1", "model_2", "coupling", "measure", "value", "low", "high")
OVERALL = ("coupling", "versus", "measure", "value", "low", "high", "n_pairs")
WORLD = "world"


class Quantity(NamedTuple):
    """One quantity of the corrected protocol, raw: R² of a measure, or that less R² of another.

    Attributes
    ----------
    states : {"plain", "centred"}
    measure : str
        Name of a condition or baseline (`syncr2.protocols.measures`).
    minus : str
        Name of what is taken off, or "".
    """

    states: str
    measure: str
    minus: str = ""


def quantities(conditions: Sequence[str]) -> dict[str, Quantity]:
    """All quantities by name, for these conditions.

    Levels are called after their condition, differences `less_{condition}`; those of states less the mean of
    their dialogue begin with `centred_`.
    """
    found: dict[str, Quantity] = {}
    for states, prefix in (("plain", ""), ("centred", "centred_")):
        found |= {f"{prefix}{name}": Quantity(states, name) for name in conditions}
        found |= {f"{prefix}less_{name}": Quantity(states, conditions[0], name) for name in conditions[1:]}
    found |= {name: Quantity("plain", name) for name in ("own_past", "context", "text", "ceiling")}
    for name in ("own_past", "context", "text"):
        found[f"{name}_gain"] = Quantity("plain", f"{name}_and_source", name)
    return found


def calibration_tables(
    within: Mapping[float, Sequence[Pair]],
    pooled: Mapping[str, Mapping[Pair, Pooled]],
    world: Mapping[str, Mapping[float, Pooled]],
) -> dict[str, pd.DataFrame]:
    """Tables `calibration`, a row a pair, and `calibration_overall`, a row a coupling.

    Parameters
    ----------
    within : mapping
        Pairs by the coupling of their world.
    pooled : mapping
        Each quantity by pair.
    world : mapping
        Each quantity of transcripts, of the world's own dialogues, by coupling.
    """
    rows, overall = [], []
    for name, by_pair in pooled.items():
        means = {}
        for coupling, pairs in within.items():
            rows += [(*pair, coupling, name, *by_pair[pair].interval()) for pair in pairs]
            means[coupling] = Pooled.mean([by_pair[pair] for pair in pairs])
        overall += _overall(name, means, {c: len(pairs) for c, pairs in within.items()})
    for name, by_coupling in world.items():
        overall += _overall(f"{WORLD}_{name}", by_coupling, dict.fromkeys(by_coupling, 0))
    return {
        "calibration": pd.DataFrame(rows, columns=list(PER_PAIR)),
        "calibration_overall": pd.DataFrame(overall, columns=list(OVERALL)),
    }


def _overall(
    name: str, means: Mapping[float, Pooled], n_pairs: Mapping[float, int]
) -> list[tuple[float, str, str, float, float, float, int]]:
    """The mean of each coupling, and each less that of every smaller one."""
    rows = [(c, "", name, *mean.interval(), n_pairs[c]) for c, mean in means.items()]
    for high, more in means.items():
        rows += [
            (high, f"{low:g}", name, *(more - less).interval(), n_pairs[high])
            for low, less in means.items()
            if low < high
        ]
    return rows


def pooled_states(
    corrected: Measured, baselines: Measured, pairs: Sequence[Pair], conditions: Sequence[str], n_draws: int
) -> dict[str, dict[Pair, Pooled]]:
    """Quantities of the corrected protocol by name and pair; those that were not measured are left out.

    Parameters
    ----------
    corrected, baselines : mapping
        Measures of both directions by ordered pair; `baselines` may be empty.
    pairs : sequence of (model, model)
    conditions : sequence of str
        The interaction first.
    n_draws : int
    """
    found: dict[str, dict[Pair, Pooled]] = {}
    for pair in pairs:
        directions = [
            {**corrected[order][d].by_name, **(baselines[order][d].by_name if baselines else {})}
            for order in played_orders(*pair, corrected)
            for d in DIRECTIONS
        ]
        for name, (states, measure, minus) in quantities(conditions).items():
            keys = [(states, each) for each in (measure, minus) if each]
            if any(key not in direction for key in keys for direction in directions):
                continue
            parts = [Pooled.of([direction[key] for direction in directions], n_draws) for key in keys]
            found.setdefault(name, {})[pair] = parts[0] - parts[1] if minus else parts[0]
    return found


def pooled_published(protocols: pd.DataFrame, pairs: Sequence[Pair]) -> dict[str, dict[Pair, Pooled]]:
    """SyncR² of the published protocol, which has no interval, as `published_{condition}`."""
    rows = protocols[protocols["protocol"] == "paper"]
    columns = ["model_1", "model_2", "condition", "sync_r2"]
    found: dict[str, dict[Pair, Pooled]] = {}
    for first, second, condition, value in rows[columns].itertuples(index=False):
        if (first, second) in pairs:
            found.setdefault(f"published_{condition}", {})[first, second] = Pooled(float(value), np.empty(0))
    return found


def pooled_estimate(estimate: Estimate, environments: Sequence[str], n_draws: int) -> Pooled:
    """An estimate from transcripts with the same draws of environments as the states'.

    Parameters
    ----------
    estimate : Estimate
    environments : sequence of str
        In the order of its influences.
    n_draws : int
    """
    drawn: NDArray[np.float64] = multipliers_of(tuple(environments), n_draws)
    return Pooled(estimate.value, estimate.value + drawn @ estimate.influence)


def effective_coupling(overall: pd.DataFrame) -> dict[float, Interval]:
    """Of each world's models: slope of valence in what they said, over that in the world of coupling 1.

    Empty where the table lacks either. The interval is that of the models' slope alone.
    """
    levels = overall[overall["versus"] == ""]
    full = levels[(levels["measure"] == f"{WORLD}_valence_slope") & (levels["coupling"] == 1)]
    rows = levels[levels["measure"] == "valence_slope"]
    if full.empty or rows.empty:
        return {}
    by = float(full["value"].iloc[0])
    return {
        float(coupling): Interval(value / by, low / by, high / by)
        for coupling, value, low, high in rows[["coupling", "value", "low", "high"]].itertuples(index=False)
    }
