"""The page "Against the paper": every published number beside this run's, and a verdict by a stated rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from syncr2.pages.layout import Column, Download, Head, Table, counted, fixed, is_number, need_columns, whole
from syncr2.pages.partial import partial_section
from syncr2.pages.sections import Section, Shown, family_words, listed, sections_page, with_span
from syncr2.published import Published
from syncr2.statistics.paper import (
    CLAIM,
    COLUMNS,
    CORRELATION,
    NOT_COMPARABLE,
    PERFORMANCE,
    SYNC,
    VERDICTS,
)

TITLE = "Against the paper"
Row = Mapping[Any, Any]
_RULE = (
    ("not comparable", "the models are not the published ones, or no judge judged what rests on one"),
    ("not tested", "this run has no such value"),
    (
        "inside the interval",
        "the published number, give or take its last digit, is in this run's 95 % interval",
    ),
    ("same sign", "it is not, or there is no interval; both are above 0, or both below"),
    ("other sign", "one is above 0, the other below"),
    ("outside the interval", "of what is said not to be above 0: this run's interval lies above 0"),
)
_COLLINEARITY = [
    *("pairs", "family", "covariate", "n", "df", "partial_r", "low", "high", "r_sync", "r_performance"),
    *("inflation_sync", "inflation_performance", "reading_low", "reading_high", "score_low", "score_high"),
]


@dataclass(frozen=True)
class PaperTables:
    """paper_comparison.tsv and paper_collinearity.tsv.

    Raises
    ------
    SyncR2Error
        If a table lacks a column.
    """

    comparison: pd.DataFrame
    collinearity: pd.DataFrame

    def __post_init__(self) -> None:
        need_columns(self.comparison.columns, COLUMNS, "paper_comparison")
        need_columns(self.collinearity.columns, _COLLINEARITY, "paper_collinearity")

    def of(self, quantity: str) -> pd.DataFrame:
        """Rows of one quantity."""
        return self.comparison[self.comparison["quantity"] == quantity]


def paper_page(
    head: Head,
    tables: PaperTables,
    published: Published,
    published_as: Mapping[str, str],
    departures: Sequence[tuple[str, str, str]],
    downloads: Sequence[Download] = (),
) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    tables : PaperTables
    published : Published
    published_as : mapping
        Published name of those of the run's models that are published ones.
    departures : sequence of (what, here, published)
        Where the run's setting is another; see `syncr2.pages.departures`.
    downloads : sequence of Download
    """
    lead = (
        f"What was published, and what this run has. {published.source}. The study prints correlations and "
        "claims; values of single pairs were read off its scatter plot, to about ±0.005 on either axis.",
    )
    sections = [
        same_experiment(tables, published_as, departures),
        correlations(tables.of(CORRELATION)),
        partial_section(tables.comparison, tables.collinearity, published),
        pairs(tables.of(SYNC), tables.of(PERFORMANCE)),
        claims(tables.of(CLAIM), published),
        Section("The rule", (), (Shown(Table((Column("verdict"), Column("when", "prose")), _RULE)),)),
    ]
    return sections_page(head, TITLE, lead, sections, downloads)


def same_experiment(
    tables: PaperTables, published_as: Mapping[str, str], departures: Sequence[tuple[str, str, str]]
) -> Section:
    """Is this the published experiment?"""
    table = tables.comparison
    printed = table[table["published"].notna() | (table["quantity"] == CLAIM)]
    verdicts = printed["verdict"].value_counts()
    counts = listed(f"{whole(verdicts[name])} {name}" for name in VERDICTS if name in verdicts)
    if not published_as:
        first = (
            "No. None of this run's models is a published one, so nothing here can be compared, and "
            "nothing on this page confirms or contradicts the study. Families of pairs that are called "
            "alike are of other models; their numbers stand side by side only to show what the page would "
            "say."
        )
    else:
        names = listed(f"{ours} for {theirs}" for ours, theirs in published_as.items())
        models = listed(published_as)
        taken = f" ({names})" if any(a != b for a, b in published_as.items()) else ""
        verb = "is a published model" if len(published_as) == 1 else "are published models"
        first = f"{models} {verb}{taken}, by the address that they are loaded from. "
        first += "Numbers are compared where all models behind them are published ones."
    second = f"Of {whole(len(printed))} published numbers and claims: {counts}."
    shown = []
    if departures:
        columns = (Column("setting", "code"), Column("here"), Column("published"))
        shown.append(Shown(Table(columns, tuple(departures)), title="Where this run is set up otherwise"))
    return Section("Is this the published experiment?", (first, second), tuple(shown))


def _verdict(row: Row) -> tuple[str, str]:
    return str(row["verdict"]), "" if not isinstance(row["why"], str) else row["why"]


def correlations(table: pd.DataFrame) -> Section:
    """Does SyncR² go with social performance, as published?"""
    rows = [
        (
            family_words(row["family"]),
            fixed(row["published"], 2),
            fixed(row["from_published_pairs"]),
            with_span(row["this_run"], row["low"], row["high"]),
            _over(row),
            whole(row["n"]),
            *_verdict(row),
        )
        for row in table.to_dict("records")
    ]
    columns = (
        Column("family"),
        Column("r", "number", "published"),
        Column("r", "number", "this code, from the published pairs"),
        Column("r", "number", "this run, 95 % interval"),
        Column("interval over"),
        Column("pairs", "number"),
        Column("verdict"),
        Column("why"),
    )
    printed = table[table["published"].notna()].to_dict("records")
    again = listed(
        f"{fixed(row['from_published_pairs'])} for {fixed(row['published'], 2)} ({row['family']})"
        for row in printed
    )
    known = [row for row in printed if row["verdict"] != NOT_COMPARABLE and is_number(row["this_run"])]
    text = f"From the values read off the plot this code makes r = {again}: a check of the code. "
    text += (
        "This run has " + listed(f"{fixed(row['this_run'])} ({row['family']})" for row in known) + "."
        if known
        else "This run has no correlation that could be set against them."
    )
    note = (
        "Published p values take pairs for independent; the page “Statistics over pairs” has this run's, "
        "with Holm's correction. Verdicts are no tests, and were not corrected."
    )
    return Section(
        "Does SyncR² go with social performance?", (text,), (Shown(Table(columns, tuple(rows)), note),)
    )


def _over(row: Row) -> str:
    return row["interval_over"] if isinstance(row["interval_over"], str) else ""


def pairs(sync: pd.DataFrame, performance: pd.DataFrame) -> Section:
    """Are the single pairs where they were?"""
    social = {(row["model_1"], row["model_2"]): row for row in performance.to_dict("records")}
    rows = []
    for row in sync.to_dict("records"):
        other = social[row["model_1"], row["model_2"]]
        cells = [
            (
                fixed(each["published"]),
                with_span(each["this_run"], each["low"], each["high"]),
                each["verdict"],
            )
            for each in (row, other)
        ]
        rows.append((f"{row['model_1']} – {row['model_2']}", row["family"], *cells[0], *cells[1]))
    columns = [Column("pair", note="published names"), Column("family")]
    for what in ("SyncR²", "social performance"):
        columns += [
            Column(what, "number", "published, read off the plot"),
            Column(what, "number", "this run, 95 % interval"),
            Column("verdict", note=what),
        ]
    text = " ".join(
        _agreement(words, table) for words, table in (("SyncR²", sync), ("social performance", performance))
    )
    note = (
        "SyncR² is that of the published protocol, which has no interval of its own: it is given the width "
        "of the corrected protocol's, over environments. Neither quantity is often below 0, so “same sign” "
        "says little here; look at the distance. Verdicts were not corrected for their number."
    )
    return Section(
        "Are the single pairs where they were?",
        (text,),
        (
            Shown(
                Table(tuple(columns), tuple(rows)),
                note,
                "All pairs",
                hidden=not (sync["this_run"].notna().any()),
            ),
        ),
    )


def _agreement(words: str, table: pd.DataFrame) -> str:
    """How far published and new values of single pairs agree."""
    known = table[(table["verdict"] != NOT_COMPARABLE) & table["this_run"].notna()]
    if known.empty:
        return f"No pair has a {words} that could be compared."
    difference = (known["this_run"] - known["published"]).to_numpy(dtype=np.float64)
    text = (
        f"{words[0].upper()}{words[1:]} of {counted(len(known), 'pair')} is "
        f"{fixed(difference.mean(), 3, signed=True)} off the published one on average (root mean square "
        f"{fixed(float(np.sqrt((difference**2).mean())))})"
    )
    if len(known) > 2:
        r = float(np.corrcoef(known["this_run"], known["published"])[0, 1])
        text += f", and correlates with it at {fixed(r)}"
    return f"{text}."


def claims(table: pd.DataFrame, published: Published) -> Section:
    """What else was found?"""
    said = {claim.name: claim for claim in published.claims}
    rows = [
        (
            said[row["claim"]].claim,
            said[row["claim"]].quantity,
            "above 0" if said[row["claim"]].sign else "not above 0",
            with_span(row["this_run"], row["low"], row["high"], signed=True),
            *_verdict(row),
        )
        for row in table.to_dict("records")
        if row["claim"] in said
    ]
    columns = (
        Column("the study finds", "prose"),
        Column("measured here as", note="mean over pairs"),
        Column("expected"),
        Column("this run", "number", "95 % interval, over environments"),
        Column("verdict"),
        Column("why"),
    )
    text = (
        "Controls, relationship, depth, nonlinear maps and probes were published as figures and sentences. "
        "Each is set against a quantity of this run by the corrected protocol, where that was made; "
        "without it differences are those of the published protocol and have no interval."
    )
    note = "A sign that agrees is weak evidence where the interval holds 0. Nothing was corrected."
    return Section("What else was found?", (text,), (Shown(Table(columns, tuple(rows)), note),))
