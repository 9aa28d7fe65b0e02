"""Correlations of SyncR² with social performance as tables of the results page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from syncr2.pages.layout import UNDEFINED, Column, Table, fixed, p_value, whole

ALL = "all pairs"
ALL_FAMILIES = "all"
# What statistics/correlations.tsv holds beside the published columns.
MODEL_COLUMNS = frozenset(
    (
        "qap_p",
        "qap_p_holm",
        "relabellings",
        "relabelled",
        "models_low",
        "models_high",
        "lowest_r",
        "highest_r",
    )
)
_BY_MODELS = (
    Column("p", "number", "models permuted"),
    Column("p", "number", "the same, Holm over families"),
    Column("95 % interval of r", "number", "over models"),
    Column("r without one model", "number", "lowest to highest"),
)
_BY_MODELS_AND_COVARIATES = (
    _BY_MODELS[0],
    Column("p", "number", "the same, Holm over families and covariates"),
    *_BY_MODELS[2:],
)


def knows_models(table: pd.DataFrame) -> bool:
    """Whether a table has the columns that know that pairs share models."""
    return MODEL_COLUMNS.issubset(table.columns)


def correlation_table(correlations: pd.DataFrame, coefficient: str = "Pearson r") -> Table:
    """A coefficient by family, the naive p beside what knows of the models."""
    known = knows_models(correlations)
    rows = [
        (
            ALL if row["family"] == ALL_FAMILIES else row["family"],
            whole(row["n"]),
            fixed(row["r"]),
            p_value(row["p"]),
            *(_by_models(row) if known else ()),
        )
        for row in correlations.to_dict("records")
    ]
    strong = frozenset(i for i, row in enumerate(rows) if row[0] == ALL)
    columns = (
        Column("family"),
        Column("pairs", "number"),
        Column(coefficient, "number"),
        Column("p", "number", "pairs taken for independent" if known else ""),
        *(_BY_MODELS if known else ()),
    )
    return Table(columns, tuple(rows), strong)


def _by_models(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """Cells of the columns that know that pairs share models."""
    ways = f"{whole(row['relabellings'])} ways" if row["relabelled"] == "all" else "drawn"
    return (
        f"{p_value(row['qap_p'])} ({ways})",
        p_value(row["qap_p_holm"]),
        _span(row["models_low"], row["models_high"]),
        _span(row["lowest_r"], row["highest_r"]),
    )


def _span(low: float, high: float) -> str:
    """`0.231 to 0.995`; an en dash where there is none."""
    ends = fixed(low), fixed(high)
    return UNDEFINED if UNDEFINED in ends else " to ".join(ends)


def partial_table(partial: pd.DataFrame) -> Table | None:
    """Partial correlations by covariate and family; None where there are none."""
    if partial.empty:
        return None
    known = knows_models(partial)
    rows = [
        (
            str(row["covariate"]).replace("+", " and "),
            ALL if row["family"] == ALL_FAMILIES else row["family"],
            whole(row["n"]),
            whole(row["df"]),
            fixed(row["r"]),
            p_value(row["p"]),
            *(_by_models(row) if known else ()),
        )
        for row in partial.to_dict("records")
    ]
    numbers = [Column(title, "number") for title in ("pairs", "degrees of freedom", "partial r")]
    p = Column("p", "number", "pairs taken for independent" if known else "")
    more = _BY_MODELS_AND_COVARIATES if known else ()
    return Table((Column("held fixed"), Column("family"), *numbers, p, *more), tuple(rows))
