"""SyncR² meets social performance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

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
    """Join both sides by pair and write the pairs, the correlations by family and overall, and the partial ones."""
    measured = read_table(synchrony)
    sync = measured.loc[measured["condition"] == INTERACTION.name, ["model_1", "model_2", "family", "sync_r2"]]
    social = social_performance(read_table(performance), max_failure_rate)
    pairs = sync.merge(
        social[["model_1", "model_2", "social_performance"]], on=["model_1", "model_2"], validate="one_to_one"
    )
    pairs = pair_covariates(pairs, covariates_by_model, covariates)
    write_table(output["pairs"], pairs)
    write_table(output["correlations"], pd.concat([correlations(pairs), overall_correlation(pairs)]))
    write_table(output["partial"], partial_correlations(pairs, covariates))
