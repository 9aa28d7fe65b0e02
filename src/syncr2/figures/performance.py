"""SyncR² against social performance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from syncr2.figures.labels import place_labels, short_names
from syncr2.figures.style import (
    GREY,
    STYLE,
    SYNC_LABEL,
    Look,
    Style,
    family_looks,
    finish,
    grid_size,
    label_outer,
    need_columns,
    pair_label,
    say_empty,
)

_POINT_RADIUS = 3.0  # points (1/72 in)
_MOST_LABELS = 30  # in one panel; more could not be read
_LEADER_FROM = 5.0  # a label farther than this from its point gets a line to it


def sync_vs_performance(
    pairs: pd.DataFrame,
    correlations: pd.DataFrame,
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw social performance against SyncR², one panel a family, with labels and the least-squares line.

    Labels leave out what the names of the models can spare (`short_names`); a panel of more than 30 pairs has
    none.

    The line ends where the data end, and it has no band: pairs share models, so a band that takes them for
    independent would be too narrow.

    Parameters
    ----------
    pairs : DataFrame
        Columns `family`, `model_1`, `model_2`, `sync_r2`, `social_performance`; one row a pair. Rows without
        both values are left out.
    correlations : DataFrame
        Column (or index) `family` and columns `r`, `p`, `n`; where there are `qap_p`, `models_low` and
        `models_high`, a second line gives what permuting and resampling the models say.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column is missing.
    """
    if correlations.index.name == "family":
        correlations = correlations.reset_index()
    needed = ["family", "model_1", "model_2", "sync_r2", "social_performance"]
    need_columns(pairs, needed, "sync_vs_performance")
    need_columns(correlations, ["family", "r", "p", "n"], "sync_vs_performance (correlations)")
    usable = pd.Series(np.isfinite(_xy(pairs)).all(axis=1), index=pairs.index)
    finite = pairs.loc[usable]
    looks = family_looks(pairs["family"])
    with style.context():
        n_rows, n_columns = grid_size(len(looks))
        width = style.width * max(n_columns, 1.6) / 3
        figure = Figure(figsize=(width, 2.9 * n_rows + 0.3), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        panels = list(zip(grid.flat, looks, strict=False))
        n_lines = 2 if "qap_p" in correlations else 1
        for axes, family in panels:
            _scatter(axes, finite[finite["family"] == family], looks[family])
            axes.annotate(
                _statistics_text(correlations, family), xy=(0, 1), xytext=(0, 3), xycoords="axes fraction",
                textcoords="offset points", ha="left", va="bottom", fontsize=style.small_size,
            )  # fmt: skip
            axes.set_title(family, fontweight="bold", pad=n_lines * (style.small_size + 3) + 3)
        label_outer(grid, len(looks), SYNC_LABEL, "social performance")
        # Room for labels beside the outermost points.
        grid[0, 0].margins(x=0.14, y=0.12)
        grid[0, 0].yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        finish(figure, watermark, style)
        short = short_names({*finite["model_1"], *finite["model_2"]})
        for axes, family in panels:
            rows = finite[finite["family"] == family]
            if len(rows) > _MOST_LABELS:
                continue
            names = zip(rows["model_1"].map(short), rows["model_2"].map(short), strict=True)
            texts = [pair_label(first, second, lines=2) for first, second in names]
            _write_labels(axes, _xy(rows), texts, style)
        return figure


def _xy(rows: pd.DataFrame) -> NDArray[np.float64]:
    return rows[["sync_r2", "social_performance"]].to_numpy(dtype=np.float64)


def _scatter(axes: Axes, rows: pd.DataFrame, look: Look) -> None:
    axes.grid(True)
    points = _xy(rows)
    if not len(points):
        say_empty(axes)
        return
    line = fit_line(points)
    if line is not None:
        axes.plot(line[:, 0], line[:, 1], color=look.colour, linewidth=1.0, alpha=0.6, label="fit", zorder=2)
    axes.plot(
        points[:, 0], points[:, 1], linestyle="none", marker=look.marker, color=look.colour,
        markersize=look.size(2 * _POINT_RADIUS - 1), markeredgecolor="white", markeredgewidth=0.5, zorder=3,
        label="pairs",
    )  # fmt: skip


def fit_line(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the ends of the least-squares line over the range of x; None where x has fewer than two values.

    Parameters
    ----------
    points : ndarray (n, 2)
        Finite x and y.

    Returns
    -------
    ndarray (2, 2) or None
    """
    x, y = points.T
    if len(x) < 2 or np.ptp(x) == 0:
        return None
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    ends = np.array([x.min(), x.max()])
    return np.stack([ends, y.mean() + slope * (ends - x.mean())], axis=1)


def _statistics_text(correlations: pd.DataFrame, family: str) -> str:
    rows = correlations[correlations["family"] == family]
    if rows.empty:
        return "no correlation given"
    row = rows.iloc[0]
    plain = _plain_text(row)
    if pd.isna(row.get("qap_p")):
        return plain
    low, high = (float(row.get(name, np.nan)) for name in ("models_low", "models_high"))
    reach = "" if np.isnan([low, high]).any() else f", r {_fixed(low)} to {_fixed(high)}"
    return f"{plain}\nmodels permuted: {_p_text(float(row['qap_p']))}{reach}"


def _plain_text(row: pd.Series) -> str:
    n = f"n = {int(row['n'])}" if pd.notna(row["n"]) else "n unknown"
    if pd.isna(row["r"]):
        return f"r not defined, {n}"
    r = f"r = {_fixed(row['r'])}"
    if pd.isna(row["p"]):
        return f"{r}, {n}"
    return f"{r}, {_p_text(float(row['p']))}, {n}"


def _p_text(p: float) -> str:
    return f"p {'< 0.001' if p < 0.001 else f'= {p:.3f}' if p < 0.1 else f'= {p:.2f}'}"


def _fixed(value: float) -> str:
    return f"{float(value):.2f}".replace("-", "\N{MINUS SIGN}")


def _write_labels(axes: Axes, points: NDArray[np.float64], texts: Sequence[str], style: Style) -> None:
    """Write the labels of points, placed in units of 1/72 in after the layout is fixed."""
    figure = axes.figure
    to_points = 72.0 / figure.dpi
    size = style.small_size - 1
    shown = axes.transData.transform(points) * to_points
    drawn = [axes.text(0, 0, text, fontsize=size, linespacing=1.0) for text in texts]
    boxes = [artist.get_window_extent() for artist in drawn]
    for artist in drawn:
        artist.remove()
    sizes = np.array([[box.width, box.height] for box in boxes]).reshape(-1, 2) * to_points + 1.0
    room = axes.get_window_extent()
    left, bottom, right, top = np.array(room.extents) * to_points
    bounds = (left + 2, bottom + 2, right, top)  # clear of the axis lines
    ends = fit_line(points)
    path = None
    if ends is not None:
        start, stop = axes.transData.transform(ends) * to_points
        path = start + (stop - start) * np.linspace(0, 1, 60)[:, None]
    centres = place_labels(shown, sizes, bounds, point_radius=_POINT_RADIUS, lines=path)
    for point, place, centre, half, text in zip(points, shown, centres, sizes / 2, texts, strict=True):
        gap = np.linalg.norm(np.maximum(0, np.abs(centre - place) - half))
        # The text of a label to the left of its point ends at the point, not at the label's ragged left.
        side = np.sign(centre[0] - place[0]) if abs(centre[0] - place[0]) > half[0] else 0
        leader = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 0, "shrinkB": _POINT_RADIUS}
        axes.annotate(
            text, xy=tuple(point), xytext=tuple(centre - place), textcoords="offset points", ha="center",
            va="center", multialignment={-1: "right", 0: "center", 1: "left"}[int(side)], fontsize=size,
            color="#303030", linespacing=1.0, annotation_clip=False,
            arrowprops=leader if gap > _LEADER_FROM else None,
        )  # fmt: skip
