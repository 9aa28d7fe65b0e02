"""Statistics of a whole run: every table is made, and they hold together."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import snakemake, with_changes

from syncr2.files import read_table

ALWAYS = (
    *("pairs", "correlations", "rank_correlations", "partial_correlations", "leave_one_out"),
    *("mixed_models", "robustness", "paper_comparison", "paper_collinearity"),
)
CORRECTED = (
    *("dialogues", "within_pairs", "relationship", "relationship_trend", "relationship_environments"),
    *("depth_profile", "depth_peak", "attenuation"),
)


@pytest.fixture(scope="module")
def tables(tiny, finished):
    names = (*ALWAYS, *CORRECTED)
    paths = {name: f"results/statistics/{name}.tsv" for name in names}
    run = snakemake(tiny, finished, targets=tuple(paths.values()))
    assert run.error is None, run.error
    return {name: read_table(finished / path) for name, path in paths.items()}


def test_dialogues_bring_their_scores_and_these_add_up_to_synchrony(tables, finished):
    dialogues = tables["dialogues"]
    assert len(dialogues) == 4 * 8
    assert {"stakes", "relationship", "n_turns", "social_performance"} <= set(dialogues.columns)
    protocols = read_table(finished / "results/controls/protocols.tsv")
    corrected = protocols[(protocols["protocol"] == "corrected") & (protocols["states"] == "plain")]
    whole = corrected[corrected["condition"] == "interaction"].set_index(["model_1", "model_2"])
    # All dialogues of a fold count the same in both, but folds of the few episodes differ in size.
    alone = dialogues[(dialogues["agent1"] == "red") & (dialogues["agent2"] == "red")]["sync_r2"]
    assert np.sign(alone.mean()) == np.sign(whole.loc[("red", "red"), "sync_r2_raw"])


def test_families_of_one_pair_have_rows_and_no_statistics(tables):
    assert tables["correlations"]["family"].tolist() == ["warm", "cross", "cold", "all"]
    assert tables["correlations"]["n"].tolist() == [1, 1, 1, 3]
    assert tables["correlations"]["relabellings"].tolist() == [1, 1, 1, 2]
    assert tables["correlations"]["qap_p"].isna().tolist()[:3] == [True, True, True]
    assert tables["partial_correlations"].empty
    assert set(tables["mixed_models"]["status"]) == {"too few models"}


def test_every_measure_and_judge_is_tried(tables):
    assert set(tables["robustness"]["sync"]) == {
        *("published", "corrected_plain", "corrected_centred", "own_past_gain")
    }


def test_layers_and_reliability_have_a_row_each(tables):
    assert tables["depth_peak"]["level"].tolist() == ["pair"] * 3 + ["family"] * 3 + ["all"]
    assert tables["attenuation"]["family"].tolist() == ["warm", "cross", "cold", "all"]


def test_without_the_corrected_protocol_pairs_are_correlated_all_the_same(tiny, finished, tmp_path):
    config = with_changes(tiny, synchrony__protocols=["paper"], synchrony__group_by=[])
    run = snakemake(config, finished, dry=True, targets=("results/statistics/robustness.tsv",))
    assert run.error is None, run.error
    assert run.count["score_dialogues"] == 0


def test_a_pair_in_the_other_order_is_the_same_pair(tiny, finished):
    config = with_changes(tiny, pairs=[["blue", "red"], ["red", "red"], ["blue", "blue"]])
    run = snakemake(config, finished, dry=True, targets=("results/statistics/correlations.tsv",))
    assert run.error is None, run.error
    assert not {"play_dialogues", "replay_states", "fit_layer_maps"} & set(run.count)


def test_of_other_models_nothing_is_compared_with_the_paper(tables):
    comparison = tables["paper_comparison"]
    assert set(comparison["verdict"]) == {"not comparable"}
    assert len(comparison[comparison["published"].notna()]) == 9 + 2 * 21
    # Families of the run stand there by their own names.
    ours = comparison[comparison["why"] == "not published"]
    assert ours["family"].tolist() == ["warm", "cold", "all"]
    # No covariates here, so only the published pairs have a row.
    assert set(tables["paper_collinearity"]["pairs"]) == {"published"}


def test_environments_of_relationships_average_to_their_means(tables):
    single = tables["relationship_environments"]
    again = single.groupby(["family", "relationship"])["sync_r2"].mean()
    means = tables["relationship"].set_index(["family", "relationship"])["sync_r2"]
    assert again.sort_index().to_numpy() == pytest.approx(means.sort_index().to_numpy())


def test_pages_and_figures_of_the_statistics_are_there(finished):
    figures = {path.stem for path in (finished / "results/figures/statistics").glob("*.svg")}
    assert figures == {"forest", "relationships", "depths"}
    pages = {
        name: (finished / f"results/pages/{name}.html").read_text()
        for name in ("statistics", "judges", "paper")
    }
    assert all("A test." in page and "rule-based stand-in" in page for page in pages.values())
    assert "None of this run&#39;s models is a published one" in pages["paper"]
    # What the page on provenance lists it must have read.
    provenance = (finished / "results/pages/provenance.html").read_text()
    assert "statistics/paper_comparison.tsv" in provenance


def test_without_the_corrected_protocol_statistics_have_pages_all_the_same(tiny, finished):
    config = with_changes(tiny, synchrony__protocols=["paper"], synchrony__group_by=[])
    run = snakemake(config, finished, dry=True)
    assert run.error is None, run.error
    assert run.count["write_statistics_pages"] == run.count["draw_statistics"] == 1
    assert run.count["locate_synchrony"] == run.count["relate_dialogues"] == 0
