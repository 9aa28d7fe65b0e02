"""What a covariate leaves of a correlation: closed forms, and the published partial correlations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up_statistics import study
from scipy import stats

from syncr2.statistics.collinearity import collinearity_table
from syncr2.statistics.correlation import partial_correlation


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    published = study()
    found = collinearity_table(
        published.pairs,
        published.covariates_by_model,
        published.covariates,
        published.reading_error,
        published.score_error,
    )
    return found.set_index(["family", "covariate"])


def test_published_pairs_give_the_partial_correlations_that_they_give(table: pd.DataFrame) -> None:
    expected = {
        ("mistral", "ifeval"): 0.84,
        ("cross", "ifeval"): 0.55,
        ("llama", "ifeval"): 0.99,
        ("mistral", "musr"): 0.91,
        ("cross", "musr"): 0.94,
        ("llama", "musr"): 1.00,
    }
    for key, value in expected.items():
        assert round(table.loc[key, "partial_r"], 2) == value
    assert table["n"].to_dict()["cross", "musr"] == 9
    assert table["df"].to_dict()["llama", "ifeval"] == 3


def test_correlations_and_inflation_are_the_formulas_own_terms(table: pd.DataFrame) -> None:
    for row in table.to_dict("records"):
        rest = np.sqrt((1 - row["r_sync"] ** 2) * (1 - row["r_performance"] ** 2))
        assert row["partial_r"] == pytest.approx((row["r"] - row["r_sync"] * row["r_performance"]) / rest)
        assert row["inflation_sync"] == pytest.approx(1 / (1 - row["r_sync"] ** 2))
        assert row["inflation_performance"] == pytest.approx(1 / (1 - row["r_performance"] ** 2))


def test_ifeval_leaves_next_to_nothing_of_the_llama_pairs(table: pd.DataFrame) -> None:
    row = table.loc["llama", "ifeval"]
    assert row["inflation_performance"] > 100
    # An error of the scores of a benchmark's size moves the result from nothing to everything.
    assert row["score_low"] < 0.27 < row["score_high"]
    # Reading the plot otherwise does not.
    assert row["reading_low"] > 0.9
    # MuSR has nothing to do with them, and says the same whoever reads.
    other = table.loc["llama", "musr"]
    assert other["inflation_sync"] < 1.01
    assert other["score_high"] - other["score_low"] < 0.02


def test_draws_agree_with_partial_correlations_one_at_a_time() -> None:
    """Among many draws of a large error, the share below a value is that of single ones."""
    rng = np.random.default_rng(0)
    names = [f"m{i}" for i in range(5)]
    pairs = pd.DataFrame(
        [(a, b) for i, a in enumerate(names) for b in names[i:]], columns=["model_1", "model_2"]
    )
    x, y = rng.standard_normal((2, len(pairs)))
    pairs = pairs.assign(family="f", sync_r2=x, social_performance=x + y)
    scores = dict(zip(names, rng.standard_normal(5), strict=True))
    covariates = {name: {"z": value} for name, value in scores.items()}
    found = collinearity_table(pairs, covariates, ["z"], score_error=0.5, n_draws=2000).iloc[0]
    single = []
    for _ in range(2000):
        shifted = {name: value + 0.5 * rng.standard_normal() for name, value in scores.items()}
        z = ((pairs["model_1"].map(shifted) + pairs["model_2"].map(shifted)) / 2).to_numpy()
        single.append(partial_correlation(x, x + y, z[:, None]).r)
    low, high = np.quantile(single, [0.025, 0.975])
    assert found["score_low"] == pytest.approx(low, abs=0.05)
    assert found["score_high"] == pytest.approx(high, abs=0.05)
    # No error, no draws.
    assert np.isnan([found["reading_low"], found["reading_high"]]).all()


def test_the_interval_is_fishers() -> None:
    rng = np.random.default_rng(1)
    names = [f"m{i}" for i in range(8)]
    pairs = pd.DataFrame(
        [(a, b) for i, a in enumerate(names) for b in names[i:]], columns=["model_1", "model_2"]
    )
    x = rng.standard_normal(len(pairs))
    pairs = pairs.assign(family="f", sync_r2=x, social_performance=x + rng.standard_normal(len(pairs)))
    covariates = {name: {"z": float(i)} for i, name in enumerate(names)}
    row = collinearity_table(pairs, covariates, ["z"]).iloc[0]
    reach = stats.norm.ppf(0.975) / np.sqrt(len(pairs) - 4)
    assert np.arctanh(row["high"]) - np.arctanh(row["partial_r"]) == pytest.approx(reach)
    assert np.arctanh(row["partial_r"]) - np.arctanh(row["low"]) == pytest.approx(reach)


def test_what_is_not_defined_has_no_draws() -> None:
    pairs = pd.DataFrame({"model_1": ["a", "a", "b"], "model_2": ["a", "b", "b"], "family": "f"})
    pairs = pairs.assign(sync_r2=[0.1, 0.2, 0.4], social_performance=[1.0, 3.0, 2.0])
    row = collinearity_table(pairs, {"a": {"z": 1.0}, "b": {"z": 2.0}}, ["z"], 0.01, 0.01).iloc[0]
    assert row["df"] == 0
    assert np.isnan([row["partial_r"], row["reading_low"], row["score_low"], row["low"]]).all()


def test_a_covariate_that_is_one_side_leaves_nothing() -> None:
    names = ["a", "b", "c"]
    pairs = pd.DataFrame(
        [(a, b) for i, a in enumerate(names) for b in names[i:]], columns=["model_1", "model_2"]
    )
    covariates = {name: {"z": float(i**2)} for i, name in enumerate(names)}
    z = (
        pairs["model_1"].map(lambda m: covariates[m]["z"])
        + pairs["model_2"].map(lambda m: covariates[m]["z"])
    ) / 2
    pairs = pairs.assign(family="f", sync_r2=3 * z + 1, social_performance=[1.0, 2.0, 4.0, 3.0, 6.0, 5.0])
    row = collinearity_table(pairs, covariates, ["z"]).iloc[0]
    assert row["inflation_sync"] > 1e12
    assert np.isnan(row["partial_r"])
