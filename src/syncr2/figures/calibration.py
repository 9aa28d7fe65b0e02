"""The calibration curve: what is measured, against the coupling of the world that the models come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syncr2.figures.controls import PAIR, RAW_LABEL
from syncr2.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    MARKER_SIZE,
    STYLE,
    VERMILLION,
    Look,
    Style,
    condition_looks,
    finish,
    need_columns,
    say_empty,
)
from syncr2.words import condition_words


class _Line(NamedTuple):
    measure: str
    name: str
    look: Look
    with_pairs: bool = True


# Lines stand side by side at each coupling, this far apart.
_STEP = 0.016
_GAINS = (
    _Line("own_past_gain", "ΔR² over own past", Look(BLACK, "o")),
    _Line("less_pseudo", "interaction − pseudo pairs", Look(VERMILLION, "v")),
    _Line("less_passive", "interaction − passive reader", Look(GREEN, "s")),
    _Line("centred_less_pseudo", "centred interaction − pseudo pairs", Look(BLUE, "D")),
)
_SAID = (
    _Line("world_valence_slope", "the world itself", Look(GREY, "X"), with_pairs=False),
    _Line("valence_slope", "the models", Look(BLACK, "o")),
)


def calibration_curve(
    calibration: pd.DataFrame, overall: pd.DataFrame, *, watermark: str | None = None, style: Style = STYLE
) -> Figure:
    """Draw levels of R², what the partner adds, and coupling as it is heard, by coupling of the world.

    Small marks are pairs of models, so that the noise of training can be seen; large ones are means over
    pairs with their intervals.

    Parameters
    ----------
    calibration : DataFrame
        Columns `model_1`, `model_2`, `coupling`, `measure`, `value`.
    overall : DataFrame
        Columns `coupling`, `versus`, `measure`, `value`, `low`, `high`; rows with a `versus` are not drawn.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column is missing.
    """
    need_columns(calibration, [*PAIR, "coupling", "measure", "value"], "calibration_curve")
    needed = ["coupling", "versus", "measure", "value", "low", "high"]
    need_columns(overall, needed, "calibration_curve (overall)")
    means = overall[overall["versus"] == ""]
    with style.context():
        figure = Figure(figsize=(style.width, 3.5), layout="constrained")
        panels = figure.subplots(1, 3)
        for axes, lines, title, label in zip(
            panels,
            (_levels(means), _GAINS, _SAID),
            ("R² by condition", "What the partner adds", "Coupling as it is heard"),
            (RAW_LABEL, "difference in R²", "valence: slope on the partner's"),
            strict=True,
        ):
            _panel(axes, lines, calibration, means)
            axes.set_title(title, fontweight="bold")
            axes.set_ylabel(label)
            axes.set_xlabel("coupling of the world")
            axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2))
        return finish(figure, watermark, style)


def _levels(means: pd.DataFrame) -> list[_Line]:
    """A line a condition, in the looks that conditions have everywhere."""
    conditions = [
        name
        for name in dict.fromkeys(means["measure"])
        if name in ("interaction", "passive", "untrained", "pseudo") or name.startswith("lag")
    ]
    looks = condition_looks(conditions)
    return [
        _Line(name, condition_words(name, _lag(name)), looks[name], with_pairs=name == "interaction")
        for name in conditions
    ]


def _lag(name: str) -> int | None:
    digits = name.removeprefix("lag")
    return int(digits) if digits.isdigit() else None


def _panel(axes: Axes, lines: Sequence[_Line], pairs: pd.DataFrame, means: pd.DataFrame) -> None:
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.grid(axis="y")
    drawn = [line for line in lines if (means["measure"] == line.measure).any()]
    if not drawn:
        say_empty(axes)
    for place, line in enumerate(drawn):
        shift = _STEP * (place - (len(drawn) - 1) / 2)
        own = means[means["measure"] == line.measure].sort_values("coupling")
        x = own["coupling"].to_numpy(dtype=float) + shift
        look = line.look
        axes.vlines(x, own["low"], own["high"], color=look.colour, linewidth=1.4, zorder=3)
        axes.plot(
            x, own["value"], color=look.colour, linewidth=0.9, marker=look.marker,
            markersize=look.size(MARKER_SIZE), markeredgecolor="white", markeredgewidth=0.5, label=line.name,
            zorder=4,
        )  # fmt: skip
        if line.with_pairs:
            each = pairs[pairs["measure"] == line.measure]
            axes.plot(
                each["coupling"] + shift, each["value"], linestyle="none", marker=look.marker,
                markersize=look.size(2.2), color=look.colour, alpha=0.55, markeredgewidth=0, zorder=2,
            )  # fmt: skip
    couplings = sorted(set(means["coupling"].astype(float)))
    axes.set_xticks(couplings, [f"{value:g}" for value in couplings])
