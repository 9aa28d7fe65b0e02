"""The benchmark of the R² matrix: competitors agree, counts are right, multiplied times say so."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from syncr2.provenance import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from layer_r2 import report, running, scaling, worker
from layer_r2.competitors import COMPETITORS, OURS
from layer_r2.estimates import multiplied, two_points, within
from layer_r2.machine import flops
from layer_r2.problem import SIZES, Problem, layer_values, pair_units, source_units, split, write_states
from layer_r2.worker import Task, measure

TINY = dataclasses.replace(SIZES["tiny"], splits=2)
TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "mixed": 1e-5}


def by_sklearn(problem: Problem) -> np.ndarray:
    """R² by (split, source layer, target layer), with another solver than the benchmark's competitors use."""
    source, target = (
        [layer_values(problem, side, layer).astype(float) for layer in range(problem.layers)]
        for side in ("source", "target")
    )
    found = np.empty((problem.splits, problem.layers, problem.layers))
    for number in range(problem.splits):
        train, test = split(problem, number)
        for layer, x in enumerate(source):
            for m, y in enumerate(target):
                fit = Ridge(alpha=problem.penalty, solver="svd").fit(x[train], y[train])
                found[number, layer, m] = r2_score(y[test], fit.predict(x[test]))
    return found


@pytest.fixture(scope="module")
def expected():
    return by_sklearn(TINY)


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "states.h5"
    write_states(TINY, path)
    return str(path)


@pytest.fixture(scope="module")
def script():
    """benchmarks/layer_r2.py itself, whose name the folder beside it has."""
    spec = importlib.util.spec_from_file_location(
        "layer_r2_script", REPOSITORY / "benchmarks" / "layer_r2.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def largest_difference(answer, expected):
    return max(abs(expected[number, layer, m] - value) for number, layer, m, value in answer["r2"])


@pytest.mark.parametrize("name", [*OURS, *COMPETITORS])
def test_every_method_agrees_with_scikit_learn_on_all_pairs(name, states, expected):
    package = COMPETITORS[name].package if name in COMPETITORS else "syncr2"
    pytest.importorskip(package, reason=f"{package} is not installed")
    answer = measure(Task(name, TINY, states, budget=60))
    number = OURS[name][1] if name in OURS else COMPETITORS[name].dtype
    assert len({tuple(place) for *place, _ in answer["r2"]}) == expected.size
    assert largest_difference(answer, expected) < TOLERANCE[number]
    assert not answer["extrapolated"]
    assert answer["seconds"] > 0


def test_made_up_states_have_the_r2_and_the_outliers_that_are_promised():
    problem = Problem(samples=1000, layers=2, width=256)
    r2 = by_sklearn(problem)[0]
    assert 0.2 < r2.min() < r2.max() < 0.7
    assert (np.diff(r2.mean(axis=0)) > 0.05).all()
    spread = np.sort(layer_values(problem, "source", 0).astype(float).std(axis=0))
    np.testing.assert_allclose(spread[-2:] / np.median(spread), [50, 1000], rtol=0.25)
    assert spread[-3] < 2 * np.median(spread)


def test_splits_are_different_and_cover_all_rows():
    first, second = split(TINY, 0), split(TINY, 1)
    assert (len(first.train), len(first.test)) == (160, 40)
    assert sorted([*first.train, *first.test]) == list(range(200))
    assert set(first.test) != set(second.test)


def test_units_cover_the_job_once_and_begin_with_the_same_layers():
    pairs, sources = pair_units(TINY), source_units(TINY)
    assert len(set(pairs)) == len(pairs) == 2 * 3 * 3
    assert len(set(sources)) == len(sources) == 2 * 3
    assert pairs[0][:2] == sources[0]
    assert {m for _, _, m in pairs[:4]} == {layer for _, layer in sources[:2]}


def test_operations_of_a_case_worked_by_hand():
    # n = 4, t = 2, d = 3. Primal: 36 + 9 + 36 + 48 = 129; dual: 48 + 48 + 64/3 + 64 = 181 and a third.
    # HᵀH: 32. A target layer: 48 + 48 = 96.
    assert flops(4, 2, 3, n_source=2, n_target=5) == 2 * (129 + 32) + 5 * 96


def test_operations_of_wide_layers_are_those_of_the_dual():
    # n = 4, t = 2, d = 100: 1600 + 1600 + 64/3 + 64; a target layer: 1600 + 1600.
    assert flops(4, 2, 100, 1, 1) == pytest.approx(1600 + 1600 + 64 / 3 + 64 + 32 + 3200)


def test_operations_at_full_size():
    full = SIZES["full"]
    count = flops(full.n_train, full.n_test, full.width, full.layers, full.layers)
    assert count == pytest.approx(13.1e12, rel=0.01)


def test_a_part_is_multiplied_and_says_so():
    estimate = multiplied([1.0, 3.0], 8, "pairs")
    assert estimate.seconds == 16
    assert estimate.extrapolated
    assert estimate.how == "timed 2 of 8 pairs, multiplied"


def test_the_whole_is_summed_and_is_not_called_multiplied():
    estimate = multiplied([1.0, 3.0], 2, "pairs")
    assert (estimate.seconds, estimate.extrapolated, estimate.how) == (4, False, "timed all 2 pairs")


def test_two_points_recover_a_fixed_cost_and_a_cost_per_target_layer():
    fixed, each = 5.0, 0.75
    noise = np.array([0.1, -0.1])
    estimate = two_points(fixed + 2 * each + noise, fixed + 8 * each - noise, 2, 8, n_targets=32, units=64)
    assert estimate.seconds == pytest.approx(64 * (fixed + 32 * each))
    assert (estimate.timed, estimate.units, estimate.extrapolated) == (2, 64, True)
    assert "timed 2 of 64 source layers with 2 and with 8 of 32 target layers" in estimate.how


@pytest.mark.parametrize(("budget", "runs"), [(0, 1), (2.5, 2), (3, 3), (100, 5)])
def test_units_are_timed_while_the_budget_lasts_but_at_least_one(budget, runs):
    assert within(budget, range(5), lambda unit: unit, lambda _: 1.0) == list(range(runs))


def test_a_worker_out_of_budget_times_one_pair(states, expected):
    answer = measure(Task("published", TINY, states, budget=0))
    assert answer["how"] == "timed 1 of 18 pairs, multiplied"
    assert answer["seconds"] == pytest.approx(18 * answer["unit_seconds"][0])
    assert largest_difference(answer, expected) < TOLERANCE["float32"]


def test_a_worker_without_memory_for_all_targets_stacks_some(states, expected, monkeypatch):
    fewer = dataclasses.replace(COMPETITORS["sklearn-stacked"], few_many=(1, 2))
    monkeypatch.setitem(worker.COMPETITORS, "sklearn-stacked", fewer)
    monkeypatch.setattr(worker, "STACK_LIMIT_GB", 0)
    answer = measure(Task("sklearn-stacked", TINY, states, budget=0))
    assert answer["extrapolated"]
    assert "timed 1 of 6 source layers with 1 and with 2 of 3 target layers" in answer["how"]
    assert len(answer["r2"]) == 2
    assert largest_difference(answer, expected) < TOLERANCE["float64"]
    (few,), (many,) = answer["unit_seconds"]
    assert answer["seconds"] == pytest.approx(6 * (few + 2 * (many - few)))


def test_differences_are_taken_on_the_pairs_that_both_have():
    answers = {
        "ours": {"r2": [[0, 0, 0, 0.5], [0, 0, 1, 0.9]]},
        "sklearn-pairs": {"r2": [[0, 0, 0, 0.25]]},
        "published": {"r2": [[0, 1, 1, 0.1]]},
    }
    running.compared(answers)
    assert (answers["ours"]["max_difference"], answers["ours"]["pairs_compared"]) == (0.25, 1)
    assert "max_difference" not in answers["published"]


def test_a_process_of_its_own_gives_the_same_and_its_memory(states, expected, tmp_path):
    answer = running.in_process(Task("ours", TINY, states, budget=0), threads=1, folder=tmp_path)
    assert largest_difference(answer, expected) < TOLERANCE["float64"]
    assert answer["how"] == "timed whole, once"
    assert 0 < answer["reading_seconds"] < answer["seconds"]
    if sys.platform == "linux":
        assert 0 < answer["begin_gb"] <= answer["peak_gb"] < 2


def test_a_process_that_ends_badly_is_a_gap_and_no_number(tmp_path):
    answer = running.in_process(Task("ours", TINY, str(tmp_path / "none.h5"), 0), 1, tmp_path)
    assert answer == {"missing": "ended with code 1"}


def in_this_process(task, threads, folder):
    """As `running.in_process`, without the seconds that starting Python takes."""
    return json.loads(json.dumps(measure(task, rate_size=64)))


def test_a_run_writes_record_text_and_figure(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(running, "in_process", in_this_process)
    monkeypatch.setattr(
        running, "not_installed", lambda name: "not installed" if name == "himalaya" else None
    )
    script.main(["--size", "tiny", "--budget", "0", "--out", str(tmp_path)])
    measured = json.loads((tmp_path / "layer_r2_tiny.json").read_text())
    text = (tmp_path / "layer_r2_tiny.md").read_text()
    assert text == capsys.readouterr().out.removesuffix("\n")
    rows = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    published = rows["| published: one torch solve a pair"]
    assert "timed 1 of 9 pairs, multiplied" in published
    assert " ≈ " in published
    assert " ≈ " not in rows["| ours"]
    assert "| not installed |" in rows["| himalaya Ridge, targets stacked"]
    ours = measured["methods"]["ours"]
    assert ours["ratio"]["ours"] == 1
    assert ours["achieved"]["gflops"] == pytest.approx(
        flops(160, 40, 32, 3, 3) / ours["seconds"] / 1e9, rel=1e-12
    )
    assert ours["max_difference"] < TOLERANCE["float64"]
    assert (tmp_path / "layer_r2_tiny.png").stat().st_size > 10_000


def test_a_run_without_ours_has_no_ratios(script, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "in_process", in_this_process)
    script.main(["--size", "tiny", "--budget", "0", "--out", str(tmp_path), "--only", "sklearn-pairs"])
    measured = json.loads((tmp_path / "layer_r2_tiny.json").read_text())
    assert list(measured["methods"]) == ["sklearn-pairs"]
    assert "ratio" not in measured["methods"]["sklearn-pairs"]


def test_the_power_of_an_exact_power_law():
    values = np.array([1000, 2000, 4000])
    slope, intercept = scaling.power(values, 3e-6 * values**1.5)
    assert slope == pytest.approx(1.5)
    assert np.exp(intercept) == pytest.approx(3e-6)


def test_scaling_varies_one_size_at_a_time(script, tmp_path, monkeypatch):
    asked: list[Problem] = []

    def answer(task, threads, folder):
        asked.append(task.problem)
        assert Path(task.path).exists()
        return {"seconds": 1e-6 * task.problem.layers * task.problem.samples**2, "peak_gb": 0.1}

    monkeypatch.setattr(scaling, "in_process", answer)
    script.main(["--size", "tiny", "--scaling", "--out", str(tmp_path)])
    measured = json.loads((tmp_path / "layer_r2_scaling.json").read_text())
    slopes = {axis["varied"]: axis["slope"] for axis in measured["axes"]}
    assert slopes == pytest.approx({"layers": 1, "samples": 2, "width": 0}, abs=1e-9)
    base = SIZES["tiny"]
    for problem in asked:
        same = [getattr(problem, name) == getattr(base, name) for name in ("layers", "samples", "width")]
        assert sum(same) >= 2
    assert "Samples: slope 2.00" in (tmp_path / "layer_r2_scaling.md").read_text()
    assert (tmp_path / "layer_r2_scaling.png").exists()


@pytest.mark.parametrize(
    ("value", "told"), [(None, "–"), (3500.4, "3,500"), (0.012345, "0.0123"), (12.34, "12.3")]
)
def test_numbers_are_told_without_exponents(value, told):
    assert report.number(value) == told
