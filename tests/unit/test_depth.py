"""Depth profiles and reliabilities from corrected measures: planted peaks, closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up_measures import measured
from made_up_pairs import kinship
from scipy import stats

from syncr2.errors import SyncR2Error
from syncr2.ids import pair_family, speaking_orders, unordered_pairs
from syncr2.statistics.attenuation import OK, TOO_FEW, UNRELIABLE, attenuation_table, pair_performance
from syncr2.statistics.depth import DEPTHS, depth_tables

FAMILIES = kinship(4)
PAIRS = unordered_pairs(list(FAMILIES))
ENVIRONMENTS = [f"e{i}" for i in range(30)]


def profiles(seed: int, peak: float, noise: float = 0.02) -> dict:
    """Triangular profiles of models with 5 and 9 layers; each environment adds its own noise."""
    rng = np.random.default_rng(seed)
    found = {}
    for i, pair in enumerate(PAIRS):
        depth = np.linspace(0, 1, (5, 9)[i % 2])
        found[pair] = 0.5 - abs(depth - peak) + noise * rng.standard_normal((30, len(depth)))
    return found


@pytest.mark.parametrize("peak", [0.0, 0.5, 0.75])
def test_the_peak_is_where_it_was_planted(peak: float) -> None:
    tables = depth_tables(measured(profiles(0, peak), ENVIRONMENTS), PAIRS, FAMILIES, 300)
    found = tables["depth_peak"]
    assert found["level"].value_counts().to_dict() == {"pair": 10, "family": 3, "all": 1}
    assert (abs(found["depth"] - peak) <= 0.05).all()
    whole = found[found["level"] == "all"].iloc[0]
    assert whole["low"] <= peak <= whole["high"]
    assert whole["r2"] == pytest.approx(0.5, abs=0.03)
    # Intermediate layers are stronger than the outer thirds unless the peak is at an end.
    assert (whole["difference_low"] > 0) == (peak > 0)
    assert whole["difference_low"] < whole["middle_less_outer"] < whole["difference_high"]


def test_profiles_of_models_with_different_depths_are_interpolated_and_averaged() -> None:
    tables = depth_tables(measured(profiles(1, 0.5, noise=0.0), ENVIRONMENTS), PAIRS, FAMILIES, 0)
    profile = tables["depth_profile"]
    assert profile["family"].unique().tolist() == ["family0", "cross", "family1", "all"]
    whole = profile[profile["family"] == "all"]
    np.testing.assert_allclose(whole["relative_depth"], DEPTHS)
    np.testing.assert_allclose(whole["r2"], 0.5 - abs(DEPTHS - 0.5), atol=1e-12)
    # Without draws there is no interval of the place, only of the values.
    assert tables["depth_peak"]["low"].isna().all()


def test_intervals_of_a_profile_are_students_over_environments() -> None:
    values = profiles(2, 0.5, noise=0.3)
    tables = depth_tables(measured(values, ENVIRONMENTS), PAIRS, FAMILIES, 100)
    own = [pair for pair in PAIRS if pair_family(*pair, FAMILIES) == "family0"]
    by_environment = np.mean([values[pair][:, 0] for pair in own], axis=0)
    expected = stats.t.interval(0.95, 29, by_environment.mean(), stats.sem(by_environment))
    first = tables["depth_profile"].query("family == 'family0'").iloc[0]
    assert (first["low"], first["high"]) == pytest.approx(expected)


def test_a_single_layer_is_at_depth_zero_everywhere() -> None:
    values = {pair: np.full((30, 1), 0.4) for pair in PAIRS}
    found = depth_tables(measured(values, ENVIRONMENTS), PAIRS, FAMILIES, 100)["depth_peak"]
    np.testing.assert_allclose(found["r2"], 0.4)
    assert set(found["depth"]) == {0.0}


def test_measures_of_different_runs_are_refused() -> None:
    values = profiles(0, 0.5)
    mixed = measured(values, ENVIRONMENTS)
    mixed |= measured({PAIRS[0]: values[PAIRS[0]]}, [f"other{i}" for i in range(30)])
    with pytest.raises(SyncR2Error, match="different environments"):
        depth_tables(mixed, PAIRS, FAMILIES, 100)


def dialogues(performance: dict) -> pd.DataFrame:
    """Two dialogues an environment and speaking order around its value, (n_environments,), by pair."""
    rows = []
    for pair, values in performance.items():
        for order in speaking_orders(*pair):
            for name, value in zip(ENVIRONMENTS, values, strict=True):
                rows += ((*order, name, value + off) for off in (-0.5, 0.5))
    return pd.DataFrame(rows, columns=["agent1", "agent2", "environment_id", "social_performance"])


def two_sides(seed: int, shared: float = 0.0):
    """Both sides by environment, (n_pairs, 30), with errors that go together as much as told."""
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((2, len(PAIRS), 1))
    true[1] = 0.8 * true[0] + 0.6 * true[1]
    everyone = rng.standard_normal((2, 1, 30))
    error = rng.standard_normal((3, len(PAIRS), 30))
    mixed = np.stack([np.sqrt(shared) * error[2] + np.sqrt(1 - shared) * error[i] for i in (0, 1)])
    return true + everyone + 2 * mixed


def hoyt(values: np.ndarray) -> float:
    """Reliability of the row means by analysis of variance (Hoyt; Cronbach's alpha)."""
    n_pairs, n = values.shape
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    residual = (rest**2).sum() / ((n_pairs - 1) * (n - 1))
    return 1 - residual / (n * values.mean(axis=1).var(ddof=1))


@pytest.mark.parametrize("seed", range(3))
def test_reliability_is_that_of_the_analysis_of_variance(seed: int) -> None:
    x, y = two_sides(seed)
    sync = measured({pair: x[i][:, None] for i, pair in enumerate(PAIRS)}, ENVIRONMENTS)
    table = attenuation_table(sync, dialogues(dict(zip(PAIRS, y, strict=True))), PAIRS, FAMILIES)
    whole = table.set_index("family").loc["all"]
    assert whole["n"] == 10
    assert whole["r"] == pytest.approx(np.corrcoef(x.mean(axis=1), y.mean(axis=1))[0, 1])
    assert whole["reliability_sync"] == pytest.approx(hoyt(x))
    assert whole["reliability_performance"] == pytest.approx(hoyt(y))
    assert whole["r_corrected"] == pytest.approx(whole["r"] / np.sqrt(hoyt(x) * hoyt(y)))
    assert whole["status"] == OK


def test_what_both_sides_err_together_in_is_no_relation() -> None:
    found = []
    for seed in range(40):
        x, y = two_sides(seed, shared=0.9)
        sync = measured({pair: x[i][:, None] for i, pair in enumerate(PAIRS)}, ENVIRONMENTS)
        table = attenuation_table(sync, dialogues(dict(zip(PAIRS, y, strict=True))), PAIRS, FAMILIES)
        found.append(table.set_index("family").loc["all", ["r_corrected", "r_shared_removed"]])
    classical, shared = np.median(np.array(found, dtype=float), axis=0)
    # 0.8 was planted. Spearman's correction counts the shared error as relation and more.
    assert classical > 0.85
    assert shared == pytest.approx(0.8, abs=0.05)


def test_no_correction_where_a_side_is_no_more_than_chance_or_too_few() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, len(PAIRS), 30))
    # Whatever environments do, all pairs come to the same but for a hair.
    x -= x.mean(axis=1, keepdims=True) - 1e-3 * rng.standard_normal((len(PAIRS), 1))
    sync = measured({pair: x[i][:, None] for i, pair in enumerate(PAIRS)}, ENVIRONMENTS)
    table = attenuation_table(sync, dialogues(dict(zip(PAIRS, y, strict=True))), PAIRS, FAMILIES)
    whole = table.set_index("family").loc["all"]
    assert whole["status"] == UNRELIABLE
    assert whole["reliability_sync"] < 0
    assert np.isnan(whole[["r_corrected", "r_shared_removed"]].astype(float)).all()
    two = {pair: x[i][:, None] for i, pair in enumerate(PAIRS[:2])}
    few = attenuation_table(
        measured(two, ENVIRONMENTS), dialogues(dict(zip(PAIRS[:2], y, strict=False))), PAIRS[:2], FAMILIES
    )
    assert set(few["status"]) == {TOO_FEW}


def test_performance_of_a_pair_leaves_out_what_was_not_judged() -> None:
    table = dialogues({PAIRS[1]: np.arange(30.0)})
    table.loc[table["environment_id"] == "e0", "social_performance"] = np.nan
    found = pair_performance(table, PAIRS[1], tuple(ENVIRONMENTS))
    assert found.value[0] == pytest.approx(np.arange(1, 30).mean())
    assert found.influence[0, 0] == 0
    expected = stats.sem(np.arange(1.0, 30))
    assert found.error[0] == pytest.approx(expected)
    with pytest.raises(SyncR2Error, match=f"{PAIRS[0][0]} and {PAIRS[0][1]}"):
        pair_performance(table, PAIRS[0], tuple(ENVIRONMENTS))
