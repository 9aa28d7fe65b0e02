"""Published partial correlations beside what the published pairs give, and why they need not agree."""

from __future__ import annotations

import pandas as pd

from syncr2.pages.layout import Column, Table, fixed, is_number, percent, whole
from syncr2.pages.sections import Section, Shown, family_words, listed, span, with_span
from syncr2.published import Published
from syncr2.statistics.paper import PARTIAL

_NAMES = {"ifeval": "IFEval", "musr": "MuSR"}
# Rounding of what is printed.
_LAST_DIGIT = 0.005


def covariate_words(name: object) -> str:
    """A covariate as readers know it."""
    return _NAMES.get(str(name), str(name))


def partial_section(comparison: pd.DataFrame, collinearity: pd.DataFrame, published: Published) -> Section:
    """Does it hold given what the models can do?

    Parameters
    ----------
    comparison : DataFrame
        paper_comparison.tsv.
    collinearity : DataFrame
        paper_collinearity.tsv.
    published : Published
    """
    table = comparison[comparison["quantity"] == PARTIAL]
    theirs = collinearity[collinearity["pairs"] == "published"].set_index(["family", "covariate"])
    rows = []
    for row in table.to_dict("records"):
        why = row["why"] if isinstance(row["why"], str) else ""
        rows.append(
            (
                covariate_words(row["covariate"]),
                family_words(row["family"]),
                fixed(row["published"], 2),
                fixed(row["from_published_pairs"], 2),
                with_span(row["this_run"], row["low"], row["high"]),
                str(row["verdict"]),
                why,
            )
        )
    columns = (
        Column("held fixed"),
        Column("family"),
        Column("partial r", "number", "published"),
        Column("partial r", "number", "this code, from the published pairs"),
        Column("partial r", "number", "this run, 95 % interval"),
        Column("verdict"),
        Column("why"),
    )
    note = (
        "The interval of three models' pairs is one over pairs: it takes them for independent and is too "
        "narrow. Verdicts are no tests, and were not corrected."
    )
    shown = [
        Shown(Table(columns, tuple(rows)), note),
        Shown(_collinearity(collinearity), _note(published), "What covariates leave to correlate"),
    ]
    return Section(
        "Does it hold given what the models can do?",
        (_both(table), _why(table, theirs, published)),
        tuple(shown),
    )


def _both(table: pd.DataFrame) -> str:
    said = []
    for covariate, part in table.groupby("covariate", sort=False):
        families, own, printed = (
            " / ".join(values)
            for values in (
                part["family"].astype(str),
                (fixed(value, 2) for value in part["from_published_pairs"]),
                (fixed(value, 2) for value in part["published"]),
            )
        )
        said.append(f"given {covariate_words(covariate)}, {own} ({families}) where {printed} are printed")
    return (
        f"From the published pairs and scores this code makes, {'; '.join(said)}. The plain correlations "
        "agree to the second digit, these do not, and neither the code nor the values read off the plot "
        "need be wrong for that."
    )


def _why(table: pd.DataFrame, theirs: pd.DataFrame, published: Published) -> str:
    """In numbers: how little a covariate leaves, and what its error does."""
    row = max(theirs.reset_index().to_dict("records"), key=lambda row: row["inflation_performance"])
    family, covariate = row["family"], row["covariate"]
    printed = {(each["family"], each["covariate"]): each["published"] for each in table.to_dict("records")}
    held = [
        theirs.loc[key, "score_low"] - _LAST_DIGIT <= value <= theirs.loc[key, "score_high"] + _LAST_DIGIT
        for key, value in printed.items()
    ]
    sizes = sorted({int(n) for n in theirs["n"]})
    return (
        "A partial correlation divides by what the covariate leaves of either side. Among the "
        f"{whole(row['n'])} {family} pairs {covariate_words(covariate)} correlates at "
        f"{fixed(row['r_sync'])} with SyncR² and at {fixed(row['r_performance'])} with performance, so that "
        f"{percent(1 - row['r_performance'] ** 2)} of the variance of performance is left to correlate "
        f"(variance inflation {fixed(row['inflation_performance'], 0)}). Reading the plot differently by up "
        f"to {published.reading_error:g} moves the result within "
        f"{span(row['reading_low'], row['reading_high'], 2)}; drawing each model's score anew with a "
        f"standard error of {published.score_error:g}, which is that of a benchmark of some 500 prompts, "
        f"moves it within {span(row['score_low'], row['score_high'], 2)}. "
        f"{fixed(printed[family, covariate], 2)} is printed. Of all {len(held)} printed values {sum(held)} "
        "lie where such errors of the scores lead. This does not say what made the difference, but that "
        f"with n = {listed(str(n) for n in sizes)} a partial correlation given a covariate that runs along "
        "with both sides is not known to the first digit, whoever computes it."
    )


def _collinearity(table: pd.DataFrame) -> Table:
    rows = [
        (
            "published" if row["pairs"] == "published" else "this run",
            covariate_words(row["covariate"]),
            family_words(row["family"]),
            f"{whole(row['n'])} ({whole(row['df'])})",
            with_span(row["partial_r"], row["low"], row["high"], 2),
            fixed(row["r_sync"]),
            fixed(row["r_performance"]),
            _inflation(row["inflation_sync"]),
            _inflation(row["inflation_performance"]),
            span(row["reading_low"], row["reading_high"], 2),
            span(row["score_low"], row["score_high"], 2),
        )
        for row in table.to_dict("records")
    ]
    columns = (
        Column("pairs of"),
        Column("covariate"),
        Column("family"),
        Column("pairs", "number", "(degrees of freedom)"),
        Column("partial r", "number", "95 % interval by Fisher's z"),
        Column("r", "number", "covariate and SyncR²"),
        Column("r", "number", "covariate and performance"),
        Column("inflation", "number", "SyncR²"),
        Column("inflation", "number", "performance"),
        Column("partial r", "number", "values read again"),
        Column("partial r", "number", "scores drawn again"),
    )
    return Table(columns, tuple(rows))


def _inflation(value: float) -> str:
    return fixed(value, 1) if is_number(value) else "∞" if value == float("inf") else "–"


def _note(published: Published) -> str:
    return (
        "Inflation is 1 / (1 − r²): 1 where a covariate has nothing to do with a side, large where it "
        "leaves next to nothing of it. The last two columns hold 95 % of 2,000 draws: values of both sides "
        f"off by up to {published.reading_error:g}; scores of models off by a normal error of "
        f"{published.score_error:g}. Fisher's interval takes pairs for independent. No tests: nothing was "
        "corrected."
    )
