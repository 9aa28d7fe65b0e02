"""Probes over the relative depth of the layer, beside what they are held against."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syncr2.figures.clusters import cut_far
from syncr2.figures.controls import PAIR, legend_below
from syncr2.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PALE,
    STYLE,
    Style,
    finish,
    need_columns,
    say_empty,
)

# What is drawn, and what its axis is called.
SHOWN = {"accuracy": "accuracy", "explained_deviance": "explained deviance"}
TARGET_WORDS = {"current": "in the utterance heard last", "next": "in its reply"}
_WHAT = ["labeller", "label", "target"]


def probes_by_depth(
    profile: pd.DataFrame,
    profile_overall: pd.DataFrame,
    overall: pd.DataFrame,
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw accuracy and explained deviance over the depth of the probed layer, a row a label and target.

    Thin lines are pairs, the thick one their mean with its 95 % band; straight lines are the majority class
    and the text baseline, a dotted one shuffled labels.

    Parameters
    ----------
    profile : DataFrame
        Columns `model_1`, `model_2`, `labeller`, `label`, `target`, `measure`, `relative_depth`, `value`.
    profile_overall : DataFrame
        The same without models, with `low`, `high` and `shuffled`.
    overall : DataFrame
        Columns `labeller`, `label`, `target`, `measure`, `majority`, `text`.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column is missing.
    """
    by_depth = [*_WHAT, "measure", "relative_depth", "value"]
    need_columns(profile, [*PAIR, *by_depth], "probes")
    need_columns(profile_overall, [*by_depth, "low", "high", "shuffled"], "probes (overall)")
    need_columns(overall, [*_WHAT, "measure", "majority", "text"], "probes (baselines)")
    rows = list(overall[_WHAT].drop_duplicates().itertuples(index=False, name=None))
    with style.context():
        n_rows = max(1, len(rows))
        figure = Figure(figsize=(0.8 * style.width, 1.75 * n_rows + 0.6), layout="constrained")
        grid = figure.subplots(n_rows, len(SHOWN), sharex=True, squeeze=False)
        for axes in grid[len(rows) :].flat:
            say_empty(axes, "no label varies enough to be probed")
        several = overall["labeller"].nunique() > 1
        for line, (labeller, label, target) in zip(grid, rows, strict=False):
            by = f" ({labeller})" if several else ""
            line[0].set_title(f"partner's {label} {TARGET_WORDS[target]}{by}", fontweight="bold")
            for axes, measure in zip(line, SHOWN, strict=True):
                what = (labeller, label, target, measure)
                _panel(axes, _of(profile, what), _of(profile_overall, what), _of(overall, what))
                axes.set_ylabel(SHOWN[measure])
        for axes in grid[-1]:
            axes.set_xlabel("depth of the probed layer")
        legend_below(figure, grid[0, 0])
        return finish(figure, watermark, style)


def _of(table: pd.DataFrame, what: tuple[str, ...]) -> pd.DataFrame:
    chosen = np.ones(len(table), dtype=bool)
    for name, value in zip([*_WHAT, "measure"], what, strict=True):
        chosen &= (table[name] == value).to_numpy()
    return table[chosen]


def _panel(axes: Axes, pairs: pd.DataFrame, mean: pd.DataFrame, baselines: pd.DataFrame) -> None:
    axes.grid(axis="y")
    axes.set_xlim(-0.03, 1.03)
    mean = mean.sort_values("relative_depth")
    x, value, low, high, shuffled = (
        mean[name].to_numpy(dtype=float) for name in ("relative_depth", "value", "low", "high", "shuffled")
    )
    if not np.isfinite(value).any():
        say_empty(axes)
        return
    for i, (_, own) in enumerate(pairs.groupby(PAIR, sort=False)):
        own = own.sort_values("relative_depth")
        axes.plot(
            own["relative_depth"], own["value"], color=PALE, linewidth=0.6, zorder=1,
            label="_" if i else "pair of models",
        )  # fmt: skip
    axes.fill_between(x, low, high, color=BLACK, alpha=0.15, linewidth=0, zorder=2, label="95 % interval")
    axes.plot(x, value, color=BLACK, linewidth=1.6, zorder=5, label="state, mean over pairs")
    axes.plot(x, shuffled, color=BLUE, linewidth=1.1, linestyle=":", zorder=4, label="shuffled labels")
    for name, colour, dashes, words in (
        ("text", ORANGE, "--", "text of the utterance heard last"),
        ("majority", GREY, "-.", "majority class"),
    ):
        level = float(baselines[name].iloc[0])
        axes.axhline(level, color=colour, linestyle=dashes, linewidth=1.1, zorder=3, label=words)
    cut_far(axes, pairs["value"], along="y")
