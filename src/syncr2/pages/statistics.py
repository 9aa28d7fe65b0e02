"""The page "Statistics over pairs": one paragraph a question, in numbers of the tables of statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import pandas as pd

from syncr2.pages import dialogue_questions, pair_questions
from syncr2.pages.layout import Download, Head, need_columns
from syncr2.pages.sections import Section, sections_page

TITLE = "Statistics over pairs"
_MODELS = ["n", "qap_p", "qap_p_holm", "relabellings", "relabelled", "n_models", "models_low", "models_high"]
_COEFFICIENT = ["family", "r", "p", "p_holm", *_MODELS, "pairs_low", "pairs_high", "lowest_r", "highest_r"]
_NEEDED = {
    "correlations": [*_COEFFICIENT, "corrected_over"],
    "rank_correlations": [*_COEFFICIENT, "corrected_over"],
    "partial": ["covariate", *_COEFFICIENT, "corrected_over"],
    "leave_one_out": ["family", "without", "r", "n"],
    "mixed_models": [
        "family",
        "covariate",
        "slope",
        "low",
        "high",
        "p",
        "p_holm",
        "df",
        "model_share",
        "status",
    ],
    "robustness": ["family", "sync", "judge", "performance", "r", "p", "spearman", "qap_p"],
    "within_pairs": ["family", "n_dialogues", "held", "slope", "low", "high", "p", "p_holm", "status"],
    "relationship": ["family", "relationship", "n_environments", "sync_r2", "low", "high"],
    "relationship_trend": ["level", "family", "n_environments", "slope", "low", "high", "p", "p_holm"],
    "depth_peak": ["level", "family", "depth", "low", "high", "r2", "middle_less_outer"],
    "attenuation": ["family", "n", "r", "reliability_sync", "r_corrected", "r_shared_removed", "status"],
}


@dataclass(frozen=True)
class StatisticsTables:
    """The tables below statistics/ by the names of their files (`partial` for partial_correlations.tsv).

    Those that rest on the corrected protocol, from `within_pairs` on, are None where it was not made.

    Raises
    ------
    SyncR2Error
        If a table lacks a column.
    """

    correlations: pd.DataFrame
    rank_correlations: pd.DataFrame
    partial: pd.DataFrame
    leave_one_out: pd.DataFrame
    mixed_models: pd.DataFrame
    robustness: pd.DataFrame
    within_pairs: pd.DataFrame | None = None
    relationship: pd.DataFrame | None = None
    relationship_trend: pd.DataFrame | None = None
    depth_peak: pd.DataFrame | None = None
    attenuation: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            table = getattr(self, field.name)
            if table is not None:
                need_columns(table.columns, _NEEDED[field.name], field.name)


def statistics_page(head: Head, tables: StatisticsTables, downloads: Sequence[Download] = ()) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    tables : StatisticsTables
    downloads : sequence of Download
    """
    lead = (
        "A pair of models shares its models with other pairs, so pairs are not independent, and the usual "
        "p is too small. It stands here because it was published, beside what knows of the models: "
        "permutation of their labels, intervals from drawing models, and a mixed model. An interval is a "
        "95 % interval.",
        pair_questions.undefined_note(),
    )
    sections = [
        pair_questions.together(tables.correlations, tables.rank_correlations),
        pair_questions.one_model(tables.leave_one_out),
        pair_questions.beyond_models(tables.mixed_models),
        pair_questions.given_covariates(tables.partial),
        pair_questions.other_ways(tables.robustness),
        *_corrected(tables),
    ]
    return sections_page(head, TITLE, lead, sections, downloads)


def _corrected(tables: StatisticsTables) -> list[Section]:
    """What rests on the corrected protocol."""
    found = []
    if tables.within_pairs is not None:
        found.append(dialogue_questions.within_pairs(tables.within_pairs))
    if tables.relationship is not None and tables.relationship_trend is not None:
        found.append(dialogue_questions.relationship(tables.relationship, tables.relationship_trend))
    if tables.depth_peak is not None:
        found.append(dialogue_questions.depth(tables.depth_peak))
    if tables.attenuation is not None:
        found.append(dialogue_questions.attenuation(tables.attenuation))
    if not found:
        text = (
            "Dialogues within pairs, relationship, layers and reliability rest on maps that the corrected "
            "protocol chooses; it is not among `synchrony.protocols`."
        )
        found.append(Section("What was left out", (text,)))
    return found
