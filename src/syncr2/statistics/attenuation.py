"""How much of a correlation over pairs is lost to errors of measurement, over environments, on either side.

Of the variance of SyncR² over pairs a part is chance of which environments were played; so it is for
performance. Both chances are seen in the same environments, and may go together: then they make a correlation
of their own, which Spearman's correction would keep and even raise. With X and Y the observed sums of squares
and products over pairs and E the part that the environments' influences make,

    reliability = 1 − E_xx / X_xx
    Spearman:   r / sqrt(reliability_x · reliability_y)
    shared:     (X_xy − E_xy) / sqrt((X_xx − E_xx) (X_yy − E_yy))

An environment that moves all pairs alike changes no correlation, so influences count less their mean over
pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from syncr2.errors import SyncR2Error
from syncr2.ids import INTERACTION, speaking_orders
from syncr2.statistics.correlation import correlation
from syncr2.statistics.pooled import Estimate, Measured, Pair, by_pair, scopes

OK, TOO_FEW, UNRELIABLE = "ok", "fewer than 3 pairs, or a constant", "no more than chance on one side"


def attenuation_table(
    measured: Measured, dialogues: pd.DataFrame, pairs: Sequence[Pair], families: Mapping[str, str]
) -> pd.DataFrame:
    """Reliabilities of both sides and the correlation corrected for them, by family and over all pairs.

    Parameters
    ----------
    measured : mapping
        Corrected measures of both directions by ordered pair.
    dialogues : DataFrame
        One row a dialogue: `agent1`, `agent2`, `environment_id`, `social_performance` (NaN where not judged).
    pairs : sequence of (model, model)
    families : mapping
        Family by model.

    Returns
    -------
    DataFrame
        `family`, `n`, `r` (of the corrected SyncR², negative layers kept), `reliability_sync`,
        `reliability_performance`, `r_corrected` (Spearman), `r_shared_removed`, `status`. A corrected value
        may pass 1; it is NaN where a side shows no more than chance.
    """
    sync = by_pair(
        measured,
        pairs,
        lambda each: _over_layers(Estimate.of_layers(each.by_name["plain", INTERACTION.name])),
    )
    social = {pair: pair_performance(dialogues, pair, sync[pair].environments) for pair in pairs}
    return pd.DataFrame(
        [
            {
                "family": scope.who["family"],
                **_row([sync[p] for p in scope.pairs], [social[p] for p in scope.pairs]),
            }
            for scope in scopes(pairs, families, each=False)
        ]
    )


def _over_layers(layers: Estimate) -> Estimate:
    k = len(layers.value)
    return layers.combined(np.full((1, k), 1 / k))


def pair_performance(dialogues: pd.DataFrame, pair: Pair, environments: tuple[str, ...]) -> Estimate:
    """Mean performance of a pair over its judged dialogues, with every environment's influence.

    Parameters
    ----------
    dialogues : DataFrame
        As for `attenuation_table`.
    pair : (model, model)
    environments : tuple of str

    Raises
    ------
    SyncR2Error
        If no dialogue of the pair was judged.
    """
    orders = [tuple(order) for order in speaking_orders(*pair)]
    of_pair = [both in orders for both in zip(dialogues["agent1"], dialogues["agent2"], strict=True)]
    judged = dialogues[np.array(of_pair, dtype=bool) & dialogues["social_performance"].notna().to_numpy()]
    if judged.empty:
        raise SyncR2Error(f"No dialogue of {pair[0]} and {pair[1]} has a social performance.")
    by_environment = judged.groupby("environment_id")["social_performance"].agg(["sum", "size"])
    sums, sizes = (
        by_environment[name].reindex(environments, fill_value=0).to_numpy() for name in ("sum", "size")
    )
    total, n = sums.sum(), sizes.sum()
    influence = np.zeros(len(environments))
    there = sizes > 0
    if there.sum() > 1:
        without = (total - sums[there]) / (n - sizes[there])
        influence[there] = np.sqrt((there.sum() - 1) / there.sum()) * (without.mean() - without)
    return Estimate(np.array([total / n]), influence[:, None], environments)


def _row(sync: Sequence[Estimate], social: Sequence[Estimate]) -> dict[str, Any]:
    x, y = (np.array([each.value[0] for each in side]) for side in (sync, social))
    found = correlation(x, y)
    row = {
        "n": len(x),
        "r": found.r,
        **dict.fromkeys(
            ("reliability_sync", "reliability_performance", "r_corrected", "r_shared_removed"), np.nan
        ),
        "status": TOO_FEW,
    }
    if np.isnan(found.r):
        return row
    observed = np.cov(x, y)
    # (n_pairs, n_environments)
    errors = [np.array([each.influence[:, 0] for each in side]) for side in (sync, social)]
    centred = [each - each.mean(axis=0) for each in errors]
    chance = np.array([[(one * other).sum() for other in centred] for one in centred]) / (len(x) - 1)
    left = observed - chance
    reliability = np.diag(left) / np.diag(observed)
    row |= {
        "reliability_sync": float(reliability[0]),
        "reliability_performance": float(reliability[1]),
        "status": UNRELIABLE,
    }
    if (reliability > 0).all():
        row |= {
            "r_corrected": found.r / float(np.sqrt(reliability.prod())),
            "r_shared_removed": float(left[0, 1] / np.sqrt(left[0, 0] * left[1, 1])),
            "status": OK,
        }
    return row
