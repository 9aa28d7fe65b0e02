"""Clusters: the values of all pairs side by side, each with its interval, and their mean beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from syncr2.figures.style import BLACK, GREY, Look, family_looks, say_empty

Pair = tuple[str, str]
# In units of the distance between clusters: between pairs, of all pairs, and from the last to their mean.
_STEP, _WIDEST, _TO_MEAN = 0.08, 0.64, 0.12
MEAN = "mean over pairs"
# R² has no lower end, so a difference has none on either side; one far value would press all others together.
_FARTHEST = 1.0


@dataclass(frozen=True)
class Clusters:
    """Draws values of all pairs side by side, each with its interval, and their mean beside them.

    Attributes
    ----------
    beside : mapping
        Place of each pair within a cluster, -0.5 to 0.5 around its centre; the same in every cluster.
    looks : mapping
        Colour and marker by family.
    mean_at : float
        Place of the mean, to the right of the pairs.
    """

    beside: Mapping[Pair, float]
    looks: Mapping[str, Look]
    mean_at: float

    @classmethod
    def of(cls, table: pd.DataFrame) -> Clusters:
        """Places for all pairs of a table, families together."""
        looks = family_looks(table["family"])
        rank = {family: i for i, family in enumerate(looks)}
        keys = zip(table["family"].map(rank), table["model_1"], table["model_2"], strict=True)
        pairs = [(first, second) for _, first, second in sorted(set(keys))]
        width = min(_WIDEST, _STEP * max(len(pairs) - 1, 0))
        start = -(width + _TO_MEAN) / 2
        places = np.linspace(start, start + width, len(pairs))
        return cls(dict(zip(pairs, places, strict=True)), looks, -start)

    def draw(
        self, axes: Axes, centre: float, rows: pd.DataFrame, value: str, *, hollow: bool = False
    ) -> None:
        """Draw one cluster of pairs: columns `value`, `low`, `high`."""
        pairs = zip(rows["model_1"], rows["model_2"], strict=True)
        x = centre + np.array([self.beside[pair] for pair in pairs])
        for family, look in self.looks.items():
            own = (rows["family"] == family).to_numpy()
            if not own.any():
                continue
            part = rows[own]
            # What belongs to maps of a group's own is drawn lighter: these intervals are the wider ones.
            axes.vlines(
                x[own], part["low"].astype(float), part["high"].astype(float), color=look.colour,
                linewidth=0.5 if hollow else 0.8, alpha=0.35 if hollow else 0.6, zorder=2,
            )  # fmt: skip
            axes.plot(
                x[own], part[value].astype(float), linestyle="none", marker=look.marker,
                markersize=look.size(3.0 if hollow else 2.4), color=look.colour,
                markerfacecolor="white" if hollow else look.colour, markeredgewidth=0.6 if hollow else 0,
                zorder=2.5 if hollow else 3, label=family if not hollow else f"_{family}",
            )  # fmt: skip


def draw_mean(axes: Axes, x: float, row: pd.DataFrame, value: str) -> None:
    """The mean over pairs, in bold; nothing where there is none."""
    if row.empty:
        return
    axes.vlines([x], row["low"].astype(float), row["high"].astype(float), color=BLACK, linewidth=2, zorder=4)
    draw_diamond(axes, x, float(row[value].iloc[0]), MEAN)


def draw_diamond(axes: Axes, x: float, y: float, label: str, *, hollow: bool = False) -> None:
    axes.plot(
        [x], [y], linestyle="none", marker="D", markersize=4, markeredgewidth=0.9, markeredgecolor=BLACK,
        markerfacecolor="white" if hollow else BLACK, label=label, zorder=5,
    )  # fmt: skip


def ground(axes: Axes, values: pd.Series, n_clusters: int) -> None:
    """The zero line, the grid, and room for so many clusters."""
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.grid(axis="y")
    axes.set_xlim(-0.55, max(n_clusters, 1) - 0.45)
    axes.tick_params(axis="x", length=0)
    if not np.isfinite(values.astype(float)).any():
        say_empty(axes)


def cut_far(axes: Axes, values: pd.Series, along: Literal["x", "y"] = "y") -> None:
    """Leave out of sight what lies below -1 or above 1, and count it; call it when all is drawn.

    Parameters
    ----------
    axes : Axes
        With the others that share its axis, if any.
    values : Series
        What is counted. Ends of intervals are cut without a word.
    along : {"x", "y"}
        The axis of R².
    """
    groups = axes.get_shared_y_axes() if along == "y" else axes.get_shared_x_axes()
    drawn = [getattr(panel.dataLim, f"interval{along}") for panel in groups.get_siblings(axes)]
    low, high = min(ends[0] for ends in drawn), max(ends[1] for ends in drawn)
    if low >= -_FARTHEST and high <= _FARTHEST:
        return
    start, stop = max(low, -_FARTHEST), min(high, _FARTHEST)
    margin = 0.05 * (stop - start)
    limits = (start - margin * (start == low), stop + margin * (stop == high))
    axes.set_ylim(limits) if along == "y" else axes.set_xlim(limits)
    beyond = {"below −1": (values < -_FARTHEST).sum(), "above 1": (values > _FARTHEST).sum()}
    said = ", ".join(f"{count} {where}" for where, count in beyond.items() if count)
    if said:
        axes.annotate(
            said, xy=(1, 0), xytext=(-2, 2), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="bottom", color=GREY, bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
            zorder=6,
        )  # fmt: skip
