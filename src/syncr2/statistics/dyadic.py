"""Correlations over pairs that share models, as tables: the naive p beside what knows of the models.

Every table has a row a family of pairs and a row `all`. Holm's correction runs over the families (and
covariates) for each kind of p separately; `all` holds the families' pairs again, so it is a test of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from syncr2.maps.nulls import holm
from syncr2.statistics.correlation import (
    Correlation,
    correlation,
    partial_correlation,
    rank_correlation,
)
from syncr2.statistics.dyads import ALL, Dyads, dyads_by_family
from syncr2.statistics.mixed import pair_model
from syncr2.statistics.relabelling import Relabellings, relabelling_test, relabellings
from syncr2.statistics.resampling import (
    Left,
    Resampling,
    bootstrap,
    leave_one_out,
    model_weights,
    pair_weights,
)

TOGETHER = "+"
PAIR = ["model_1", "model_2"]
PERFORMANCE = "social_performance"


def dyadic_tables(
    pairs: pd.DataFrame,
    families: Mapping[str, str],
    covariates: Sequence[str] = (),
    resampling: Resampling | None = None,
) -> dict[str, pd.DataFrame]:
    """All correlations of SyncR² with social performance, with every p and interval.

    Parameters
    ----------
    pairs : DataFrame
        One row an unordered pair: `model_1`, `model_2`, `family`, `sync_r2`, `social_performance`, and the
        covariates.
    families : mapping
        Family by model.
    covariates : sequence of str
        Held fixed one at a time and, where there are several, all together (`ifeval+musr`).
    resampling : Resampling, optional

    Returns
    -------
    dict
        `correlations` (Pearson), `rank_correlations` (Spearman), `partial`, `leave_one_out` and
        `mixed_models`; docs/formats.md describes their columns.

    Raises
    ------
    SyncR2Error
        If the table is empty, lacks a column, holds a value that is no finite number or a pair twice, or
        the family of a model is not known.
    """
    how = resampling or Resampling()
    held: list[tuple[str, ...]] = [(name,) for name in covariates]
    if len(held) > 1:
        held.append(tuple(covariates))
    plain = [_relabelled(dyads, how) for dyads in dyads_by_family(pairs, families)]
    given = [
        (TOGETHER.join(names), [_relabelled(dyads, how) for dyads in dyads_by_family(pairs, families, names)])
        for names in held
    ]
    partial = [
        {"family": dyads.name, "covariate": name, **_row(dyads, changed, how)}
        for name, each in given
        for dyads, changed in each
    ]
    mixed = [
        {"family": dyads.name, "covariate": name, **pair_model(dyads)._asdict()}
        for name, each in [("", plain), *given]
        for dyads, _ in each
    ]
    return {
        "correlations": corrected([{"family": d.name, **_row(d, c, how)} for d, c in plain]),
        "rank_correlations": corrected([{"family": d.name, **_row(d, c, how, True)} for d, c in plain]),
        "partial": corrected(partial, ["family", "covariate", *_columns()]),
        "leave_one_out": pd.DataFrame(
            [{"family": d.name, **left._asdict()} for d, _ in plain for left in _left(d, False)],
            columns=["family", *Left._fields],
        ),
        "mixed_models": corrected(mixed, ps=("p",)),
    }


def robustness_table(
    sync: Mapping[str, pd.DataFrame],
    performance: pd.DataFrame,
    families: Mapping[str, str],
    resampling: Resampling | None = None,
) -> pd.DataFrame:
    """The correlation with other measures: does it hang on how synchrony or performance is taken?

    Parameters
    ----------
    sync : mapping
        By the measure's name, tables with `model_1`, `model_2`, `family`, `sync_r2`.
    performance : DataFrame
        One row a judge and pair: `judge`, `model_1`, `model_2`, and columns that begin with
        `social_performance`.
    families : mapping
        Family by model.
    resampling : Resampling, optional

    Returns
    -------
    DataFrame
        A row a measure of synchrony, judge, scale of performance and family: r, p, rank correlation, QAP's p,
        and Holm's over the families of each combination.
    """
    how = resampling or Resampling()
    scales = [name for name in performance if str(name).startswith(PERFORMANCE)]
    rows = []
    for measure, table in sync.items():
        for judge, judged in performance.groupby("judge", sort=False):
            for scale in scales:
                taken = judged[[*PAIR, scale]].rename(columns={scale: PERFORMANCE})
                # A pair without performance is refused below, not dropped.
                pairs = table.merge(taken, on=PAIR, how="left", validate="one_to_one")
                named = {"sync": measure, "judge": judge, "performance": scale}
                for dyads in dyads_by_family(pairs, families):
                    rows.append({"family": dyads.name, **named, **_tested(dyads, how)})
    return corrected(rows, apart=["sync", "judge", "performance"])


def _tested(dyads: Dyads, how: Resampling) -> dict[str, Any]:
    found = correlation(dyads.x, dyads.y)
    _, changed = _relabelled(dyads, how)
    return {
        "r": found.r,
        "p": found.p,
        "n": found.n,
        "spearman": rank_correlation(dyads.x, dyads.y).r,
        "qap_p": relabelling_test(dyads, changed).p,
    }


def _relabelled(dyads: Dyads, how: Resampling) -> tuple[Dyads, Relabellings]:
    return dyads, relabellings(dyads, how.relabellings, how.rng(f"labels of {dyads.name}"))


def _coefficient(dyads: Dyads, ranked: bool) -> Correlation:
    if ranked:
        return rank_correlation(dyads.x, dyads.y)
    if dyads.covariates.shape[1]:
        return partial_correlation(dyads.x, dyads.y, dyads.covariates)
    return correlation(dyads.x, dyads.y)


def _left(dyads: Dyads, ranked: bool) -> list[Left]:
    return leave_one_out(dyads, lambda each: _coefficient(each, ranked).r)


def _row(dyads: Dyads, changed: Relabellings, how: Resampling, ranked: bool = False) -> dict[str, Any]:
    from scipy.stats import rankdata

    found = _coefficient(dyads, ranked)
    by_pair, by_model = (
        bootstrap(dyads, found.r, weights, how.draws, how.rng(f"{name} of {dyads.name}"), ranked)
        for weights, name in ((pair_weights, "pairs"), (model_weights, "models"))
    )
    values = replace(dyads, x=rankdata(dyads.x), y=rankdata(dyads.y)) if ranked else dyads
    tested = relabelling_test(values, changed)
    left = [each for each in _left(dyads, ranked) if np.isfinite(each.r)]
    lowest = min(left, key=lambda each: each.r, default=Left("", np.nan, 0))
    highest = max(left, key=lambda each: each.r, default=Left("", np.nan, 0))
    return {
        "r": found.r,
        "p": found.p,
        "n": found.n,
        "df": found.df,
        "pairs_low": by_pair.low,
        "pairs_high": by_pair.high,
        "n_models": len(dyads.models),
        "models_low": by_model.low,
        "models_high": by_model.high,
        "qap_p": tested.p,
        "relabellings": tested.relabellings,
        "relabelled": "all" if tested.exact else "drawn",
        "lowest_r": lowest.r,
        "lowest_without": lowest.without,
        "highest_r": highest.r,
        "highest_without": highest.without,
    }


def _columns() -> list[str]:
    """Columns of a table without rows."""
    first = [
        "r",
        "p",
        "p_holm",
        "n",
        "df",
        "pairs_low",
        "pairs_high",
        "n_models",
        "models_low",
        "models_high",
    ]
    return [
        *first,
        *("qap_p", "qap_p_holm", "relabellings", "relabelled"),
        *("lowest_r", "lowest_without", "highest_r", "highest_without", "corrected_over"),
    ]


def corrected(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] = (),
    ps: Sequence[str] = ("p", "qap_p"),
    apart: Sequence[str] = (),
) -> pd.DataFrame:
    """A table with Holm's p beside each kind of p, and what it was taken over.

    Parameters
    ----------
    rows : sequence of mapping
        Rows that differ in `family` and possibly in `covariate`; those of `all` are corrected among
        themselves.
    columns : sequence of str
        Of a table without rows.
    ps : sequence of str
        Columns with p values.
    apart : sequence of str
        Columns that name other ways to test the same; each way is corrected by itself.
    """
    if not rows:
        return pd.DataFrame(columns=list(columns))
    table = pd.DataFrame(list(rows))
    everyone = table["family"] == ALL
    for p in ps:
        adjusted = table.groupby([everyone.rename("everyone"), *apart])[p].transform(
            lambda values: holm(values.tolist())
        )
        table.insert(list(table.columns).index(p) + 1, f"{p}_holm", adjusted)
    covariate = ["covariates"] if "covariate" in table else []
    table["corrected_over"] = np.where(
        everyone, " and ".join(covariate), " and ".join(["families", *covariate])
    )
    return table
