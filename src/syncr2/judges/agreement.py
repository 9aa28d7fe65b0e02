"""How far raters agree: intraclass correlation and Krippendorff's alpha, for scores on an interval scale.

The intraclass correlations take raters as a sample of all that could be asked, and count a difference between
their means as disagreement: ICC(2,1) for one rater, ICC(2,k) for the mean of those there are. Alpha asks the
same of one rater and takes units that some raters left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ratings = NDArray[np.float64]


class Agreement(NamedTuple):
    """Agreement of some raters; NaN where it is not defined (too few units, or nothing varies).

    `icc_single` is ICC(2,1), `icc_mean` ICC(2,k), both over the `n_complete` units that all raters rated;
    `alpha` is over the `n_units` that at least two of them rated.
    """

    n_raters: int
    n_units: int
    n_complete: int
    icc_single: float
    icc_mean: float
    alpha: float


def agreement(ratings: Ratings) -> Agreement:
    """Measure the agreement of raters.

    Parameters
    ----------
    ratings : array of shape (n_units, n_raters)
        NaN where a rater left a unit out.
    """
    there = np.isfinite(ratings)
    complete = ratings[there.all(axis=1)]
    single, mean = intraclass(complete)
    n_units = int((there.sum(axis=1) >= 2).sum())
    return Agreement(ratings.shape[1], n_units, len(complete), single, mean, krippendorff_alpha(ratings))


def intraclass(ratings: Ratings) -> tuple[float, float]:
    """ICC(2,1) and ICC(2,k): two-way random effects, absolute agreement.

    With mean squares between units (B), between raters (J) and of the residual (E), n units and k raters,
    ICC(2,1) = (B - E) / (B + (k - 1) E + k (J - E) / n) and ICC(2,k) = (B - E) / (B + (J - E) / n).

    Parameters
    ----------
    ratings : array of shape (n_units, n_raters)
        Without gaps.

    Source
    ------
    Shrout and Fleiss, Psychological Bulletin 86 (1979).
    """
    n, k = ratings.shape
    if n < 2 or k < 2:
        return float("nan"), float("nan")
    grand, units, raters = ratings.mean(), ratings.mean(axis=1), ratings.mean(axis=0)
    residual = ratings - units[:, None] - raters[None, :] + grand
    between = k * float(np.sum((units - grand) ** 2)) / (n - 1)
    judges = n * float(np.sum((raters - grand) ** 2)) / (k - 1)
    error = float(np.sum(residual**2)) / ((n - 1) * (k - 1))
    single = between + (k - 1) * error + k * (judges - error) / n
    mean = between + (judges - error) / n
    scale = float(np.mean(ratings**2)) * np.finfo(float).eps * 100
    return (
        (between - error) / single if abs(single) > scale else float("nan"),
        (between - error) / mean if abs(mean) > scale else float("nan"),
    )


def krippendorff_alpha(ratings: Ratings) -> float:
    """Krippendorff's alpha for interval data: 1 - observed over expected disagreement.

    Disagreement is the squared difference. Over the pairs of ratings within a unit of m ratings, each unit
    weighted by m / (m - 1), observed; over all pairs of ratings that stand in such units, expected.

    Parameters
    ----------
    ratings : array of shape (n_units, n_raters)
        NaN where a rater left a unit out; units with fewer than two ratings do not count.

    Source
    ------
    Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).
    """
    there = np.isfinite(ratings)
    paired = there.sum(axis=1) >= 2
    values, there = ratings[paired], there[paired]
    counts = there.sum(axis=1)
    n = int(counts.sum())
    if n < 2:
        return float("nan")
    filled = np.where(there, values, 0.0)
    means = filled.sum(axis=1) / counts
    # The mean squared difference of a unit's ordered pairs is twice its variance with divisor m - 1.
    spread = np.where(there, (values - means[:, None]) ** 2, 0.0).sum(axis=1)
    observed = float(np.sum(counts * 2.0 * spread / (counts - 1))) / n
    pooled = values[there]
    expected = 2.0 * float(np.var(pooled, ddof=1))
    scale = float(np.mean(pooled**2)) * np.finfo(float).eps * 100
    return 1.0 - observed / expected if expected > scale else float("nan")
