"""Figures of the controls show what their tables say: places, intervals, order, marks, what is left out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from made_up_controls import CONTROLS, GAINS, MODELS, RELATIONSHIPS, MadeUp
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from syncr2.errors import SyncR2Error
from syncr2.figures import (
    STYLE,
    baseline_gains,
    conditions_with_intervals,
    control_contrasts,
    family_looks,
    lag_profile,
    save,
    sync_against_nulls,
    sync_by_group_corrected,
    sync_by_protocol,
)
from syncr2.figures.clusters import Clusters
from syncr2.figures.style import BLACK
from syncr2.files import write_table
from syncr2.protocols.control_words import FITS, LEVELS, NONLINEAR_ADDS, PARTNER_ADDS
from syncr2.stages.figures import controls

FAMILIES = ["mistral", "cross", "llama"]
TWO = {"mini-a": "mistral", "mini-b": "llama"}
NOTICE = "Untrained miniature models: the numbers of this demo carry no scientific meaning."
LABELS = {"passive": "passive reader"}


@pytest.fixture(scope="module")
def made_up() -> dict[str, pd.DataFrame]:
    return MadeUp().tables()


def every_figure(tables: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    t = tables
    return {
        "conditions": conditions_with_intervals(t["protocols"], t["protocols_overall"], watermark=NOTICE),
        "protocols": sync_by_protocol(t["protocols"], watermark=NOTICE),
        "nulls": sync_against_nulls(t["nulls"], watermark=NOTICE),
        "contrasts": control_contrasts(t["contrasts"], t["contrasts_overall"], LABELS, watermark=NOTICE),
        "baselines": baseline_gains(t["baselines"], t["baselines_overall"], t["protocols"], watermark=NOTICE),
        "lag_profile": lag_profile(t["lag_profile"], t["lag_profile_overall"], watermark=NOTICE),
        "groups": sync_by_group_corrected(t["groups"], "relationship", RELATIONSHIPS, watermark=NOTICE),
    }


@pytest.fixture(scope="module")
def figures(made_up: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    return every_figure(made_up)


def line_named(axes: Axes, label: str) -> Line2D:
    return next(line for line in axes.get_lines() if line.get_label() == label)


def lines_named(axes: Axes, label: str) -> list[Line2D]:
    return [line for line in axes.get_lines() if line.get_label() == label]


def segments(axes: Axes, width: float | None = None) -> np.ndarray:
    """Ends of all drawn intervals, (n, 2, 2), or of those of one line width."""
    found = [
        segment
        for collection in axes.collections
        if isinstance(collection, LineCollection)
        for segment in collection.get_segments()
        if width is None or collection.get_linewidth()[0] == width
    ]
    return np.array(found).reshape(-1, 2, 2)


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def row_labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def words_of(first: str, second: str) -> str:
    return f"{first} × {'itself' if first == second else second}"


def of_family(table: pd.DataFrame, family: str) -> pd.DataFrame:
    return table[table["family"] == family]


# ---------------------------------------------------------------- protocols


def test_published_stands_beside_corrected_in_the_row_of_its_pair(figures, made_up):
    table = made_up["protocols"].query("condition == 'interaction'")
    figure = figures["protocols"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == FAMILIES
    for axes, family in zip(figure.axes, FAMILIES, strict=True):
        published = of_family(table.query("protocol == 'paper'"), family).sort_values("sync_r2")
        assert row_labels(axes) == [words_of(row.model_1, row.model_2) for row in published.itertuples()]
        shown = line_named(axes, "published")
        np.testing.assert_array_equal(shown.get_xdata(), published["sync_r2"])
        assert shown.get_markerfacecolor() == "white"
        pairs = published[["model_1", "model_2"]]
        for states, name in (("plain", "corrected"), ("centred", "corrected, centred within dialogue")):
            own = pairs.merge(table[(table["protocol"] == "corrected") & (table["states"] == states)])
            points = line_named(axes, name)
            np.testing.assert_array_equal(points.get_xdata(), own["sync_r2_raw"])
            # Within half a row of the label.
            assert (np.abs(points.get_ydata() - np.arange(len(own))) < 0.5).all()
            ends = segments(axes)
            mine = ends[np.isin(ends[:, 0, 1], points.get_ydata())]
            np.testing.assert_array_equal(mine[:, :, 0], own[["raw_low", "raw_high"]])
    assert legend_texts(figure) == ["published", "corrected", "corrected, centred within dialogue"]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


def test_protocols_without_intervals_or_centred_states_are_drawn_as_points(made_up):
    table = made_up["protocols"].query("states == 'plain'").assign(raw_low=np.nan, raw_high=np.nan)
    figure = sync_by_protocol(table)
    assert not len(segments(figure.axes[0]))
    assert np.isfinite(line_named(figure.axes[0], "corrected").get_xdata()).all()


def test_a_pair_that_one_protocol_lacks_keeps_its_row(made_up):
    table = made_up["protocols"]
    gone = (table["protocol"] == "corrected") & (table["model_1"] == table["model_2"])
    axes = sync_by_protocol(table[~gone]).axes[0]
    assert len(row_labels(axes)) == 6
    missing = np.isnan(line_named(axes, "corrected").get_xdata())
    assert [label for label, is_gone in zip(row_labels(axes), missing, strict=True) if is_gone] == [
        label for label in row_labels(axes) if "itself" in label
    ]


def test_only_missing_values_are_said_to_be_so(made_up):
    empty = made_up["protocols"].assign(sync_r2=np.nan, sync_r2_raw=np.nan, raw_low=np.nan, raw_high=np.nan)
    assert all(axes.texts[0].get_text() == "no finite values" for axes in sync_by_protocol(empty).axes)


# ---------------------------------------------------------------- nulls


def test_nulls_reach_from_their_mean_to_their_quantile_and_marks_follow_p(figures, made_up):
    table = made_up["nulls"].query("index == 'sync_r2'")
    figure = figures["nulls"]
    assert len(figure.axes) == 6, "a column a null, a panel a family"
    for place, axes in enumerate(figure.axes):
        family, null = FAMILIES[place // 2], ("permutation", "pseudo")[place % 2]
        own = of_family(table[table["null"] == null], family).sort_values("observed")
        bars = segments(axes)
        np.testing.assert_array_equal(bars[:, :, 0], own[["null_mean", "null_high"]])
        np.testing.assert_array_equal(bars[:, 0, 1], np.arange(len(own)))
        for is_significant, name in ((True, "observed, p < 0.05 (Holm)"), (False, "observed, p ≥ 0.05")):
            mask = (own["p_holm"] < 0.05).to_numpy() == is_significant
            shown = lines_named(axes, name)
            assert len(shown) == mask.any()
            if mask.any():
                np.testing.assert_array_equal(shown[0].get_xdata(), own["observed"][mask])
                np.testing.assert_array_equal(shown[0].get_ydata(), np.flatnonzero(mask))
                assert (shown[0].get_markerfacecolor() == "white") != is_significant
    # Both columns have the same pairs in the same rows; only the left one names them.
    assert row_labels(figure.axes[1]) == [""] * 6
    assert row_labels(figure.axes[0])[-1] == "mini-mistral-v0.3 × itself"
    titles = [text.get_text() for axes in figure.axes[:2] for text in axes.texts]
    assert titles == ["null: partners of any episode", "null: partners of the same episode, other seed"]


def test_pairs_without_a_test_are_set_apart():
    figure = sync_against_nulls(MadeUp(TWO, seeds=1).tables()["nulls"])
    right = figure.axes[1]
    assert line_named(right, "observed, no test").get_marker() == "x"
    assert "observed, no test" in legend_texts(figure)
    assert not lines_named(figure.axes[0], "observed, no test")


def test_another_index_and_one_null_alone(made_up):
    table = made_up["nulls"].query("null == 'permutation'")
    figure = sync_against_nulls(table, index="cka")
    assert len(figure.axes) == 3
    own = of_family(table.query("index == 'cka'"), "mistral").sort_values("observed")
    np.testing.assert_array_equal(
        line_named(figure.axes[0], "observed, p < 0.05 (Holm)").get_xdata(), own["observed"]
    )
    with pytest.raises(SyncR2Error, match=r"'rsa'.*cca, cka, sync_r2"):
        sync_against_nulls(table, index="rsa")


# ---------------------------------------------------------------- clusters


def test_pairs_stand_families_together_and_their_mean_to_the_right(made_up):
    clusters = Clusters.of(made_up["contrasts"])
    table = made_up["contrasts"].drop_duplicates(["model_1", "model_2"])
    for before, after in pairwise(FAMILIES):
        left, right = (
            [clusters.beside[row.model_1, row.model_2] for row in of_family(table, family).itertuples()]
            for family in (before, after)
        )
        assert max(left) < min(right)
    assert len(set(clusters.beside.values())) == 21
    assert min(clusters.beside.values()) > -0.5
    assert max(clusters.beside.values()) < clusters.mean_at < 0.5


def test_few_pairs_stand_close_so_that_clusters_stay_apart():
    clusters = Clusters.of(MadeUp(TWO).tables()["contrasts"])
    assert clusters.mean_at - min(clusters.beside.values()) < 0.4
    one = Clusters.of(MadeUp({"mini-a": "mistral"}).tables()["contrasts"])
    assert len(one.beside) == 1


# ---------------------------------------------------------------- contrasts


def test_contrasts_show_every_interval_and_the_mean_in_bold(figures, made_up):
    table, overall = made_up["contrasts"], made_up["contrasts_overall"]
    figure = figures["contrasts"]
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == [
        f"interaction − {LABELS.get(name, name)}" for name in CONTROLS
    ]
    assert len({axes.get_ylim() for axes in panels}) == 1
    clusters = Clusters.of(table)
    for axes, control in zip(panels, CONTROLS, strict=True):
        own = table[table["minus"] == control]
        thin = segments(axes, 0.8)
        assert len(thin) == 2 * 21
        for place, states in enumerate(("plain", "centred")):
            rows = own[own["states"] == states]
            for row in rows.itertuples():
                x = place + clusters.beside[row.model_1, row.model_2]
                (found,) = thin[np.isclose(thin[:, 0, 0], x)]
                np.testing.assert_allclose(found[:, 1], [row.low, row.high])
            for family in FAMILIES:
                dots = lines_named(axes, family)[place]
                np.testing.assert_array_equal(dots.get_ydata(), of_family(rows, family)["difference"])
                assert dots.get_marker() == family_looks(FAMILIES)[family].marker
            (mean,) = overall[(overall["minus"] == control) & (overall["states"] == states)].itertuples()
            bold = segments(axes, 2)[place]
            np.testing.assert_allclose(bold[:, 1], [mean.low, mean.high])
            diamond = lines_named(axes, "mean over pairs")[place]
            assert diamond.get_xdata() == [place + clusters.mean_at]
            assert diamond.get_ydata() == [mean.difference]
        assert [line for line in axes.get_lines() if list(line.get_ydata()) == [0, 0]], "the zero line"
    assert legend_texts(figure) == [*FAMILIES, "mean over pairs"]
    ticks = [label.get_text() for label in panels[-1].get_xticklabels()]
    assert ticks == ["as they are", "centred\nwithin dialogue"]


def test_conditions_show_every_pair_with_its_interval_and_their_mean(made_up):
    overall = made_up["protocols_overall"]
    plain, centred = conditions_with_intervals(made_up["protocols"], overall, LABELS).axes
    ticks = [label.get_text() for label in centred.get_xticklabels()]
    assert ticks == ["interaction", "passive reader", *CONTROLS[1:]]
    for axes, kind in ((plain, "plain"), (centred, "centred")):
        table = made_up["protocols"].query(f"protocol == 'corrected' and states == '{kind}'")
        means = overall[overall["states"] == kind]
        drawn = segments(axes)
        wanted = pd.concat([table, means])[["raw_low", "raw_high"]].to_numpy()
        assert sorted(map(tuple, drawn[:, :, 1].round(9))) == sorted(map(tuple, wanted.round(9)))
        diamonds = [line.get_ydata()[0] for line in lines_named(axes, "mean over pairs")]
        assert diamonds == pytest.approx(means["sync_r2_raw"].tolist())
        points = np.concatenate([line.get_ydata() for name in FAMILIES for line in lines_named(axes, name)])
        assert sorted(points) == pytest.approx(sorted(table["sync_r2_raw"]))


def test_contrasts_without_intervals_are_points(made_up):
    plain = {"low": np.nan, "high": np.nan}
    figure = control_contrasts(
        made_up["contrasts"].assign(**plain), made_up["contrasts_overall"].assign(**plain)
    )
    assert not np.isfinite(segments(figure.axes[0])).any()
    assert len(lines_named(figure.axes[0], "mean over pairs")) == 2


def test_what_lies_far_from_zero_is_counted_instead_of_pressing_the_rest(made_up):
    table, overall = (made_up[name].copy() for name in ("contrasts", "contrasts_overall"))
    table.loc[table.index[:3], "difference"] = -40.0
    table.loc[table.index[5], "difference"] = 1.5
    panels = [axes for axes in control_contrasts(table, overall).axes if axes.axison]
    assert {axes.get_ylim() for axes in panels} == {(-1, 1)}
    assert [text.get_text() for axes in panels for text in axes.texts] == ["3 below −1, 1 above 1"]
    # An interval alone is cut without a word, and the other end keeps its margin.
    table = made_up["contrasts"].copy()
    table.loc[table.index[0], "high"] = 7.0
    axes = control_contrasts(table, overall).axes[0]
    assert axes.get_ylim()[1] == 1
    assert table["low"].min() - 0.1 < axes.get_ylim()[0] < table["low"].min()
    assert not axes.texts
    assert not control_contrasts(*two(made_up)).axes[0].texts


def test_far_values_of_protocols_are_cut_along_x(made_up):
    table = made_up["protocols"].copy()
    far = (table["protocol"] == "corrected") & (table["condition"] == "interaction")
    table.loc[table.index[far][:2], "sync_r2_raw"] = -6.0
    axes = sync_by_protocol(table).axes[-1]
    assert axes.get_xlim()[0] == -1
    assert 0.6 < axes.get_xlim()[1] < 0.8
    assert [text.get_text() for text in axes.texts] == ["2 below −1"]


def two(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return tables["contrasts"], tables["contrasts_overall"]


# ---------------------------------------------------------------- baselines


def test_own_past_comes_first_and_levels_include_the_interaction(figures, made_up):
    adds, nonlinear, levels = figures["baselines"].axes
    ticks = {
        axes: [label.get_text() for label in axes.get_xticklabels()] for axes in (adds, nonlinear, levels)
    }
    assert ticks[adds] == list(PARTNER_ADDS.values())
    assert ticks[nonlinear] == list(NONLINEAR_ADDS.values())
    assert ticks[levels] == ["own past", "context", "text", "partner's state", "ceiling"]
    assert [label.get_fontweight() for label in adds.get_xticklabels()] == ["bold", "normal", "normal"]
    overall = made_up["baselines_overall"].set_index("measure")
    for axes, names in ((adds, PARTNER_ADDS), (nonlinear, NONLINEAR_ADDS)):
        means = lines_named(axes, "mean over pairs")
        for place, name in enumerate(names):
            assert means[place].get_ydata() == [overall.loc[name, "value"]]
            np.testing.assert_allclose(
                segments(axes, 2)[place][:, 1], overall.loc[name, ["low", "high"]].to_numpy(float)
            )
    interaction = made_up["protocols"].query(
        "protocol == 'corrected' and states == 'plain' and condition == 'interaction'"
    )
    place = list(LEVELS).index("interaction")
    assert lines_named(levels, "mean over pairs")[place].get_ydata() == [interaction["sync_r2_raw"].mean()]
    shown = lines_named(levels, "llama")[place]
    np.testing.assert_array_equal(shown.get_ydata(), of_family(interaction, "llama")["sync_r2_raw"])


def test_one_seed_has_no_ceiling():
    tables = MadeUp(TWO, seeds=1).tables()
    levels = baseline_gains(tables["baselines"], tables["baselines_overall"], tables["protocols"]).axes[2]
    ticks = [label.get_text() for label in levels.get_xticklabels()]
    assert ticks == ["own past", "context", "text", "partner's state"]


def test_without_nonlinear_maps_their_panel_is_left_out(made_up):
    def affine_only(table):
        return table[~table["measure"].str.contains("kernel_ridge|mlp|affine")]

    tables = [affine_only(made_up[name]) for name in ("baselines", "baselines_overall")]
    found = baseline_gains(*tables, made_up["protocols"]).axes
    whole = baseline_gains(made_up["baselines"], made_up["baselines_overall"], made_up["protocols"]).axes
    assert [axes.get_title() for axes in found] == [axes.get_title() for axes in (whole[0], whole[2])]


def test_baselines_without_own_past_are_refused(made_up):
    table = made_up["baselines"].query("measure != 'own_past_gain'")
    with pytest.raises(SyncR2Error, match=r"'own_past_gain'.*context_gain"):
        baseline_gains(table, made_up["baselines_overall"], made_up["protocols"])


# ---------------------------------------------------------------- lags


def test_lag_profile_draws_reversed_time_apart(figures, made_up):
    (axes,) = figures["lag_profile"].axes
    overall = made_up["lag_profile_overall"]
    for name, agent, lags in (
        ("the partner's state", "partner", [1, 3, 5, 7]),
        ("the agent's own state", "self", [2, 4, 6]),
    ):
        line = line_named(axes, name)
        own = overall[(overall["agent"] == agent) & (overall["lag"] > 0)].sort_values("lag")
        np.testing.assert_array_equal(line.get_xdata(), lags)
        np.testing.assert_array_equal(line.get_ydata(), own["sync_r2_raw"])
    back = line_named(axes, "the partner's state, time reversed")
    assert back.get_xdata().tolist() == [-1]
    assert back.get_linestyle() == "None"
    assert back.get_markerfacecolor() == "white"
    whiskers = segments(axes)
    np.testing.assert_allclose(
        sorted(map(tuple, whiskers[:, :, 1])), sorted(map(tuple, overall[["low", "high"]].to_numpy()))
    )
    faint = [line for line in axes.get_lines() if line.get_linewidth() == 0.5]
    # A line a pair for each agent, and a point a pair for reversed time.
    assert sorted(len(line.get_xdata()) for line in faint) == [1] * 21 + [3] * 21 + [4] * 21
    assert all(line.get_marker() == "o" for line in faint if len(line.get_xdata()) == 1)
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["−1\nreversed", "1"]
    assert axes.get_ylim()[0] <= 0


def test_reversed_time_alone_is_a_lag_profile(made_up):
    profile, overall = (made_up[name].query("lag < 0") for name in ("lag_profile", "lag_profile_overall"))
    assert legend_texts(lag_profile(profile, overall)) == ["the partner's state, time reversed"]


# ---------------------------------------------------------------- groups


def test_groups_show_both_fits_in_the_order_of_intimacy(figures, made_up):
    (axes,) = figures["groups"].axes
    table = made_up["groups"].query("versus == ''")
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == [f"{value.replace('_', ' ')}\nn = 21" for value in RELATIONSHIPS]
    clusters = Clusters.of(table)
    filled, hollow = segments(axes, 0.8), segments(axes, 0.5)
    assert len(filled) == len(hollow) == 6 * 21
    for place, value in enumerate(RELATIONSHIPS):
        for fit, label, drawn in (("one", "cross", filled), ("separate", "_cross", hollow)):
            rows = table[(table["value"] == value) & (table["fit"] == fit)]
            dots = lines_named(axes, label)[place]
            np.testing.assert_array_equal(dots.get_ydata(), of_family(rows, "cross")["sync_r2_raw"])
            assert (dots.get_markerfacecolor() == "white") == (fit == "separate")
            row = next(rows.itertuples())
            x = place + clusters.beside[row.model_1, row.model_2]
            (found,) = drawn[np.isclose(drawn[:, 0, 0], x)]
            np.testing.assert_allclose(found[:, 1], [row.low, row.high])
            mean = lines_named(axes, f"mean over pairs, {FITS[fit]}")[place]
            assert mean.get_ydata() == [pytest.approx(rows["sync_r2_raw"].mean())]
            assert (mean.get_markerfacecolor() == BLACK) == (fit == "one")


def test_groups_without_a_separate_fit_or_without_any_row():
    table = MadeUp(TWO, groups={"age": ["10", "9"]}).tables()["groups"]
    axes = sync_by_group_corrected(table.query("fit == 'one'"), "age").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["9\nn = 3", "10\nn = 3"]
    assert not lines_named(axes, "mean over pairs, maps of its own")
    empty = sync_by_group_corrected(table, "mood").axes[0]
    assert [text.get_text() for text in empty.texts] == ["no finite values"]


# ---------------------------------------------------------------- all figures


@pytest.mark.parametrize(
    ("draw", "table", "column"),
    [
        (lambda t: sync_by_protocol(t["protocols"]), "protocols", "raw_low"),
        (lambda t: sync_against_nulls(t["nulls"]), "nulls", "p_holm"),
        (lambda t: control_contrasts(*two(t)), "contrasts", "minus"),
        (lambda t: control_contrasts(*two(t)), "contrasts_overall", "high"),
        (
            lambda t: baseline_gains(t["baselines"], t["baselines_overall"], t["protocols"]),
            "baselines",
            "value",
        ),
        (lambda t: lag_profile(t["lag_profile"], t["lag_profile_overall"]), "lag_profile_overall", "lag"),
        (lambda t: sync_by_group_corrected(t["groups"], "relationship"), "groups", "versus"),
    ],
    ids=["protocols", "nulls", "contrasts", "contrasts_overall", "baselines", "lags", "groups"],
)
def test_missing_column_is_named(made_up, draw, table, column):
    with pytest.raises(SyncR2Error, match=rf"missing: {column} \(found: "):
        draw({**made_up, table: made_up[table].drop(columns=column)})


@pytest.mark.parametrize("models", [MODELS, TWO], ids=["21 pairs", "3 pairs"])
def test_nothing_is_clipped_covered_or_too_small(models):
    made = MadeUp(models, seeds=2 if models is MODELS else 1)
    for name, figure in every_figure(made.tables()).items():
        assert figure.get_figwidth() <= 7.0 + 1e-9, name
        assert figure.get_figheight() <= 6.0, f"{name}: the report cannot scroll to the top of a higher one"
        texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
        assert min(text.get_fontsize() for text in texts) >= 6, name
        with STYLE.context():
            inside = figure.get_tightbbox().padded(-0.01)
        assert min(inside.min) >= 0, name
        assert (inside.max <= figure.get_size_inches()).all(), name
        line = figure._suptitle.get_window_extent()
        assert figure.get_suptitle() == NOTICE
        boxes = [axes.get_tightbbox() for axes in figure.axes if axes.axison]
        assert all(box.y1 <= line.y0 + 0.5 for box in boxes), name
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i]), name
        for axes in figure.axes:
            rows = [label.get_window_extent() for label in axes.get_yticklabels() if label.get_text()]
            assert all(lower.y1 <= upper.y0 + 0.5 for lower, upper in pairwise(rows)), name
            ticks = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
            assert all(left.x1 <= right.x0 for left, right in pairwise(ticks)), name


def test_saving_is_repeatable(figures, made_up, tmp_path):
    # The layout with most freedom: axes of a grid, and a legend that is tried until it fits.
    again = baseline_gains(
        made_up["baselines"], made_up["baselines_overall"], made_up["protocols"], watermark=NOTICE
    )
    for name, figure in (("a", again), ("b", figures["baselines"])):
        save(figure, tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
    for kind in ("svg", "png"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_made_up_gains_are_those_of_the_figure():
    assert set(GAINS) == PARTNER_ADDS.keys() | NONLINEAR_ADDS.keys()


# ---------------------------------------------------------------- the stage, on files


@pytest.fixture
def paths(made_up, tmp_path) -> dict[str, str]:
    found = {name: str(tmp_path / f"{name}.tsv") for name in made_up}
    for name, table in made_up.items():
        write_table(found[name], table)
    return found


def drawn(paths: dict[str, str], folder: Path, names: list[str]) -> set[str]:
    """Draw from files; the names of the figures that came out, each in both formats."""
    output = {name: {kind: str(folder / f"{name}.{kind}") for kind in ("svg", "png")} for name in names}
    columns = ["relationship"] if "by_relationship" in names else []
    controls(paths, columns, {"lag3": 3, "lag5": 5}, NOTICE, output)
    assert all((folder / f"{path.stem}.png").stat().st_size > 5000 for path in folder.glob("*.svg"))
    return {path.stem for path in folder.glob("*.svg")}


def test_the_stage_draws_every_figure_with_the_notice_and_words(paths, tmp_path):
    names = ["conditions", "protocols", "contrasts", "nulls", "baselines", "lag_profile", "by_relationship"]
    folder = tmp_path / "figures"
    assert drawn(paths, folder, names) == set(names)
    for name in names:
        assert NOTICE in (folder / f"{name}.svg").read_text(encoding="utf-8")
    contrasts = (folder / "contrasts.svg").read_text(encoding="utf-8")
    assert "interaction − passive reader" in contrasts
    assert "interaction − lag 5" in contrasts


def test_the_stage_draws_what_there_is(paths, tmp_path):
    named = ("protocols", "protocols_overall", "contrasts", "contrasts_overall", "groups")
    kept = {name: paths[name] for name in named}
    always = ["conditions", "protocols"]
    assert drawn(kept, tmp_path / "two", [*always, "contrasts"]) == {*always, "contrasts"}
    for name, table in MadeUp(TWO, controls=()).tables().items():
        if name in kept:
            write_table(kept[name], table)
    assert drawn(kept, tmp_path / "one", always) == set(always)
