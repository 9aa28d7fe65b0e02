"""SyncR² of pairs: by condition, and by a property of the episodes such as the relationship."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syncr2.figures.style import (
    GREY,
    MARKER_SIZE,
    PALE,
    STYLE,
    SYNC_LABEL,
    Look,
    Style,
    condition_looks,
    family_looks,
    finish,
    need_columns,
    need_values,
    pair_label,
    say_empty,
)

_ROW_HEIGHT = 0.185  # inches a pair: two lines of the small font would just fit


def sync_by_condition(
    synchrony: pd.DataFrame,
    condition_order: Sequence[str],
    labels: Mapping[str, str] | None = None,
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw SyncR² of every pair under every condition as a dot plot, one panel a family.

    Parameters
    ----------
    synchrony : DataFrame
        Columns `model_1`, `model_2`, `condition`, `family`, `sync_r2`; one row a pair and condition.
    condition_order : sequence of str
        The conditions to show, in the order of the legend. Pairs are sorted by `interaction` (by the first
        condition where that one is not shown), largest at the top.
    labels : mapping, optional
        Words for conditions in the legend.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column or a condition is missing.
    """
    need_columns(synchrony, ["model_1", "model_2", "condition", "family", "sync_r2"], "sync_by_condition")
    need_values(synchrony, "condition", condition_order, "sync_by_condition")
    sort_by = "interaction" if "interaction" in condition_order else condition_order[0]
    wide = synchrony[synchrony["condition"].isin(list(condition_order))].pivot(
        index=["family", "model_1", "model_2"], columns="condition", values="sync_r2"
    )
    # y grows upwards, so the largest comes last.
    wide = wide.sort_values(sort_by, kind="stable", na_position="first")
    of_row = wide.index.get_level_values("family")
    families = family_looks(of_row)
    blocks = [wide.loc[of_row == family].droplevel("family") for family in families]
    looks = condition_looks(condition_order)
    with style.context():
        rows = [len(block) + 0.2 for block in blocks]
        height = _ROW_HEIGHT * sum(rows) + 0.28 * len(blocks) + 0.75
        figure = Figure(figsize=(style.width, height), layout="constrained")
        grid = figure.subplots(
            len(blocks), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": rows}
        )
        for axes, family, block in zip(grid[:, 0], families, blocks, strict=True):
            _dot_rows(axes, block, condition_order, looks, labels or {})
            axes.set_title(family, fontweight="bold")
        grid[-1, 0].set_xlabel(SYNC_LABEL)
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 6))
        return finish(figure, watermark, style)


def _dot_rows(
    axes: Axes,
    block: pd.DataFrame,
    conditions: Sequence[str],
    looks: Mapping[str, Look],
    labels: Mapping[str, str],
) -> None:
    places = np.arange(len(block))
    axes.axvline(0, color=GREY, linewidth=0.6, zorder=1)
    axes.hlines(places, block.min(axis=1), block.max(axis=1), color=PALE, linewidth=0.9, zorder=1)
    for depth, condition in enumerate(conditions):
        look = looks[condition]
        # The first condition lies on top: it is the one that must never hide behind another.
        axes.plot(
            block[condition], places, linestyle="none", marker=look.marker, markersize=look.size(MARKER_SIZE),
            color=look.colour, markeredgecolor="white", markeredgewidth=0.4,
            zorder=3 - depth / len(conditions), label=labels.get(condition, condition),
        )  # fmt: skip
    if not np.isfinite(block.to_numpy(dtype=float)).any():
        say_empty(axes)
    axes.set_yticks(places, [pair_label(first, second) for first, second in block.index])
    axes.set_ylim(-0.6, len(block) - 0.4)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def sync_by_group(
    synchrony_groups: pd.DataFrame,
    column: str,
    order: Sequence[str] | None = None,
    *,
    condition: str = "interaction",
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw the distribution of SyncR² over pairs for every value of a column, such as the relationship.

    A box shows quartiles and range, each dot is a pair (with the same offset in every box), and a white
    diamond is the mean over pairs.

    Parameters
    ----------
    synchrony_groups : DataFrame
        Columns `model_1`, `model_2`, `condition`, `column`, `value`, `sync_r2`, `n_test`; dots are coloured
        by `family` if that column is there.
    column : str
        The property whose rows are shown.
    order : sequence of str, optional
        Values from left to right; those without a row are left out, those not named follow, numbers by
        size and then words by alphabet.
    condition : str
        The condition whose rows are shown.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column of the table, the property or the condition is missing.
    """
    needed = ["model_1", "model_2", "condition", "column", "value", "sync_r2", "n_test"]
    need_columns(synchrony_groups, needed, "sync_by_group")
    need_values(synchrony_groups, "column", [column], "sync_by_group")
    chosen = synchrony_groups[synchrony_groups["column"] == column]
    need_values(chosen, "condition", [condition], "sync_by_group")
    chosen = chosen[(chosen["condition"] == condition) & chosen["value"].notna()].copy()
    chosen["value"] = chosen["value"].astype(str)
    values = in_order(chosen["value"], order)
    finite = chosen[np.isfinite(chosen["sync_r2"].astype(float))]
    with style.context():
        width = float(np.clip(0.85 * len(values) + 1.0, 3.0, style.width))
        figure = Figure(figsize=(width, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
        if finite.empty:
            say_empty(axes)
        else:
            _boxes(axes, finite, values)
        counts = finite.groupby("value")["sync_r2"].size()
        axes.set_xticks(
            range(len(values)),
            [f"{value.replace('_', ' ')}\nn = {int(counts.get(value, 0))}" for value in values],
        )
        axes.set_xlim(-0.6, len(values) - 0.4)
        axes.set_xlabel(f"{column.replace('_', ' ')} (n: pairs of models)")
        axes.set_ylabel(SYNC_LABEL)
        axes.grid(axis="y")
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower center", ncols=4)
        return finish(figure, watermark, style)


def in_order(values: Iterable[str], order: Sequence[str] | None) -> list[str]:
    """Each value once: those named by `order` first, then numbers by size and words by alphabet."""
    present = set(values)
    named = [value for value in order or [] if value in present]
    return named + sorted(present - set(named), key=_numbers_first)


def _numbers_first(value: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def _boxes(axes: Axes, table: pd.DataFrame, values: Sequence[str]) -> None:
    line = {"color": "#8A8A8A", "linewidth": 0.7}
    # matplotlib's own: seaborn 0.13 draws boxes with an argument that matplotlib is about to drop.
    axes.boxplot(
        [table.loc[table["value"] == value, "sync_r2"].to_numpy(dtype=float) for value in values],
        positions=range(len(values)), widths=0.55, whis=(0, 100), showfliers=False, patch_artist=True,
        boxprops={"facecolor": "#F0F0F0", "edgecolor": "#8A8A8A", "linewidth": 0.7}, medianprops=line,
        whiskerprops=line, capprops=line, manage_ticks=False,
    )  # fmt: skip
    pairs = list(zip(table["model_1"], table["model_2"], strict=True))
    # A name that begins with an underscore stays out of the legend.
    family = table["family"].astype(str).tolist() if "family" in table else ["_pairs"] * len(table)
    looks = family_looks(family) if "family" in table else {"_pairs": Look("#404040", "o")}
    # Pairs stand side by side, families together, each pair at the same offset in every box.
    ranks = sorted(set(zip([list(looks).index(name) for name in family], pairs, strict=True)))
    offsets = np.linspace(-0.2, 0.2, len(ranks)) if len(ranks) > 1 else [0.0]
    beside = {pair: offset for (_, pair), offset in zip(ranks, offsets, strict=True)}
    position = {value: place for place, value in enumerate(values)}
    x = table["value"].map(position).to_numpy(dtype=float) + np.array([beside[pair] for pair in pairs])
    y = table["sync_r2"].to_numpy(dtype=float)
    for name, look in looks.items():
        own = np.array(family) == name
        axes.plot(
            x[own], y[own], linestyle="none", marker=look.marker, markersize=look.size(3.4), label=name,
            color=look.colour,
        )  # fmt: skip
    means = table.groupby("value")["sync_r2"].mean().reindex(list(values))
    axes.plot(
        range(len(values)), means, linestyle="none", marker="D", markersize=5.5, markerfacecolor="white",
        markeredgecolor="black", label="mean over pairs", zorder=5,
    )  # fmt: skip
