"""Figures show what the tables say: positions, limits, labels and bytes, not only that something is drawn."""

from __future__ import annotations

from itertools import pairwise

import matplotlib
import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from scipy import stats
from shared import SHARED, missing

from syncr2.errors import SyncR2Error
from syncr2.figures import (
    STYLE,
    HeatmapPanel,
    condition_looks,
    family_looks,
    lag_decay,
    layer_profiles,
    r2_heatmaps,
    save,
    sync_by_condition,
    sync_by_group,
    sync_vs_performance,
)
from syncr2.figures.labels import place_labels, short_names
from syncr2.figures.performance import fit_line
from syncr2.figures.profiles import mean_curve
from syncr2.protocols.synchrony import directed_sync

CONDITIONS = ["interaction", "passive", "lag3", "lag5"]
LAGS = {"interaction": 1, "lag3": 3, "lag5": 5}
RELATIONSHIPS = ["stranger", "know_by_name", "acquaintance", "friend", "romantic", "family"]
FAMILIES = {"mistral-a": "mistral", "mistral-b": "mistral", "llama-a": "llama", "llama-b": "llama"}
PAIRS = [
    ("mistral", "mistral-a", "mistral-a"),
    ("mistral", "mistral-a", "mistral-b"),
    ("cross", "mistral-a", "llama-a"),
    ("cross", "mistral-b", "llama-b"),
    ("llama", "llama-a", "llama-a"),
    ("llama", "llama-a", "llama-b"),
]


@pytest.fixture
def published() -> pd.DataFrame:
    """The pairs read off the published scatter plot."""
    path = SHARED / "paper" / "published_pairs.csv"
    if not path.is_file():
        pytest.skip(missing("paper/published_pairs.csv"))
    return pd.read_csv(path)


def synchrony_table(pairs: list[tuple[str, str, str]] = PAIRS) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        [
            {
                "family": family,
                "model_1": first,
                "model_2": second,
                "condition": condition,
                "sync_r2": rng.uniform(0.1, 0.8) / (1 + place),
            }
            for family, first, second in pairs
            for place, condition in enumerate(CONDITIONS)
        ]
    )


def profile_table() -> pd.DataFrame:
    """Both speaking orders of three pairs, with models of 3 and of 5 layers."""
    rng = np.random.default_rng(8)
    layers = {"mistral-a": 3, "mistral-b": 5, "llama-a": 5, "llama-b": 3}
    rows = []
    for first, second in [("mistral-a", "mistral-b"), ("mistral-a", "llama-a"), ("llama-a", "llama-b")]:
        for agent1, agent2 in [(first, second), (second, first)]:
            directions = {"agent1_to_agent2": (agent1, agent2), "agent2_to_agent1": (agent2, agent1)}
            for direction, (source, target) in directions.items():
                for layer in range(layers[source]):
                    rows.append(
                        {
                            "agent1": agent1,
                            "agent2": agent2,
                            "condition": "interaction",
                            "direction": direction,
                            "source": source,
                            "target": target,
                            "source_layer": layer,
                            "relative_depth": layer / (layers[source] - 1),
                            "best_r2": rng.uniform(-0.3, 0.9),
                        }
                    )
    return pd.DataFrame(rows)


def group_table() -> pd.DataFrame:
    rng = np.random.default_rng(9)
    rows = [
        {
            "family": family,
            "model_1": first,
            "model_2": second,
            "condition": condition,
            "column": column,
            "value": value,
            "sync_r2": rng.uniform(0, 1),
            "n_test": 50,
        }
        for family, first, second in PAIRS
        for condition in ("interaction", "passive")
        for column, values in (("relationship", RELATIONSHIPS), ("source", ["b", "a"]))
        for value in values
    ]
    return pd.DataFrame(rows)


def pair_table() -> pd.DataFrame:
    table = pd.DataFrame(PAIRS, columns=["family", "model_1", "model_2"])
    return table.assign(
        sync_r2=[0.2, 0.4, 0.3, 0.5, 0.35, 0.6], social_performance=[2.0, 2.4, 2.2, 3.0, 1.9, 3.3]
    )


def correlation_table(pairs: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for family, own in pairs.groupby("family"):
        r, p = stats.pearsonr(own["sync_r2"], own["social_performance"]) if len(own) > 2 else (np.nan, np.nan)
        rows.append({"family": family, "r": r, "p": p, "n": len(own)})
    return pd.DataFrame(rows)


WATERMARK = "untrained miniature models: no scientific meaning"


def every_figure() -> dict[str, Figure]:
    pairs = pair_table()
    r2 = np.random.default_rng(1).uniform(-0.3, 0.7, (4, 6))
    panels = [HeatmapPanel("a", "b", "a speaks first", r2), HeatmapPanel("b", "a", "", r2.T)]
    table = synchrony_table()
    return {
        "heatmaps": r2_heatmaps(panels, watermark=WATERMARK),
        "condition": sync_by_condition(table, CONDITIONS, watermark=WATERMARK),
        "lags": lag_decay(table, LAGS, watermark=WATERMARK),
        "performance": sync_vs_performance(pairs, correlation_table(pairs), watermark=WATERMARK),
        "layers": layer_profiles(profile_table(), FAMILIES, watermark=WATERMARK),
        "groups": sync_by_group(group_table(), "relationship", RELATIONSHIPS, watermark=WATERMARK),
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return every_figure()


def line_named(axes: Axes, label: str) -> Line2D:
    return next(line for line in axes.get_lines() if line.get_label() == label)


def legend_texts(figure: Figure) -> list[str]:
    legends = figure.legends + [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


# ---------------------------------------------------------------- looks


def test_looks_of_published_names_do_not_depend_on_what_else_is_there():
    alone = family_looks(["llama"])["llama"]
    among = family_looks(["qwen", "llama", "cross", "gemma", "mistral"])
    assert among["llama"] == alone
    assert list(among) == ["mistral", "cross", "llama", "gemma", "qwen"]
    assert family_looks(["gemma", "qwen", "gemma"]) == family_looks(["qwen", "gemma"])
    assert len({look.colour for look in among.values()}) == len({look.marker for look in among.values()}) == 5
    conditions = condition_looks([*CONDITIONS, "untrained", "pseudo"])
    assert len({look.colour for look in conditions.values()}) == 6
    assert len({look.marker for look in conditions.values()}) == 6
    assert not {look.colour for look in conditions.values()} & {
        look.colour for look in family_looks(["mistral", "cross", "llama"]).values()
    }
    assert condition_looks(["lag7", "pseudo"])["pseudo"] == conditions["pseudo"]
    assert not set(condition_looks(f"lag{lag}" for lag in range(7, 19, 2)).values()) & set(
        conditions.values()
    )


def test_many_families_never_share_both_colour_and_marker():
    looks = family_looks(f"family-{number:02}" for number in range(30))
    assert len(set(looks.values())) == 30


# ---------------------------------------------------------------- heatmaps


def test_heatmap_marks_the_best_target_layer_of_each_source_layer():
    r2 = np.random.default_rng(3).normal(0.1, 0.4, size=(32, 28))
    figure = r2_heatmaps([HeatmapPanel("deep", "flat", "deep speaks first", r2)])
    axes = figure.axes[0]
    dots = line_named(axes, "best target layer")
    np.testing.assert_array_equal(dots.get_ydata(), np.arange(32))
    np.testing.assert_array_equal(dots.get_xdata(), r2.argmax(axis=1))
    np.testing.assert_array_equal(axes.images[0].get_array(), r2)
    # Origin below, and every layer inside the axes.
    assert axes.get_xlim() == (-0.5, 27.5)
    assert axes.get_ylim() == (-0.5, 31.5)
    assert axes.get_xlabel() == "target layer, flat"
    assert axes.get_ylabel() == "source layer, deep"
    assert f"directed SyncR² = {directed_sync(r2):.3f}" in axes.get_title(loc="left")
    assert "deep speaks first" in axes.get_title(loc="left")


@pytest.mark.parametrize(("n_layers", "step"), [(1, 1), (3, 1), (12, 1), (16, 2), (28, 4), (32, 4), (80, 8)])
def test_heatmap_thins_ticks_to_whole_layers(n_layers, step):
    figure = r2_heatmaps([HeatmapPanel("a", "b", "", np.full((n_layers, n_layers), 0.5))])
    np.testing.assert_array_equal(figure.axes[0].get_xticks(), np.arange(0, n_layers, step))


def test_heatmap_scale_starts_at_zero_and_is_shared_on_demand():
    low, high = np.array([[0.1, -0.2]]), np.array([[0.4, 0.8]])
    panels = [HeatmapPanel("a", "b", "", low), HeatmapPanel("b", "a", "", high)]
    shared = [axes.images[0] for axes in r2_heatmaps(panels).axes if axes.images]
    own = [axes.images[0] for axes in r2_heatmaps(panels, shared_scale=False).axes if axes.images]
    assert [image.get_clim() for image in shared] == [(0, 0.8), (0, 0.8)]
    assert [image.get_clim() for image in own] == [(0, 0.1), (0, 0.8)]


def test_heatmap_negative_values_have_a_colour_of_their_own_and_the_bar_says_so():
    r2 = np.array([[-0.5, 0.0, 0.4]])
    figure = r2_heatmaps([HeatmapPanel("a", "b", "", r2)])
    image = figure.axes[0].images[0]
    below, zero, top = (image.cmap(image.norm(value)) for value in (-0.5, 0.0, 0.4))
    assert len({below, zero, top}) == 3
    assert below[0] == below[1] == below[2], "the colour below zero is a grey"
    assert "grey: below 0" in figure.axes[1].get_ylabel()
    assert image.colorbar.extend == "min"


def test_heatmap_of_only_negative_values_and_of_gaps():
    gaps = np.array([[np.nan, np.nan], [-0.3, np.nan]])
    figure = r2_heatmaps(
        [HeatmapPanel("a", "b", "", gaps), HeatmapPanel("b", "a", "", np.full((2, 2), -1.0))]
    )
    first, second = (axes for axes in figure.axes if axes.images)
    np.testing.assert_array_equal(line_named(first, "best target layer").get_ydata(), [1])
    np.testing.assert_array_equal(line_named(first, "best target layer").get_xdata(), [0])
    assert "not defined" in first.get_title(loc="left")
    assert "= 0.000" in second.get_title(loc="left")
    assert first.images[0].get_clim()[1] > 0


def test_heatmap_panels_have_one_size_and_do_not_overlap():
    r2 = np.full((5, 3), 0.2)
    panels = [HeatmapPanel("a", "b", "x", matrix) for matrix in (r2, r2.T, r2.T, r2)]
    figure = r2_heatmaps(panels, watermark="not real")
    boxes = [axes.get_tightbbox() for axes in figure.axes if axes.images]
    sizes = {tuple(np.round(axes.get_window_extent().size, 6)) for axes in figure.axes if axes.images}
    assert len(boxes) == 4
    assert len(sizes) == 1
    assert next(iter(sizes))[0] == pytest.approx(next(iter(sizes))[1])
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert not any(box.overlaps(figure._suptitle.get_window_extent()) for box in boxes)
    whole = figure.bbox
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= whole.x1 and box.y1 <= whole.y1 for box in boxes)


@pytest.mark.parametrize("shape", [(2,), (2, 3, 4), (0, 3)])
def test_heatmap_refuses_what_is_not_a_matrix(shape):
    with pytest.raises(SyncR2Error, match="two axes"):
        r2_heatmaps([HeatmapPanel("a", "b", "", np.zeros(shape))])


def test_heatmap_refuses_no_panels():
    with pytest.raises(SyncR2Error, match="no matrix"):
        r2_heatmaps([])


# ---------------------------------------------------------------- SyncR² by condition


def test_conditions_sorted_by_interaction_within_family_facets():
    table = synchrony_table()
    figure = sync_by_condition(table, CONDITIONS, {"passive": "passive reader"})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["mistral", "cross", "llama"]
    for axes, family in zip(figure.axes, ["mistral", "cross", "llama"], strict=True):
        own = table[(table["family"] == family) & (table["condition"] == "interaction")].sort_values(
            "sync_r2"
        )
        shown = line_named(axes, "interaction")
        np.testing.assert_array_equal(shown.get_xdata(), own["sync_r2"])
        expected = [
            f"{row.model_1} × {'itself' if row.model_1 == row.model_2 else row.model_2}"
            for row in own.itertuples()
        ]
        assert [label.get_text() for label in axes.get_yticklabels()] == expected
        # Every other condition stands in the row of its own pair.
        lag3 = table[(table["family"] == family) & (table["condition"] == "lag3")]
        in_order = own[["model_1", "model_2"]].merge(lag3, on=["model_1", "model_2"])
        np.testing.assert_array_equal(line_named(axes, "lag3").get_xdata(), in_order["sync_r2"])
    assert len({axes.get_xlim() for axes in figure.axes}) == 1, "facets share x"
    assert legend_texts(figure) == ["interaction", "passive reader", "lag3", "lag5"]


def test_conditions_figure_grows_with_pairs_and_its_rows_do_not_overlap():
    pairs = [("cross", f"mistral-{number}", f"llama-{number}") for number in range(40)]
    small, large = (sync_by_condition(synchrony_table(some), CONDITIONS) for some in (pairs[:2], pairs))
    assert large.get_figheight() > small.get_figheight() + 30 * 0.15
    boxes = [label.get_window_extent() for label in large.axes[0].get_yticklabels()]
    assert all(lower.y1 <= upper.y0 for lower, upper in pairwise(boxes))


def test_conditions_put_missing_values_last_and_say_where_nothing_is_left():
    table = synchrony_table()
    table.loc[(table["model_1"] == "mistral-a") & (table["model_2"] == "mistral-a"), "sync_r2"] = np.nan
    table.loc[table["family"] == "llama", "sync_r2"] = np.nan
    figure = sync_by_condition(table, CONDITIONS)
    assert figure.axes[0].get_yticklabels()[0].get_text() == "mistral-a × itself"
    assert [text.get_text() for text in figure.axes[2].texts] == ["no finite values"]
    assert not figure.axes[1].texts


def test_unknown_condition_is_refused_with_those_present():
    with pytest.raises(SyncR2Error, match=r"'lag7'.*interaction, lag3, lag5, passive"):
        sync_by_condition(synchrony_table(), ["interaction", "lag7"])
    with pytest.raises(SyncR2Error, match="'lag9'"):
        lag_decay(synchrony_table(), {"interaction": 1, "lag9": 9})


# ---------------------------------------------------------------- lags


def test_lag_means_are_the_means_of_the_table_without_the_passive_control():
    table = synchrony_table()
    axes = lag_decay(table, LAGS).axes[0]
    for family in ("mistral", "cross", "llama"):
        line = line_named(axes, family)
        expected = [
            table[(table["family"] == family) & (table["condition"] == condition)]["sync_r2"].mean()
            for condition in LAGS
        ]
        np.testing.assert_array_equal(line.get_xdata(), [1, 3, 5])
        np.testing.assert_allclose(line.get_ydata(), expected)
    drawn = np.concatenate([line.get_ydata() for line in axes.get_lines() if len(line.get_xdata()) == 3])
    passive = table[table["condition"] == "passive"]["sync_r2"]
    assert not np.isin(passive, drawn).any()
    thin = [line for line in axes.get_lines() if line.get_linewidth() < 1 and len(line.get_xdata()) == 3]
    assert len(thin) == len(PAIRS)
    np.testing.assert_array_equal(axes.get_xticks(), [1, 3, 5])
    assert axes.get_ylim()[0] <= 0, "the zero line is inside"


def test_one_pair_and_one_lag_is_drawn_as_a_point():
    figure = lag_decay(synchrony_table(PAIRS[:1]), {"interaction": 1})
    line = line_named(figure.axes[0], "mistral")
    assert line.get_xdata().tolist() == [1]
    assert line.get_marker() not in ("", "None", None)


# ---------------------------------------------------------------- performance


def test_fit_agrees_with_scipy_and_stays_within_the_data():
    rng = np.random.default_rng(4)
    points = rng.normal(size=(20, 2))
    ends = fit_line(points)
    reference = stats.linregress(points[:, 0], points[:, 1])
    np.testing.assert_allclose(ends[:, 0], [points[:, 0].min(), points[:, 0].max()])
    np.testing.assert_allclose(ends[:, 1], reference.intercept + reference.slope * ends[:, 0])


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.ones((1, 2)), np.array([[1.0, 2.0], [1.0, 3.0]])])
def test_no_fit_without_two_different_x(points):
    assert fit_line(points) is None


def test_performance_panels_show_points_labels_and_statistics():
    pairs = pair_table()
    pairs.loc[0, "social_performance"] = np.nan
    correlations = pd.DataFrame(
        [
            {"family": "mistral", "r": np.nan, "p": np.nan, "n": 1},
            {"family": "cross", "r": -0.876, "p": 0.0004, "n": 2},
            {"family": "llama", "r": 0.5, "p": 0.25, "n": 2},
        ]
    )
    figure = sync_vs_performance(pairs, correlations.set_index("family"))
    by_family = dict(zip(["mistral", "cross", "llama"], figure.axes, strict=True))
    texts = {family: [text.get_text() for text in axes.texts] for family, axes in by_family.items()}
    assert texts["mistral"] == ["r not defined, n = 1", "mistral-a\n× mistral-b"]
    assert texts["cross"][0] == "r = −0.88, p < 0.001, n = 2"
    assert texts["llama"] == ["r = 0.50, p = 0.25, n = 2", "llama-a\n× itself", "llama-a\n× llama-b"]
    for family, axes in by_family.items():
        own = pairs[(pairs["family"] == family) & pairs["social_performance"].notna()]
        np.testing.assert_array_equal(line_named(axes, "pairs").get_xdata(), own["sync_r2"])
        np.testing.assert_array_equal(line_named(axes, "pairs").get_ydata(), own["social_performance"])
    assert [line.get_label() for line in by_family["mistral"].get_lines()] == ["pairs"], (
        "no line through one point"
    )
    assert not any(isinstance(artist, PathCollection) for axes in figure.axes for artist in axes.collections)


def test_performance_panels_say_what_the_models_say():
    rows = [("mistral", 0.333, np.nan, np.nan), ("cross", 0.0004, -0.231, 0.995), ("llama", np.nan, 0.1, 0.2)]
    correlations = pd.DataFrame(
        [
            {
                "family": family,
                "r": 0.5,
                "p": 0.02,
                "n": 6,
                "qap_p": p,
                "models_low": low,
                "models_high": high,
            }
            for family, p, low, high in rows
        ]
    )
    figure = sync_vs_performance(pair_table(), correlations)
    texts = [axes.texts[0].get_text().split("\n") for axes in figure.axes]
    plain = "r = 0.50, p = 0.020, n = 6"
    assert texts == [
        [plain, "models permuted: p = 0.33"],
        [plain, "models permuted: p < 0.001, r −0.23 to 0.99"],
        [plain],
    ]
    # Two lines stand between the panel and its title.
    figure.draw_without_rendering()
    for axes in figure.axes:
        text = matplotlib.text.Text.get_window_extent(axes.texts[0])
        assert not axes._left_title.get_window_extent().overlaps(text)


def test_every_used_column_of_a_ragged_grid_has_tick_labels():
    pairs = pair_table()
    pairs["family"] = ["a", "b", "c", "d", "e", "e"]
    figure = sync_vs_performance(pairs, correlation_table(pairs))
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == 5
    labelled = [
        any(label.get_visible() and label.get_text() for label in axes.get_xticklabels()) for axes in shown
    ]
    assert labelled == [False, False, True, True, True]


def label_boxes(axes: Axes) -> list:
    """Boxes of the labels of pairs, without leader lines (an annotation's own extent includes its line)."""
    axes.figure.draw_without_rendering()  # annotations find their place when drawn
    return [
        matplotlib.text.Text.get_window_extent(text)
        for text in axes.texts
        if isinstance(text, Annotation) and "×" in text.get_text()
    ]


def test_labels_of_published_pairs_cover_neither_each_other_nor_points(published):
    figure = sync_vs_performance(published, correlation_table(published))
    counts = []
    for axes, family in zip(figure.axes, ["mistral", "cross", "llama"], strict=True):
        boxes = label_boxes(axes)
        counts.append(len(boxes))
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
        own = published[published["family"] == family][["sync_r2", "social_performance"]].to_numpy()
        points = axes.transData.transform(own)
        assert not any(box.contains(*point) for box in boxes for point in points)
        room = axes.get_window_extent()
        assert all(room.x0 <= box.x0 and box.x1 <= room.x1 for box in boxes)
        assert all(room.y0 <= box.y0 and box.y1 <= room.y1 for box in boxes)
    assert counts == [6, 9, 6]
    assert "r = 0.88, p = 0.022, n = 6" in figure.axes[0].texts[0].get_text()


# ---------------------------------------------------------------- placement of labels


@pytest.mark.parametrize("seed", range(5))
def test_placement_of_random_points_has_no_overlaps(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform([40, 20], [260, 180], size=(12, 2))
    sizes = np.tile([44.0, 14.0], (12, 1))
    centres = place_labels(points, sizes, (0, 0, 300, 200))
    gaps = np.abs(centres[:, None] - centres[None])
    apart = (gaps >= sizes[0]).any(axis=-1) | np.eye(12, dtype=bool)
    assert apart.all()
    assert ((centres - sizes / 2 >= 0) & (centres + sizes / 2 <= [300, 200])).all()
    np.testing.assert_array_equal(centres, place_labels(points, sizes, (0, 0, 300, 200)))


def test_placement_keeps_labels_of_one_and_the_same_point_apart():
    points = np.full((4, 2), 50.0)
    centres = place_labels(points, np.tile([30.0, 10.0], (4, 1)), (0, 0, 100, 100))
    gaps = np.abs(centres[:, None] - centres[None])
    assert ((gaps >= [30.0, 10.0]).any(axis=-1) | np.eye(4, dtype=bool)).all()


def test_placement_keeps_clear_of_a_line():
    line = np.stack([np.linspace(0, 100, 60), np.full(60, 58.0)], axis=1)  # where a label above would stand
    above = place_labels(
        np.array([[50.0, 50.0]]), np.array([[200.0, 10.0]]), (-1e3, -1e3, 1e3, 1e3), lines=line
    )
    assert above[0, 1] + 5 < 58 or above[0, 1] - 5 > 58


def test_placement_of_nothing():
    assert place_labels(np.zeros((0, 2)), np.zeros((0, 2)), (0, 0, 1, 1)).shape == (0, 2)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["mistral-7b-v0.1", "llama-3.2-3b"], ["mistral-v0.1", "llama-3.2"]),
        (["mini-llama-2-7b-chat", "mini-llama-3-8b-instruct"], ["2", "3"]),
        (["llama-7b", "llama-13b"], ["7b", "13b"]),  # without the size nothing is left
        (["qwen-7b", "qwen-14b", "phi-3b"], ["qwen-7b", "qwen-14b", "phi-3b"]),  # both would be "qwen"
        (["a", "a-b"], ["a", "a-b"]),
        (["model-7b"], ["model"]),
    ],
)
def test_short_names_stay_different_and_not_empty(names, expected):
    assert short_names(names) == dict(zip(names, expected, strict=True))


# ---------------------------------------------------------------- layers


def test_profile_lines_are_means_over_speaking_orders():
    table = profile_table()
    figure = layer_profiles(table, FAMILIES)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["mistral", "cross", "llama"]
    cross = figure.axes[1]
    expected = table[(table["source"] == "llama-a") & (table["target"] == "mistral-a")]
    expected = expected.groupby("relative_depth")["best_r2"].mean()
    # One direction of one pair has llama as its source here, so that the bold line is that direction.
    bold = line_named(cross, "source model: llama (mean)")
    np.testing.assert_allclose(bold.get_xdata(), expected.index)
    np.testing.assert_allclose(bold.get_ydata(), expected)
    assert bold.get_color() == family_looks(["llama"])["llama"].colour
    lowest = min(np.min(line.get_ydata()) for axes in figure.axes for line in axes.get_lines())
    assert lowest < 0, "values are not clipped"
    assert sorted(legend_texts(figure)) == ["source model: llama (mean)", "source model: mistral (mean)"]


def test_mean_of_curves_with_different_layers_is_smooth():
    x, longer = np.linspace(0, 1, 3), np.linspace(0, 1, 9)
    places, mean = mean_curve([(x, 2 * x), (longer[::-1], 4 * longer[::-1])])
    np.testing.assert_allclose(places, longer)
    np.testing.assert_allclose(mean, 3 * longer)
    # A curve counts only within its own range.
    places, mean = mean_curve([(np.array([0.0, 0.5]), np.zeros(2)), (x, np.ones(3))])
    np.testing.assert_allclose(mean, [0.5, 0.5, 1.0])


def test_profile_names_models_without_a_family():
    with pytest.raises(SyncR2Error, match=r"unknown: llama-b.*llama-a, mistral-a, mistral-b"):
        layer_profiles(
            profile_table(), {name: family for name, family in FAMILIES.items() if name != "llama-b"}
        )


def test_profile_of_nothing_finite_says_so():
    figure = layer_profiles(profile_table().assign(best_r2=np.nan), FAMILIES)
    assert all(axes.texts[0].get_text() == "no finite values" for axes in figure.axes)


# ---------------------------------------------------------------- groups


def test_groups_show_order_counts_and_means():
    table = group_table()
    table.loc[(table["value"] == "friend") & (table["family"] == "llama"), "sync_r2"] = np.nan
    axes = sync_by_group(table, "relationship", RELATIONSHIPS).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == [
        f"{value.replace('_', ' ')}\nn = {4 if value == 'friend' else 6}" for value in RELATIONSHIPS
    ]
    chosen = table[(table["condition"] == "interaction") & (table["column"] == "relationship")]
    means = chosen.groupby("value")["sync_r2"].mean().reindex(RELATIONSHIPS)
    np.testing.assert_allclose(line_named(axes, "mean over pairs").get_ydata(), means)
    for family in ("mistral", "cross", "llama"):
        dots = line_named(axes, family)
        own = chosen[(chosen["family"] == family) & chosen["sync_r2"].notna()]
        assert sorted(dots.get_ydata()) == sorted(own["sync_r2"])
        assert {RELATIONSHIPS[round(x)] for x in dots.get_xdata()} == set(own["value"])


def test_groups_without_order_or_family():
    table = group_table().drop(columns="family")
    numbers = table[table["column"] == "source"].assign(
        column="age", value=lambda rows: rows["value"].map({"a": 10, "b": 9})
    )
    axes = sync_by_group(pd.concat([table, numbers]), "age", ["none of these"]).axes[0]
    assert [label.get_text().split("\n")[0] for label in axes.get_xticklabels()] == ["9", "10"]
    assert legend_texts(axes.figure) == ["mean over pairs"]


def test_groups_of_unknown_column_or_condition_are_refused():
    with pytest.raises(SyncR2Error, match=r"'mood'.*relationship, source"):
        sync_by_group(group_table(), "mood", RELATIONSHIPS)
    with pytest.raises(SyncR2Error, match=r"'lag3'.*interaction, passive"):
        sync_by_group(group_table(), "relationship", RELATIONSHIPS, condition="lag3")


# ---------------------------------------------------------------- all figures


CORRELATIONS = pd.DataFrame({"family": ["cross"], "r": [0.5], "p": [0.1], "n": [6]})


@pytest.mark.parametrize(
    ("draw", "column"),
    [
        (lambda gone: sync_by_condition(synchrony_table().drop(columns=gone), CONDITIONS), "model_2"),
        (lambda gone: lag_decay(synchrony_table().drop(columns=gone), LAGS), "family"),
        (
            lambda gone: sync_vs_performance(pair_table().drop(columns=gone), CORRELATIONS),
            "social_performance",
        ),
        (lambda gone: sync_vs_performance(pair_table(), CORRELATIONS.drop(columns=gone)), "p"),
        (lambda gone: layer_profiles(profile_table().drop(columns=gone), FAMILIES), "relative_depth"),
        (lambda gone: sync_by_group(group_table().drop(columns=gone), "relationship"), "n_test"),
    ],
    ids=["condition", "lag", "performance", "correlations", "layers", "groups"],
)
def test_missing_column_is_named(draw, column):
    with pytest.raises(SyncR2Error, match=rf"missing: {column} \(found: "):
        draw(column)


def test_saving_is_repeatable_and_leaves_settings_and_pyplot_alone(figures, tmp_path):
    settings = dict(matplotlib.rcParams)
    # A user's own settings change nothing.
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.fonttype": "path"}):
        again = every_figure()
        for name, figure in again.items():
            save(figure, tmp_path / f"{name}-again.svg", tmp_path / f"{name}-again.png")
    for name, figure in figures.items():
        save(figure, tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
        for kind in ("svg", "png"):
            first, second = ((tmp_path / f"{name}{which}.{kind}").read_bytes() for which in ("", "-again"))
            assert first == second, f"{name}.{kind}"
        assert "<text" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8"), "text stays text"
    assert dict(matplotlib.rcParams) == settings
    assert matplotlib.pyplot.get_fignums() == []
    assert not list(tmp_path.glob(".*")), "no temporary files are left"


def test_saving_one_figure_twice_gives_the_same_bytes(figures, tmp_path):
    for name in ("layers", "performance"):  # the layouts with most freedom
        for which in "12":
            save(figures[name], tmp_path / f"{which}.svg", tmp_path / f"{which}.png")
        assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()
        assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_png_has_print_resolution(tmp_path):
    figure = lag_decay(synchrony_table(), LAGS)
    save(figure, tmp_path / "f.svg", tmp_path / "f.png")
    pixels = matplotlib.image.imread(tmp_path / "f.png").shape[:2]
    assert pixels == tuple(int(200 * inches) for inches in figure.get_size_inches()[::-1])


def test_no_figure_is_wider_than_the_page_nor_has_small_text_or_text_outside(figures):
    for name, figure in figures.items():
        assert figure.get_figwidth() <= 7.0 + 1e-9, name
        texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
        assert min(text.get_fontsize() for text in texts) >= 6, name
        with (
            STYLE.context()
        ):  # as in `save`: ticks that matplotlib adds late take the settings of that moment
            inside = figure.get_tightbbox().padded(-0.01)
        assert min(inside.min) >= 0, name
        assert (inside.max <= figure.get_size_inches()).all(), name


def test_watermark_stands_at_the_top_and_covers_nothing(figures):
    for figure in figures.values():
        assert figure.get_suptitle() == WATERMARK
        line = figure._suptitle.get_window_extent()
        assert line.y1 <= figure.bbox.y1
        assert all(axes.get_tightbbox().y1 <= line.y0 + 0.5 for axes in figure.axes)


def test_no_watermark_unless_asked_for():
    assert lag_decay(synchrony_table(), LAGS).get_suptitle() == ""
