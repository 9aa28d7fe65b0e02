"""Intervals for SyncR²: a bootstrap over environments.

Turns of a dialogue, and dialogues of an environment, are not independent; environments are what was drawn.
Each draw of the Bayesian bootstrap (Rubin 1981) gives every environment a weight from an exponential
distribution, and R² is computed again with these weights over the test rows. Weights come from the
environment's name, so all conditions, directions and pairs of an experiment share their draws, and a
difference between two of them has an interval from the differences draw by draw.
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


def environment_weights(environments: Sequence[str], n_draws: int) -> NDArray[np.float64]:
    """Bootstrap weights, (n_draws, n_environments), positive, 1 on average."""
    weights = np.empty((n_draws, len(environments)))
    for i, name in enumerate(environments):
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        weights[:, i] = np.random.default_rng(seed).exponential(size=n_draws)
    return weights


def interval(value: float, draws: ArrayLike, level: float = LEVEL) -> Interval:
    """The interval of an estimate from its bootstrap draws.

    The draws' quantiles, moved so that their mean lies on the estimate: weighting is a loss of
    information, so R² of a draw is lower on average than that of all environments alike.

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
    low, high = np.quantile(values - values.mean(), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, value + float(low), value + float(high))


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

    def r2(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """R² with every environment's rows weighted: the uniform mean over dimensions, a constant one 0.

        Parameters
        ----------
        weights : ndarray, shape (n_draws, n_environments)
            Of all environments. Equal ones give the R² of the fold as it is.
        """
        w, kept = weights[:, self.environments], self.varies
        spread = w @ self.square[:, kept] - (w @ self.total[:, kept]) ** 2 / (w @ self.rows)[:, None]
        explained = 1 - (w @ self.error[:, kept]) / spread
        return explained.sum(axis=1) / len(kept)
