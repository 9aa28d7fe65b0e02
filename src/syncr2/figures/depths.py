"""R² over the relative depth of the source layer with intervals, and where it is largest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syncr2.figures.controls import legend_below
from syncr2.figures.style import (
    GREY,
    MARKER_SIZE,
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


def depth_profiles(
    profile: pd.DataFrame, peak: pd.DataFrame, *, watermark: str | None = None, style: Style = STYLE
) -> Figure:
    """Draw R² over the depth of the source layer with its 95 % band, a panel a family of pairs.

    A bar at the foot of each panel says where the maximum lies: a marker in the data, the bar in 95 % of
    bootstrap draws.

    Parameters
    ----------
    profile : DataFrame
        Columns `family` (with `all`), `relative_depth` (0 the first block, 1 the last), `r2`, `low`, `high`.
    peak : DataFrame
        Columns `level` (pair, family, all), `family`, `depth`, `low`, `high`.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column is missing.
    """
    need_columns(profile, ["family", "relative_depth", "r2", "low", "high"], "depth_profiles")
    need_columns(peak, ["level", "family", "depth", "low", "high"], "depth_profiles (peak)")
    looks = panel_looks(profile["family"])
    with style.context():
        n_rows, n_columns = grid_size(len(looks), columns=4)
        width = style.width * max(n_columns, 2) / 4
        figure = Figure(figsize=(width, 2.3 * n_rows + 0.5), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for axes, (family, look) in zip(grid.flat, looks.items(), strict=False):
            axes.set_title(family_title(family), fontweight="bold")
            peaks = peak[(peak["level"] != "pair") & (peak["family"] == family)]
            _panel(axes, profile[profile["family"] == family], peaks, look)
        # Room for the bars.
        bottom, top = grid[0, 0].get_ylim()
        grid[0, 0].set_ylim(bottom - 0.12 * (top - bottom), top)
        label_outer(grid, len(looks), "depth of source layer", "R², best target layer")
        legend_below(figure, grid[0, 0])
        return finish(figure, watermark, style)


def _panel(axes: Axes, rows: pd.DataFrame, peaks: pd.DataFrame, look: Look) -> None:
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.grid(axis="y")
    axes.set_xlim(-0.06, 1.06)
    if not np.isfinite(rows["r2"].astype(float)).any():
        say_empty(axes)
        return
    rows = rows.sort_values("relative_depth")
    x, r2, low, high = (rows[name].to_numpy(dtype=float) for name in ("relative_depth", "r2", "low", "high"))
    axes.fill_between(
        x,
        low,
        high,
        color=look.colour,
        alpha=0.18,
        linewidth=0,
        zorder=1,
        label="95 % interval, over environments",
    )
    axes.plot(x, r2, color=look.colour, linewidth=1.6, zorder=3, label="mean over pairs")
    for row in peaks.to_dict("records"):
        # Its height is a place in the panel, not a value.
        place = axes.get_xaxis_transform()
        axes.hlines(
            0.05, row["low"], row["high"], color=look.colour, linewidth=2.4, transform=place, zorder=4,
            label="maximum in 95 % of bootstrap draws",
        )  # fmt: skip
        axes.plot(
            [row["depth"]], [0.05], linestyle="none", marker=look.marker, color=look.colour, transform=place,
            markersize=look.size(MARKER_SIZE + 1), markeredgecolor="white", markeredgewidth=0.6, zorder=5,
            clip_on=False, label="maximum",
        )  # fmt: skip
