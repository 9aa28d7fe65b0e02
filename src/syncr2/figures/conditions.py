"""R² of every condition by the corrected protocol: all pairs with their intervals, and their mean."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from syncr2.figures.clusters import Clusters, cut_far, draw_mean, ground
from syncr2.figures.controls import PAIR, RAW_LABEL, legend_below
from syncr2.figures.style import STYLE, Style, finish, need_columns, need_values
from syncr2.protocols.control_words import STATES

_VALUES = {"sync_r2_raw": "value", "raw_low": "low", "raw_high": "high"}


def conditions_with_intervals(
    protocols: pd.DataFrame,
    overall: pd.DataFrame,
    labels: Mapping[str, str] | None = None,
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw raw R² of every condition, a panel a kind of states (as they are, less their dialogue's mean).

    Parameters
    ----------
    protocols : DataFrame
        Columns `model_1`, `model_2`, `family`, `protocol`, `states`, `condition`, `sync_r2_raw`, `raw_low`,
        `raw_high`; rows of the corrected protocol are drawn.
    overall : DataFrame
        The mean over pairs: columns `states`, `condition`, `sync_r2_raw`, `raw_low`, `raw_high`.
    labels : mapping, optional
        Words for conditions; their order is that of the table.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column or the corrected protocol is missing.
    """
    name = "conditions_with_intervals"
    need_columns(protocols, [*PAIR, "family", "protocol", "states", "condition", *_VALUES], name)
    need_columns(overall, ["states", "condition", *_VALUES], f"{name} (overall)")
    need_values(protocols, "protocol", ["corrected"], name)
    columns = [*PAIR, "family", "states", "condition", *_VALUES]
    table = protocols.loc[protocols["protocol"] == "corrected", columns].rename(columns=_VALUES)
    means = overall[["states", "condition", *_VALUES]].rename(columns=_VALUES)
    conditions = list(dict.fromkeys(table["condition"]))
    kinds = [kind for kind in STATES if kind in set(table["states"])]
    clusters = Clusters.of(table)
    with style.context():
        figure = Figure(figsize=(style.width, 2.0 * len(kinds) + 0.6), layout="constrained")
        grid = figure.subplots(len(kinds), 1, sharex=True, sharey=True, squeeze=False)
        for axes, kind in zip(grid[:, 0], kinds, strict=True):
            own, mean = table[table["states"] == kind], means[means["states"] == kind]
            ground(axes, own["value"], len(conditions))
            for place, condition in enumerate(conditions):
                clusters.draw(axes, place, own[own["condition"] == condition], "value")
                draw_mean(axes, place + clusters.mean_at, mean[mean["condition"] == condition], "value")
            axes.set_title(f"states {STATES[kind]}", fontweight="bold")
            axes.set_ylabel(RAW_LABEL)
        grid[-1, 0].set_xticks(
            range(len(conditions)), [(labels or {}).get(each, each) for each in conditions]
        )
        cut_far(grid[0, 0], table["value"])
        legend_below(figure, *grid.flat)
        return finish(figure, watermark, style)
