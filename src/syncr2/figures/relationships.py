"""SyncR² of environments by the relationship of their two characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syncr2.figures.controls import legend_below
from syncr2.figures.style import (
    BLACK,
    GREY,
    STYLE,
    Look,
    Style,
    family_title,
    finish,
    grid_size,
    label_outer,
    need_columns,
    panel_looks,
    say_empty,
)
from syncr2.figures.synchrony import in_order

_SPREAD = 0.22  # of dots around their relationship


def sync_by_relationship(
    environments: pd.DataFrame,
    means: pd.DataFrame,
    trend: pd.DataFrame,
    order: Sequence[str],
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw the distribution of SyncR² over environments for every relationship, a panel a family of pairs.

    A dot is an environment, the mean over its dialogues and the family's pairs; a box shows quartiles and
    range; a diamond is the mean with its 95 % interval where there are enough environments for one. Above
    each panel stands the trend.

    Parameters
    ----------
    environments : DataFrame
        Columns `family` (with `all`), `environment_id`, `relationship`, `sync_r2`.
    means : DataFrame
        Columns `family`, `relationship`, `sync_r2`, `low`, `high`.
    trend : DataFrame
        Columns `level`, `family`, `slope`, `low`, `high`, `p`.
    order : sequence of str
        Relationships, from the least to the most intimate.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column is missing.
    """
    need_columns(environments, ["family", "relationship", "sync_r2"], "sync_by_relationship")
    need_columns(means, ["family", "relationship", "sync_r2", "low", "high"], "sync_by_relationship (means)")
    need_columns(trend, ["level", "family", "slope", "low", "high", "p"], "sync_by_relationship (trend)")
    values = in_order(environments["relationship"].astype(str), order)
    panels = panel_looks(environments["family"])
    with style.context():
        n_rows, n_columns = grid_size(len(panels), columns=2)
        width = style.width * max(n_columns, 1.2) / 2
        figure = Figure(figsize=(width, 2.5 * n_rows + 0.4), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for axes, (family, look) in zip(grid.flat, panels.items(), strict=False):
            _panel(
                axes,
                environments[environments["family"] == family],
                means[means["family"] == family],
                values,
                look,
            )
            axes.set_title(family_title(family), fontweight="bold", pad=style.small_size + 8)
            axes.annotate(
                _trend(trend[(trend["level"] != "pair") & (trend["family"] == family)]), xy=(0, 1),
                xytext=(0, 3), xycoords="axes fraction", textcoords="offset points", ha="left", va="bottom",
                fontsize=style.small_size,
            )  # fmt: skip
        label_outer(grid, len(panels), "relationship of the two characters", "R² of dialogues")
        legend_below(figure, grid[0, 0])
        return finish(figure, watermark, style)


def _panel(
    axes: Axes, environments: pd.DataFrame, means: pd.DataFrame, values: Sequence[str], look: Look
) -> None:
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.grid(axis="y")
    axes.set_xticks(range(len(values)), [value.replace("_", "\n") for value in values])
    axes.set_xlim(-0.6, max(len(values), 1) - 0.4)
    by_value = [
        environments.loc[environments["relationship"] == value, "sync_r2"].to_numpy(dtype=float)
        for value in values
    ]
    if not any(np.isfinite(each).any() for each in by_value):
        say_empty(axes)
        return
    line = {"color": "#8A8A8A", "linewidth": 0.7}
    axes.boxplot(
        by_value, positions=range(len(values)), widths=0.6, whis=(0, 100), showfliers=False,
        patch_artist=True, boxprops={"facecolor": "#F0F0F0", "edgecolor": "#8A8A8A", "linewidth": 0.7},
        medianprops=line, whiskerprops=line, capprops=line, manage_ticks=False,
    )  # fmt: skip
    for place, each in enumerate(by_value):
        beside = np.linspace(-_SPREAD, _SPREAD, len(each)) if len(each) > 1 else np.zeros(len(each))
        axes.plot(
            place + beside, np.sort(each), linestyle="none", marker=look.marker, color=look.colour,
            markersize=look.size(2.6), markeredgewidth=0, alpha=0.75, zorder=3,
            label="environment" if place == 0 else "_",
        )  # fmt: skip
    rows = means.set_index("relationship").reindex(list(values)).astype({"sync_r2": float})
    x = np.arange(len(values))
    known = rows["low"].notna().to_numpy()
    axes.vlines(x[known], rows["low"][known], rows["high"][known], color=BLACK, linewidth=2, zorder=4)
    axes.plot(
        x, rows["sync_r2"], linestyle="none", marker="D", markersize=4.5, markerfacecolor="white",
        markeredgecolor=BLACK, markeredgewidth=0.9, zorder=5, label="mean, with its 95 % interval",
    )  # fmt: skip


def _trend(rows: pd.DataFrame) -> str:
    if rows.empty or pd.isna(rows.iloc[0]["slope"]):
        return "too few environments for a trend"
    row = rows.iloc[0]
    text = f"{float(row['slope']):+.3f} a step"
    if pd.notna(row["low"]):
        text += f" [{float(row['low']):.3f}, {float(row['high']):.3f}]"
    p = float(row["p"])
    return f"{text}, p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}".replace("-", "\N{MINUS SIGN}")
