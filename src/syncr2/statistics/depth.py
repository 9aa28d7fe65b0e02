"""SyncR² over the depth of the source layer, and where it is largest, from corrected measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from syncr2.ids import INTERACTION
from syncr2.maps.intervals import interval, multipliers
from syncr2.statistics.pooled import Estimate, Measured, Pair, by_pair, scopes

# Depths at which profiles of different lengths meet.
DEPTHS = np.linspace(0, 1, 33)
# Intermediate layers lie no farther than this from half the depth; the outer thirds do.
_MIDDLE = 1 / 6


def depth_tables(
    measured: Measured, pairs: Sequence[Pair], families: Mapping[str, str], n_draws: int
) -> dict[str, pd.DataFrame]:
    """R² of the interaction over the relative depth of the source layer, and where it is largest.

    Parameters
    ----------
    measured : mapping
        Corrected measures of both directions by ordered pair.
    pairs : sequence of (model, model)
    families : mapping
        Family by model.
    n_draws : int
        Bootstrap draws for where the maximum lies; 0 makes no interval of it.

    Returns
    -------
    dict
        `depth_profile`: R² at each depth (0 the first block, 1 the last; models of other depths
        interpolated) by family and `all`. `depth_peak`: by pair, family and `all` the depth of the largest
        R² with the interval of where draws have theirs, and the mean over the middle third less that over
        the outer thirds.
    """
    profiles = by_pair(measured, pairs, lambda each: _profile(each.by_name["plain", INTERACTION.name]))
    profile_rows: list[dict[str, Any]] = []
    peaks = []
    for scope in scopes(pairs, families):
        pooled = Estimate.mean([profiles[pair] for pair in scope.pairs])
        if scope.level != "pair":
            low, high = pooled.interval()
            profile_rows += (
                {"family": scope.who["family"], "relative_depth": d, "r2": r, "low": a, "high": b}
                for d, r, a, b in zip(DEPTHS, pooled.value, low, high, strict=True)
            )
        peaks.append({"level": scope.level, **scope.who, **_peak(pooled, n_draws)})
    return {"depth_profile": pd.DataFrame(profile_rows), "depth_peak": pd.DataFrame(peaks)}


def _profile(measure: Any) -> Estimate:
    layers = Estimate.of_layers(measure)
    return layers.combined(_interpolation(len(layers.value)))


def _interpolation(n_layers: int) -> NDArray[np.float64]:
    """Weights of the layers at every depth, (n_depths, n_layers)."""
    if n_layers == 1:
        return np.ones((len(DEPTHS), 1))
    places = np.linspace(0, 1, n_layers)
    return np.column_stack([np.interp(DEPTHS, places, unit) for unit in np.eye(n_layers)])


def _peak(pooled: Estimate, n_draws: int) -> dict[str, float]:
    at = int(pooled.value.argmax())
    draws = pooled.value + multipliers(pooled.environments, n_draws) @ pooled.influence
    found = interval(float(DEPTHS[at]), DEPTHS[draws.argmax(axis=1)])
    middle = np.abs(DEPTHS - 0.5) <= _MIDDLE
    contrast = pooled.combined((middle / middle.sum() - ~middle / (~middle).sum())[None])
    low, high = contrast.interval()
    return {
        "depth": found.value,
        "low": found.low,
        "high": found.high,
        "r2": float(pooled.value[at]),
        "middle_less_outer": float(contrast.value[0]),
        "difference_low": float(low[0]),
        "difference_high": float(high[0]),
    }
