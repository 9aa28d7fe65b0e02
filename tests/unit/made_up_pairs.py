"""Pairs of made-up models whose values are sums of the models' traits and of noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from syncr2.ids import pair_family, unordered_pairs
from syncr2.statistics.dyads import Dyads, dyads_by_family


def kinship(n_models: int, n_families: int = 2) -> dict[str, str]:
    """Family by model, as many models in each."""
    return {f"m{i}": f"family{i * n_families // n_models}" for i in range(n_models)}


def made_pairs(
    rng: np.random.Generator,
    families: Mapping[str, str],
    share: float = 0.8,
    r: float = 0.0,
    slope: float = 0.0,
) -> pd.DataFrame:
    """A table of all pairs.

    `share` of the variance of a pair of two models is the models' traits, which correlate at `r` between the
    two sides; `slope` is what SyncR² of the pair itself adds to its performance.
    """
    names = list(families)
    pairs = unordered_pairs(names)
    first, second = np.array([[names.index(model) for model in pair] for pair in pairs]).T
    one, other = rng.standard_normal((2, len(names)))
    traits = one, r * one + np.sqrt(1 - r**2) * other
    x, y = (
        np.sqrt(share / 2) * (trait[first] + trait[second])
        + np.sqrt(1 - share) * rng.standard_normal(len(pairs))
        for trait in traits
    )
    table = pd.DataFrame(pairs, columns=["model_1", "model_2"])
    table["family"] = [pair_family(*pair, families) for pair in pairs]
    return table.assign(sync_r2=x, social_performance=y + slope * x)


def made_dyads(
    seed: int, n_models: int = 6, family: str = "all", covariate: bool = False, **how: float
) -> Dyads:
    """Dyads of one family, or of all."""
    rng, families = np.random.default_rng(seed), kinship(n_models)
    pairs = made_pairs(rng, families, **how)
    names = []
    if covariate:
        of_model = dict(zip(families, rng.standard_normal(n_models), strict=True))
        pairs["z"] = (pairs["model_1"].map(of_model) + pairs["model_2"].map(of_model)) / 2
        names = ["z"]
    return next(each for each in dyads_by_family(pairs, families, names) if each.name == family)
