"""Correlations against closed forms, against independent computations, and against the published pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from shared import SHARED, missing
from sklearn.linear_model import LinearRegression

from syncr2.errors import SyncR2Error
from syncr2.statistics import (
    correlations,
    overall_correlation,
    pair_covariates,
    partial_correlation,
    partial_correlations,
)


@pytest.fixture
def published() -> pd.DataFrame:
    """The pairs read off the published scatter plot."""
    path = SHARED / "paper" / "published_pairs.csv"
    if not path.is_file():
        pytest.skip(missing("paper/published_pairs.csv"))
    return pd.read_csv(path)


@pytest.fixture
def with_covariates(published: pd.DataFrame) -> pd.DataFrame:
    models = pd.read_csv(SHARED / "paper" / "published_models.csv").set_index("model")
    return pair_covariates(published, models[["ifeval", "musr"]].to_dict("index"))


def table_of(sync_r2: list[float], performance: list[float], family: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"family": family, "sync_r2": sync_r2, "social_performance": performance})


def random_table(seed: int, n: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return pd.DataFrame(
        {
            "family": rng.permutation(np.repeat(["a", "b", "c"], n // 3)),
            "sync_r2": 0.4 + 0.1 * (z + rng.normal(size=n)),
            "social_performance": 3.0 + 0.5 * (z + rng.normal(size=n)),
            "ability": 50.0 + 10.0 * (z + 0.5 * rng.normal(size=n)),
        }
    )


def by_family(table: pd.DataFrame, column: str = "r") -> dict[str, float]:
    return dict(zip(table["family"], table[column], strict=True))


def test_published_pairs_give_the_published_correlations(published: pd.DataFrame) -> None:
    found = correlations(published).set_index("family")
    assert found["r"].round(3).to_dict() == {"mistral": 0.875, "cross": 0.889, "llama": 0.985}
    assert found["n"].to_dict() == {"mistral": 6, "cross": 9, "llama": 6}
    # As published: p < 0.05 for Mistral, < 0.001 for Llama.
    assert found.loc["mistral", "p"] < 0.05
    assert found.loc["llama", "p"] < 0.001


@pytest.mark.parametrize(
    ("covariate", "expected"),
    [
        ("ifeval", {"mistral": 0.84, "cross": 0.55, "llama": 0.99}),
        ("musr", {"mistral": 0.91, "cross": 0.94, "llama": 1.00}),
    ],
)
def test_partial_correlations_of_the_published_pairs(
    with_covariates: pd.DataFrame, covariate: str, expected: dict[str, float]
) -> None:
    found = partial_correlations(with_covariates, [covariate])
    assert {family: round(r, 2) for family, r in by_family(found).items()} == expected
    assert by_family(found, "df") == {"mistral": 3, "cross": 6, "llama": 3}


def test_closed_form_by_hand() -> None:
    # Deviations (-2, -1, 0, 1, 2) and (-2, 0, -1, 2, 1): r = 8 / 10, t = 0.8 sqrt(3 / 0.36) with 3 df.
    found = correlations(table_of([1, 2, 3, 4, 5], [1, 3, 2, 5, 4]))
    t = 0.8 * np.sqrt(3 / 0.36)
    # The t distribution with 3 degrees of freedom, written out.
    cdf = 0.5 + (t / np.sqrt(3) / (1 + t**2 / 3) + np.arctan(t / np.sqrt(3))) / np.pi
    assert found["r"].item() == pytest.approx(0.8, abs=1e-12)
    assert found["p"].item() == pytest.approx(2 * (1 - cdf), abs=1e-12)
    assert list(found.columns) == ["family", "r", "p", "n"]


def test_partial_correlation_by_hand() -> None:
    # x and y share only z: r_xy = 0.5, r_xz = r_yz = 1/sqrt(2), so that nothing is left once z is held fixed.
    z = np.array([1.0, 1, -1, -1, 1, 1, -1, -1])
    u = np.array([1.0, -1, 1, -1, 1, -1, 1, -1])
    v = np.array([1.0, 1, 1, 1, -1, -1, -1, -1])
    x, y = z + u, z + v
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(0.5)
    found = partial_correlation(x, y, z[:, None])
    assert found.r == pytest.approx(0.0, abs=1e-12)
    assert found.p == pytest.approx(1.0, abs=1e-12)
    assert (found.n, found.df) == (8, 5)


@pytest.mark.parametrize("seed", range(5))
def test_partial_correlation_agrees_with_closed_form_and_residuals(seed: int) -> None:
    table = random_table(seed)
    found = partial_correlations(table, ["ability"])
    for row in found.itertuples():
        group = table[table["family"] == row.family]
        x, y, z = (group[column].to_numpy() for column in ("sync_r2", "social_performance", "ability"))
        r = np.corrcoef([x, y, z])
        closed = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
        assert row.r == pytest.approx(closed, abs=1e-10)
        rest = [v - LinearRegression().fit(z[:, None], v).predict(z[:, None]) for v in (x, y)]
        assert row.r == pytest.approx(np.corrcoef(rest)[0, 1], abs=1e-10)
        # The p value of the slope of x in the regression of y on x and z tests the same hypothesis.
        design = np.column_stack([np.ones_like(x), x, z])
        coefficients, squares, *_ = np.linalg.lstsq(design, y, rcond=None)
        error = np.sqrt(squares[0] / row.df * np.linalg.inv(design.T @ design)[1, 1])
        assert row.p == pytest.approx(2 * stats.t.sf(abs(coefficients[1] / error), row.df), rel=1e-8)
        assert row.df == len(group) - 3


def test_two_covariates_at_once_agree_with_the_recursion() -> None:
    rng = np.random.default_rng(3)
    x, y, z, w = rng.normal(size=(4, 20)) + rng.normal(size=20)
    once = [partial_correlation(a, b, z[:, None]).r for a, b in ((x, y), (x, w), (y, w))]
    expected = (once[0] - once[1] * once[2]) / np.sqrt((1 - once[1] ** 2) * (1 - once[2] ** 2))
    found = partial_correlation(x, y, np.column_stack([z, w]))
    assert found.r == pytest.approx(expected, abs=1e-10)
    assert found.df == 16


@pytest.mark.parametrize("seed", range(5))
def test_row_order_and_affine_rescaling_change_nothing(seed: int) -> None:
    table = random_table(seed)
    shuffled = table.sample(frac=1, random_state=seed)
    scaled = table.assign(
        sync_r2=1e3 * table["sync_r2"] - 7,
        social_performance=1e-6 * table["social_performance"] + 2,
        ability=-1e5 * table["ability"] + 1e6,
    )
    for function in (correlations, overall_correlation, lambda t: partial_correlations(t, ["ability"])):
        reference = by_family(function(table))
        assert by_family(function(shuffled)) == pytest.approx(reference, abs=1e-9)
        assert by_family(function(scaled)) == pytest.approx(reference, abs=1e-8)
        mirrored = function(table.assign(sync_r2=-table["sync_r2"]))
        assert by_family(mirrored) == pytest.approx({k: -v for k, v in reference.items()}, abs=1e-9)
    assert correlations(shuffled)["family"].tolist() == list(dict.fromkeys(shuffled["family"]))


def test_pooling_families_is_not_averaging_them() -> None:
    # Within each family the relation is perfectly negative, over both it is positive.
    table = pd.concat([table_of([1, 2, 3], [3, 2, 1], "a"), table_of([11, 12, 13], [13, 12, 11], "b")])
    assert by_family(correlations(table)) == pytest.approx({"a": -1.0, "b": -1.0})
    found = overall_correlation(table)
    assert found["family"].tolist() == ["all"]
    assert found["n"].item() == 6
    pooled = np.corrcoef(table["sync_r2"], table["social_performance"])[0, 1]
    assert found["r"].item() == pytest.approx(pooled)
    assert pooled > 0.9


@pytest.mark.parametrize(
    ("sync_r2", "performance"),
    [
        ([0.1], [2.0]),
        ([0.1, 0.2], [2.0, 3.0]),
        ([0.1, 0.1, 0.1], [1.0, 2.0, 3.0]),
        ([1, 2, 3], [0.1 + 0.2, 0.3, 0.3]),
    ],
)
def test_undefined_correlations_are_nan(sync_r2: list[float], performance: list[float]) -> None:
    found = correlations(table_of(sync_r2, performance))
    assert np.isnan(found["r"].item())
    assert np.isnan(found["p"].item())
    assert found["n"].item() == len(sync_r2)


def test_perfect_relation_has_p_zero() -> None:
    table = table_of([1, 2, 3, 4], [2, 4, 6, 8]).assign(z=[1.0, -1.0, 2.0, 0.5])
    assert correlations(table)["p"].item() == pytest.approx(0.0, abs=1e-12)
    partial = partial_correlations(table, ["z"])
    assert partial["r"].item() == pytest.approx(1.0)
    assert partial["p"].item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("n", "covariate"),
    [
        (3, [1.0, 5.0, 2.0]),  # no degree of freedom left
        (5, [2.0] * 5),  # nothing to hold fixed
        (5, [1.0, 2.0, 4.0, 3.0, 6.0]),  # SyncR² itself
    ],
)
def test_undefined_partial_correlations_are_nan(n: int, covariate: list[float]) -> None:
    table = table_of([1.0, 2.0, 4.0, 3.0, 6.0][:n], [2.0, 1.0, 7.0, 3.0, 4.0][:n]).assign(z=covariate)
    found = partial_correlations(table, ["z"])
    assert np.isnan(found["r"].item())
    assert np.isnan(found["p"].item())
    assert found["df"].item() == n - 3


def test_extra_columns_and_their_gaps_do_not_matter() -> None:
    table = random_table(0)
    extra = table.assign(note="text", gap=np.nan)
    extra = extra[["note", "ability", "gap", "social_performance", "family", "sync_r2"]]
    pd.testing.assert_frame_equal(correlations(extra), correlations(table))


def test_families_of_a_categorical_column_without_a_pair_are_left_out() -> None:
    table = table_of([1, 2, 3], [1, 3, 2])
    table["family"] = pd.Categorical(table["family"], categories=["z", "a"])
    assert correlations(table)["family"].tolist() == ["a"]


@pytest.mark.parametrize("column", ["family", "sync_r2", "social_performance"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(SyncR2Error, match=f"lacks {column}"):
        correlations(random_table(0).drop(columns=column))


def test_a_missing_covariate_is_named() -> None:
    with pytest.raises(SyncR2Error, match="lacks musr"):
        partial_correlations(random_table(0), ["ability", "musr"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None, "n/a"])
@pytest.mark.parametrize("column", ["sync_r2", "social_performance"])
def test_a_value_that_is_no_finite_number_is_refused_with_its_row(column: str, value: object) -> None:
    table = random_table(0).astype({column: object})
    table.loc[4, column] = value
    with pytest.raises(SyncR2Error, match=rf"{column} is .* in row 4"):
        correlations(table)


def test_empty_table_missing_family_and_double_column_are_refused() -> None:
    table = random_table(0)
    with pytest.raises(SyncR2Error, match="no rows"):
        correlations(table.iloc[:0])
    with pytest.raises(SyncR2Error, match="row 2 has no family"):
        overall_correlation(table.assign(family=["a", "b", None] + ["c"] * 27))
    with pytest.raises(SyncR2Error, match="more than one column named sync_r2"):
        correlations(pd.concat([table, table[["sync_r2"]]], axis=1))


def test_pair_covariates_are_means_of_the_two_models() -> None:
    table = pd.DataFrame({"model_1": ["a", "a", "b"], "model_2": ["a", "b", "b"], "x": [1, 2, 3]})
    values = {"a": {"ifeval": 0.2, "size": 7}, "b": {"size": 8, "ifeval": 0.6}, "unused": {}}
    found = pair_covariates(table, values)
    assert found["ifeval"].tolist() == pytest.approx([0.2, 0.4, 0.6])
    assert found["size"].tolist() == [7.0, 7.5, 8.0]
    assert list(table.columns) == ["model_1", "model_2", "x"]
    assert list(pair_covariates(table, values, ["size"]).columns) == ["model_1", "model_2", "x", "size"]


@pytest.mark.parametrize("value", [None, float("nan"), True, "0.5"])
def test_a_covariate_missing_for_one_model_is_refused(value: object) -> None:
    table = pd.DataFrame({"model_1": ["a", "a"], "model_2": ["a", "b"]})
    values: dict = {"a": {"ifeval": 0.2}, "b": {} if value is None else {"ifeval": value}}
    with pytest.raises(SyncR2Error, match="b lacks ifeval"):
        pair_covariates(table, values)


def test_a_covariate_must_not_hide_a_column() -> None:
    table = pd.DataFrame({"model_1": ["a"], "model_2": ["a"], "sync_r2": [0.3]})
    with pytest.raises(SyncR2Error, match="already taken: sync_r2"):
        pair_covariates(table, {"a": {"sync_r2": 1.0}})
