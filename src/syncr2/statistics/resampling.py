"""What a correlation over pairs would be with other pairs, with other models, and without each model.

The bootstrap over models (vertex bootstrap) draws models with replacement; a pair of two models counts as
often as their copies meet, a model with itself as often as it was drawn. Copies of one model that meet each
other count for nothing, since no such pair was measured anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from syncr2.maps.intervals import Interval, interval
from syncr2.statistics.correlation import Matrix, Vector, weighted_correlations, weighted_ranks
from syncr2.statistics.dyads import Dyads

# Fewer pairs than this and one per covariate have too few different resamples to make an interval.
LEAST_PAIRS = 5
# So do fewer models: three drawn from three are all different in 2 of 9 draws.
LEAST_MODELS = 4
# An interval needs this share of draws in which a correlation is defined.
_LEAST_USABLE = 0.5


@dataclass(frozen=True)
class Resampling:
    """How much is drawn.

    Attributes
    ----------
    draws : int
        Bootstrap draws; 0 makes no intervals.
    relabellings : int
        Relabellings of models drawn where not all are taken (see `relabelling.MOST_EXACT`).
    seed : int
        Of all draws.
    """

    draws: int = 2000
    relabellings: int = 10000
    seed: int = 0

    def rng(self, what: str) -> np.random.Generator:
        """A generator of its own for everything that is drawn, whatever else is drawn beside it."""
        name = hashlib.sha256(f"{self.seed} {what}".encode()).digest()[:8]
        return np.random.default_rng(int.from_bytes(name, "big"))


class Left(NamedTuple):
    """The correlation without the pairs of one model."""

    without: str
    r: float
    n: int


def pair_weights(dyads: Dyads, draws: int, rng: np.random.Generator) -> Matrix:
    """How often each pair was drawn from all, (n_draws, n_pairs)."""
    return rng.multinomial(len(dyads), np.full(len(dyads), 1 / len(dyads)), size=draws).astype(np.float64)


def model_weights(dyads: Dyads, draws: int, rng: np.random.Generator) -> Matrix:
    """How often each pair stands among models that were drawn from each block, (n_draws, n_pairs)."""
    counts = np.zeros((draws, len(dyads.models)))
    for block in np.unique(dyads.block):
        members = np.flatnonzero(dyads.block == block)
        counts[:, members] = rng.multinomial(
            len(members), np.full(len(members), 1 / len(members)), size=draws
        )
    first, second = counts[:, dyads.first], counts[:, dyads.second]
    return np.where(dyads.first == dyads.second, first, first * second)


def bootstrap(
    dyads: Dyads,
    value: float,
    weights: Callable[[Dyads, int, np.random.Generator], Matrix],
    draws: int,
    rng: np.random.Generator,
    ranked: bool = False,
) -> Interval:
    """Percentile interval of a correlation; NaN ends where too little can be drawn.

    Parameters
    ----------
    dyads : Dyads
    value : float
        The correlation itself.
    weights : {pair_weights, model_weights}
    draws : int
    rng : Generator
    ranked : bool
        Ranks are taken anew in every draw.
    """
    k = dyads.covariates.shape[1]
    too_few = len(dyads) < LEAST_PAIRS + k or (
        weights is model_weights and len(dyads.models) < LEAST_MODELS + k
    )
    if not draws or too_few or np.isnan(value):
        return Interval(value, np.nan, np.nan)
    counts = weights(dyads, draws, rng)
    counts = counts[counts.sum(axis=1) > 0]
    found = _correlations(dyads, counts, ranked)
    usable = found[np.isfinite(found)]
    if len(usable) < _LEAST_USABLE * draws:
        return Interval(value, np.nan, np.nan)
    return interval(value, usable)


def _correlations(dyads: Dyads, counts: Matrix, ranked: bool) -> Vector:
    x, y = dyads.x, dyads.y
    if ranked:
        return weighted_correlations(counts, weighted_ranks(counts, x), weighted_ranks(counts, y))
    given = dyads.covariates if dyads.covariates.shape[1] else None
    return weighted_correlations(counts, x, y, given)


def leave_one_out(dyads: Dyads, coefficient: Callable[[Dyads], float]) -> list[Left]:
    """The correlation without each model in turn.

    Parameters
    ----------
    dyads : Dyads
    coefficient : callable
        The correlation of some dyads.
    """
    rest = ((name, dyads.without(i)) for i, name in enumerate(dyads.models))
    return [Left(name, coefficient(each), len(each)) for name, each in rest]
