"""The measurements as figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from layer_r2.competitors import OURS
from layer_r2.report import heading, number
from syncr2.figures.style import BLACK, BLUE, GREY, PALE, STYLE, VERMILLION


def times(measured: dict[str, Any]) -> Figure:
    """One bar a method, on a logarithmic axis; multiplied times are hatched."""
    shown = [(name, answer) for name, answer in measured["methods"].items() if "seconds" in answer]
    seconds = [answer["seconds"] for _, answer in shown]
    with STYLE.context():
        figure = Figure(figsize=(STYLE.width, 0.9 + 0.36 * len(shown)), layout="constrained")
        axes = figure.subplots()
        for place, (name, answer) in enumerate(shown):
            colour = VERMILLION if name in OURS else PALE
            hatch = "////" if answer["extrapolated"] else None
            axes.barh(place, answer["seconds"], color=colour, edgecolor=GREY, linewidth=0.6, hatch=hatch)
            ratio = answer.get("ratio", {}).get("ours")
            told = f" {number(answer['seconds'])} s" + (f"  (×{number(ratio)})" if ratio else "")
            axes.text(answer["seconds"], place, told, va="center", fontsize=STYLE.small_size)
        axes.set_yticks(range(len(shown)), [f"{heading(name)[0]}\n{heading(name)[1]}" for name, _ in shown])
        axes.invert_yaxis()
        axes.set_xscale("log")
        _plain_seconds(axes.xaxis)
        # Room for the text beside the longest bar.
        axes.set_xlim(min(seconds) / 3, max(seconds) * 8)
        axes.set_xlabel(
            "time of the whole job in seconds (× as long as ours); hatched: timed in part, multiplied"
        )
        problem = measured["problem"]
        axes.set_title(
            f"R² of {problem['layers']} × {problem['layers']} layers, {problem['samples']:,} samples, "
            f"width {problem['width']:,}; {measured['machine']['processor']}, "
            f"{measured['machine']['threads']} threads, {measured['device']}"
        )
    return figure


def _plain_seconds(axis: Axis) -> None:
    """Ticks at 1, 2, 5, 10 … as plain numbers: the range may lie within one power of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def scaling(measured: dict[str, Any]) -> Figure:
    """Time of ours against each size, with the fitted power."""
    with STYLE.context():
        figure = Figure(figsize=(STYLE.width, 2.6), layout="constrained")
        panels = figure.subplots(1, len(measured["axes"]), sharey=True)
        for axes, axis in zip(panels, measured["axes"], strict=True):
            values = np.array([point["value"] for point in axis["points"]], dtype=float)
            seconds = np.array([point["seconds"] for point in axis["points"]])
            axes.plot(values, seconds, "o", color=BLUE, label="measured")
            line = np.exp(axis["intercept"]) * values ** axis["slope"]
            axes.plot(values, line, color=BLACK, label=f"power {axis['slope']:.2f}")
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(values, [f"{value:,.0f}" for value in values])
            axes.xaxis.set_minor_locator(NullLocator())
            _plain_seconds(axes.yaxis)
            axes.set_xlabel(axis["varied"])
            axes.set_title(f"operations: power {axis['flop_slope']:.2f}")
            axes.legend(loc="upper left")
        panels[0].set_ylabel("seconds")
    return figure
