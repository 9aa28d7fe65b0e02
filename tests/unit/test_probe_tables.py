"""Probes on disk and as tables: written and read, averaged over directions and pairs, drawn and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from syncr2 import figures, pages
from syncr2.errors import SyncR2Error
from syncr2.ids import DIRECTIONS, OrderedPair
from syncr2.label_tables import label_correlations
from syncr2.labels import read_labels
from syncr2.probing.probes import MEASURES, Probe, Scores
from syncr2.probing.storage import Probed, Wanted, read_probes, write_probes
from syncr2.probing.tables import probe_tables
from syncr2.statistics import Resampling

FAMILY = {"a": "one", "b": "two"}
PAIRS = [("a", "a"), ("a", "b")]
ENVIRONMENTS = tuple(f"environment-{i}" for i in range(6))
WANTED = Wanted("emotion", "next")
EMPTY = Probed(None, "never other than speak", ENVIRONMENTS, ("speak",), 30, 6)


def probed(level: float, n_layers: int, seed: int = 0) -> Probed:
    """Explained deviance rises from `level` by 0.1 to the last layer; the text explains 0.05."""
    generator = np.random.default_rng(seed)

    def scores(*shape: int) -> Scores:
        return Scores(np.zeros((*shape, 4)), 0.01 * generator.standard_normal((6, *shape, 4)))

    layers, shuffled, text, majority = scores(n_layers), scores(n_layers), scores(), scores()
    layers.value[:, 3] = level + np.linspace(0, 0.1, n_layers)
    text.value[3] = 0.05
    majority.value[0] = 0.6
    probe = Probe(layers, shuffled, text, majority, np.ones((n_layers, 3)))
    return Probed(probe, "", ENVIRONMENTS, ("joy", "neutral"), 40, 6)


def everything() -> dict[str, dict[OrderedPair, dict[str, dict[Wanted, Probed]]]]:
    """Model b has another depth than a, and nothing to predict where it speaks second to a."""
    found = {}
    for pair, levels, depths in (("a--a", (0.1, 0.3), (3, 3)), ("a--b", (0.2, 0.4), (3, 5))):
        found[OrderedPair.parse(pair)] = {
            direction: {WANTED: probed(level, depth, seed)}
            for seed, (direction, level, depth) in enumerate(zip(DIRECTIONS, levels, depths, strict=True))
        }
    found[OrderedPair("b", "a")] = {direction: {WANTED: EMPTY} for direction in DIRECTIONS}
    return {"reader": found}


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    return probe_tables(everything(), PAIRS, FAMILY)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = {direction: {WANTED: probed(0.1, 3), Wanted("action", "next"): EMPTY} for direction in DIRECTIONS}
    write_probes(tmp_path / "probes.h5", found, {"stage": "test"})
    read = read_probes(tmp_path / "probes.h5")
    assert list(read) == list(DIRECTIONS)
    for direction, each in read.items():
        assert list(each) == [WANTED, Wanted("action", "next")]
        assert each[Wanted("action", "next")] == EMPTY
        before, after = found[direction][WANTED].probe, each[WANTED].probe
        assert before is not None
        assert after is not None
        np.testing.assert_array_equal(before.layers.influence, after.layers.influence)
        np.testing.assert_array_equal(before.text.value, after.text.value)
        np.testing.assert_array_equal(before.penalties, after.penalties)
        assert each[WANTED].classes == ("joy", "neutral")


def test_pairs_are_means_over_their_directions(tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["pairs"][tables["pairs"]["measure"] == "explained_deviance"]
    np.testing.assert_allclose(rows["value"], [0.25, 0.35])
    np.testing.assert_allclose(rows["over_text"], [0.2, 0.3])
    assert rows["reason"].tolist() == ["", "never other than speak"]
    (mean,) = tables["overall"].loc[tables["overall"]["measure"] == "explained_deviance", "value"]
    assert mean == pytest.approx(0.3)
    profile = tables["profile"]
    own = profile[(profile["measure"] == "explained_deviance") & (profile["model_2"] == "b")]
    # Straight lines stay straight, whatever the number of layers.
    np.testing.assert_allclose(own["value"], 0.3 + 0.1 * own["relative_depth"])
    assert ((own["low"] < own["value"]) & (own["value"] < own["high"])).all()


def test_intervals_are_students_of_the_influences() -> None:
    from scipy import stats

    found = everything()
    pair = found["reader"][OrderedPair("a", "a")]
    probes = [pair[direction][WANTED].probe for direction in DIRECTIONS]
    gain = np.mean(
        [p.layers.influence[..., 3].mean(axis=1) - p.text.influence[:, 3] for p in probes if p], axis=0
    )
    half = stats.t.ppf(0.975, 5) * np.sqrt((gain**2).sum())
    row = probe_tables(found, PAIRS[:1], FAMILY)["pairs"].iloc[MEASURES.index("explained_deviance")]
    np.testing.assert_allclose(
        [row["over_text_low"], row["over_text_high"]], [row["over_text"] - half, row["over_text"] + half]
    )


def test_nothing_to_predict_gives_rows_without_values() -> None:
    found = {"reader": {OrderedPair("a", "a"): {direction: {WANTED: EMPTY} for direction in DIRECTIONS}}}
    tables = probe_tables(found, PAIRS[:1], FAMILY)
    assert tables["pairs"]["measure"].tolist() == list(MEASURES)
    assert tables["pairs"]["value"].isna().all()
    assert set(tables["pairs"]["reason"]) == {"never other than speak"}
    assert tables["overall"].empty
    figure = figures.probes_by_depth(tables["profile"], tables["profile_overall"], tables["overall"])
    assert "no label varies" in figure.axes[0].texts[0].get_text()


LABELS = pd.DataFrame(
    {
        "labeller": ["reader", "reader"],
        "model_1": ["a", "a"],
        "model_2": ["a", "b"],
        "label": ["emotion", "emotion"],
        "class": ["joy", "joy"],
        "value": [0.25, 0.75],
        "n_dialogues": [10, 10],
        "n_labelled": [10, 5],
    }
)


def test_the_figure_has_a_row_a_target_and_its_baselines(tables: dict[str, pd.DataFrame]) -> None:
    figure = figures.probes_by_depth(tables["profile"], tables["profile_overall"], tables["overall"])
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy", "explained deviance"]
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    assert set(lines["text of the utterance heard last"]) == {0.05}
    np.testing.assert_allclose(lines["state, mean over pairs"][[0, -1]], [0.25, 0.35])


def test_the_page_answers_from_the_tables(tables: dict[str, pd.DataFrame]) -> None:
    shown = pages.ProbeTables(tables["pairs"], tables["overall"], LABELS)
    head = pages.Head("A title", None, ())
    text = pages.probes_page(head, shown, ["reader"])
    assert "Of the reply that follows, states explain 0.300" in text
    assert "the words 0.050: a difference of +0.250" in text
    assert "more than the words of the utterance." in text
    assert "no scientific meaning" in text
    assert "no scientific meaning" not in pages.probes_page(head, shown, [])
    # A quarter of the dialogues have no labels, half of those of the worst pair.
    assert "25.0 %" in text
    assert "50.0 %" in text
    with pytest.raises(SyncR2Error, match="no column n_labelled"):
        pages.ProbeTables(tables["pairs"], tables["overall"], LABELS.drop(columns="n_labelled"))


def test_labels_of_numbers_are_correlated_over_the_pairs_that_have_them(tmp_path: Path) -> None:
    family = dict.fromkeys("abcd", "one")
    pairs = [(x, y) for i, x in enumerate(family) for y in list(family)[i:]]
    sync = pd.DataFrame(pairs, columns=["model_1", "model_2"]).assign(
        family="one", sync_r2=np.linspace(0, 1, len(pairs))
    )
    path = tmp_path / "labels.tsv"
    rows = [
        f"{x}\t{y}\t0\te\t{2 * value + 1}\tword"
        for (x, y), value in zip(pairs[:-1], np.linspace(0, 1, len(pairs)), strict=False)
    ]
    path.write_text("\n".join(["agent1\tagent2\tseed\tepisode_id\taligned\tmood", *rows]) + "\n")
    table = label_correlations(
        {"published": sync}, {"people": read_labels(path)}, family, Resampling(0, 99, 0)
    )
    assert table["label"].tolist() == ["aligned"] * len(table)
    assert table["labeller"].unique().tolist() == ["people"]
    np.testing.assert_allclose(table["r"], 1.0)
    assert set(table["n"]) == {len(pairs) - 1}
