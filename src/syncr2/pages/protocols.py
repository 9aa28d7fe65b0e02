"""The interaction as published beside the corrected protocol and ΔR² over own past, as tables of a page."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from syncr2.ids import INTERACTION
from syncr2.pages.control_tables import ABOVE, MEAN, ControlTables, Row, above_zero, families, with_interval
from syncr2.pages.layout import UNDEFINED, Column, Table, fixed, p_value, whole
from syncr2.pages.results import ALL, mean_and_range
from syncr2.protocols.control_words import NULLS


def first_things(tables: ControlTables) -> Table:
    """The published quantity, and equally visible what it does not control for."""
    published = tables.condition(INTERACTION.name, "paper")
    corrected = tables.condition(INTERACTION.name, "corrected")
    quantities = [
        ("SyncR² as published", "Does the partner's state predict the agent's next one?",
         published["sync_r2"], UNDEFINED, UNDEFINED),
        ("R², corrected protocol", "Does it in scenarios that the maps have never seen?",
         corrected["sync_r2_raw"], tables.condition_interval(INTERACTION.name),
         above_zero(corrected, "raw_low")),
    ]  # fmt: skip
    gains = tables.baseline("own_past_gain")
    if len(gains):
        question = "What does it add to what the agent's own past tells?"
        interval = tables.interval("own_past_gain")
        quantities.append(("ΔR² over own past", question, gains["value"], interval, above_zero(gains)))
    rows = [
        (
            name,
            question,
            fixed(values.mean()),
            interval,
            f"{fixed(values.min())} to {fixed(values.max())}",
            above,
        )
        for name, question, values, interval, above in quantities
    ]
    columns = (
        Column("quantity"),
        Column("what it asks", "prose"),
        Column(MEAN, "number"),
        Column("95 % interval", "number", "of the mean"),
        Column("lowest to highest", "number", "pair"),
        Column(ABOVE, "number", "by their 95 % interval"),
    )
    return Table(columns, tuple(rows), frozenset(range(len(rows))))


def _range(values: pd.Series) -> str:
    return f"{fixed(values.min())} to {fixed(values.max())}"


def in_short(tables: ControlTables) -> Table:
    """By family, for the page of results: as published, corrected, and over own past."""
    published = tables.condition(INTERACTION.name, "paper")
    corrected = tables.condition(INTERACTION.name, "corrected")
    gains = tables.baseline("own_past_gain")
    columns = [
        Column("family"),
        Column("pairs", "number"),
        Column("SyncR² as published", "number", "mean (lowest to highest)"),
        Column("R², corrected protocol", "number", "not cut off at 0"),
    ]
    if len(gains):
        columns.append(Column("ΔR² over own past", "number", "what the partner's state adds"))
        columns.append(Column("95 % interval", "number", "of the mean ΔR²"))
    rows = []
    for (family, own), (_, mine) in zip(families(published), families(corrected), strict=True):
        cells = [mean_and_range(own["sync_r2"]), mean_and_range(mine["sync_r2_raw"])]
        if len(gains):
            part = gains if family == ALL else gains[gains["family"] == family]
            interval = tables.interval("own_past_gain") if family == ALL else UNDEFINED
            cells += [mean_and_range(part["value"]), interval]
        rows.append((family, whole(len(own)), *cells))
    return Table(tuple(columns), tuple(rows), frozenset({len(rows) - 1}))


_PROTOCOL_COLUMNS = (
    Column("SyncR² as published", "number", "mean (lowest to highest)"),
    Column("SyncR², corrected", "number", "negative layers as 0"),
    Column("R², corrected", "number", "not cut off at 0"),
    Column("R², corrected", "number", "centred within dialogue"),
)


def _protocol_cells(tables: ControlTables, condition: str, family: str) -> list[str]:
    cells = []
    for protocol, states, column in (
        ("paper", "plain", "sync_r2"),
        ("corrected", "plain", "sync_r2"),
        ("corrected", "plain", "sync_r2_raw"),
        ("corrected", "centred", "sync_r2_raw"),
    ):
        rows = tables.condition(condition, protocol, states)
        values = rows.loc[(rows["family"] == family) | (family == ALL), column]
        cells.append(mean_and_range(values) if len(values) else UNDEFINED)
    return cells


def by_family(tables: ControlTables) -> Table:
    """The interaction under both protocols, by family."""
    rows = [
        (family, whole(len(part)), *_protocol_cells(tables, INTERACTION.name, family))
        for family, part in families(tables.condition(INTERACTION.name, "paper"))
    ]
    columns = (Column("family"), Column("pairs", "number"), *_PROTOCOL_COLUMNS)
    return Table(columns, tuple(rows), frozenset({len(rows) - 1}))


def by_condition(tables: ControlTables, conditions: Mapping[str, str]) -> Table:
    """Every condition under both protocols, over all pairs."""
    rows = [(words, *_protocol_cells(tables, name, ALL)) for name, words in conditions.items()]
    return Table((Column("condition"), *_PROTOCOL_COLUMNS), tuple(rows))


def all_pairs(tables: ControlTables) -> Table:
    """Every pair with its own numbers."""
    corrected = _by_pair(tables.condition(INTERACTION.name, "corrected"))
    gain = _by_pair(tables.baseline("own_past_gain"))
    tested = {}
    if tables.nulls is not None:
        for null in NULLS:
            chosen = (tables.nulls["index"] == "sync_r2") & (tables.nulls["null"] == null)
            if chosen.any():
                tested[null] = _by_pair(tables.nulls[chosen])
    rows = []
    for row in tables.condition(INTERACTION.name, "paper").to_dict("records"):
        pair = row["model_1"], row["model_2"]
        cells = [fixed(row["sync_r2"]), with_interval(corrected[pair], "sync_r2_raw", "raw_low", "raw_high")]
        cells += [with_interval(gain[pair], "value")] if gain else []
        cells += [p_value(found[pair]["p_holm"]) for found in tested.values()]
        rows.append((" – ".join(pair), row["family"], *cells))
    columns = [Column("SyncR² as published", "number"), Column("R², corrected", "number", "95 % interval")]
    columns += [Column("ΔR² over own past", "number", "95 % interval")] if gain else []
    columns += [Column("p (Holm)", "number", NULLS[null]) for null in tested]
    return Table((Column("pair"), Column("family"), *columns), tuple(rows))


def _by_pair(rows: pd.DataFrame) -> dict[tuple[str, str], Row]:
    return {(row["model_1"], row["model_2"]): row for row in rows.to_dict("records")}
