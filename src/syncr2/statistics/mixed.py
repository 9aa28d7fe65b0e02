"""Mixed models with crossed random effects, by statsmodels (restricted maximum likelihood).

Among pairs of models each model is a random effect that every one of its pairs has, a model with itself
twice (multiple membership): y_ij = a + b x_ij + u_i + u_j + e_ij. Student's t is taken with the degrees of
freedom that are left among models, since with strong model effects the slope is known from them alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from syncr2.statistics.correlation import Matrix, Vector, is_constant, standardised
from syncr2.statistics.dyads import Dyads

CONVERGED, BOUNDARY, NOT_CONVERGED = "converged", "converged, a variance is 0", "did not converge"
UNDEFINED, TOO_FEW = "not defined: nothing varies on its own", "too few models"
# One after the other until one converges; only the last copes with a variance at 0.
_METHODS = ["bfgs", "lbfgs", "powell"]
# A variance below this share of the residual's is none.
NO_VARIANCE = 1e-5


class MixedFit(NamedTuple):
    """A linear mixed model.

    Attributes
    ----------
    estimates, errors : ndarray, shape (n_fixed,)
        Fixed effects and their standard errors; NaN where the fit failed.
    variances : dict
        Variance of each random effect, and `residual`.
    status : str
        What became of the fit.
    """

    estimates: Vector
    errors: Vector
    variances: dict[str, float]
    status: str

    @property
    def fitted(self) -> bool:
        """Whether there are estimates."""
        return self.status in (CONVERGED, BOUNDARY)


class PairModel(NamedTuple):
    """The slope of performance on SyncR², both standardised, with a random effect of each model.

    Attributes
    ----------
    slope, low, high : float
        With the ends of its 95 % interval.
    p : float
        Two-sided.
    df : int
        Models (their independent combinations) less fixed effects.
    n, n_models : int
    model_share : float
        Share of the models' effects in the variance of what the fixed effects leave of a pair of two models.
    status : str
    """

    slope: float
    low: float
    high: float
    p: float
    df: int
    n: int
    n_models: int
    model_share: float
    status: str


def fit_mixed(y: Vector, design: Matrix, effects: Mapping[str, Matrix]) -> MixedFit:
    """Fit y = design @ b + Σ Z_k u_k + e by restricted maximum likelihood.

    Parameters
    ----------
    y : ndarray, shape (n,)
    design : ndarray, shape (n, n_fixed)
        With the intercept's column.
    effects : mapping
        Z of each random effect, (n, n_levels); its levels have one variance.

    Notes
    -----
    Where the fit fails, the status says so and the numbers are NaN; nothing is raised.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    missing = np.full(design.shape[1], np.nan)
    nothing = dict.fromkeys([*effects, "residual"], np.nan)
    if np.linalg.matrix_rank(design) < design.shape[1] or is_constant(y):
        return MixedFit(missing, missing, nothing, UNDEFINED)
    levels = [[[str(i) for i in range(z.shape[1])]] for z in effects.values()]
    spec = VCSpec(list(effects), levels, [[z] for z in effects.values()])
    with warnings.catch_warnings():
        # What they would say is in the status.
        warnings.simplefilter("ignore")
        try:
            model = MixedLM(y, design, groups=np.zeros(len(y)), exog_vc=spec)
            found = model.fit(reml=True, method=_METHODS)
            errors = _errors(design, effects, found.vcomp, found.scale)
        except (np.linalg.LinAlgError, ValueError) as error:
            return MixedFit(missing, missing, nothing, f"{NOT_CONVERGED} ({error})")
    variances = dict(zip(effects, np.asarray(found.vcomp, dtype=np.float64).tolist(), strict=True))
    variances["residual"] = float(found.scale)
    estimates = np.asarray(found.fe_params, dtype=np.float64)
    if not found.converged or not np.isfinite([*estimates, *errors]).all():
        return MixedFit(missing, missing, nothing, NOT_CONVERGED)
    none = any(variances[name] < NO_VARIANCE * variances["residual"] for name in effects)
    return MixedFit(estimates, errors, variances, BOUNDARY if none else CONVERGED)


def _errors(design: Matrix, effects: Mapping[str, Matrix], variances: Vector, residual: float) -> Vector:
    """Standard errors of generalised least squares at the fitted variances.

    Those of statsmodels come from the second derivatives by fixed effects and variances together, and are off
    by up to several per cent where there are few rows.
    """
    v = residual * np.eye(len(design))
    for z, variance in zip(effects.values(), np.asarray(variances), strict=True):
        v += variance * z @ z.T
    return np.sqrt(np.diag(np.linalg.inv(design.T @ np.linalg.solve(v, design))))


def pair_model(dyads: Dyads) -> PairModel:
    """Performance on SyncR² and the covariates, with crossed effects of the models.

    Parameters
    ----------
    dyads : Dyads
    """
    from scipy import stats

    n, n_models = len(dyads), len(dyads.models)
    member = dyads.membership()
    fixed = [standardised(column) for column in (dyads.x, *dyads.covariates.T) if not is_constant(column)]
    among = int(np.linalg.matrix_rank(np.column_stack([np.ones(n), member]))) if n else 0
    df = among - 2 - dyads.covariates.shape[1]

    def none(status: str) -> PairModel:
        return PairModel(np.nan, np.nan, np.nan, np.nan, df, n, n_models, np.nan, status)

    if df < 1:
        return none(TOO_FEW)
    if len(fixed) < 1 + dyads.covariates.shape[1] or is_constant(dyads.y):
        return none(UNDEFINED)
    fit = fit_mixed(standardised(dyads.y), np.column_stack([np.ones(n), *fixed]), {"model": member})
    if not fit.fitted:
        return none(fit.status)
    slope, error = float(fit.estimates[1]), float(fit.errors[1])
    reach = float(stats.t.ppf(0.975, df)) * error
    models = 2 * fit.variances["model"]
    return PairModel(
        slope,
        slope - reach,
        slope + reach,
        float(2 * stats.t.sf(abs(slope) / error, df)),
        df,
        n,
        n_models,
        models / (models + fit.variances["residual"]),
        fit.status,
    )
