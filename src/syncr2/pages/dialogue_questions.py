"""Questions about dialogues, relationships, layers and reliability, and what the tables say to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from syncr2.pages.correlations import ALL_FAMILIES
from syncr2.pages.layout import Column, Table, fixed, is_number, p_value, percent, whole
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

Row = Mapping[Any, Any]
_OVER_ENVIRONMENTS = "95 % interval, over environments"
_LENGTHS = {"n_turns": "turns", "n_new_tokens": "new tokens"}


def _rows(table: pd.DataFrame) -> list[Row]:
    return list(table.to_dict("records"))


def _all(table: pd.DataFrame) -> Row:
    return next(row for row in _rows(table) if row["family"] == ALL_FAMILIES)


def within_pairs(table: pd.DataFrame) -> Section:
    """Does a dialogue with higher synchrony go better?"""
    row = _all(table)
    size = (
        f"{whole(row['n_dialogues'])} dialogues of {whole(row['n_pairs'])} ordered pairs and "
        f"{whole(row['n_environments'])} environments"
    )
    lengths = str(row["held"]).split(", ") if isinstance(row["held"], str) and row["held"] else []
    held = f"; {listed(_LENGTHS[name] for name in lengths)} held fixed" if lengths else ""
    text = f"Each dialogue counts less the mean of its pair, so that pairs may differ as they like{held}. "
    if is_number(row["slope"]):
        says = "goes with" if row["p"] < ALPHA else "does not tell"
        what = (
            ("higher" if row["slope"] > 0 else "lower") + " performance"
            if row["p"] < ALPHA
            else "how a dialogue was judged"
        )
        text += (
            f"Over {size} the slope is {with_span(row['slope'], row['low'], row['high'])} standard "
            f"deviations of performance a standard deviation of synchrony, {p_words(row['p'])}: within "
            f"pairs, higher synchrony {says} {what}."
        )
    else:
        text += f"Over {size} there is no answer: {row['status']}."
    rows = [
        (
            family_words(row["family"]),
            *(whole(row[name]) for name in ("n_dialogues", "n_pairs", "n_environments")),
            with_span(row["slope"], row["low"], row["high"]),
            p_value(row["p"]),
            p_value(row["p_holm"]),
            *(percent(row[f"share_{name}"]) for name in ("pair", "environment", "episode")),
            str(row["status"]),
        )
        for row in _rows(table)
    ]
    columns = (
        Column("family"),
        *(Column(title, "number") for title in ("dialogues", "ordered pairs", "environments")),
        Column("slope", "number", "standardised within pairs, 95 % interval"),
        Column("p", "number"),
        Column("p", "number", "Holm"),
        *(Column(title, "number", "share of variance") for title in ("pair", "environment", "episode")),
        Column("the fit"),
    )
    return Section(
        "Within a pair, does a dialogue with higher synchrony go better?",
        (text,),
        (Shown(Table(columns, tuple(rows)), corrected_words(table)),),
    )


def relationship(means: pd.DataFrame, trend: pd.DataFrame) -> Section:
    """Does synchrony rise with intimacy?"""
    row = _all(trend)
    pairs = trend[trend["level"] == "pair"]
    everyone = means[means["family"] == ALL_FAMILIES]
    if is_number(row["slope"]):
        text = (
            f"Over {whole(row['n_environments'])} environments SyncR² of their dialogues changes by "
            f"{with_span(row['slope'], row['low'], row['high'], signed=True)} a step from stranger towards "
            f"family, {p_words(row['p'])} when the relationships are given to environments at random; the "
            f"rank correlation is {fixed(row['spearman'])}. After correction "
            f"{counted_below(pairs['p_holm'])} pairs of models show a trend of their own. "
        )
    else:
        text = (
            f"{whole(row['n_environments'])} environments are too few for a trend, or have one relationship. "
        )
    few = everyone[everyone["low"].isna()]
    if len(few):
        names = listed(str(name).replace("_", " ") for name in few["relationship"])
        text += f"Too few environments for an interval of the mean: {names}."
    families = list(dict.fromkeys(means["family"]))
    cells = {(row["relationship"], row["family"]): row for row in _rows(means)}
    rows = []
    for name in dict.fromkeys(everyone["relationship"]):
        own = [cells.get((name, family)) for family in families]
        texts = [
            "" if each is None else with_span(each["sync_r2"], each["low"], each["high"]) for each in own
        ]
        rows.append((str(name).replace("_", " "), whole(cells[name, ALL_FAMILIES]["n_environments"]), *texts))
    columns = (
        Column("relationship"),
        Column("environments", "number"),
        *(Column(family_words(str(family)), "number", "mean R², 95 % interval") for family in families),
    )
    return Section(
        "Does synchrony rise with intimacy?",
        (text.strip(),),
        (
            Shown(Table(columns, tuple(rows)), "Means of environments; nothing was corrected."),
            Shown(_trends(trend[trend["level"] != "pair"]), _trend_note(), "Trend"),
            Shown(_trends(pairs), "", "Trend by pair of models", hidden=True),
        ),
    )


def _trend_note() -> str:
    return (
        "Corrected by Holm's method over families, and over pairs of models among these; all pairs by "
        "themselves. p is from relationships given to environments at random."
    )


def _trends(table: pd.DataFrame) -> Table:
    rows = [
        (
            f"{row['model_1']} – {row['model_2']}" if row["level"] == "pair" else family_words(row["family"]),
            whole(row["n_environments"]),
            with_span(row["slope"], row["low"], row["high"], signed=True),
            p_value(row["p"]),
            p_value(row["p_holm"]),
            fixed(row["spearman"]),
        )
        for row in _rows(table)
    ]
    columns = (
        Column("pairs"),
        Column("environments", "number"),
        Column("slope", "number", f"R² a step, {_OVER_ENVIRONMENTS}"),
        Column("p", "number"),
        Column("p", "number", "Holm"),
        Column("Spearman r", "number"),
    )
    return Table(columns, tuple(rows))


def depth(peak: pd.DataFrame) -> Section:
    """In which layers is synchrony strongest?"""
    row = _all(peak)
    difference = with_span(
        row["middle_less_outer"], row["difference_low"], row["difference_high"], signed=True
    )
    text = (
        f"Over all pairs R² is largest at relative depth {fixed(row['depth'], 2)} of the source layer (0 "
        f"the first block, 1 the last), where it is {fixed(row['r2'])}"
    )
    if is_number(row["low"]):
        text += f"; 95 % of bootstrap draws have theirs at {span(row['low'], row['high'], 2)}"
    text += f". The middle third of the depth less the outer thirds is {difference}"
    low, high = row["difference_low"], row["difference_high"]
    if is_number(low):
        text += (
            ": intermediate layers are stronger."
            if low > 0
            else ": intermediate layers are weaker."
            if high < 0
            else ", so intermediate layers stand out in neither direction."
        )
    else:
        text += "."
    return Section(
        "In which layers is synchrony strongest?",
        (text,),
        (
            Shown(
                _peaks(peak[peak["level"] != "pair"]),
                "The maximum is taken in the data and in every draw. Estimates with intervals, no tests: "
                "nothing was corrected.",
            ),
            Shown(_peaks(peak[peak["level"] == "pair"]), "", "By pair of models", hidden=True),
        ),
    )


def _peaks(table: pd.DataFrame) -> Table:
    rows = [
        (
            f"{row['model_1']} – {row['model_2']}" if row["level"] == "pair" else family_words(row["family"]),
            with_span(row["depth"], row["low"], row["high"], 2),
            fixed(row["r2"]),
            with_span(row["middle_less_outer"], row["difference_low"], row["difference_high"], signed=True),
        )
        for row in _rows(table)
    ]
    columns = (
        Column("pairs"),
        Column("depth of the maximum", "number", "0 first block, 1 last; 95 % of draws"),
        Column("R² there", "number"),
        Column("middle third less outer thirds", "number", _OVER_ENVIRONMENTS),
    )
    return Table(columns, tuple(rows))


def attenuation(table: pd.DataFrame) -> Section:
    """How much of the correlation do errors of measurement hide?"""
    row = _all(table)
    text = (
        "Which environments were played is chance, and makes part of what pairs differ in. Reliability is "
        "1 less that part. "
    )
    if is_number(row["reliability_sync"]):
        text += (
            f"Over all pairs it is {fixed(row['reliability_sync'], 2)} for the corrected SyncR² and "
            f"{fixed(row['reliability_performance'], 2)} for social performance. "
        )
    if is_number(row["r_corrected"]):
        text += (
            f"r of {fixed(row['r'])} becomes {fixed(row['r_corrected'])} when it is corrected for both, and "
            f"{fixed(row['r_shared_removed'])} when errors that the two sides share are taken out as well."
        )
    else:
        text += f"There is no corrected r: {row['status']}."
    names = ("reliability_sync", "reliability_performance", "r_corrected", "r_shared_removed")
    rows = [
        (
            family_words(row["family"]),
            whole(row["n"]),
            fixed(row["r"]),
            *(fixed(row[name]) for name in names),
            str(row["status"]),
        )
        for row in _rows(table)
    ]
    columns = (
        Column("family"),
        Column("pairs", "number"),
        Column("r", "number", "corrected protocol, not cut off at 0"),
        Column("reliability", "number", "SyncR²"),
        Column("reliability", "number", "performance"),
        Column("r", "number", "corrected for both (Spearman)"),
        Column("r", "number", "shared errors removed"),
        Column("status"),
    )
    return Section(
        "How much of the correlation do errors of measurement hide?",
        (text.strip(),),
        (
            Shown(
                Table(columns, tuple(rows)),
                "Estimates, no tests: nothing was corrected for their number. A corrected r may pass 1; a "
                "reliability below 0 is no more than chance.",
            ),
        ),
    )
