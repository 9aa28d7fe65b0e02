"""Questions about pairs, which share their models, and what the tables of statistics say to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from syncr2.judges.performance import ALL_JUDGES
from syncr2.pages.correlations import ALL_FAMILIES, correlation_table, partial_table
from syncr2.pages.layout import UNDEFINED, Column, Table, fixed, is_number, p_value, percent, whole
from syncr2.pages.sections import (
    ALPHA,
    Section,
    Shown,
    corrected_words,
    counted_below,
    family_words,
    listed,
    p_words,
    span,
    with_span,
)
from syncr2.protocols.control_words import MEASURES

Row = Mapping[Any, Any]
_SCALES = {
    "social_performance": "mean of the seven",
    "social_performance_standardised": "dimensions z-scored",
}


def _rows(table: pd.DataFrame) -> list[Row]:
    return list(table.to_dict("records"))


def _all(table: pd.DataFrame) -> Row:
    return next(row for row in _rows(table) if row["family"] == ALL_FAMILIES)


def _families(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["family"] != ALL_FAMILIES]


def together(correlations: pd.DataFrame, ranks: pd.DataFrame) -> Section:
    """Does SyncR² go with social performance?"""
    row, families = _all(correlations), _families(correlations)
    n = whole(row["n"])
    if is_number(row["r"]):
        first = f"Over all {n} pairs r = {with_span(row['r'], row['models_low'], row['models_high'])}"
        first += ", the interval from drawing models anew. " if is_number(row["models_low"]) else ". "
        first += f"Taken for independent, the pairs give {p_words(row['p'])}. "
    else:
        first = f"Over all {n} pairs r is not defined: there are fewer than 3, or one side is constant. "
    if is_number(row["qap_p"]):
        ways = (
            f"all {whole(row['relabellings'])}" if row["relabelled"] == "all" else whole(row["relabellings"])
        )
        first += (
            f"They share {whole(row['n_models'])} models; exchanging these in {ways} ways on one side gives "
        )
        first += f"{p_words(row['qap_p'])}, " + (
            "so two traits that happen to agree do not explain it."
            if row["qap_p"] < ALPHA
            else "so it cannot be told from two unrelated traits of the models that happen to agree."
        )
    within = [f"{each['family']} {fixed(each['r'])} (n = {whole(each['n'])})" for each in _rows(families)]
    second = (
        f"By family r is {listed(within)}. After correction {counted_below(families['p_holm'])} of these is "
        f"below {ALPHA} with pairs taken for independent, and {counted_below(families['qap_p_holm'])} with "
        f"models permuted. With ranks in place of values r over all pairs is {fixed(_all(ranks)['r'])} "
        f"({_permuted(_all(ranks))})."
    )
    note = corrected_words(correlations)
    return Section(
        "Does SyncR² go with social performance?",
        (first.strip(), second),
        (
            Shown(_with_holm(correlation_table(correlations), correlations), note, "Pearson"),
            Shown(_with_holm(correlation_table(ranks, "Spearman r"), ranks), note, "Spearman, of ranks"),
        ),
        "Three models have 6 relabellings, so no p of theirs is below 1/6: within such a family no "
        "correlation, however strong, can be told from chance by exchanging models.",
    )


def _permuted(row: Row) -> str:
    return f"{p_words(row['qap_p'])} with models permuted" if is_number(row["qap_p"]) else "no p"


def _with_holm(shown: Table, table: pd.DataFrame) -> Table:
    """The table with the naive p's correction and the interval over pairs beside what it has."""
    at = next(i for i, column in enumerate(shown.columns) if column.title == "p") + 1
    columns = (Column("p", "number", "the same, Holm"), Column("95 % interval of r", "number", "over pairs"))
    rows = [
        (*cells[:at], p_value(row["p_holm"]), span(row["pairs_low"], row["pairs_high"]), *cells[at:])
        for cells, row in zip(shown.rows, _rows(table), strict=True)
    ]
    return Table((*shown.columns[:at], *columns, *shown.columns[at:]), tuple(rows), shown.strong)


def one_model(leave_one_out: pd.DataFrame) -> Section:
    """Does one model make it?"""
    everyone = leave_one_out[leave_one_out["family"] == ALL_FAMILIES]
    known = everyone[everyone["r"].notna()]
    if len(known):
        low, high = (known.sort_values("r").to_dict("records")[at] for at in (0, -1))
        text = (
            f"Without one model's pairs r over all others lies between {fixed(low['r'])} (without "
            f"{low['without']}) and {fixed(high['r'])} (without {high['without']}). "
        )
        signs = {bool(r > 0) for r in known["r"]}
        text += (
            "No single model changes its sign." if len(signs) == 1 else "So one model decides on its sign."
        )
    else:
        text = "Without one model too few pairs are left for a correlation over all of them."
    families = list(dict.fromkeys(leave_one_out["family"]))
    cells = {(row["family"], row["without"]): row for row in _rows(leave_one_out)}
    rows = []
    for model in dict.fromkeys(leave_one_out["without"]):
        of_model = [cells.get((family, model)) for family in families]
        texts = ["" if row is None else f"{fixed(row['r'])} ({whole(row['n'])})" for row in of_model]
        rows.append((str(model), *texts))
    columns = [Column(family_words(str(family)), "number", "r (pairs)") for family in families]
    return Section(
        "Does one model make it?",
        (text,),
        (Shown(Table((Column("without"), *columns), tuple(rows)), "No test, so nothing was corrected."),),
    )


def beyond_models(mixed: pd.DataFrame) -> Section:
    """Is there more to a pair than its two models?"""
    row = _all(mixed[mixed["covariate"].fillna("") == ""])
    text = (
        "A mixed model gives every model an effect on all of its pairs, and asks whether a pair that is "
        "more in synchrony than its models' other pairs does better than those do. "
    )
    if is_number(row["slope"]):
        text += (
            f"Over all pairs the slope is {with_span(row['slope'], row['low'], row['high'])} standard "
            f"deviations of performance a standard deviation of SyncR², {p_words(row['p'])} at "
            f"{whole(row['df'])} degrees of freedom; {percent(row['model_share'])} of what the slope leaves "
            "of the variance is the models'."
        )
    else:
        text += f"Over all pairs there is no answer: {row['status']}."
    rows = [
        (
            family_words(row["family"]),
            _covariate(row["covariate"]),
            whole(row["n"]),
            whole(row["n_models"]),
            with_span(row["slope"], row["low"], row["high"]),
            whole(row["df"]),
            p_value(row["p"]),
            p_value(row["p_holm"]),
            percent(row["model_share"]),
            str(row["status"]),
        )
        for row in _rows(mixed)
    ]
    numbers = ("pairs", "models")
    columns = (
        Column("family"),
        Column("held fixed"),
        *(Column(title, "number") for title in numbers),
        Column("slope", "number", "standardised, 95 % interval"),
        Column("degrees of freedom", "number"),
        Column("p", "number"),
        Column("p", "number", "Holm"),
        Column("variance that is the models'", "number"),
        Column("the fit"),
    )
    return Section(
        "Is there more to a pair than its two models?",
        (text,),
        (Shown(Table(columns, tuple(rows)), corrected_words(mixed)),),
    )


def _covariate(name: Any) -> str:
    return str(name).replace("+", " and ") if isinstance(name, str) and name else "nothing"


def given_covariates(partial: pd.DataFrame) -> Section:
    """Is it a third property of the models?"""
    question = "Is it a third property of the models?"
    table = partial_table(partial)
    if table is None:
        return Section(question, ("No covariates are configured (`statistics.covariates`).",))
    said = []
    for row in _rows(partial[partial["family"] == ALL_FAMILIES]):
        r = with_span(row["r"], row["models_low"], row["models_high"])
        value = f"{r}, {_permuted(row)}" if is_number(row["r"]) else "not defined"
        said.append(f"{_covariate(row['covariate'])} {value}")
    text = f"Over all pairs, the partial correlation is, given {'; given '.join(said)}."
    return Section(
        question,
        (text,),
        (Shown(_with_holm(table, partial), corrected_words(partial)),),
        "Within a family of few models a covariate may run along with SyncR² and performance so closely "
        "that nothing is left to correlate; the page “Against the paper” shows by how much.",
    )


def other_ways(robustness: pd.DataFrame) -> Section:
    """Does it hang on the measure, or on the judge?"""
    if robustness["judge"].nunique() == 2:  # one judge, and the mean of it, which is the same
        robustness = robustness[robustness["judge"] != ALL_JUDGES]
    everyone = robustness[robustness["family"] == ALL_FAMILIES]
    known = everyone[everyone["r"].notna()]
    ways = f"{len(everyone)} combinations of a measure of synchrony, a judge and a scale of performance"
    if len(known):
        text = (
            f"Over all pairs r runs from {fixed(known['r'].min())} to {fixed(known['r'].max())} among "
            f"{ways}; it is above 0 in {(known['r'] > 0).sum()} of {len(known)}. With models permuted p is "
            f"below {ALPHA} in {counted_below(everyone['qap_p'])}."
        )
    else:
        text = f"Over all pairs r is defined in none of {ways}."
    keys = ["sync", "judge", "performance"]
    families = list(dict.fromkeys(robustness["family"]))
    cells = {(row["family"], *(row[key] for key in keys)): row for row in _rows(robustness)}
    rows = []
    for way in dict.fromkeys(tuple(row[key] for key in keys) for row in _rows(robustness)):
        measure, judge, scale = way
        found = {family: cells.get((family, *way), {}) for family in families}
        last = found.get(ALL_FAMILIES, {})
        rows.append(
            (
                MEASURES.get(measure, measure),
                str(judge),
                _SCALES.get(scale, scale),
                *(fixed(found[family].get("r", float("nan"))) for family in families),
                fixed(last.get("spearman", float("nan"))),
                p_value(last.get("p", float("nan"))),
                p_value(last.get("qap_p", float("nan"))),
            )
        )
    columns = (
        Column("synchrony"),
        Column("judge"),
        Column("performance"),
        *(Column("r", "number", family_words(str(family))) for family in families),
        Column("Spearman r", "number", "all pairs"),
        Column("p", "number", "all pairs, taken for independent"),
        Column("p", "number", "all pairs, models permuted"),
    )
    return Section(
        "Does it hang on the measure, or on the judge?",
        (text,),
        (
            Shown(
                Table(columns, tuple(rows)),
                "The p values shown are of all pairs, one test in each row: other ways to test the same "
                "are not corrected together. Those of families, corrected over families, are in "
                "`robustness.tsv`.",
            ),
        ),
    )


def undefined_note() -> str:
    """What an en dash means."""
    return f"{UNDEFINED} : not defined, because there are too few pairs or models, or a side is constant."
