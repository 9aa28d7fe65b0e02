"""A correlation by family, without each model, by other measures and by judge, one below the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syncr2.figures.controls import legend_below
from syncr2.figures.style import (
    ALL_PAIRS,
    BLACK,
    GREY,
    MARKER_SIZE,
    PALE,
    STYLE,
    Look,
    Style,
    family_title,
    finish,
    need_columns,
    panel_looks,
    say_empty,
)
from syncr2.judges.performance import ALL_JUDGES
from syncr2.protocols.control_words import MEASURES

_ROW_HEIGHT = 0.2  # inches
_LEAST_ROWS = 3
_OTHER = Look(GREY, "o")


@dataclass(frozen=True)
class _Line:
    """A row: what it is called, its r, and what else is drawn in it; a heading has no r."""

    label: str
    r: float = np.nan
    spearman: float = np.nan
    models: tuple[float, float] = (np.nan, np.nan)
    pairs: tuple[float, float] = (np.nan, np.nan)
    look: Look | None = None
    text: str = ""


def correlation_forest(
    correlations: pd.DataFrame,
    ranks: pd.DataFrame,
    leave_one_out: pd.DataFrame,
    robustness: pd.DataFrame,
    *,
    watermark: str | None = None,
    style: Style = STYLE,
) -> Figure:
    """Draw the correlation of SyncR² with performance in every way that it was taken.

    By family with intervals over models (thick) and over pairs (thin) and Spearman's r (hollow); below, over
    all pairs: without each model, with other measures of synchrony, and by judge where there are several.
    A dotted line marks r over all pairs.

    Parameters
    ----------
    correlations, ranks : DataFrame
        Columns `family`, `r`, `n`, `qap_p`, `pairs_low`, `pairs_high`, `models_low`, `models_high`.
    leave_one_out : DataFrame
        Columns `family`, `without`, `r`, `n`.
    robustness : DataFrame
        Columns `family`, `sync`, `judge`, `performance`, `r`, `qap_p`, `spearman`.
    watermark : str, optional
        A line of small grey text at the top.

    Raises
    ------
    SyncR2Error
        If a column is missing.
    """
    needed = ["family", "r", "n", "qap_p", "pairs_low", "pairs_high", "models_low", "models_high"]
    need_columns(correlations, needed, "correlation_forest")
    need_columns(ranks, needed, "correlation_forest (ranks)")
    need_columns(leave_one_out, ["family", "without", "r", "n"], "correlation_forest (leave_one_out)")
    need_columns(
        robustness,
        ["family", "sync", "judge", "performance", "r", "qap_p", "spearman"],
        "correlation_forest (robustness)",
    )
    lines = [
        *_families(correlations, ranks),
        *_without(leave_one_out),
        *_measures(robustness),
        *_judges(robustness),
    ]
    with style.context():
        height = _ROW_HEIGHT * max(len(lines), _LEAST_ROWS) + 0.9
        figure = Figure(figsize=(style.width, height), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
        overall = correlations.loc[correlations["family"] == ALL_PAIRS, "r"].astype(float)
        if np.isfinite(overall).any():
            axes.axvline(float(overall.iloc[0]), color=BLACK, linewidth=0.7, linestyle=":", zorder=1)
        if not np.isfinite([line.r for line in lines]).any():
            say_empty(axes)
        for place, line in enumerate(lines):
            _draw(axes, -place, line, style)
        axes.set_yticks([-place for place in range(len(lines))], [line.label for line in lines])
        for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
            if line.look is None:
                tick.set_fontweight("bold")
        axes.set_ylim(-len(lines) + 0.4, 0.6)
        axes.set_xlim(-1.05, 1.05)
        axes.set_xlabel("correlation of SyncR² with social performance")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        legend_below(figure, axes)
        return finish(figure, watermark, style)


def _draw(axes: Axes, y: float, line: _Line, style: Style) -> None:
    axes.annotate(
        line.text, xy=(1, y), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
        ha="left", va="center", fontsize=style.small_size,
    )  # fmt: skip
    look = line.look
    if look is None:
        return
    for ends, width, colour, name in (
        (line.pairs, 0.8, PALE, "95 %, over pairs"),
        (line.models, 2.2, look.colour, "95 %, over models"),
    ):
        if np.isfinite(ends).all():
            shift = 0.14 if name.endswith("pairs") else -0.14
            # The legend shows what a width means, not a colour.
            axes.hlines(y + shift, *ends, color=GREY if name.endswith("pairs") else colour, linewidth=width,
                        zorder=2, label=name)  # fmt: skip
    if np.isfinite(line.spearman):
        axes.plot(
            [line.spearman], [y], linestyle="none", marker=look.marker, markersize=look.size(MARKER_SIZE),
            markerfacecolor="white", markeredgecolor=look.colour, markeredgewidth=0.8, zorder=3,
            label="Spearman",
        )  # fmt: skip
    if np.isfinite(line.r):
        axes.plot(
            [line.r], [y], linestyle="none", marker=look.marker, markersize=look.size(MARKER_SIZE),
            color=look.colour, markeredgecolor="white", markeredgewidth=0.4, zorder=4, label="Pearson",
        )  # fmt: skip


def _families(correlations: pd.DataFrame, ranks: pd.DataFrame) -> Iterator[_Line]:
    yield _Line("by family", text="r, pairs, p (models permuted)")
    looks = panel_looks(correlations["family"])
    # The sum of all stands below its parts.
    looks[ALL_PAIRS] = looks.pop(ALL_PAIRS)
    spearman = dict(zip(ranks["family"], ranks["r"].astype(float), strict=True))
    rows = {row["family"]: row for row in correlations.to_dict("records")}
    for family, look in looks.items():
        row = rows[family]
        yield _Line(
            family_title(family),
            float(row["r"]),
            spearman.get(family, np.nan),
            (float(row["models_low"]), float(row["models_high"])),
            (float(row["pairs_low"]), float(row["pairs_high"])),
            look,
            _text(float(row["r"]), row["n"], float(row["qap_p"])),
        )


def _without(leave_one_out: pd.DataFrame) -> Iterator[_Line]:
    rows = leave_one_out[leave_one_out["family"] == ALL_PAIRS].to_dict("records")
    if rows:
        yield _Line("all pairs, without")
    for row in rows:
        yield _Line(str(row["without"]), float(row["r"]), look=_OTHER, text=_text(float(row["r"]), row["n"]))


def _measures(robustness: pd.DataFrame) -> Iterator[_Line]:
    """All judges, performance as published."""
    chosen = robustness["performance"] == "social_performance"
    rows = robustness[chosen & (robustness["family"] == ALL_PAIRS) & (robustness["judge"] == ALL_JUDGES)]
    yield from _ways(rows, "sync", "all pairs, synchrony taken as")


def _judges(robustness: pd.DataFrame) -> Iterator[_Line]:
    """SyncR² as published, performance as published, where there are several judges."""
    chosen = (robustness["performance"] == "social_performance") & (robustness["sync"] == "published")
    rows = robustness[chosen & (robustness["family"] == ALL_PAIRS) & (robustness["judge"] != ALL_JUDGES)]
    if len(rows) > 1:
        yield from _ways(rows, "judge", "all pairs, judged by")


def _ways(rows: pd.DataFrame, column: str, heading: str) -> Iterator[_Line]:
    if len(rows):
        yield _Line(heading)
    for row in rows.to_dict("records"):
        yield _Line(
            MEASURES.get(row[column], str(row[column])),
            float(row["r"]),
            float(row["spearman"]),
            look=_OTHER,
            text=_text(float(row["r"]), row.get("n"), float(row["qap_p"])),
        )


def _text(r: float, n: float | None = None, p: float = np.nan) -> str:
    """`0.75, n = 21, p = 0.060`, p from permuting models."""
    parts = ["not defined" if np.isnan(r) else f"{r:.2f}".replace("-", "\N{MINUS SIGN}")]
    parts += [] if n is None or pd.isna(n) else [f"n = {int(n)}"]
    parts += [] if np.isnan(p) else [f"p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"]
    return ", ".join(parts)
