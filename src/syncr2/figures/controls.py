"""SyncR² of every pair beside another protocol's, and against the nulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from syncr2.figures.clusters import Pair, cut_far
from syncr2.figures.style import (
    BLACK,
    GREY,
    MARKER_SIZE,
    PALE,
    STYLE,
    SYNC_LABEL,
    Look,
    Style,
    family_looks,
    finish,
    need_columns,
    need_values,
    pair_label,
    say_empty,
)
from syncr2.ids import INTERACTION
from syncr2.protocols.control_words import NULLS

PAIR = ["model_1", "model_2"]
RAW_LABEL = "R², mean over source layers"
SIGNIFICANT = 0.05
_ROW_HEIGHT = 0.185  # inches a pair, as in the figure of conditions

# All three are the interaction, which is black in every figure.
_PROTOCOLS = {
    "published": ("paper", "plain", "sync_r2", None),
    "corrected": ("corrected", "plain", "sync_r2_raw", ("raw_low", "raw_high")),
    "corrected, centred within dialogue": ("corrected", "centred", "sync_r2_raw", ("raw_low", "raw_high")),
}
_PROTOCOL_LOOKS = dict(zip(_PROTOCOLS, (Look(BLACK, "o"), Look(BLACK, "o"), Look(GREY, "D")), strict=True))
_HOLLOW = "published"


def sync_by_protocol(
    protocols: pd.DataFrame, *, watermark: str | None = None, style: Style = STYLE
) -> Figure:
    """Draw the interaction of every pair as published and as corrected, one panel a family.

    The published value is SyncR² with negative layers set to 0; corrected ones are raw, with their intervals.
    Pairs are sorted by the published value, largest at the top, so that a pair stands where it stands in the
    figure of conditions.

    Parameters
    ----------
    protocols : DataFrame
        Columns `model_1`, `model_2`, `family`, `protocol`, `states`, `condition`, `sync_r2`, `sync_r2_raw`,
        `raw_low`, `raw_high`.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column or a protocol is missing.
    """
    figure_name = "sync_by_protocol"
    values = ["sync_r2", "sync_r2_raw", "raw_low", "raw_high"]
    need_columns(protocols, [*PAIR, "family", "protocol", "states", "condition", *values], figure_name)
    need_values(protocols, "protocol", ["paper", "corrected"], figure_name)
    chosen = protocols[protocols["condition"] == INTERACTION.name]
    blocks = _blocks(chosen[chosen["protocol"] == "paper"], "sync_r2")
    with style.context():
        figure, grid = _pair_rows(blocks, 1, style)
        for axes, pairs in zip(grid[:, 0], blocks.values(), strict=True):
            drawn = []
            for depth, (name, (protocol, states, column, ends)) in enumerate(_PROTOCOLS.items()):
                of_kind = chosen[(chosen["protocol"] == protocol) & (chosen["states"] == states)]
                rows = _of_pairs(of_kind, pairs, values)
                drawn.append(rows[column])
                # Intervals of two kinds of states would cover each other on one line.
                places = np.arange(len(pairs)) + (-0.17 if states == "centred" else 0.13)
                look = _PROTOCOL_LOOKS[name]
                if ends:
                    axes.hlines(places, rows[ends[0]], rows[ends[1]], color=look.colour, linewidth=0.9)
                _points(axes, rows[column], places, look, name, hollow=name == _HOLLOW, zorder=4 - depth)
            if not np.isfinite(np.concatenate(drawn)).any():
                say_empty(axes)
        cut_far(grid[-1, 0], chosen.loc[chosen["protocol"] == "corrected", "sync_r2_raw"], along="x")
        grid[-1, 0].set_xlabel(f"{SYNC_LABEL} (published); {RAW_LABEL}, not cut off at 0 (corrected)")
        legend_below(figure, grid[0, 0])
        return finish(figure, watermark, style)


def sync_against_nulls(
    nulls: pd.DataFrame, *, index: str = "sync_r2", watermark: str | None = None, style: Style = STYLE
) -> Figure:
    """Draw the observed value of every pair against its nulls: a column a null, a panel a family.

    A bar reaches from the mean of the draws to the value that 95 % of them stay below. A pair is marked where
    Holm's p over pairs is below 0.05, and set apart where no dialogue could change places.

    Parameters
    ----------
    nulls : DataFrame
        Columns `model_1`, `model_2`, `family`, `index`, `null`, `observed`, `null_mean`, `null_high`,
        `p_holm`.
    index : str
        The index whose rows are drawn.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column or the index is missing.
    """
    values = ["observed", "null_mean", "null_high", "p_holm"]
    need_columns(nulls, [*PAIR, "family", "index", "null", *values], "sync_against_nulls")
    need_values(nulls, "index", [index], "sync_against_nulls")
    chosen = nulls[nulls["index"] == index]
    present = [name for name in NULLS if name in set(chosen["null"])]
    blocks = _blocks(chosen[chosen["null"] == present[0]], "observed")
    with style.context():
        figure, grid = _pair_rows(blocks, len(present), style)
        for column, null in enumerate(present):
            for axes, pairs in zip(grid[:, column], blocks.values(), strict=True):
                _against_null(axes, _of_pairs(chosen[chosen["null"] == null], pairs, values))
            first = grid[0, column]
            first.annotate(
                f"null: {NULLS[null]}", xy=(0.5, 1), xytext=(0, style.font_size + 8),
                xycoords="axes fraction", textcoords="offset points", ha="center", va="bottom",
            )  # fmt: skip
            grid[-1, column].set_xlabel(SYNC_LABEL)
        legend_below(figure, *grid.flat)
        return finish(figure, watermark, style)


def _against_null(axes: Axes, rows: pd.DataFrame) -> None:
    places = np.arange(len(rows))
    axes.hlines(
        places, rows["null_mean"], rows["null_high"], color=PALE, linewidth=5,
        label="null: mean to 95 % quantile",
    )  # fmt: skip
    axes.plot(rows["null_mean"], places, linestyle="none", marker="|", color=GREY, markersize=6, zorder=2)
    significant = (rows["p_holm"] < SIGNIFICANT).to_numpy()
    tested = rows["p_holm"].notna().to_numpy()
    observed = rows["observed"].to_numpy()
    black = Look(BLACK, "o")
    for mask, look, name, hollow in (
        (significant, black, f"observed, p < {SIGNIFICANT} (Holm)", False),
        (tested & ~significant, black, f"observed, p ≥ {SIGNIFICANT}", True),
        (~tested, Look(GREY, "x"), "observed, no test", False),
    ):
        if mask.any():
            _points(axes, observed[mask], places[mask], look, name, hollow=hollow, zorder=4)
    if not np.isfinite(rows.to_numpy()).any():
        say_empty(axes)


def _blocks(table: pd.DataFrame, value: str) -> dict[str, list[Pair]]:
    """Pairs of each family, in the order of families, smallest value first: y grows upwards."""
    ordered = table.sort_values(value, kind="stable", na_position="first")
    blocks: dict[str, list[Pair]] = {family: [] for family in family_looks(ordered["family"])}
    for family, first, second in ordered[["family", *PAIR]].itertuples(index=False):
        blocks[family].append((first, second))
    return blocks


def _of_pairs(table: pd.DataFrame, pairs: Sequence[Pair], values: Sequence[str]) -> pd.DataFrame:
    """Values of these pairs, in this order; NaN where the table has no row."""
    return table.set_index(PAIR)[list(values)].astype(float).reindex(pd.MultiIndex.from_tuples(pairs))


def _pair_rows(
    blocks: Mapping[str, Sequence[Pair]], n_columns: int, style: Style
) -> tuple[Figure, NDArray[Any]]:
    """Give a figure with a row of panels a family, and a labelled row a pair within each."""
    rows = [len(pairs) + 0.2 for pairs in blocks.values()]
    height = _ROW_HEIGHT * sum(rows) + 0.28 * len(blocks) + 0.75 + 0.2 * (n_columns > 1)
    figure = Figure(figsize=(style.width, height), layout="constrained")
    grid = figure.subplots(
        len(blocks), n_columns, sharex=True, squeeze=False, gridspec_kw={"height_ratios": rows}
    )
    for line, (family, pairs) in zip(grid, blocks.items(), strict=True):
        line[0].set_title(family, fontweight="bold")
        for column, axes in enumerate(line):
            axes.axvline(0, color=GREY, linewidth=0.6, zorder=1)
            labels = [pair_label(*pair) for pair in pairs] if column == 0 else [""] * len(pairs)
            axes.set_yticks(range(len(pairs)), labels)
            axes.set_ylim(-0.6, len(pairs) - 0.4)
            axes.grid(axis="x")
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
    return figure, grid


def _points(
    axes: Axes, x: Any, y: Any, look: Look, name: str, *, hollow: bool = False, zorder: float = 3
) -> None:
    axes.plot(
        x, y, linestyle="none", marker=look.marker, markersize=look.size(MARKER_SIZE), zorder=zorder,
        label=name, color=look.colour, markerfacecolor="white" if hollow else look.colour,
        markeredgecolor=look.colour if hollow or look.marker == "x" else "white",
        markeredgewidth=0.9 if hollow or look.marker == "x" else 0.4,
    )  # fmt: skip


def legend_below(figure: Figure, *panels: Axes) -> None:
    """One legend of what any of the panels shows, in as many columns as the figure is wide enough for."""
    shown: dict[str, Any] = {}
    for axes in panels:
        handles, names = axes.get_legend_handles_labels()
        shown |= {name: handle for name, handle in zip(names, handles, strict=True) if name not in shown}
    for n_columns in range(len(shown), 0, -1):
        legend = figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=n_columns)
        if n_columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()
