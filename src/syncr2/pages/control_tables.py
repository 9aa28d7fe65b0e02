"""The tables of the controls, checked, and their values as cells of a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from syncr2.pages.layout import UNDEFINED, fixed, is_number, need_columns
from syncr2.pages.results import ALL, PAIR

_VALUES = {
    "protocols": ["protocol", "states", "condition", "sync_r2", "sync_r2_raw", "raw_low", "raw_high"],
    "contrasts": ["states", "minus", "difference", "low", "high"],
    "groups": ["fit", "column", "value", "versus", "sync_r2_raw", "low", "high", "n_samples"],
    "nulls": ["index", "null", "observed", "null_mean", "p_holm", "n_draws", "movable_share"],
    "baselines": ["measure", "value", "low", "high"],
}
_NEEDED = {
    **{name: [*PAIR, "family", *values] for name, values in _VALUES.items()},
    "contrasts_overall": _VALUES["contrasts"],
    "baselines_overall": _VALUES["baselines"],
    "protocols_overall": ["states", "condition", "sync_r2_raw", "raw_low", "raw_high"],
    "lag_profile_overall": ["agent", "lag", "sync_r2_raw", "low", "high"],
}
# A row of a table as pandas gives it.
Row = Mapping[Any, Any]
MEAN, ABOVE = "mean over pairs", "pairs above 0"


@dataclass(frozen=True)
class ControlTables:
    """The tables of the controls, each as the workflow wrote it; docs/formats.md describes their columns.

    Attributes
    ----------
    protocols, contrasts, contrasts_overall, groups : DataFrame
        The corrected protocol.
    protocols_overall : DataFrame or None
        Its conditions over all pairs.
    nulls : DataFrame or None
        None where no permutations were drawn.
    baselines, baselines_overall, lag_profile_overall : DataFrame or None
        None where baselines were not asked for.

    Raises
    ------
    SyncR2Error
        If a table lacks a column.
    """

    protocols: pd.DataFrame
    contrasts: pd.DataFrame
    contrasts_overall: pd.DataFrame
    groups: pd.DataFrame
    protocols_overall: pd.DataFrame | None = None
    nulls: pd.DataFrame | None = None
    baselines: pd.DataFrame | None = None
    baselines_overall: pd.DataFrame | None = None
    lag_profile_overall: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for name, needed in _NEEDED.items():
            table = getattr(self, name)
            if table is not None:
                need_columns(table.columns, needed, name)

    def condition(self, name: str, protocol: str, states: str = "plain") -> pd.DataFrame:
        """A condition's rows under a protocol, a row a pair."""
        table = self.protocols
        chosen = (table["condition"] == name) & (table["protocol"] == protocol) & (table["states"] == states)
        return table[chosen]

    def baseline(self, measure: str) -> pd.DataFrame:
        """A baseline's rows, a row a pair; none where it was not measured."""
        table = self.baselines
        if table is None:
            return pd.DataFrame(columns=_NEEDED["baselines"])
        return table[table["measure"] == measure]

    def condition_interval(self, name: str, states: str = "plain") -> str:
        """The interval of a condition's mean over pairs under the corrected protocol."""
        table = self.protocols_overall
        if table is None:
            return UNDEFINED
        rows = table[(table["condition"] == name) & (table["states"] == states)].to_dict("records")
        if not rows or not is_number(rows[0]["raw_low"]):
            return UNDEFINED
        return f"{fixed(rows[0]['raw_low'])} to {fixed(rows[0]['raw_high'])}"

    def overall(self, measure: str) -> str:
        """A baseline's mean over pairs with its interval."""
        row = self._overall(measure)
        return UNDEFINED if row is None else with_interval(row, "value")

    def interval(self, measure: str) -> str:
        """The interval of a baseline's mean over pairs."""
        row = self._overall(measure)
        if row is None or not is_number(row["low"]):
            return UNDEFINED
        return f"{fixed(row['low'])} to {fixed(row['high'])}"

    def _overall(self, measure: str) -> Row | None:
        table = self.baselines_overall
        rows = [] if table is None else table[table["measure"] == measure].to_dict("records")
        return rows[0] if rows else None


def with_interval(row: Row, value: str, low: str = "low", high: str = "high") -> str:
    """A value and, where it has one, its interval: `0.030 [0.022, 0.038]`."""
    ends = f" [{fixed(row[low])}, {fixed(row[high])}]" if is_number(row[low]) else ""
    return fixed(row[value]) + ends


def above_zero(rows: pd.DataFrame, low: str = "low") -> str:
    """How many pairs have an interval above 0; an en dash where none has an interval."""
    ends = rows[low].astype(float).dropna()
    return f"{(ends > 0).sum()} of {len(ends)}" if len(ends) else UNDEFINED


def families(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each family of pairs, and of all pairs."""
    for family in dict.fromkeys(rows["family"]):
        yield str(family), rows[rows["family"] == family]
    yield ALL, rows
