"""R² of every source layer with every target layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.figures.style import STYLE, SYNC_LABEL, Style, finish
from syncr2.protocols.synchrony import directed_sync

_COLOURS = "viridis"
_UNDER = "#BDBDBD"  # the map has no grey, so "below zero" cannot be misread as "close to zero"
_BAD = "#FFFFFF"


@dataclass(frozen=True)
class HeatmapPanel:
    """One direction of one ordered pair.

    Parameters
    ----------
    source, target : str
        Names of the models whose states are mapped from and mapped to.
    speaking_order : str
        Who speaks first, in words ("mistral-7b-v0.1 speaks first"); may be empty.
    r2 : ndarray (n_source_layers, n_target_layers)
        Test R², averaged over splits; may be negative or NaN.
    """

    source: str
    target: str
    speaking_order: str
    r2: NDArray[np.float64]


def r2_heatmaps(
    panels: Sequence[HeatmapPanel],
    *,
    shared_scale: bool = True,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw R²(source layer, target layer), one panel a direction and speaking order.

    A dot marks the best target layer of each source layer: these are the values that SyncR² averages, clipped
    at 0. Layers are numbered from 0, the first transformer block, as in the tables.

    Parameters
    ----------
    panels : sequence of HeatmapPanel
        In reading order, two a row: two panels for a model with itself, four for two models (a row for each
        speaking order, the same direction in the same column, compares best).
    shared_scale : bool
        One colour scale from 0 to the largest value of all panels; otherwise each panel has its own.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If there is no panel, or a matrix does not have two axes with at least one layer each.
    """
    matrices = [_matrix(panel) for panel in panels]
    if not matrices:
        raise SyncR2Error("The figure 'r2_heatmaps' was given no matrix. Give one panel for each direction.")
    top = _top(matrices)
    with style.context():
        title_lines = 3 if any(panel.speaking_order for panel in panels) else 2
        # A panel is about 46 characters wide; longer names are set smaller rather than into the next panel.
        longest = max(len(text) for panel in panels for text in (_names(panel), panel.speaking_order))
        title_size = style.font_size * min(1.0, 46 / longest)
        figure, grid = _layout(len(panels), title_lines, shared_scale, watermark is not None, style)
        images = [
            _panel(axes, panel, matrix, top if shared_scale else _top([matrix]), title_size)
            for axes, panel, matrix in zip(grid, panels, matrices, strict=True)
        ]
        for position, (axes, image) in enumerate(zip(grid, images, strict=True)):
            # With one scale for all, a bar at the end of each row serves the row.
            if not shared_scale or position % 2 == 1 or position == len(grid) - 1:
                _colour_bar(figure, axes, image, style)
        return finish(figure, watermark, style)


def _layout(
    n_panels: int, title_lines: int, shared_scale: bool, watermark: bool, style: Style
) -> tuple[Figure, list[Axes]]:
    """Square panels in two columns, all of one size, so that equal relative depth is the diagonal in each.

    Placed by hand, in inches: a layout engine moves panels of different shapes apart.
    """
    n_columns = min(2, n_panels)
    n_rows = -(-n_panels // n_columns)
    left, bar, below, between = 0.5, 0.7, 0.42, 0.1
    right = 0.12 if shared_scale else bar  # what stands right of a panel that is not the last of its row
    above = 0.06 + title_lines * 1.25 * style.font_size / 72
    side = (style.width - 2 * left - right - bar) / 2
    top = 0.2 if watermark else 0.0
    width = left + side + bar + (n_columns - 1) * (left + side + right)
    height = top + n_rows * (above + side + below) + (n_rows - 1) * between
    figure = Figure(figsize=(width, height))
    axes = []
    for position in range(n_panels):
        row, column = divmod(position, n_columns)
        x = left + column * (left + side + right)
        y = height - top - (row + 1) * (above + side) - row * (below + between)
        axes.append(figure.add_axes((x / width, y / height, side / width, side / height)))
    return figure, axes


def _matrix(panel: HeatmapPanel) -> NDArray[np.float64]:
    matrix = np.asarray(panel.r2, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise SyncR2Error(
            f"R² of {panel.source} → {panel.target} has the shape {matrix.shape}; a heatmap needs two axes "
            "(source layers, target layers). Average over splits first."
        )
    return matrix


def _top(matrices: Sequence[NDArray[np.float64]]) -> float:
    """Upper end of the colour scale: the largest finite value, or a small one where all are at or below 0."""
    finite = np.concatenate([matrix[np.isfinite(matrix)] for matrix in matrices])
    return float(finite.max()) if finite.size and finite.max() > 0 else 0.1


def _best_targets(matrix: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows that hold a finite value, and the column of the largest one in each."""
    usable = np.where(np.isfinite(matrix), matrix, -np.inf)
    rows = np.flatnonzero(np.isfinite(usable).any(axis=1))
    return rows, usable[rows].argmax(axis=1)


def _panel(
    axes: Axes, panel: HeatmapPanel, matrix: NDArray[np.float64], top: float, title_size: float
) -> AxesImage:
    colours = matplotlib.colormaps[_COLOURS].with_extremes(under=_UNDER, bad=_BAD)
    # Interpolation "none" puts the matrix into the SVG as it is: a few bytes, and sharp cells at every size.
    image = axes.imshow(
        matrix, cmap=colours, vmin=0, vmax=top, origin="lower", aspect="auto", interpolation="none"
    )
    rows, columns = _best_targets(matrix)
    # Dots that fit their cell: large enough to be seen in print, small enough to leave the colour visible.
    size = float(np.clip(110 / max(matrix.shape), 2.4, 6.0))
    axes.plot(
        columns, rows, linestyle="none", marker="o", markersize=size, markerfacecolor="white",
        markeredgecolor="black", markeredgewidth=0.5, label="best target layer", clip_on=False,
    )  # fmt: skip
    axes.set_xticks(_layer_ticks(matrix.shape[1]))
    axes.set_yticks(_layer_ticks(matrix.shape[0]))
    axes.set_xlabel(f"target layer, {panel.target}")
    axes.set_ylabel(f"source layer, {panel.source}")
    shown = f"{directed_sync(matrix):.3f}" if np.isfinite(matrix).all() else "not defined"
    lines = [_names(panel), f"directed {SYNC_LABEL} = {shown}", panel.speaking_order]
    axes.set_title("\n".join(line for line in lines if line), fontsize=title_size)
    return image


def _names(panel: HeatmapPanel) -> str:
    return f"{panel.source} → {panel.target}"


def _layer_ticks(n_layers: int) -> range:
    """Every layer, or every second, fourth, ... so that at most twelve are labelled."""
    step = 1
    while n_layers / step > 12:
        step *= 2
    return range(0, n_layers, step)


def _colour_bar(figure: Figure, axes: Axes, image: AxesImage, style: Style) -> None:
    place = axes.get_position()
    inch = 1 / figure.get_figwidth()
    own = figure.add_axes((place.x1 + 0.08 * inch, place.y0, 0.1 * inch, place.height))
    bar = figure.colorbar(image, cax=own, extend="min")
    bar.set_label("test R² (grey: below 0; dot: best target layer)", fontsize=style.small_size)
    bar.outline.set_linewidth(0.4)
    own.tick_params(labelsize=style.small_size)
