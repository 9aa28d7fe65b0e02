"""What each control says, as tables of a page."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from syncr2.ids import PASSIVE, PSEUDO, UNTRAINED
from syncr2.pages.control_tables import ABOVE, MEAN, ControlTables, above_zero, with_interval
from syncr2.pages.layout import UNDEFINED, Column, Table, fixed, percent, whole
from syncr2.pages.results import mean_and_range
from syncr2.protocols.control_words import FITS, INDICES, NONLINEAR_ADDS, NULLS, PARTNER_ADDS
from syncr2.sotopia.scenarios import RELATIONSHIPS

SIGNIFICANT = 0.05
# What a control takes away, as a question.
_ASKS = {
    PASSIVE.name: "Must the source take part, or is it enough that it reads the same dialogue?",
    UNTRAINED.name: "Would networks with random weights that read the same text do as well?",
    PSEUDO.name: "Must it be this partner, or does the one of another run of the same episode do?",
}
_LAG_ASKS = "Must it be the last turn, or does an earlier one do as well?"
_BASES = {
    "own_past_gain": "the agent's own previous state, the turn, the length of the prompt",
    "context_gain": "the turn, the length of the prompt",
    "text_gain": "embeddings of the dialogue that the source has read",
}
_AGENTS = {"partner": "partner's state", "self": "agent's own state"}


def contrasts(tables: ControlTables, conditions: Mapping[str, str]) -> Table | None:
    """The interaction less each control; None without a control."""
    overall = {(row["minus"], row["states"]): row for row in tables.contrasts_overall.to_dict("records")}
    rows = []
    for name in dict.fromkeys(tables.contrasts_overall["minus"]):
        cells = [f"interaction − {conditions.get(name, name)}", _ASKS.get(name, _LAG_ASKS)]
        for states in ("plain", "centred"):
            of_kind = (tables.contrasts["minus"] == name) & (tables.contrasts["states"] == states)
            row = overall.get((name, states))
            cells += [
                UNDEFINED if row is None else with_interval(row, "difference"),
                above_zero(tables.contrasts[of_kind]),
            ]
        rows.append(tuple(cells))
    columns = (
        Column("difference"),
        Column("what it asks", "prose"),
        Column(MEAN, "number", "states as they are"),
        Column(ABOVE, "number", "states as they are"),
        Column(MEAN, "number", "centred within dialogue"),
        Column(ABOVE, "number", "centred within dialogue"),
    )
    return Table(columns, tuple(rows)) if rows else None


def nulls(table: pd.DataFrame | None) -> Table | None:
    """What permutations say, a row an index and null; None without them."""
    if table is None or table.empty:
        return None
    rows = []
    for index, index_words in INDICES.items():
        for null, null_words in NULLS.items():
            part = table[(table["index"] == index) & (table["null"] == null)]
            if len(part):
                rows.append(
                    (
                        index_words,
                        null_words,
                        fixed(part["observed"].mean()),
                        fixed(part["null_mean"].mean()),
                        _significant(part),
                        whole(part["n_draws"].max()),
                        percent(part["movable_share"].mean()),
                    )
                )
    columns = (
        Column("index"),
        Column("who takes the partner's place"),
        Column("observed", "number", MEAN),
        Column("null", "number", "mean of draws and pairs"),
        Column(f"pairs with p < {SIGNIFICANT}", "number", "Holm over pairs"),
        Column("draws", "number"),
        Column("dialogues that can change places", "number"),
    )
    return Table(columns, tuple(rows))


def too_few_draws(table: pd.DataFrame | None) -> str | None:
    """What no pair can reach, where there are too few draws for so many pairs; None where there are enough.

    The smallest p of n draws is 1 / (n + 1), and Holm multiplies the smallest of k pairs by k.
    """
    if table is None or table.empty:
        return None
    n_draws, n_pairs = int(table["n_draws"].max()), len(table.drop_duplicates(["model_1", "model_2"]))
    least = n_pairs / (n_draws + 1)
    if least < SIGNIFICANT:
        return None
    return (
        f"With {n_draws} draws, no p can be below {fixed(min(least, 1.0))} after Holm over {n_pairs} pairs, "
        f"whatever the data: `synchrony.null_draws` must be {int(n_pairs / SIGNIFICANT)} or more for a pair "
        f"to come below {SIGNIFICANT}."
    )


def gains(tables: ControlTables) -> Table | None:
    """What the partner's state adds to each baseline; None without them."""
    rows = [
        (
            PARTNER_ADDS[name],
            base,
            tables.overall(name.removesuffix("_gain")),
            tables.overall(name.replace("gain", "and_source")),
            tables.overall(name),
            above_zero(tables.baseline(name)),
        )
        for name, base in _BASES.items()
        if len(tables.baseline(name))
    ]
    columns = (
        Column("baseline"),
        Column("what it knows", "prose"),
        Column("R², baseline alone", "number", MEAN),
        Column("R² with the partner's state", "number", MEAN),
        Column("ΔR²", "number", "what the partner's state adds"),
        Column(ABOVE, "number", "ΔR²"),
    )
    return Table(columns, tuple(rows), frozenset({0})) if rows else None


def ceiling(tables: ControlTables) -> Table | None:
    """The noise ceiling; None without one."""
    if not len(tables.baseline("ceiling")):
        return None
    cells = (tables.overall("ceiling"), tables.overall("share_of_ceiling"))
    return Table((Column("R², ceiling", "number"), Column("share reached", "number")), (cells,))


def nonlinear(tables: ControlTables) -> Table | None:
    """Nonlinear maps against the affine one; None without them."""
    rows = [
        (words, *(tables.overall(each) for each in ("affine", name.removesuffix("_gain"), name)),
         above_zero(tables.baseline(name)))
        for name, words in NONLINEAR_ADDS.items()
        if len(tables.baseline(name))
    ]  # fmt: skip
    columns = (
        Column("map"),
        *(Column(title, "number", MEAN) for title in ("R², affine", "R², nonlinear", "difference")),
        Column(ABOVE, "number", "difference"),
    )
    return Table(columns, tuple(rows)) if rows else None


def lags(table: pd.DataFrame | None) -> Table | None:
    """The lag profile over all pairs; None without one."""
    if table is None or table.empty:
        return None
    rows = [
        (
            fixed(row["lag"], 0) + (" (time reversed)" if row["lag"] < 0 else ""),
            _AGENTS.get(row["agent"], row["agent"]),
            with_interval(row, "sync_r2_raw"),
        )
        for row in table.sort_values("lag", kind="stable").to_dict("records")
    ]
    return Table((Column("lag in turns"), Column("source"), Column("R²", "number", MEAN)), tuple(rows))


def groups(table: pd.DataFrame) -> dict[str, tuple[Table, Table | None]]:
    """By column: R² within each of its values, and the differences between values."""
    found = {}
    compared = table["versus"].notna() & (table["versus"] != "")
    for column in dict.fromkeys(table["column"]):
        alone = table[(table["column"] == column) & ~compared]
        versus = table[(table["column"] == column) & compared]
        found[str(column)] = _group_values(column, alone), _group_contrasts(versus) if len(versus) else None
    return found


def _group_values(column: str, rows: pd.DataFrame) -> Table:
    present = list(dict.fromkeys(rows["value"]))
    order = [value for value in RELATIONSHIPS if value in present] if column == "relationship" else []
    lines = []
    for value in [*order, *(each for each in present if each not in order)]:
        cells = []
        for fit in FITS:
            part = rows[(rows["value"] == value) & (rows["fit"] == fit)]
            cells.append(mean_and_range(part["sync_r2_raw"]) if len(part) else UNDEFINED)
        samples = rows.loc[(rows["value"] == value) & (rows["fit"] == "one"), "n_samples"]
        lines.append((str(value), *cells, whole(samples.mean())))
    titles = [Column(f"R², {words}", "number", "mean (lowest to highest)") for words in FITS.values()]
    return Table((Column(column), *titles, Column("samples", "number", MEAN)), tuple(lines))


def _group_contrasts(rows: pd.DataFrame) -> Table:
    lines = []
    for value, versus in dict.fromkeys(zip(rows["value"], rows["versus"], strict=True)):
        cells = []
        for fit in FITS:
            part = rows[(rows["value"] == value) & (rows["versus"] == versus) & (rows["fit"] == fit)]
            mean = fixed(part["sync_r2_raw"].mean(), signed=True)
            below, above = (part["high"] < 0).sum(), (part["low"] > 0).sum()
            cells += [mean, f"{above} / {below} of {len(part)}"] if len(part) else [UNDEFINED, UNDEFINED]
        lines.append((f"{value} − {versus}", *cells))
    titles = [
        column
        for words in FITS.values()
        for column in (
            Column("difference in R²", "number", words),
            Column("pairs above / below 0", "number", words),
        )
    ]
    return Table((Column("values"), *titles), tuple(lines))


def _significant(rows: pd.DataFrame) -> str:
    tested = rows["p_holm"].astype(float).dropna()
    return f"{(tested < SIGNIFICANT).sum()} of {len(tested)}" if len(tested) else UNDEFINED
