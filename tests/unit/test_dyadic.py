"""The tables of correlations over pairs: each number against the function that it comes from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up_pairs import kinship, made_pairs
from scipy import stats
from shared import SHARED, missing

from syncr2.errors import SyncR2Error
from syncr2.maps.nulls import holm
from syncr2.statistics import (
    Resampling,
    correlations,
    dyadic_tables,
    overall_correlation,
    pair_covariates,
    partial_correlations,
    robustness_table,
)

FAMILIES = kinship(6)
HOW = Resampling(draws=200, relabellings=50, seed=1)
COVARIATES = ["size", "age"]


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values = {name: dict(zip(COVARIATES, rng.standard_normal(2).tolist(), strict=True)) for name in FAMILIES}
    return pair_covariates(made_pairs(rng, FAMILIES, r=0.7), values)


@pytest.fixture(scope="module")
def tables(pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return dyadic_tables(pairs, FAMILIES, COVARIATES, HOW)


def test_plain_columns_are_those_of_the_published_correlations(tables, pairs) -> None:
    plain = pd.concat([correlations(pairs), overall_correlation(pairs)], ignore_index=True)
    pd.testing.assert_frame_equal(tables["correlations"][["family", "r", "p", "n"]], plain)
    found = tables["partial"]
    single = found[(found["family"] != "all") & (found["covariate"] != "size+age")].reset_index(drop=True)
    expected = partial_correlations(pairs, COVARIATES)
    pd.testing.assert_frame_equal(single[list(expected.columns)], expected)


def test_all_covariates_are_held_together(tables, pairs) -> None:
    found = tables["partial"].set_index(["covariate", "family"])
    assert found.index.get_level_values(0).unique().tolist() == ["size", "age", "size+age"]
    together = found.loc["size+age", :]
    assert together.loc["all", "df"] == 21 - 4
    design = np.column_stack([np.ones(21), pairs[COVARIATES]])
    left = [
        pairs[side] - design @ np.linalg.lstsq(design, pairs[side], rcond=None)[0]
        for side in ("sync_r2", "social_performance")
    ]
    assert together.loc["all", "r"] == pytest.approx(np.corrcoef(left)[0, 1])


def test_ranks_are_spearmans(tables, pairs) -> None:
    found = tables["rank_correlations"].set_index("family")
    for family in ("cross", "all"):
        part = pairs if family == "all" else pairs[pairs["family"] == family]
        expected = stats.spearmanr(part["sync_r2"], part["social_performance"])
        assert found.loc[family, "r"] == pytest.approx(expected.statistic)
        assert found.loc[family, "p"] == pytest.approx(expected.pvalue)
        assert found.loc[family, "pairs_low"] <= found.loc[family, "r"] <= found.loc[family, "pairs_high"]


def test_what_knows_of_the_models_stands_beside_it(tables) -> None:
    found = tables["correlations"].set_index("family")
    assert found["n_models"].to_dict() == {"family0": 3, "cross": 6, "family1": 3, "all": 6}
    assert found["relabellings"].to_dict() == {"family0": 6, "cross": 36, "family1": 6, "all": 720}
    assert set(found["relabelled"]) == {"all"}
    assert found["models_low"].isna().to_dict() == {
        **{"family0": True, "cross": False, "family1": True, "all": False},
    }
    left = tables["leave_one_out"]
    for family, rows in left.groupby("family"):
        row = found.loc[family]
        assert (row["lowest_r"], row["highest_r"]) == (rows["r"].min(), rows["r"].max())
        assert row["lowest_without"] == rows.loc[rows["r"].idxmin(), "without"]


def test_each_kind_of_p_is_corrected_over_what_the_table_says(tables) -> None:
    plain = tables["correlations"]
    families = plain["family"] != "all"
    for p in ("p", "qap_p"):
        np.testing.assert_allclose(plain.loc[families, f"{p}_holm"], holm(plain.loc[families, p].tolist()))
        assert plain.loc[~families, f"{p}_holm"].item() == plain.loc[~families, p].item()
    assert plain["corrected_over"].tolist() == ["families"] * 3 + [""]
    partial = tables["partial"]
    families = partial["family"] != "all"
    for rows in (families, ~families):
        np.testing.assert_allclose(partial.loc[rows, "qap_p_holm"], holm(partial.loc[rows, "qap_p"].tolist()))
    assert set(partial.loc[families, "corrected_over"]) == {"families and covariates"}
    assert set(partial.loc[~families, "corrected_over"]) == {"covariates"}


def test_a_row_does_not_hang_on_the_other_rows_or_their_order(tables, pairs) -> None:
    alone = dyadic_tables(pairs[pairs["family"] == "cross"], FAMILIES, [], HOW)["correlations"]
    whole = tables["correlations"]
    columns = [name for name in whole.columns if "holm" not in name]
    pd.testing.assert_frame_equal(
        alone.loc[alone["family"] == "cross", columns].reset_index(drop=True),
        whole.loc[whole["family"] == "cross", columns].reset_index(drop=True),
    )
    turned = pairs.rename(columns={"model_1": "model_2", "model_2": "model_1"})
    pd.testing.assert_frame_equal(dyadic_tables(turned, FAMILIES, [], HOW)["correlations"], whole)


def test_mixed_models_have_a_row_for_every_way_to_hold_something_fixed(tables) -> None:
    found = tables["mixed_models"]
    assert found["covariate"].unique().tolist() == ["", "size", "age", "size+age"]
    assert len(found) == 4 * 4
    fitted = found["status"].str.startswith("converged")
    assert fitted.sum() >= 8
    np.testing.assert_array_equal(fitted, found["p"].notna())


def test_without_covariates_partial_has_its_columns_and_no_row(pairs) -> None:
    found = dyadic_tables(pairs, FAMILIES, [], HOW)
    with_rows = dyadic_tables(pairs, FAMILIES, ["size"], HOW)["partial"]
    assert found["partial"].empty
    assert list(found["partial"].columns) == list(with_rows.columns)


def test_a_value_that_is_missing_is_refused(pairs) -> None:
    with pytest.raises(SyncR2Error, match="sync_r2 is nan in row 3"):
        dyadic_tables(pairs.assign(sync_r2=pairs["sync_r2"].where(pairs.index != 3)), FAMILIES, [], HOW)


def test_robustness_takes_every_measure_with_every_judge(pairs) -> None:
    keys = ["model_1", "model_2"]
    sync = {name: pairs[[*keys, "family", "sync_r2"]] for name in ("published", "other")}
    sync["other"] = sync["other"].assign(sync_r2=-pairs["sync_r2"])
    raw = pairs["social_performance"]
    judged = [
        pairs[keys].assign(judge=judge, social_performance=raw * sign, social_performance_standardised=raw**3)
        for judge, sign in (("one", 1), ("two", -1))
    ]
    found = robustness_table(sync, pd.concat(judged), FAMILIES, HOW)
    assert len(found) == 2 * 2 * 2 * 4
    whole = found[found["family"] == "all"].set_index(["sync", "judge", "performance"])["r"]
    r = np.corrcoef(pairs["sync_r2"], raw)[0, 1]
    for measure, judge, sign in (("published", "one", 1), ("published", "two", -1), ("other", "two", 1)):
        assert whole[measure, judge, "social_performance"] == pytest.approx(sign * r)
    cubed = np.corrcoef(pairs["sync_r2"], raw**3)[0, 1]
    assert whole["published", "two", "social_performance_standardised"] == pytest.approx(cubed)
    # Other ways to test the same are no further tests: each is corrected by itself.
    one = found[(found["sync"] == "other") & (found["judge"] == "one") & (found["family"] != "all")]
    one = one[one["performance"] == "social_performance"]
    np.testing.assert_allclose(one["qap_p_holm"], holm(one["qap_p"].tolist()))
    with pytest.raises(SyncR2Error, match="social_performance is nan in row 20"):
        robustness_table(sync, judged[0].iloc[:-1], FAMILIES, HOW)


def test_published_pairs_with_their_covariates() -> None:
    if not (SHARED / "paper" / "published_pairs.csv").is_file():
        pytest.skip(missing("paper/published_pairs.csv"))
    models = pd.read_csv(SHARED / "paper" / "published_models.csv").set_index("model")
    pairs = pair_covariates(
        pd.read_csv(SHARED / "paper" / "published_pairs.csv"), models[["ifeval", "musr"]].to_dict("index")
    )
    found = dyadic_tables(pairs, models["family"].to_dict(), ["ifeval", "musr"], HOW)
    plain = found["correlations"].set_index("family")
    assert plain["r"].round(3).to_dict() == {"mistral": 0.875, "llama": 0.985, "cross": 0.889, "all": 0.753}
    assert plain["qap_p"].round(3).to_dict() == {
        "mistral": 0.333,
        "llama": 0.167,
        "cross": 0.028,
        "all": 0.06,
    }
    # After Holm over the three families none is left.
    assert (plain.loc[["mistral", "cross", "llama"], "qap_p_holm"] > 0.05).all()
    both = found["partial"].set_index(["covariate", "family"]).loc["ifeval+musr"]
    assert both["r"].round(2).to_dict() == {"mistral": -0.3, "llama": 0.92, "cross": 0.47, "all": 0.66}
    # What is left of both sides given model effects is no clear relation at all.
    mixed = found["mixed_models"]
    assert mixed[(mixed["covariate"] == "") & (mixed["family"] == "all")]["p"].item() > 0.4
