"""Figures of the statistics show what the tables say: positions, ends of intervals, order, words."""

from __future__ import annotations

from typing import Any

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from made_up_statistics import ENVIRONMENTS, statistics
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from syncr2.errors import SyncR2Error
from syncr2.figures import STYLE, correlation_forest, depth_profiles, save, sync_by_relationship
from syncr2.figures.style import BLACK
from syncr2.files import write_table
from syncr2.sotopia.scenarios import RELATIONSHIPS
from syncr2.stages import figures as stage

WAYS = ("correlations", "rank_correlations", "leave_one_out", "robustness")
RELATED = ("relationship_environments", "relationship", "relationship_trend")


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return statistics(trend=0.05)


def forest(tables: dict[str, pd.DataFrame], **changes: pd.DataFrame) -> Axes:
    made = tables | changes
    (axes,) = correlation_forest(*(made[name] for name in WAYS), watermark="A mark").axes
    return axes


def places(axes: Axes) -> dict[str, float]:
    """Height of each row by its label, headings too; a label that stands twice at its first place."""
    found: dict[str, float] = {}
    for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        found.setdefault(label.get_text(), float(tick))
    return found


def points(axes: Axes, label: str) -> dict[float, float]:
    """x by height of all points with this label in the legend."""
    return {
        float(line.get_ydata()[0]): float(line.get_xdata()[0])
        for line in axes.lines
        if line.get_label() == label
    }


def bars(axes: Axes, label: str) -> list[tuple[float, float, float]]:
    """Ends and height of horizontal bars."""
    found = []
    for bar in axes.collections:
        if isinstance(bar, LineCollection) and bar.get_label() == label:
            (start, stop) = bar.get_segments()[0]
            found.append((float(start[0]), float(stop[0]), float(start[1])))
    return found


def test_the_forest_has_a_row_for_every_way(tables: dict[str, pd.DataFrame]) -> None:
    labels = [label.get_text() for label in forest(tables).get_yticklabels()]
    left = tables["leave_one_out"]
    without = left.loc[left["family"] == "all", "without"].tolist()
    assert labels == [
        *("by family", "mistral", "cross", "llama", "all pairs"),
        *("all pairs, without", *without),
        *("all pairs, synchrony taken as", "SyncR² as published"),
        *("all pairs, judged by", "first", "second"),
    ]


def test_points_and_bars_of_the_forest_are_the_tables_numbers(tables: dict[str, pd.DataFrame]) -> None:
    axes = forest(tables)
    at, pearson, spearman = places(axes), points(axes, "Pearson"), points(axes, "Spearman")
    rows = tables["correlations"].set_index("family")
    ranks = tables["rank_correlations"].set_index("family")
    for family in ("mistral", "cross", "llama", "all"):
        height = at["all pairs" if family == "all" else family]
        assert pearson[height] == pytest.approx(rows.loc[family, "r"])
        assert spearman[height] == pytest.approx(ranks.loc[family, "r"])
    thick = {round(height): (low, high) for low, high, height in bars(axes, "95 %, over models")}
    # Families of three models have none.
    assert set(thick) == {round(at["cross"]), round(at["all pairs"])}
    assert thick[round(at["cross"])] == pytest.approx(rows.loc["cross", ["models_low", "models_high"]])
    assert len(bars(axes, "95 %, over pairs")) == 4
    left = tables["leave_one_out"].set_index(["family", "without"])["r"]
    assert pearson[at["llama-3-8b"]] == pytest.approx(left["all", "llama-3-8b"])
    assert pearson[at["second"]] == pytest.approx(-rows.loc["all", "r"])
    # r over all pairs runs through all rows.
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert dotted[0].get_xdata()[0] == pytest.approx(rows.loc["all", "r"])
    texts = [text.get_text() for text in axes.texts]
    assert "0.75, n = 21, p = 0.060" in texts


def test_one_judge_has_no_rows_of_judges_and_what_is_not_defined_no_point(
    tables: dict[str, pd.DataFrame],
) -> None:
    robust = tables["robustness"]
    axes = forest(tables, robustness=robust[robust["judge"].isin(["all judges", "first"])])
    assert "all pairs, judged by" not in places(axes)
    empty = forest(
        tables,
        correlations=tables["correlations"].assign(r=np.nan, qap_p=np.nan),
        rank_correlations=tables["rank_correlations"].assign(r=np.nan),
        leave_one_out=tables["leave_one_out"].assign(r=np.nan),
        robustness=robust.assign(r=np.nan, spearman=np.nan, qap_p=np.nan),
    )
    assert points(empty, "Pearson") == {}
    assert "no finite values" in [text.get_text() for text in empty.texts]


def test_relationships_show_every_environment_the_mean_and_the_trend(tables: dict[str, pd.DataFrame]) -> None:
    figure = sync_by_relationship(*(tables[name] for name in RELATED), RELATIONSHIPS)
    panels = [axes.get_title(loc="left") for axes in figure.axes]
    assert panels == ["all pairs", "mistral", "cross", "llama"]
    whole = figure.axes[0]
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()][:2] == [
        "stranger",
        "know\nby\nname",
    ]
    single = tables["relationship_environments"].query("family == 'all'")
    dots = [line for line in whole.lines if line.get_marker() == "o" and line.get_color() == BLACK]
    shown = np.concatenate([line.get_ydata() for line in dots])
    assert len(shown) == len(ENVIRONMENTS)
    np.testing.assert_allclose(np.sort(shown), np.sort(single["sync_r2"]))
    means = tables["relationship"].query("family == 'all'").set_index("relationship")["sync_r2"]
    (diamonds,) = (line for line in whole.lines if line.get_marker() == "D" and len(line.get_xdata()) == 6)
    np.testing.assert_allclose(diamonds.get_ydata(), means.reindex(list(RELATIONSHIPS)))
    trend = tables["relationship_trend"].query("level == 'all'").iloc[0]
    assert whole.texts[0].get_text().startswith(f"+{trend['slope']:.3f} a step [")


def test_environments_of_each_relationship_average_to_its_mean(tables: dict[str, pd.DataFrame]) -> None:
    single, means = tables["relationship_environments"], tables["relationship"]
    assert len(single) == 4 * len(ENVIRONMENTS)
    again = single.groupby(["family", "relationship"])["sync_r2"].mean()
    found = means.set_index(["family", "relationship"])["sync_r2"]
    pd.testing.assert_series_equal(again.sort_index(), found.sort_index())


def test_without_a_relationship_the_panels_say_that_there_is_nothing(tables: dict[str, pd.DataFrame]) -> None:
    nothing = tables["relationship_trend"].assign(slope=np.nan, low=np.nan, high=np.nan, p=np.nan)
    figure = sync_by_relationship(
        tables["relationship_environments"].iloc[:0], tables["relationship"].iloc[:0], nothing, RELATIONSHIPS
    )
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"no finite values", "too few environments for a trend"} <= set(texts)


def test_depth_shows_the_band_and_where_the_maximum_lies(tables: dict[str, pd.DataFrame]) -> None:
    figure = depth_profiles(tables["depth_profile"], tables["depth_peak"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["all pairs", "mistral", "cross", "llama"]
    profile = tables["depth_profile"].query("family == 'all'")
    axes = figure.axes[0]
    (line,) = (line for line in axes.lines if line.get_label() == "mean over pairs")
    np.testing.assert_allclose(line.get_ydata(), profile["r2"])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(profile["low"].min())
    assert band[:, 1].max() == pytest.approx(profile["high"].max())
    peak = tables["depth_peak"].query("level == 'all'").iloc[0]
    (bar,) = bars(axes, "maximum in 95 % of bootstrap draws")
    assert bar[:2] == pytest.approx((peak["low"], peak["high"]))
    (marker,) = (line for line in axes.lines if line.get_label() == "maximum")
    assert marker.get_xdata()[0] == peak["depth"] == 0.5


def every_figure(tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    return {
        "forest": correlation_forest(*(tables[name] for name in WAYS), watermark="A mark"),
        "relationships": sync_by_relationship(
            *(tables[name] for name in RELATED), RELATIONSHIPS, watermark="A mark"
        ),
        "depths": depth_profiles(tables["depth_profile"], tables["depth_peak"], watermark="A mark"),
    }


def test_no_figure_is_wider_than_the_page_nor_has_small_text_or_text_outside(
    tables: dict[str, pd.DataFrame],
) -> None:
    for name, figure in every_figure(tables).items():
        assert figure.get_figwidth() <= 7.0 + 1e-9, name
        assert figure.get_suptitle() == "A mark"
        texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
        assert min(text.get_fontsize() for text in texts) >= 6, name
        with STYLE.context():
            inside = figure.get_tightbbox().padded(-0.01)
        assert min(inside.min) >= 0, name
        assert (inside.max <= figure.get_size_inches()).all(), name


def test_saving_is_repeatable(tables: dict[str, pd.DataFrame], tmp_path) -> None:
    for which in "12":
        for name, figure in every_figure(tables).items():
            save(figure, tmp_path / f"{name}{which}.svg", tmp_path / f"{name}{which}.png")
    for name in ("forest", "relationships", "depths"):
        assert (tmp_path / f"{name}1.svg").read_bytes() == (tmp_path / f"{name}2.svg").read_bytes()


@pytest.mark.parametrize(
    ("table", "column"),
    [("correlations", "models_low"), ("leave_one_out", "without"), ("robustness", "judge")],
)
def test_missing_column_is_named(tables: dict[str, pd.DataFrame], table: str, column: str) -> None:
    with pytest.raises(SyncR2Error, match=rf"missing: {column} "):
        forest(tables, **{table: tables[table].drop(columns=column)})


def test_the_stage_draws_what_there_are_tables_for(tables: dict[str, pd.DataFrame], tmp_path) -> None:
    names = [*WAYS, *RELATED, "depth_profile", "depth_peak"]
    paths = {name: str(tmp_path / f"{name}.tsv") for name in names}
    for name in names:
        write_table(paths[name], tables[name])
    output = {
        name: {kind: str(tmp_path / f"{name}.{kind}") for kind in ("svg", "png")}
        for name in ("forest", "relationships", "depths")
    }
    stage.statistics(
        tables={name: paths[name] for name in WAYS}, notice=None, output={"forest": output["forest"]}
    )
    assert not (tmp_path / "depths.svg").exists()
    stage.statistics(tables=paths, notice="A mark", output=output)
    for name in output:
        assert "A mark" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
