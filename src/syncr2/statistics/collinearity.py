"""How far a partial correlation over few pairs can be trusted: what a covariate leaves of either side.

A partial correlation divides by sqrt((1 - r_xz²)(1 - r_yz²)). Where a covariate z goes with synchrony x or
performance y nearly as a line does, this is close to 0, and the result hangs on the last digits of all three.
The variance inflation 1 / (1 - r²) says how close; drawing the errors of the values anew shows what it does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from syncr2.statistics.correlation import Matrix, Vector, correlation, partial_correlation
from syncr2.statistics.simple import checked, pair_covariates

COLUMNS = [
    *("family", "covariate", "n", "df", "r", "partial_r", "low", "high"),
    *("r_sync", "r_performance", "inflation_sync", "inflation_performance"),
    *("reading_low", "reading_high", "score_low", "score_high"),
]
_LEVEL = (0.025, 0.975)


def collinearity_table(
    pairs: pd.DataFrame,
    covariates_by_model: Mapping[str, Mapping[str, float]],
    covariates: Sequence[str],
    reading_error: float = 0.0,
    score_error: float = 0.0,
    n_draws: int = 2000,
) -> pd.DataFrame:
    """What each covariate leaves to correlate in each family of pairs.

    Parameters
    ----------
    pairs : DataFrame
        `model_1`, `model_2`, `family`, `sync_r2`, `social_performance`.
    covariates_by_model : mapping
        Values by model and covariate.
    covariates : sequence of str
    reading_error : float
        Values of either side are off by up to so much, evenly.
    score_error : float
        Standard deviation of a model's covariate, normal.
    n_draws : int
        Draws of either error; where an error is 0 it has no interval.

    Returns
    -------
    DataFrame
        A row a covariate and family: `r` and `partial_r`, the latter's 95 % interval by Fisher's z for
        independent pairs; correlations of the covariate with either side and the variance inflation
        1 / (1 - r²) that comes of them; and where 95 % of the partial correlations lie when values, or
        models' scores, are drawn anew with their errors.
    """
    rows: list[dict[str, Any]] = []
    for covariate in covariates:
        table = pair_covariates(pairs, covariates_by_model, [covariate])
        values = checked(table, [covariate])
        for family in dict.fromkeys(values["family"]):
            own = (values["family"] == family).to_numpy()
            x, y, z = (
                values.loc[own, name].to_numpy(dtype=np.float64)
                for name in ("sync_r2", "social_performance", covariate)
            )
            rng = _rng(f"{covariate} of {family}")
            # Each with an axis of draws in front.
            shifts = rng.uniform(-reading_error, reading_error, (2, n_draws, len(x)))
            read = _partial(x + shifts[0], y + shifts[1], z[None])
            scored = _partial(x[None], y[None], z + _moved(pairs[own], score_error, n_draws, rng))
            rows.append(
                {
                    "family": family,
                    "covariate": covariate,
                    **(row := _row(x, y, z)),
                    # Two numbers always correlate; what is not defined has no draws either.
                    **_ends("reading", read, reading_error > 0 and np.isfinite(row["partial_r"])),
                    **_ends("score", scored, score_error > 0 and np.isfinite(row["partial_r"])),
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(x: Vector, y: Vector, z: Vector) -> dict[str, Any]:
    found = partial_correlation(x, y, z[:, None])
    low, high = _fisher(found.r, found.n)
    with_x, with_y = (correlation(side, z).r for side in (x, y))
    return {
        "n": found.n,
        "df": found.df,
        "r": correlation(x, y).r,
        "partial_r": found.r,
        "low": low,
        "high": high,
        "r_sync": with_x,
        "r_performance": with_y,
        "inflation_sync": _inflation(with_x),
        "inflation_performance": _inflation(with_y),
    }


def _rng(what: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big"))


def _moved(pairs: pd.DataFrame, error: float, n_draws: int, rng: np.random.Generator) -> Matrix:
    """Shifts of the pairs' covariate, (n_draws, n_pairs): one a model, which all of its pairs share."""
    names = pairs[["model_1", "model_2"]].astype(str)
    models = list(dict.fromkeys([*names["model_1"], *names["model_2"]]))
    shift = rng.normal(0, error, (n_draws, len(models)))
    first, second = (names[name].map(models.index).to_numpy() for name in names)
    return (shift[:, first] + shift[:, second]) / 2


def _partial(x: Matrix, y: Matrix, z: Matrix) -> Vector:
    """Partial correlations of x and y given z, row by row, (n_draws,); NaN where one is not defined."""
    x, y, z = (side - side.mean(axis=1, keepdims=True) for side in (x, y, z))
    with np.errstate(invalid="ignore", divide="ignore"):
        rest_x, rest_y = (
            side - (side * z).sum(axis=1, keepdims=True) / (z * z).sum(axis=1, keepdims=True) * z
            for side in (x, y)
        )
        spread = (rest_x**2).sum(axis=1) * (rest_y**2).sum(axis=1)
        return np.asarray((rest_x * rest_y).sum(axis=1) / np.sqrt(spread))


def _ends(name: str, draws: Vector, drawn: bool) -> dict[str, float]:
    usable = draws[np.isfinite(draws) & drawn]
    low, high = np.quantile(usable, _LEVEL) if len(usable) else (np.nan, np.nan)
    return {f"{name}_low": float(low), f"{name}_high": float(high)}


def _fisher(r: float, n: int) -> tuple[float, float]:
    """Ends of the 95 % interval of a partial correlation given one covariate, pairs taken for independent."""
    from scipy import stats

    if not np.isfinite(r) or n < 5 or abs(r) >= 1:
        return np.nan, np.nan
    reach = stats.norm.ppf(_LEVEL[1]) / np.sqrt(n - 4)
    return float(np.tanh(np.arctanh(r) - reach)), float(np.tanh(np.arctanh(r) + reach))


def _inflation(r: float) -> float:
    """Variance inflation, 1 / (1 - r²); infinite where the two are one line."""
    if not np.isfinite(r):
        return np.nan
    left = 1 - r * r
    return float(1 / left) if left > np.finfo(float).eps else np.inf
