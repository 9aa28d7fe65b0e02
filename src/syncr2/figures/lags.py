"""R² against the lag, from the partner's earlier states and from the agent's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syncr2.figures.clusters import cut_far
from syncr2.figures.controls import PAIR, RAW_LABEL, legend_below
from syncr2.figures.style import (
    BLACK,
    BLUE,
    GREY,
    MARKER_SIZE,
    STYLE,
    Look,
    Style,
    finish,
    need_columns,
    say_empty,
)

_AGENTS = {
    "partner": ("the partner's state", Look(BLACK, "o")),
    "self": ("the agent's own state", Look(BLUE, "^")),
}


def lag_profile(
    profile: pd.DataFrame, overall: pd.DataFrame, *, watermark: str | None = None, style: Style = STYLE
) -> Figure:
    """Draw raw R² against the lag for the partner's and the agent's own earlier states.

    Thin lines are pairs, bold points the mean over pairs with its interval. Negative lags are time reversed:
    the state that comes later predicts the earlier one. No line joins them to the others.

    Parameters
    ----------
    profile : DataFrame
        Columns `model_1`, `model_2`, `agent` (partner, self), `lag` (turns), `sync_r2_raw`.
    overall : DataFrame
        Columns `agent`, `lag`, `sync_r2_raw`, `low`, `high`.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column is missing.
    """
    need_columns(profile, [*PAIR, "agent", "lag", "sync_r2_raw"], "lag_profile")
    need_columns(overall, ["agent", "lag", "sync_r2_raw", "low", "high"], "lag_profile (overall)")
    with style.context():
        figure = Figure(figsize=(0.7 * style.width, 3.3), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
        if not np.isfinite(overall["sync_r2_raw"].astype(float)).any():
            say_empty(axes)
        for agent, (name, look) in _AGENTS.items():
            own = overall[overall["agent"] == agent].sort_values("lag")
            pairs = profile[profile["agent"] == agent].sort_values("lag")
            for is_reversed in (False, True):
                part = own[(own["lag"] < 0) == is_reversed]
                if len(part):
                    faint = pairs[(pairs["lag"] < 0) == is_reversed]
                    _profile(axes, part, faint, look, name, is_reversed)
        lags = sorted(set(overall["lag"].astype(int)))
        axes.set_xticks(lags, [f"{lag}" if lag > 0 else f"{lag}\nreversed".replace("-", "−") for lag in lags])
        axes.set_xlabel("lag between source and target (turns)")
        axes.set_ylabel(RAW_LABEL)
        cut_far(axes, profile["sync_r2_raw"])
        axes.grid(axis="y")
        legend_below(figure, axes)
        return finish(figure, watermark, style)


def _profile(
    axes: Axes, mean: pd.DataFrame, pairs: pd.DataFrame, look: Look, name: str, is_reversed: bool
) -> None:
    for _, line in pairs.groupby(PAIR):
        lone = len(line) == 1  # a line through one point needs a marker to be seen
        axes.plot(
            line["lag"], line["sync_r2_raw"], color=look.colour, linewidth=0.5, alpha=0.3,
            marker=look.marker if lone else None, markersize=look.size(2), markeredgewidth=0,
        )  # fmt: skip
    lags = mean["lag"].to_numpy(dtype=float)
    axes.vlines(lags, mean["low"], mean["high"], color=look.colour, linewidth=1.6, zorder=4)
    if is_reversed:
        axes.plot(
            lags, mean["sync_r2_raw"], linestyle="none", color=look.colour, marker=look.marker,
            markersize=look.size(MARKER_SIZE), markerfacecolor="white", markeredgewidth=1,
            label=f"{name}, time reversed", zorder=5,
        )  # fmt: skip
    else:
        axes.plot(
            lags, mean["sync_r2_raw"], linewidth=1.4, color=look.colour, marker=look.marker,
            markersize=look.size(MARKER_SIZE), markeredgecolor="white", markeredgewidth=0.5, label=name,
            zorder=5,
        )  # fmt: skip
