"""Correlation coefficients: of two columns, given covariates, and for many weightings of the rows at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
# (n_rows, n_columns)
Matrix = NDArray[np.float64]

# Below this spread (relative to the size of the values) a column is rounding noise around a constant, and
# dividing by its spread would make a correlation out of nothing. The same bound as in scipy's warning for
# nearly constant input.
_CONSTANT = 1e-13
# Variance, of a column with variance 1, that is nothing but rounding.
_NOTHING = 1e-10


@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient with its two-sided p value; both NaN where undefined.

    Attributes
    ----------
    r : float
        In [-1, 1].
    p : float
        In [0, 1].
    n : int
        Number of pairs of models.
    df : int
        Degrees of freedom of the t statistic: n - 2 - number of covariates.
    """

    r: float
    p: float
    n: int
    df: int


def correlation(x: Vector, y: Vector) -> Correlation:
    """Pearson correlation.

    Parameters
    ----------
    x, y : ndarray of shape (n_pairs,)
        Finite values.

    Returns
    -------
    Correlation
        r and p are NaN if there are fewer than 3 pairs (two points always lie on a line) or if a column is
        constant.
    """
    from scipy import stats

    n = len(x)
    if n < 3 or is_constant(x) or is_constant(y):
        return Correlation(np.nan, np.nan, n, n - 2)
    result = stats.pearsonr(x, y)
    return Correlation(float(result.statistic), float(result.pvalue), n, n - 2)


def rank_correlation(x: Vector, y: Vector) -> Correlation:
    """Spearman correlation: Pearson's of the ranks, ties at their mean rank; p is Pearson's too.

    Parameters and result are those of `correlation`.
    """
    from scipy import stats

    return correlation(stats.rankdata(x), stats.rankdata(y))


def partial_correlation(x: Vector, y: Vector, covariates: Vector) -> Correlation:
    r"""Pearson correlation of what is left of `x` and `y` once the covariates are regressed out.

    With one covariate z this is :math:`(r_{xy} - r_{xz} r_{yz}) / \sqrt{(1 - r_{xz}^2)(1 - r_{yz}^2)}`; p is
    from :math:`t = r \sqrt{df / (1 - r^2)}` with n - 2 - k degrees of freedom.

    Parameters
    ----------
    x, y : ndarray of shape (n_pairs,)
        Finite values.
    covariates : ndarray of shape (n_pairs, k)
        Finite values.

    Returns
    -------
    Correlation
        r and p are NaN if no degree of freedom is left, if a covariate is constant (nothing is held fixed, so
        the name would promise too much), or if the covariates explain x or y wholly.
    """
    from scipy import stats

    n, k = covariates.shape
    df = n - 2 - k
    undefined = Correlation(np.nan, np.nan, n, df)
    if df < 1 or any(is_constant(column) for column in (x, y, *covariates.T)):
        return undefined
    # Standardised first: covariates of very different size would otherwise make the least squares ill
    # conditioned.
    x, y = standardised(x), standardised(y)
    design = np.column_stack([standardised(column) for column in covariates.T])
    rest_x, rest_y = (v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y))
    length_x, length_y = np.linalg.norm(rest_x), np.linalg.norm(rest_y)
    # x and y have length sqrt(n) here, so what is left of them can be compared with a fixed small number.
    if min(length_x, length_y) < 1e-10 * np.sqrt(n):
        return undefined
    r = float(np.clip(rest_x @ rest_y / (length_x * length_y), -1.0, 1.0))
    with np.errstate(divide="ignore"):
        t = abs(r) * np.sqrt(df / np.float64(1.0 - r * r))
    return Correlation(r, float(2.0 * stats.t.sf(t, df)), n, df)


def weighted_correlations(
    weights: Matrix, x: NDArray[np.float64], y: NDArray[np.float64], covariates: Matrix | None = None
) -> Vector:
    """Correlations, given covariates if there are any, for many weightings of the same rows.

    Parameters
    ----------
    weights : ndarray, shape (n_draws, n_rows)
        How often each row counts; not negative.
    x, y : ndarray, shape (n_rows,) or (n_draws, n_rows)
    covariates : ndarray, shape (n_rows, k), optional

    Returns
    -------
    ndarray, shape (n_draws,)
        NaN where fewer than 3 + k rows count, or where nothing of x or y varies beside the covariates.
    """
    k = 0 if covariates is None else covariates.shape[1]
    columns = [_standardised_rows(x), _standardised_rows(y)]
    if covariates is not None:
        columns += [standardised(column) for column in covariates.T]
    values = np.stack([np.broadcast_to(column, weights.shape) for column in columns], axis=2)
    share = weights / weights.sum(axis=1, keepdims=True)
    centred = values - np.einsum("bn,bni->bi", share, values)[:, None]
    second = np.einsum("bn,bni,bnj->bij", share, centred, centred)
    usable = (weights > 0).sum(axis=1) >= 3 + k
    inner = second[:, :2, :2]
    if k:
        # Where covariates do not vary apart, nothing is held fixed, and the draw is undefined.
        usable &= np.linalg.eigvalsh(second[:, 2:, 2:])[:, 0] > _NOTHING
        held = np.where(usable[:, None, None], second[:, 2:, 2:], np.eye(k))
        inner = inner - second[:, :2, 2:] @ np.linalg.solve(held, second[:, 2:, :2])
    spread = inner[:, 0, 0], inner[:, 1, 1]
    usable &= np.minimum(*spread) > _NOTHING
    found = np.full(len(weights), np.nan)
    length = np.sqrt(spread[0][usable] * spread[1][usable])
    found[usable] = np.clip(inner[usable, 0, 1] / length, -1, 1)
    return found


def weighted_ranks(weights: Matrix, values: Vector) -> Matrix:
    """Ranks of the rows among as many copies of each as it counts, ties at their mean rank.

    Parameters
    ----------
    weights : ndarray, shape (n_draws, n_rows)
    values : ndarray, shape (n_rows,)

    Returns
    -------
    ndarray, shape (n_draws, n_rows)
    """
    below = (values[:, None] < values).astype(np.float64) + 0.5 * (values[:, None] == values)
    return weights @ below + 0.5


def _standardised_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean(axis=-1, keepdims=True)
    spread = centred.std(axis=-1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def is_constant(values: Vector) -> bool:
    """Whether a column has one value, but for rounding."""
    mean = values.mean()
    return bool(np.linalg.norm(values - mean) <= _CONSTANT * max(abs(mean), np.finfo(float).tiny))


def standardised(values: Vector) -> Vector:
    """A column with mean 0 and standard deviation 1."""
    centred = values - values.mean()
    return np.asarray(centred / centred.std())
