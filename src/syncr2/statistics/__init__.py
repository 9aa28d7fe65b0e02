"""Statistics over pairs of models, and of dialogues within pairs: tables in, tables out.

Pairs share models, so they are not independent. `correlations` and its like give the p values of the
published study, which take them as independent and are too small when a model moves all of its pairs;
`dyadic_tables` sets beside them permutation of the models' labels, intervals over models, and a mixed model.
"""

from __future__ import annotations

from syncr2.statistics.correlation import (
    Correlation,
    correlation,
    partial_correlation,
    rank_correlation,
)
from syncr2.statistics.dyadic import dyadic_tables, robustness_table
from syncr2.statistics.resampling import Resampling
from syncr2.statistics.simple import (
    correlations,
    overall_correlation,
    pair_covariates,
    partial_correlations,
)

__all__ = [
    "Correlation",
    "Resampling",
    "correlation",
    "correlations",
    "dyadic_tables",
    "overall_correlation",
    "pair_covariates",
    "partial_correlation",
    "partial_correlations",
    "rank_correlation",
    "robustness_table",
]
