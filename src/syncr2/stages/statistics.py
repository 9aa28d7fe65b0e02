"""SyncR² meets social performance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from syncr2.errors import SyncR2Error
from syncr2.files import read_table, write_table
from syncr2.ids import INTERACTION
from syncr2.judges.performance import social_performance
from syncr2.statistics import correlations, overall_correlation, pair_covariates, partial_correlations


def correlate(
    synchrony: str,
    performance: str,
    covariates: Sequence[str],
    covariates_by_model: Mapping[str, Mapping[str, float]],
    max_failure_rate: float,
    output: Mapping[str, str],
) -> None:
    """Join both sides by pair; write the pairs and their correlations, plain and partial."""
    measured = read_table(synchrony)
    sync = measured.loc[
        measured["condition"] == INTERACTION.name, ["model_1", "model_2", "family", "sync_r2"]
    ]
    social = social_performance(read_table(performance), max_failure_rate)
    pairs = joined(sync, social)
    pairs = pair_covariates(pairs, covariates_by_model, covariates)
    write_table(output["pairs"], pairs)
    write_table(output["correlations"], pd.concat([correlations(pairs), overall_correlation(pairs)]))
    write_table(output["partial"], partial_correlations(pairs, covariates))


def joined(sync: pd.DataFrame, social: pd.DataFrame) -> pd.DataFrame:
    """One row a pair with both sides.

    Raises
    ------
    SyncR2Error
        If a pair has one side only: a correlation over the pairs that happen to be complete would hide it.
    """
    keys = ["model_1", "model_2"]
    pairs = sync.merge(
        social[[*keys, "social_performance"]], on=keys, how="outer", validate="one_to_one", indicator=True
    )
    alone = pairs[pairs["_merge"] != "both"]
    if len(alone):
        row = alone.iloc[0]
        side = "SyncR² but no judgement" if row["_merge"] == "left_only" else "judgements but no SyncR²"
        raise SyncR2Error(
            f"{len(alone)} of {len(pairs)} pairs have one side only; the first, {row['model_1']} and "
            f"{row['model_2']}, has "
            f"{side}. Both tables must come from one run: run the workflow again."
        )
    # An outer join sorts; the order of the configuration is the one that readers know.
    return sync[keys].merge(pairs.drop(columns="_merge"), on=keys)
