"""The study's numbers beside this run's, and how far its partial correlations can be trusted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import pandas as pd

from syncr2.files import read_table, write_table
from syncr2.ids import INTERACTION
from syncr2.published import read_published
from syncr2.stages.control_files import read_control_table
from syncr2.statistics.collinearity import collinearity_table
from syncr2.statistics.paper import Found, Run, paper_comparison

# Whose values a row of the table on collinearity is of.
PUBLISHED, THIS_RUN = "published", "this run"
# By claim: a table with a row over all pairs, and its columns of the value and of its interval.
_SUMMARIES = {
    "relationship": ("relationship_trend", "slope", "low", "high"),
    "depth": ("depth_peak", "middle_less_outer", "difference_low", "difference_high"),
}
_NONLINEAR = {"kernel_ridge": "kernel_ridge_gain", "mlp": "mlp_gain"}


def compare(
    published: str,
    tables: Mapping[str, str],
    controls: Mapping[str, str],
    paths: Mapping[str, str | None],
    judged: bool,
    stand_ins: Sequence[str],
    covariates: Sequence[str],
    covariates_by_model: Mapping[str, Mapping[str, float]],
    output: Mapping[str, str],
) -> None:
    """Write the comparison, and what covariates leave to correlate, among published pairs and this run's.

    Parameters
    ----------
    published : str
        Folder with what was published (`syncr2.published.FILES`).
    tables : mapping
        Paths of `synchrony`, `dialogues`, `pairs`, `correlations`, `partial`, and of `relationship_trend` and
        `depth_peak` where they were made.
    controls : mapping
        Paths of the tables of the controls, and of `probes_overall`, those that were made.
    paths : mapping
        Hugging Face id or folder by model, None for one that has neither.
    judged : bool
        Whether any judge is one, and no rule-based stand-in.
    stand_ins : sequence of str
        Labellers that are rule-based stand-ins: probes of their labels test nothing.
    covariates : sequence of str
        Held fixed in this run.
    covariates_by_model : mapping
    output : mapping
        Paths of `comparison` and `collinearity`.
    """
    study = read_published(published)
    read = {name: read_table(path) for name, path in tables.items()}
    held = {name: read_control_table(path) for name, path in controls.items()}
    run = Run(
        published_as=study.names_of(paths),
        judged=judged,
        protocols=held.get("protocols"),
        claims=_claims(read, held) | _probed(held.get("probes_overall"), stand_ins),
        **{name: read[name] for name in ("pairs", "correlations", "partial", "dialogues")},
    )
    comparison = paper_comparison(study, run)
    write_table(output["comparison"], comparison)
    # Families in the order in which the study prints them, which is not that of the plot's pairs.
    order = dict.fromkeys(each.family for each in study.correlations)
    printed = study.pairs.sort_values(
        "family", key=lambda column: column.map(list(order).index), kind="stable"
    )
    theirs = collinearity_table(
        printed, study.covariates_by_model, study.covariates, study.reading_error, study.score_error
    )
    # The table of pairs has their covariates already.
    bare = read["pairs"].drop(columns=list(covariates))
    ours = collinearity_table(bare, covariates_by_model, covariates)
    both = [theirs.assign(pairs=PUBLISHED), *([ours.assign(pairs=THIS_RUN)] if len(ours) else [])]
    write_table(output["collinearity"], pd.concat(both))
    for name, count in comparison["verdict"].value_counts().items():
        logging.info("%s: %d", name, count)


def _claims(tables: Mapping[str, pd.DataFrame], controls: Mapping[str, pd.DataFrame]) -> dict[str, Found]:
    """What this run has for each claim, over all pairs."""
    n = float(len(tables["pairs"]))
    found = _differences(tables["synchrony"])
    if "contrasts_overall" in controls:
        rows = controls["contrasts_overall"]
        for row in rows[rows["states"] == "plain"].to_dict("records"):
            found[row["minus"]] = Found(row["difference"], row["low"], row["high"], "environments", n)
    if "baselines_overall" in controls:
        by_measure = {row["measure"]: row for row in controls["baselines_overall"].to_dict("records")}
        for name, measure in _NONLINEAR.items():
            if measure in by_measure:
                row = by_measure[measure]
                found[name] = Found(row["value"], row["low"], row["high"], "environments", n)
    for name, (table, value, low, high) in _SUMMARIES.items():
        if table in tables:
            (row,) = tables[table][tables[table]["level"] == "all"].to_dict("records")
            found[name] = Found(row[value], row[low], row[high], "environments", n)
    return found


def _probed(table: pd.DataFrame | None, stand_ins: Sequence[str]) -> dict[str, Found]:
    """What states tell about the partner, by the first labeller that is one."""
    found: dict[str, Found] = {}
    if table is None:
        return found
    rows = table[(table["measure"] == "explained_deviance") & ~table["labeller"].isin(list(stand_ins))]
    for row in rows.to_dict("records"):
        value = Found(row["value"], row["low"], row["high"], "environments", row["n_pairs"])
        found.setdefault(f"{row['label']}_{row['target']}", value)
    return found


def _differences(synchrony: pd.DataFrame) -> dict[str, Found]:
    """The interaction less each condition by the published protocol, which has no interval."""
    wide = synchrony.pivot(index=["model_1", "model_2"], columns="condition", values="sync_r2")
    less = {name: wide[INTERACTION.name] - wide[name] for name in wide if name != INTERACTION.name}
    return {str(name): Found(each.mean(), n=float(each.notna().sum())) for name, each in less.items()}
