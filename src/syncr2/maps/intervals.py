"""Intervals for SyncR²: a bootstrap over environments, from a cluster jackknife.

Turns of a dialogue, and dialogues of an environment, are not independent; environments are what was drawn.
R² of a test fold is computed again without each of its environments, and what this changes is that
environment's influence I_e. A draw moves the estimate by Σ_e M_e I_e with multipliers M of mean 0 and
variance 1, which belong to the environment's name: all conditions, directions and pairs of an experiment
share their draws, and a difference between two of them has an interval from the differences draw by draw.

Resampling the environments of a fold instead gave intervals that were too narrow by a quarter with 18
environments a fold, since R² of few environments is far from linear in their weights; the jackknife was
within 5 % from 24 environments up (tests/unit/test_trust.py has the simulation).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95


class Interval(NamedTuple):
    """An estimate and the ends of its interval; NaN where there are no draws."""

    value: float
    low: float
    high: float


def multipliers(environments: Sequence[str], n_draws: int) -> NDArray[np.float64]:
    """Bootstrap multipliers, (n_draws, n_environments).

    Normal, divided draw by draw by the root of a χ² over its degrees of freedom, one less than there are
    environments: the estimate of the variance is itself uncertain, and Student's t says how much.
    """
    found = np.empty((n_draws, len(environments)))
    for i, name in enumerate(environments):
        found[:, i] = _stream(name).standard_normal(n_draws)
    freedom = max(1, len(environments) - 1)
    scale = _stream(f"{freedom} degrees of freedom").chisquare(freedom, n_draws) / freedom
    return found / np.sqrt(scale)[:, None]


def _stream(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def interval(value: float, draws: ArrayLike, level: float = LEVEL) -> Interval:
    """The interval of an estimate from its bootstrap draws: their quantiles.

    Parameters
    ----------
    value : float
        The estimate.
    draws : array_like, shape (n_draws,)
    level : float, default 0.95
    """
    values = np.asarray(draws, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


class FoldSums(NamedTuple):
    """What R² of one map on one test fold needs, summed by environment.

    Attributes
    ----------
    environments : ndarray of int, shape (n,)
        Positions of the environments that have rows here.
    rows : ndarray, shape (n,)
        Number of rows of each.
    total, square, error : ndarray, shape (n, d)
        Sums of the target, of its square, and of the squared residual.
    varies : ndarray of bool, shape (d,)
        Which dimensions of the target vary over the fold.
    """

    environments: NDArray[np.intp]
    rows: NDArray[np.float64]
    total: NDArray[np.float64]
    square: NDArray[np.float64]
    error: NDArray[np.float64]
    varies: NDArray[np.bool_]

    @classmethod
    def of(cls, values: NDArray, residual: NDArray, environment: NDArray[np.intp]) -> FoldSums:
        """Sum rows by environment.

        Parameters
        ----------
        values, residual : ndarray, shape (n_rows, d)
        environment : ndarray of int, shape (n_rows,)
            Position of each row's environment.
        """
        varies = ~(values == values[0]).all(axis=0)
        # About the mean, so that no digits are lost between the sum of squares and the square of the sum.
        centred = values - values.mean(axis=0)
        present, where = np.unique(environment, return_inverse=True)
        member = (np.arange(len(present))[:, None] == where).astype(np.float64)
        return cls(
            present, member.sum(axis=1), member @ centred, member @ centred**2, member @ residual**2, varies
        )

    def r2(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """R² with every environment's rows weighted: the uniform mean over dimensions, a constant one 0.

        Parameters
        ----------
        weights : ndarray, shape (n_draws, n), optional
            Default: one draw, all 1, which is the R² of the fold.
        """
        w, kept = np.ones((1, len(self.rows))) if weights is None else weights, self.varies
        spread = w @ self.square[:, kept] - (w @ self.total[:, kept]) ** 2 / (w @ self.rows)[:, None]
        # Without one environment a dimension may be constant, but for rounding.
        left = spread > 1e-12 * self.square[:, kept].sum(axis=0)
        explained = np.divide(w @ self.error[:, kept], spread, out=np.ones_like(spread), where=left)
        return (1 - explained).sum(axis=1) / len(self.varies)

    def influence(self) -> NDArray[np.float64]:
        """Influence of each environment on R², (n,): the sum of squares is the jackknife variance.

        All 0 for a single environment, of which nothing can be left out.
        """
        n = len(self.rows)
        if n < 2:
            return np.zeros(n)
        without = self.r2(1 - np.eye(n))
        return np.sqrt((n - 1) / n) * (without.mean() - without)
