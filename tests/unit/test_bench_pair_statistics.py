"""False alarms and power of tests over pairs, with fewer simulations than the benchmark has."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from syncr2.provenance import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import pair_statistics

N = 600


@pytest.mark.parametrize(("share", "least"), [(0.5, 0.09), (0.8, 0.2), (0.95, 0.28)])
def test_naive_pearson_rejects_far_too_often_and_permuted_labels_do_not(share: float, least: float) -> None:
    found = pair_statistics.rejection_rates(6, share, 0.0, N, families=["all", "cross"])
    assert found["all"]["naive"] > least
    assert found["cross"]["naive"] > found["cross"]["qap"]
    # Three standard errors of a rate of 5 % in 600.
    for family in ("all", "cross"):
        assert found[family]["qap"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / N)


def test_the_mixed_model_does_not_either() -> None:
    assert pair_statistics.rejection_rates(6, 0.95, 0.0, 100, ["mixed"], ["all"])["all"]["mixed"] <= 0.1


def test_power_grows_with_models_and_a_family_of_three_has_none() -> None:
    six, ten = (pair_statistics.rejection_rates(n, 0.8, 0.9, 100, ["qap"]) for n in (6, 10))
    assert six["one"]["qap"] == 0
    assert 0.4 < six["all"]["qap"] < ten["all"]["qap"]
    assert six["cross"]["qap"] < six["all"]["qap"]


def test_an_interval_over_models_holds_what_one_over_pairs_does_not() -> None:
    found = pair_statistics.coverage(6, 0.95, 0.0, 150, ["all", "one"])
    assert found["all"]["pairs"] < 0.75
    assert found["all"]["models"] > 0.83
    assert found["one"]["models"] is None


def test_data_have_the_correlation_that_is_expected() -> None:
    rng = np.random.default_rng(0)
    made = pair_statistics.Experiment(6, rng)
    drawn = [made.draw(0.8, 0.7) for _ in range(3000)]
    for family in ("all", "cross", "one"):
        x, y = (np.concatenate([getattr(each[family], side) for each in drawn]) for side in "xy")
        assert np.corrcoef(x, y)[0, 1] == pytest.approx(made.expected_r(family, 0.8, 0.7), abs=0.03)


def test_results_are_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pair_statistics, "MODELS", (5, 6, 7))
    monkeypatch.setattr(pair_statistics, "TRUE_R", (0.0, 0.9))
    monkeypatch.setattr(sys, "argv", ["", "--data-sets", "10", "--out", str(tmp_path)])
    monkeypatch.setattr(pair_statistics, "print", lambda *_: None, raising=False)
    pair_statistics.main()
    record = json.loads((tmp_path / "pair_statistics.json").read_text())
    text = (tmp_path / "pair_statistics.md").read_text()
    assert set(record["power"]) == {"5", "6", "7"}
    assert "| 6 | cross-family | 36 |" in text
    assert "NaN" not in text + json.dumps(record)
    assert (tmp_path / "pair_statistics.png").stat().st_size > 10_000
