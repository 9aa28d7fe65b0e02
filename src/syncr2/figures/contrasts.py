"""What is left of R² when something is taken off it: every pair with its interval, and the mean of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syncr2.figures.clusters import MEAN, Clusters, cut_far, draw_diamond, draw_mean, ground
from syncr2.figures.controls import PAIR, RAW_LABEL, legend_below
from syncr2.figures.style import (
    STYLE,
    Style,
    finish,
    grid_size,
    label_outer,
    need_columns,
    need_values,
)
from syncr2.figures.synchrony import in_order
from syncr2.ids import INTERACTION
from syncr2.protocols.control_words import FITS, LEVELS, NONLINEAR_ADDS, PARTNER_ADDS, STATES


def control_contrasts(
    contrasts: pd.DataFrame,
    overall: pd.DataFrame,
    labels: Mapping[str, str] | None = None,
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw the interaction less each control: a panel a control, plain and centred states side by side.

    Parameters
    ----------
    contrasts : DataFrame
        Columns `model_1`, `model_2`, `family`, `states`, `minus`, `difference`, `low`, `high`.
    overall : DataFrame
        The mean over pairs: columns `states`, `minus`, `difference`, `low`, `high`.
    labels : mapping, optional
        Words for controls; their order is that of the table.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column is missing.
    """
    values = ["difference", "low", "high"]
    need_columns(contrasts, [*PAIR, "family", "states", "minus", *values], "control_contrasts")
    need_columns(overall, ["states", "minus", *values], "control_contrasts (overall)")
    controls = list(dict.fromkeys(contrasts["minus"]))
    kinds = [kind for kind in STATES if kind in set(contrasts["states"])]
    clusters = Clusters.of(contrasts)
    with style.context():
        n_rows, n_columns = grid_size(len(controls))
        width = style.width * max(n_columns, 1.6) / 3
        figure = Figure(figsize=(width, 2.1 * n_rows + 0.5), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for axes, control in zip(grid.flat, controls, strict=False):
            own, mean = contrasts[contrasts["minus"] == control], overall[overall["minus"] == control]
            ground(axes, own["difference"], len(kinds))
            for place, kind in enumerate(kinds):
                clusters.draw(axes, place, own[own["states"] == kind], "difference")
                draw_mean(axes, place + clusters.mean_at, mean[mean["states"] == kind], "difference")
            axes.set_title(f"interaction − {(labels or {}).get(control, control)}", fontweight="bold")
            axes.set_xticks(
                range(len(kinds)), [STATES[kind].replace(" within", "\nwithin") for kind in kinds]
            )
        cut_far(grid[0, 0], contrasts["difference"])
        label_outer(grid, len(controls), "states", "difference in R²")
        legend_below(figure, *grid.flat)
        return finish(figure, watermark, style)


def baseline_gains(
    baselines: pd.DataFrame,
    overall: pd.DataFrame,
    protocols: pd.DataFrame,
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw what the partner's state adds to each baseline, what nonlinear maps add, and the levels.

    Parameters
    ----------
    baselines : DataFrame
        Columns `model_1`, `model_2`, `family`, `measure`, `value`, `low`, `high`. Measures that it has no
        rows of (a ceiling needs a second seed) are left out.
    overall : DataFrame
        The mean over pairs: columns `measure`, `value`, `low`, `high`.
    protocols : DataFrame
        As for `sync_by_protocol`: the interaction's level, corrected and raw, from the partner's state.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column or the gain over own past is missing.
    """
    values = ["value", "low", "high"]
    need_columns(baselines, [*PAIR, "family", "measure", *values], "baseline_gains")
    need_columns(overall, ["measure", *values], "baseline_gains (overall)")
    need_columns(
        protocols,
        [*PAIR, "family", "protocol", "states", "condition", "sync_r2_raw", "raw_low", "raw_high"],
        "baseline_gains (protocols)",
    )
    need_values(baselines, "measure", ["own_past_gain"], "baseline_gains")
    columns = [*PAIR, "family", "measure", *values]
    interaction = _interaction(protocols)
    table = pd.concat([baselines[columns], interaction[columns]])
    # Its mean over pairs has no interval of its own among the tables.
    mean = pd.DataFrame([{"measure": INTERACTION.name, "value": interaction["value"].mean()}])
    means = pd.concat([overall[["measure", *values]], mean])
    with style.context():
        figure = Figure(figsize=(style.width, 5.0), layout="constrained")
        grid = figure.add_gridspec(2, len(LEVELS), height_ratios=[1.15, 1])
        with_nonlinear = bool(table["measure"].isin(NONLINEAR_ADDS).any())
        n_first = len(PARTNER_ADDS) if with_nonlinear else len(LEVELS)
        adds = figure.add_subplot(grid[0, :n_first])
        panels = [(adds, PARTNER_ADDS, "What the partner's state adds to …", "gain in R² (ΔR²)")]
        if with_nonlinear:
            beside = figure.add_subplot(grid[0, n_first:])
            panels.append((beside, NONLINEAR_ADDS, "Nonlinear − affine, best layers", "difference in R²"))
        levels = figure.add_subplot(grid[1, :])
        panels.append((levels, LEVELS, "What the target is predicted from", RAW_LABEL))
        for axes, names, title, y_label in panels:
            _clusters(axes, table, means, names)
            axes.set_title(title, fontweight="bold")
            axes.set_ylabel(y_label)
        # What to look at first: an agent's own past is the strongest rival of its partner.
        adds.get_xticklabels()[0].set_fontweight("bold")
        legend_below(figure, *(axes for axes, *_ in panels))
        return finish(figure, watermark, style)


def _interaction(protocols: pd.DataFrame) -> pd.DataFrame:
    """The interaction's rows of the corrected protocol, raw, as rows of a measure."""
    chosen = protocols[
        (protocols["protocol"] == "corrected")
        & (protocols["states"] == "plain")
        & (protocols["condition"] == INTERACTION.name)
    ]
    values = {"sync_r2_raw": "value", "raw_low": "low", "raw_high": "high"}
    return chosen[[*PAIR, "family", *values]].rename(columns=values).assign(measure=INTERACTION.name)


def _clusters(axes: Axes, table: pd.DataFrame, overall: pd.DataFrame, names: Mapping[str, str]) -> None:
    """A cluster a measure; those without a row are left out."""
    present = [name for name in names if name in set(table["measure"])]
    drawn = table.loc[table["measure"].isin(present), "value"]
    ground(axes, drawn, len(present))
    clusters = Clusters.of(table)
    for place, name in enumerate(present):
        clusters.draw(axes, place, table[table["measure"] == name], "value")
        draw_mean(axes, place + clusters.mean_at, overall[overall["measure"] == name], "value")
    cut_far(axes, drawn)
    axes.set_xticks(range(len(present)), [names[name] for name in present])


def sync_by_group_corrected(
    groups: pd.DataFrame,
    column: str,
    order: Sequence[str] | None = None,
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw raw R² within every value of a column, with the maps of all episodes and with maps of its own.

    Parameters
    ----------
    groups : DataFrame
        Columns `model_1`, `model_2`, `family`, `fit` (one, separate), `column`, `value`, `versus`,
        `sync_r2_raw`, `low`, `high`. Rows that compare two values (`versus` is not empty) are not drawn.
        It need not have rows of the column: its groups may all be too small for a value.
    column : str
        The property whose rows are shown.
    order : sequence of str, optional
        Values from left to right; those without a row are left out, those not named follow, numbers by
        size and then words by alphabet.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column of the table is missing.
    """
    needed = [*PAIR, "family", "fit", "column", "value", "versus", "sync_r2_raw", "low", "high"]
    need_columns(groups, needed, "sync_by_group_corrected")
    alone = groups["versus"].isna() | (groups["versus"] == "")
    chosen = groups[(groups["column"] == column) & alone].astype({"value": str})
    places = in_order(chosen["value"], order)
    clusters = Clusters.of(chosen)
    with style.context():
        width = float(np.clip(1.05 * len(places) + 1.0, 4.4, style.width))
        figure = Figure(figsize=(width, 3.3), layout="constrained")
        axes = figure.subplots()
        ground(axes, chosen["sync_r2_raw"], len(places))
        for place, value in enumerate(places):
            for shift, fit in enumerate(FITS):
                rows = chosen[(chosen["value"] == value) & (chosen["fit"] == fit)]
                clusters.draw(axes, place, rows, "sync_r2_raw", hollow=fit == "separate")
                mean = rows["sync_r2_raw"].mean()
                if np.isfinite(mean):
                    name = f"{MEAN}, {FITS[fit]}"
                    draw_diamond(
                        axes, place + clusters.mean_at + 0.06 * shift, mean, name, hollow=fit == "separate"
                    )
        cut_far(axes, chosen["sync_r2_raw"])
        counts = chosen[chosen["fit"] == "one"].groupby("value").size()
        axes.set_xticks(
            range(len(places)), [f"{v.replace('_', ' ')}\nn = {int(counts.get(v, 0))}" for v in places]
        )
        axes.set_xlabel(f"{column.replace('_', ' ')} (n: pairs of models)")
        axes.set_ylabel(RAW_LABEL)
        legend_below(figure, axes)
        return finish(figure, watermark, style)
