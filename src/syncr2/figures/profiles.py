"""SyncR² against the turn lag, and best R² against the depth of the source layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from syncr2.figures.style import (
    GREY,
    MARKER_SIZE,
    STYLE,
    SYNC_LABEL,
    Look,
    Style,
    family_looks,
    finish,
    grid_size,
    label_outer,
    need_columns,
    need_families,
    need_values,
    say_empty,
)
from syncr2.ids import pair_family

Floats = NDArray[np.float64]


def lag_decay(
    synchrony: pd.DataFrame,
    lags: Mapping[str, int],
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw SyncR² against the lag in turns: a thin line a pair, a bold line for the mean of each family.

    Parameters
    ----------
    synchrony : DataFrame
        Columns `model_1`, `model_2`, `condition`, `family`, `sync_r2`; one row a pair and condition.
    lags : mapping
        Condition to turn lag, such as ``{"interaction": 1, "lag3": 3, "lag5": 5}``. Other conditions are not
        drawn: the passive control has no lag of its own.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column or a condition is missing.
    """
    need_columns(synchrony, ["model_1", "model_2", "condition", "family", "sync_r2"], "lag_decay")
    need_values(synchrony, "condition", lags, "lag_decay")
    chosen = synchrony[synchrony["condition"].isin(list(lags))].copy()
    chosen["lag"] = chosen["condition"].map(dict(lags))
    chosen["pair"] = chosen["model_1"] + "--" + chosen["model_2"]
    looks = family_looks(chosen["family"])
    with style.context():
        figure = Figure(figsize=(0.6 * style.width, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
        if not np.isfinite(chosen["sync_r2"].astype(float)).any():
            say_empty(axes)
        for family, look in looks.items():
            rows = chosen[chosen["family"] == family]
            _thin_and_mean(axes, rows, x="lag", y="sync_r2", unit="pair", name=family, look=look)
        axes.set_xticks(sorted(set(lags.values())))
        axes.margins(x=0.06)
        axes.set_xlabel("lag between source and target (turns)")
        axes.set_ylabel(SYNC_LABEL)
        axes.grid(axis="y")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(title="mean of family", title_fontsize=style.small_size, alignment="left")
        return finish(figure, watermark, style)


def layer_profiles(
    layer_profile: pd.DataFrame,
    families: Mapping[str, str],
    condition: str = "interaction",
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw the best R² of each source layer against its depth, one panel a family of pairs.

    A thin line is one direction of a pair (mean over speaking orders), coloured by the family of the source
    model; a bold line is the mean over directions. Values are raw: only SyncR² itself clips them at 0.

    Parameters
    ----------
    layer_profile : DataFrame
        Columns `condition`, `source`, `target`, `source_layer`, `relative_depth` (0..1), `best_r2`.
    families : mapping
        Model to family.
    condition : str
        The condition whose rows are drawn.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column, the condition or a model's family is missing.
    """
    needed = ["condition", "source", "target", "source_layer", "relative_depth", "best_r2"]
    need_columns(layer_profile, needed, "layer_profiles")
    need_values(layer_profile, "condition", [condition], "layer_profiles")
    chosen = layer_profile[layer_profile["condition"] == condition]
    need_families(families, {*chosen["source"], *chosen["target"]}, "layer_profiles")
    lines = chosen.groupby(
        ["source", "target", "source_layer", "relative_depth"], as_index=False, sort=False
    )["best_r2"].mean()
    lines["line"] = lines["source"] + "→" + lines["target"]
    ends = zip(lines["source"], lines["target"], strict=True)
    lines["panel"] = [pair_family(source, target, families) for source, target in ends]
    lines["family"] = lines["source"].map(dict(families))
    panels = list(family_looks(lines["panel"]))
    looks = family_looks(lines["family"])
    with style.context():
        n_rows, n_columns = grid_size(len(panels))
        width = style.width * max(n_columns, 1.5) / 3
        figure = Figure(figsize=(width, 2.3 * n_rows + 0.4), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _profile_panel(axes, lines[lines["panel"] == panel], looks)
            axes.set_title(panel, fontweight="bold")
        label_outer(grid, len(panels), "relative depth of source layer", "best R² over target layers")
        shown: dict[str, Artist] = {}
        for axes in grid.flat:
            handles, names = axes.get_legend_handles_labels()
            shown.update(zip(names, handles, strict=True))
        if shown:
            figure.legend(
                list(shown.values()), list(shown), loc="outside lower center", ncols=min(len(shown), 4)
            )
        return finish(figure, watermark, style)


def _profile_panel(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    if not np.isfinite(rows["best_r2"].astype(float)).any():
        say_empty(axes)
    present = set(rows["family"])
    for family, look in looks.items():
        if family in present:
            chosen = rows[rows["family"] == family]
            name = f"source model: {family} (mean)"
            _thin_and_mean(axes, chosen, x="relative_depth", y="best_r2", unit="line", name=name, look=look)
    axes.grid(axis="y")
    axes.set_xlim(-0.03, 1.03)


def _thin_and_mean(
    axes: Axes, rows: pd.DataFrame, *, x: str, y: str, unit: str, name: str, look: Look
) -> None:
    """Draw one thin line a unit, and in bold the mean over units."""
    finite = rows[np.isfinite(rows[y].astype(float))]
    if finite.empty:
        return
    lone = finite.groupby(unit)[x].nunique().eq(1).any()  # a line through one point needs a marker to be seen
    sns.lineplot(
        finite, x=x, y=y, units=unit, estimator=None, color=look.colour, linewidth=0.6, alpha=0.45, ax=axes,
        legend=False, marker=look.marker if lone else None, markersize=look.size(3), markeredgewidth=0,
    )  # fmt: skip
    curves = [(line[x].to_numpy(float), line[y].to_numpy(float)) for _, line in finite.groupby(unit)]
    places, mean = mean_curve(curves)
    axes.plot(
        places, mean, color=look.colour, linewidth=1.8, marker=look.marker, label=name, zorder=4,
        markersize=look.size(MARKER_SIZE), markevery=max(1, len(places) // 8), markeredgecolor="white",
        markeredgewidth=0.5,
    )  # fmt: skip


def mean_curve(curves: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Return the mean of curves that need not share their x values.

    Each curve is read by linear interpolation at the x values of the curve that has most of them, and counts
    only within its own range. Where all curves share their x values, this is the plain mean. Taking the mean
    at each x that occurs would jump between models of 28 and of 32 layers.

    Parameters
    ----------
    curves : sequence of (x, y)
        Finite values, at least one curve, no x twice in a curve.

    Returns
    -------
    tuple of ndarray (n,)
        x and mean y; n is the length of the longest curve.
    """
    ordered = [(x[np.argsort(x)], y[np.argsort(x)]) for x, y in curves]
    places = max((x for x, _ in ordered), key=len)
    read = np.array([np.interp(places, x, y, left=np.nan, right=np.nan) for x, y in ordered])
    return places, np.nanmean(read, axis=0)
