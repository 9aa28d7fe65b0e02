"""What all figures share: sizes, fonts, colours with markers, checks of a table's columns, and saving."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.files import atomic_path
from syncr2.ids import CROSS_FAMILY

# The palette of Okabe and Ito, told apart under every common kind of colour blindness. Its yellow is left
# out: a thin yellow line cannot be seen on white paper.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
GREY, PALE = "#6E6E6E", "#C8C8C8"
# The family under which tables of statistics put all pairs together.
ALL_PAIRS = "all"
# Not of that palette, whose other colours are taken: dark and dull beside its orange and vermillion.
BROWN = "#7F5A2E"

MARKER_SIZE = 4.8  # points
SYNC_LABEL = "SyncR²"


@dataclass(frozen=True)
class Look:
    """Colour and marker of a family or a condition: two cues, so that neither print nor eyes need colour."""

    colour: str
    marker: str

    def size(self, points: float) -> float:
        """Return the marker size at which this marker looks as large as a disc of `points` across."""
        return points * _MARKER_SCALE.get(self.marker, 1.0)


# At one nominal size a square or a diamond covers more paper than a disc, and a triangle less.
_MARKER_SCALE = {"s": 0.9, "D": 0.85} | dict.fromkeys("^v<>", 1.15) | dict.fromkeys("PXp", 1.1)
_FAMILIES = {"mistral": Look(VERMILLION, "o"), CROSS_FAMILY: Look(GREEN, "D"), "llama": Look(BLUE, "s")}
_CONDITIONS = {
    "interaction": Look(BLACK, "o"),
    "passive": Look(ORANGE, "s"),
    "lag3": Look(SKY, "^"),
    "lag5": Look(PURPLE, "D"),
    "untrained": Look(GREY, "X"),
    "pseudo": Look(BROWN, "v"),
}
# The counts of colours and markers have no common divisor, so the two cues together repeat late.
_FAMILY_SPARE = ((ORANGE, PURPLE, BLACK, SKY, GREY), ("^", "v", "P", "X", "p", "<", ">"))
_CONDITION_SPARE = ((BLUE, GREEN, VERMILLION), ("P", "p", "<", ">"))


@dataclass(frozen=True)
class Style:
    """Measures of all figures, made for a page with two columns.

    Parameters
    ----------
    width : float
        Width of a full-width figure in inches.
    font_size, small_size : float
        Point sizes of axis labels and titles, and of tick labels, legends and point labels.
    dpi : int
        Resolution of the PNG.
    """

    width: float = 7.0
    font_size: float = 8.0
    small_size: float = 7.0
    dpi: int = 200

    def rc(self) -> dict[str, Any]:
        """Return the settings of matplotlib that this style stands for."""
        return {
            "figure.dpi": 100,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "font.family": "sans-serif",
            # matplotlib brings this font along, so text has the same size on every machine.
            "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica", "sans-serif"],
            "font.size": self.font_size,
            "axes.titlesize": self.font_size,
            "axes.labelsize": self.font_size,
            "xtick.labelsize": self.small_size,
            "ytick.labelsize": self.small_size,
            "legend.fontsize": self.small_size,
            "legend.frameon": False,
            "legend.handletextpad": 0.4,
            "legend.columnspacing": 1.4,
            "axes.titlelocation": "left",
            "axes.titlepad": 5,
            "axes.linewidth": 0.6,
            "axes.edgecolor": "#404040",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": False,
            "grid.color": "#E4E4E4",
            "grid.linewidth": 0.5,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "xtick.major.size": 2.5,
            "ytick.major.size": 2.5,
            "lines.linewidth": 1.0,
            "lines.markersize": MARKER_SIZE,
            # Text stays text (searchable, small); a fixed salt makes the ids inside the file repeatable.
            "svg.fonttype": "none",
            "svg.hashsalt": "syncr2",
        }

    @contextmanager
    def context(self) -> Iterator[None]:
        """Apply the style, on top of matplotlib's defaults, to what is drawn inside the block."""
        with matplotlib.style.context(["default", self.rc()]):
            yield


STYLE = Style()


def family_looks(families: Iterable[str]) -> dict[str, Look]:
    """Return colour and marker of each family, in the order in which families are shown.

    The published three come first and always look the same; others follow in alphabetical order.
    """
    return _looks(families, _FAMILIES, _FAMILY_SPARE)


def panel_looks(families: Iterable[str]) -> dict[str, Look]:
    """Return looks of a panel for all pairs (`ALL_PAIRS`), then of one for each family among `families`."""
    return {
        ALL_PAIRS: Look(BLACK, "o"),
        **family_looks(family for family in families if family != ALL_PAIRS),
    }


def family_title(family: str) -> str:
    """Name of a family, or of all pairs together, above a panel or beside a line."""
    return "all pairs" if family == ALL_PAIRS else family


def condition_looks(conditions: Iterable[str]) -> dict[str, Look]:
    """Return colour and marker of each condition; those of the workflow always look the same."""
    return _looks(conditions, _CONDITIONS, _CONDITION_SPARE)


def _looks(
    names: Iterable[str], known: Mapping[str, Look], spare: tuple[tuple[str, ...], tuple[str, ...]]
) -> dict[str, Look]:
    present = {str(name) for name in names}
    looks = {name: look for name, look in known.items() if name in present}
    colours, markers = spare
    for position, name in enumerate(sorted(present - known.keys())):
        looks[name] = Look(colours[position % len(colours)], markers[position % len(markers)])
    return looks


def need_families(families: Mapping[str, str], models: Iterable[str], figure: str) -> None:
    """Refuse models whose family is not known (SyncR2Error)."""
    unknown = sorted(set(models) - families.keys())
    if unknown:
        raise SyncR2Error(
            f"The figure {figure!r} needs the family of each model; unknown: {', '.join(unknown)} (known "
            f"models: {', '.join(sorted(families)) or 'none'}). Give it under models: in the configuration."
        )


def pair_label(model_1: str, model_2: str, *, lines: int = 1) -> str:
    """Return the text that stands for an unordered pair, on one line or on two."""
    second = "itself" if model_1 == model_2 else model_2
    return f"{model_1}{' ' if lines == 1 else chr(10)}× {second}"


def need_columns(table: pd.DataFrame, columns: Sequence[str], figure: str) -> None:
    """Refuse a table that lacks a column.

    Raises
    ------
    SyncR2Error
        With the missing columns, those found, and the figure that needs them.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        found = ", ".join(str(column) for column in table.columns) or "none"
        raise SyncR2Error(
            f"The figure {figure!r} needs a table with the columns {', '.join(columns)}; missing: "
            f"{', '.join(missing)} (found: {found}). Make the table again with this version of syncr2."
        )


def need_values(table: pd.DataFrame, column: str, values: Iterable[str], figure: str) -> None:
    """Refuse a table that has no row for one of `values` in `column` (SyncR2Error)."""
    present = {str(value) for value in table[column].dropna().unique()}
    missing = [value for value in values if value not in present]
    if missing:
        raise SyncR2Error(
            f"The figure {figure!r} was asked for {column} {', '.join(map(repr, missing))}, but the table "
            f"has only: {', '.join(sorted(present)) or 'no rows'}. Check the names, or make the table again."
        )


def grid_size(n_panels: int, columns: int = 3) -> tuple[int, int]:
    """Return rows and columns of a grid for `n_panels` panels, at least one."""
    n_columns = max(1, min(columns, n_panels))
    return max(1, -(-n_panels // n_columns)), n_columns


def label_outer(grid: NDArray[Any], n_panels: int, x_label: str, y_label: str) -> None:
    """Label the axes of a grid at its left and at the lowest panel of each column, and blank unused cells."""
    n_columns = grid.shape[1]
    for position, axes in enumerate(grid.flat):
        if position >= n_panels:
            axes.set_axis_off()
            continue
        if position % n_columns == 0:
            axes.set_ylabel(y_label)
        if position + n_columns >= n_panels:
            axes.set_xlabel(x_label)
            axes.tick_params(labelbottom=True)


def say_empty(axes: Axes, text: str = "no finite values") -> None:
    """Write in an empty panel that there is nothing to show, so that it is not taken for a fault."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def finish(figure: Figure, watermark: str | None, style: Style) -> Figure:
    """Add the watermark, lay the figure out once and freeze the layout.

    Without the freeze each format would be laid out anew at its own resolution, and a second save could
    differ from the first by a fraction of a point.
    """
    if watermark:
        line = figure.suptitle(watermark, fontsize=style.small_size, color=GREY, style="italic")
        if figure.get_layout_engine() is None:  # else the layout engine finds the place
            line.set(y=1 - 0.05 / figure.get_figheight(), verticalalignment="top")
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def save(
    figure: Figure,
    svg_path: str | Path,
    png_path: str | Path,
    *,
    style: Style = STYLE,
    made_by: Mapping[str, Any] | None = None,
) -> None:
    """Write a figure as SVG and as PNG, each whole or not at all; the same figure gives the same bytes.

    `made_by` goes into both: as the description in the metadata of the SVG, as the text `made_by` of the PNG.
    """
    record = None if made_by is None else json.dumps(made_by, ensure_ascii=True)
    of_svg: dict[str, Any] = {"Date": None} | ({"Description": record} if record else {})
    of_png = {"made_by": record} if record else {}
    with style.context():
        with atomic_path(svg_path) as temporary:
            figure.savefig(temporary, format="svg", metadata=of_svg)
        with atomic_path(png_path) as temporary:
            figure.savefig(temporary, format="png", dpi=style.dpi, metadata=of_png)
