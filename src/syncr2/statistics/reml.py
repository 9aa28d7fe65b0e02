"""Crossed random effects in many rows: restricted maximum likelihood from cross products.

y = X b + Σ Z_k u_k + e with Var(u_k) = s_k² σ², Var(e) = σ². With Z all effects side by side, S the diagonal
of their s and M = I + S ZᵀZ S, what the likelihood needs of V = I + Z S S Zᵀ is log|V| = log|M| and

    WᵀV⁻¹W = WᵀW − (S ZᵀW)ᵀ M⁻¹ (S ZᵀW),   W = [X, y]

so a step costs one factorisation of as many rows as there are levels, however many dialogues there are.
statsmodels, which takes all rows in every step, needs more than ten minutes for the published experiment's
48,600 dialogues with 576 levels; this needs seconds, and the two agree (tests/unit/test_mixed.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, sparse

from syncr2.statistics.correlation import Matrix, Vector, is_constant
from syncr2.statistics.mixed import (
    BOUNDARY,
    CONVERGED,
    NO_VARIANCE,
    NOT_CONVERGED,
    UNDEFINED,
    MixedFit,
)

# Standard deviation of every effect, in those of the residual, where the search begins.
_START = 0.5


def fit_reml(y: Vector, design: Matrix, effects: Mapping[str, NDArray]) -> MixedFit:
    """Fit fixed effects and the variances of crossed random effects.

    Parameters
    ----------
    y : ndarray, shape (n,)
    design : ndarray, shape (n, n_fixed)
        With the intercept's column.
    effects : mapping
        Level of every row, (n,) each; none for least squares.

    Notes
    -----
    As in `mixed.fit_mixed`, a fit that fails says so in its status.
    """
    n, n_fixed = design.shape
    missing = np.full(n_fixed, np.nan)
    failed = MixedFit(missing, missing, dict.fromkeys([*effects, "residual"], np.nan), NOT_CONVERGED)
    if np.linalg.matrix_rank(design) < n_fixed or is_constant(y) or n <= n_fixed:
        return failed._replace(status=UNDEFINED)
    likelihood = _Likelihood(y, design, effects)
    deviations, found = np.empty(0), True
    if effects:
        search = optimize.minimize(
            likelihood,
            np.full(len(effects), _START),
            method="Nelder-Mead",
            options={"xatol": 1e-6, "fatol": 1e-8, "maxiter": 4000, "maxfev": 4000},
        )
        deviations, found = search.x, search.success
    solved = likelihood.solve(deviations)
    if not found or solved is None:
        return failed
    estimates, covariance, residual, _ = solved
    variances = dict(zip(effects, (deviations**2 * residual).tolist(), strict=True))
    none = any(value < NO_VARIANCE * residual for value in variances.values())
    return MixedFit(
        estimates,
        np.sqrt(np.diag(covariance)),
        {**variances, "residual": residual},
        BOUNDARY if none else CONVERGED,
    )


class _Likelihood:
    """−2 log restricted likelihood by the effects' standard deviations; all else is profiled out."""

    def __init__(self, y: Vector, design: Matrix, effects: Mapping[str, NDArray]) -> None:
        n = len(y)
        codes = [np.unique(levels, return_inverse=True)[1] for levels in effects.values()]
        sizes = [int(each.max()) + 1 for each in codes]
        columns = [
            sparse.csr_array((np.ones(n), (np.arange(n), each)), shape=(n, size))
            for each, size in zip(codes, sizes, strict=True)
        ]
        # Without any effect this is least squares.
        z = sparse.hstack([sparse.csr_array((n, 0)), *columns], format="csr")
        w = np.column_stack([design, y])
        self._effect = np.repeat(np.arange(len(sizes)), sizes)
        self._n, self._n_fixed = n, design.shape[1]
        self._zz, self._zw, self._ww = (z.T @ z).toarray(), z.T @ w, w.T @ w

    def solve(self, deviations: Vector) -> tuple[Vector, Matrix, float, float] | None:
        """Fixed effects, their covariance, the residual's variance and −2 log likelihood."""
        scale = np.abs(deviations)[self._effect]
        m = scale[:, None] * self._zz * scale
        m[np.diag_indices_from(m)] += 1
        try:
            factor = linalg.cholesky(m, lower=True)
            half = linalg.solve_triangular(factor, scale[:, None] * self._zw, lower=True)
            inner = self._ww - half.T @ half
            k = self._n_fixed
            whole = linalg.cholesky(inner, lower=True)
        except linalg.LinAlgError:
            return None
        # The last pivot is the residual sum of squares given the fixed effects.
        squares, df = whole[k, k] ** 2, self._n - k
        variance = float(squares / df)
        estimates = linalg.solve_triangular(whole[:k, :k].T, whole[k, :k], lower=False)
        covariance = variance * linalg.cho_solve((whole[:k, :k], True), np.eye(k))
        value = df * np.log(variance) + 2 * (np.log(np.diag(factor)).sum() + np.log(np.diag(whole)[:k]).sum())
        return estimates, covariance, variance, float(value)

    def __call__(self, deviations: Vector) -> float:
        solved = self.solve(deviations)
        return np.inf if solved is None else solved[3]
