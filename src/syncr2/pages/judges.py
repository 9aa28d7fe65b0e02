"""The page "Judges and outcomes": what could be judged, how far judges agree, and what dialogues came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from syncr2.judges.dimensions import DIMENSIONS
from syncr2.judges.performance import ALL_JUDGES
from syncr2.judges.reliability import OVERALL
from syncr2.pages.correlations import ALL_FAMILIES
from syncr2.pages.layout import (
    Column,
    Download,
    Head,
    Table,
    fixed,
    is_number,
    need_columns,
    p_value,
    percent,
    whole,
)
from syncr2.pages.outcomes import outcomes
from syncr2.pages.sections import Section, Shown, family_words, listed, sections_page

TITLE = "Judges and outcomes"
Row = Mapping[Any, Any]
_UNJUDGED = ("failed", "refused", "truncated")
_NEEDED = {
    "performance": [
        *("judge", "model_1", "model_2", "family", "n_dialogues", "n_judged", "failure_rate"),
        *("order_effect", "order_change", *(f"n_{status}" for status in _UNJUDGED)),
    ],
    "agreement": ["between", "judge", "unit", "dimension", "n_complete", "icc_single", "icc_mean", "alpha"],
    "robustness": ["family", "sync", "judge", "performance", "r", "p", "qap_p"],
    "outcomes": ["agent1", "agent2", "game", "outcome"],
    "outcome_pairs": ["model_1", "model_2", "game", "n_dialogues", "unreadable_rate"],
}
_UNITS = {"agent": "an agent in a dialogue", "pair": "a pair of models"}


@dataclass(frozen=True)
class JudgeTables:
    """The tables that the page shows, each as the workflow wrote it; docs/formats.md describes their columns.

    Attributes
    ----------
    performance, agreement, robustness, outcomes, outcome_pairs : DataFrame
        performance.tsv, judge_agreement.tsv, statistics/robustness.tsv, outcomes.tsv, outcome_pairs.tsv.

    Raises
    ------
    SyncR2Error
        If a table lacks a column.
    """

    performance: pd.DataFrame
    agreement: pd.DataFrame
    robustness: pd.DataFrame
    outcomes: pd.DataFrame
    outcome_pairs: pd.DataFrame

    def __post_init__(self) -> None:
        for name, needed in _NEEDED.items():
            need_columns(getattr(self, name).columns, needed, name)


def judges_page(
    head: Head, tables: JudgeTables, max_failure_rate: float, downloads: Sequence[Download] = ()
) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    tables : JudgeTables
    max_failure_rate : float
        Above it, statistics are refused.
    downloads : sequence of Download
    """
    lead = (
        "Social performance is what judges say of dialogues. This page asks how much of it could be had, "
        "whether it hangs on the order in which a judge meets the two agents, whether judges agree, and "
        "what dialogues came to where that can be counted without a judge.",
    )
    sections = [
        judged(tables.performance, max_failure_rate),
        orders(tables.performance, tables.agreement),
        between_judges(tables.agreement),
        by_judge(tables.robustness),
        outcomes(tables.outcomes, tables.outcome_pairs),
    ]
    return sections_page(head, TITLE, lead, sections, downloads)


def judged(performance: pd.DataFrame, max_failure_rate: float) -> Section:
    """How many dialogues could be judged?"""
    counts = performance[["n_dialogues", "n_judged", *(f"n_{status}" for status in _UNJUDGED)]].sum()
    lost = [f"{whole(counts[f'n_{status}'])} {status}" for status in _UNJUDGED]
    worst = max(performance.to_dict("records"), key=lambda row: row["failure_rate"])
    if worst["failure_rate"] > 0:
        text = (
            f"Of {whole(counts['n_dialogues'])} judgements {whole(counts['n_judged'])} have scores "
            f"({percent(counts['n_judged'] / counts['n_dialogues'])}); {listed(lost)}. The pair that lost "
            f"most is {worst['model_1']} – {worst['model_2']} (judge {worst['judge']}), "
            f"{percent(worst['failure_rate'])}. "
        )
    else:
        text = f"All {whole(counts['n_dialogues'])} judgements have scores. "
    text += (
        "A dialogue without scores counts in no mean and is never a zero; what a judge refuses or cuts off "
        f"is no random sample, so statistics are refused above {percent(max_failure_rate)} a pair and judge "
        "(`statistics.max_failure_rate`)."
    )
    by_judge = [_counted(str(judge), part) for judge, part in performance.groupby("judge", sort=False)]
    by_pair = [
        _counted(f"{row['model_1'].iloc[0]} – {row['model_2'].iloc[0]}", row, str(row["judge"].iloc[0]))
        for row in (performance.iloc[[i]] for i in range(len(performance)))
    ]
    numbers = (
        Column("dialogues", "number"),
        *(Column(status, "number") for status in ("judged", *_UNJUDGED)),
        Column("without scores", "number"),
    )
    worst_column = Column("without scores", "number", "worst pair")
    return Section(
        "How many dialogues could be judged?",
        (text,),
        (
            Shown(Table((Column("judge"), *numbers, worst_column), tuple(by_judge))),
            Shown(
                Table((Column("pair"), Column("judge"), *numbers), tuple(row[:-1] for row in by_pair)),
                title="By pair of models",
                hidden=True,
            ),
        ),
    )


def _counted(name: str, rows: pd.DataFrame, *more: str) -> tuple[str, ...]:
    n, n_judged = rows["n_dialogues"].sum(), rows["n_judged"].sum()
    lost = (whole(rows[f"n_{status}"].sum()) for status in _UNJUDGED)
    rate = percent(1 - n_judged / n)
    return (name, *more, whole(n), whole(n_judged), *lost, rate, percent(rows["failure_rate"].max()))


def orders(performance: pd.DataFrame, agreement: pd.DataFrame) -> Section:
    """Does the order of presenting the agents matter?"""
    between = agreement[(agreement["between"] == "orders") & (agreement["unit"] == "agent")]
    rows, said, asked_once = [], [], []
    for judge, part in performance.groupby("judge", sort=False):
        effect, change = part["order_effect"].mean(), part["order_change"].mean()
        if not is_number(effect):
            asked_once.append(str(judge))
            continue
        own = between[(between["judge"] == judge) & (between["dimension"] == OVERALL)].to_dict("records")
        icc = own[0]["icc_single"] if own else float("nan")
        said.append(f"{fixed(effect, 3, signed=True)} points with {judge}")
        span = f"{fixed(part['order_effect'].min())} to {fixed(part['order_effect'].max())}"
        rows.append((str(judge), fixed(effect, 3, signed=True), span, fixed(change), fixed(icc)))
    text = "Judges meet the agents in both orders, and a dialogue's scores are the mean of the two. "
    if said:
        text += f"Presented first and not second, an agent's overall score differs by {listed(said)}. "
    if asked_once:
        text += f"Asked in one order only: {listed(asked_once)}; of these nothing can be said. "
    columns = (
        Column("judge"),
        Column("presented first − second", "number", "overall score, mean over pairs"),
        Column("lowest to highest pair", "number"),
        Column("change", "number", "mean absolute difference of an agent's score"),
        Column("ICC(2,1)", "number", "of an agent's overall score in both orders"),
    )
    shown = [Shown(Table(columns, tuple(rows)), "Means, no tests: nothing was corrected.")] if rows else []
    if len(between):
        shown.append(Shown(_agreement(between), title="Agreement of both orders, by dimension", hidden=True))
    return Section("Does the order of presenting the agents matter?", (text.strip(),), tuple(shown))


def between_judges(agreement: pd.DataFrame) -> Section:
    """How far do judges agree?"""
    question = "How far do judges agree?"
    table = agreement[agreement["between"] == "judges"]
    if table.empty:
        text = "There is one judge, so this cannot be said; a second one is an entry of `judges`."
        return Section(question, (text,))
    said = []
    for unit, words in _UNITS.items():
        own = table[(table["unit"] == unit) & (table["dimension"] == OVERALL)].to_dict("records")
        if own:
            row = own[0]
            said.append(
                f"for {words}, the overall score of one judge has ICC(2,1) = {fixed(row['icc_single'], 2)} "
                f"and Krippendorff's alpha = {fixed(row['alpha'], 2)}, the mean of the "
                f"{whole(row['n_raters'])} ICC(2,k) = {fixed(row['icc_mean'], 2)}"
            )
    agents = table[(table["unit"] == "agent") & (table["dimension"] != OVERALL)].dropna(subset=["alpha"])
    text = "; ".join(said)
    text = f"{text[0].upper()}{text[1:]}. " if said else ""
    if len(agents):
        low, high = (agents.sort_values("alpha").to_dict("records")[at] for at in (0, -1))
        text += (
            f"Of the seven dimensions they agree least on {_dimension(low['dimension'])} (alpha "
            f"{fixed(low['alpha'], 2)}) and most on {_dimension(high['dimension'])} "
            f"({fixed(high['alpha'], 2)})."
        )
    note = (
        "A difference between judges' means counts as disagreement. ICC over units that all rated, alpha "
        "over those that at least two did. No tests: nothing was corrected."
    )
    return Section(question, (text.strip(),), (Shown(_agreement(table), note),))


def _dimension(name: object) -> str:
    return str(name).replace("_", " ")


def _agreement(table: pd.DataFrame) -> Table:
    """By dimension, a row a judge (or all) and unit."""
    order = [*(dimension.name for dimension in DIMENSIONS), OVERALL]
    rows = [
        (
            *([str(row["judge"])] if (table["between"] == "orders").all() else []),
            _dimension(row["dimension"]),
            _UNITS.get(row["unit"], str(row["unit"])),
            whole(row["n_complete"]),
            *(fixed(row[name]) for name in ("icc_single", "icc_mean", "alpha")),
        )
        for row in sorted(table.to_dict("records"), key=lambda row: order.index(row["dimension"]))
    ]
    columns = (
        *([Column("judge")] if (table["between"] == "orders").all() else []),
        Column("dimension"),
        Column("what is rated"),
        Column("rated by all", "number"),
        Column("ICC(2,1)", "number", "of one"),
        Column("ICC(2,k)", "number", "of the mean"),
        Column("Krippendorff's alpha", "number", "interval scale"),
    )
    return Table(columns, tuple(rows))


def by_judge(robustness: pd.DataFrame) -> Section:
    """Does the main correlation depend on the judge?"""
    question = "Does the correlation with SyncR² depend on the judge?"
    table = robustness[robustness["sync"] == "published"]
    judges = [name for name in dict.fromkeys(table["judge"]) if name != ALL_JUDGES]
    everyone = table[(table["family"] == ALL_FAMILIES) & (table["performance"] == "social_performance")]
    r = {row["judge"]: row["r"] for row in everyone.to_dict("records")}
    if len(judges) > 1:
        each = listed(f"{fixed(r[name])} by {name}" for name in judges)
        text = f"Over all pairs r is {each}, and {fixed(r[ALL_JUDGES])} with the mean of them."
    else:
        text = f"There is one judge: over all pairs r is {fixed(r[judges[0]])}."
    families = list(dict.fromkeys(table["family"]))
    cells = {(row["judge"], row["performance"], row["family"]): row for row in table.to_dict("records")}
    rows = []
    for judge, scale in dict.fromkeys(zip(table["judge"], table["performance"], strict=True)):
        if judge == ALL_JUDGES and len(judges) == 1:
            continue  # the same numbers once more
        own = {family: cells[judge, scale, family] for family in families}
        rows.append(
            (
                str(judge),
                "z-scored" if scale.endswith("standardised") else "as they are",
                *(fixed(row["r"]) for row in own.values()),
                p_value(own[ALL_FAMILIES]["qap_p"]),
            )
        )
    columns = (
        Column("judge"),
        Column("dimensions"),
        *(Column("r", "number", family_words(str(family))) for family in families),
        Column("p", "number", "all pairs, models permuted"),
    )
    note = "Each judge's p is one test of all pairs: other ways to test the same are not corrected together."
    return Section(question, (text,), (Shown(Table(columns, tuple(rows)), note),))
