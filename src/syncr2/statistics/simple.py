"""Plain and partial correlations by family, p values as published: pairs taken for independent.

One row of the input is one unordered pair of models. `syncr2.statistics.dyadic` has what knows that pairs
share models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from syncr2.errors import SyncR2Error
from syncr2.statistics.correlation import Vector, correlation, partial_correlation


def correlations(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pearson correlation of SyncR² with social performance within each family.

    Parameters
    ----------
    pairs : DataFrame
        One row a pair of models, in any order, with columns `family`, `sync_r2`, `social_performance`. Other
        columns are ignored.

    Returns
    -------
    DataFrame
        One row a family, in order of first appearance: `family`, `r`, `p` (two-sided, pairs taken as
        independent), `n`. r and p are NaN where a family has fewer than 3 pairs or a column is constant in
        it.

    Raises
    ------
    SyncR2Error
        If the table is empty, a column is missing, or a value is not a finite number.

    Source
    ------
    Zhang et al., Neural Synchrony Between Socially Interacting Language Models, ICLR 2026.
    """
    rows = []
    for family, group in _by_family(checked(pairs, [])):
        found = correlation(_vector(group, "sync_r2"), _vector(group, "social_performance"))
        rows.append((family, found.r, found.p, found.n))
    return pd.DataFrame(rows, columns=["family", "r", "p", "n"])


def overall_correlation(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pearson correlation over all pairs, whatever their family.

    Parameters, errors and the columns returned are those of `correlations`; the one row has `family` "all".
    """
    table = checked(pairs, [])
    return correlations(table.assign(family="all"))


def partial_correlations(pairs: pd.DataFrame, covariates: Sequence[str]) -> pd.DataFrame:
    """Partial correlation of SyncR² with social performance within each family, one covariate at a time.

    Parameters
    ----------
    pairs : DataFrame
        As for `correlations`, with one more column for each covariate (see `pair_covariates`).
    covariates : sequence of str
        Names of columns. With none the result has no rows.

    Returns
    -------
    DataFrame
        One row a covariate and family, covariates in the order given: `family`, `covariate`, `r`, `p`, `n`,
        `df`. When r is NaN is told in `partial_correlation`.

    Raises
    ------
    SyncR2Error
        If the table is empty, a column is missing, or a value is not a finite number.
    """
    table = checked(pairs, covariates)
    rows = []
    for covariate in covariates:
        for family, group in _by_family(table):
            found = partial_correlation(
                _vector(group, "sync_r2"),
                _vector(group, "social_performance"),
                _vector(group, covariate)[:, None],
            )
            rows.append((family, covariate, found.r, found.p, found.n, found.df))
    return pd.DataFrame(rows, columns=["family", "covariate", "r", "p", "n", "df"])


def pair_covariates(
    table: pd.DataFrame,
    covariates_by_model: Mapping[str, Mapping[str, float]],
    covariates: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Add the covariates of the models to a table of pairs.

    Parameters
    ----------
    table : DataFrame
        One row a pair, with columns `model_1` and `model_2`.
    covariates_by_model : mapping
        Name of a model to its covariates, such as ``{"llama-2-7b": {"ifeval": 0.40}}``. Models that stand in
        no pair are ignored.
    covariates : sequence of str, optional
        Names of those to add. By default all that any model of the table has.

    Returns
    -------
    DataFrame
        A copy with one more column a covariate: the mean of the two models' values.

    Raises
    ------
    SyncR2Error
        If the table lacks a column or already has one of a covariate's name, or if a model of the table lacks
        a covariate that is asked for.
    """
    require_columns(table, ["model_1", "model_2"])
    models = list(dict.fromkeys([*table["model_1"], *table["model_2"]]))
    if covariates is None:
        covariates = [name for model in models for name in covariates_by_model.get(model, {})]
    names = list(dict.fromkeys(covariates))
    taken = [name for name in names if name in table.columns]
    if taken:
        raise SyncR2Error(
            f"Covariate name already taken: {', '.join(taken)} is a column of the table of pairs. "
            "Give the covariate another name in the config."
        )
    missing = [
        f"{model} lacks {name}"
        for model in models
        for name in names
        if not _is_finite_number(covariates_by_model.get(model, {}).get(name))
    ]
    if missing:
        raise SyncR2Error(
            f"Covariates: {'; '.join(missing)} (a finite number is needed). A covariate must be given for "
            "every model or for none: add the values in the config, or take the covariate out."
        )
    result = table.copy()
    for name in names:
        values = {model: float(covariates_by_model[model][name]) for model in models}
        result[name] = (table["model_1"].map(values) + table["model_2"].map(values)) / 2.0
    return result


def _by_family(table: pd.DataFrame) -> list[tuple[object, pd.DataFrame]]:
    # observed: a categorical column would otherwise bring families without a pair.
    return list(table.groupby("family", sort=False, observed=True))


def _vector(table: pd.DataFrame, column: str) -> Vector:
    return np.asarray(table[column], dtype=np.float64)


def checked(pairs: pd.DataFrame, covariates: Sequence[str]) -> pd.DataFrame:
    """Keep the columns that count, as numbers; say what is wrong if they are not."""
    numeric = ["sync_r2", "social_performance", *covariates]
    require_columns(pairs, ["family", *numeric])
    if pairs.empty:
        raise SyncR2Error(
            "The table of pairs has no rows: there is nothing to correlate. Check the rule that made it."
        )
    nameless = np.flatnonzero(pairs["family"].isna())
    if len(nameless):
        raise SyncR2Error(f"The table of pairs: row {nameless[0]} has no family.")
    table = pairs[["family"]].copy()
    for column in numeric:
        values = pd.to_numeric(pairs[column], errors="coerce").astype(float)
        bad = ~np.isfinite(values)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            found = pairs[column].iloc[row]
            shown = repr(found) if isinstance(found, str) else str(found)
            raise SyncR2Error(
                f"The table of pairs: {column} is {shown} in row {row} (counted from 0), "
                f"{int(bad.sum())} such value(s) in all. Finite numbers are needed. A pair whose value "
                "could not be made has to be made again or taken out on purpose: it is never left out "
                "silently."
            )
        table[column] = values
    return table


def require_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table of pairs that lacks a column or has it twice."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise SyncR2Error(
            f"The table of pairs lacks {', '.join(missing)}. It has: "
            f"{', '.join(map(str, table.columns)) or 'no columns'}."
        )
    double = sorted({column for column in columns if list(table.columns).count(column) > 1})
    if double:
        raise SyncR2Error(f"The table of pairs has more than one column named {', '.join(double)}. Keep one.")


def _is_finite_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))
