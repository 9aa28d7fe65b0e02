"""Runs the competitors, each in a process of its own, and puts their answers side by side."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from layer_r2.competitors import COMPETITORS, OURS, REFERENCE
from layer_r2.machine import flops
from layer_r2.problem import Problem
from layer_r2.worker import Task

BENCHMARKS = Path(__file__).resolve().parents[1]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def in_process(task: Task, threads: int, folder: Path) -> dict[str, Any]:
    """The answer of a worker, or `{"missing": why}`."""
    asked, answered = folder / "task.json", folder / "answer.json"
    asked.write_text(json.dumps(task._asdict() | {"problem": vars(task.problem)}))
    answered.unlink(missing_ok=True)
    command = [sys.executable, "-m", "layer_r2.worker", str(asked), str(answered)]
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    ended = subprocess.run(command, cwd=BENCHMARKS, env=environment, check=False)
    if ended.returncode != 0:
        killed = "; it was killed, most likely for its memory" if ended.returncode == -9 else ""
        return {"missing": f"ended with code {ended.returncode}{killed}"}
    return json.loads(answered.read_text())


def not_installed(name: str) -> str | None:
    """What to do where a competitor's package is not there; None where it is."""
    package = "syncr2" if name in OURS else COMPETITORS[name].package
    if importlib.util.find_spec(package):
        return None
    return f"not installed; `pip install --no-deps {package}` adds it"


def compared(answers: dict[str, dict[str, Any]]) -> None:
    """Add to each answer how far its R² are from the reference's, on the pairs that the reference timed."""
    values = {
        name: {tuple(place): value for *place, value in answer.get("r2", [])}
        for name, answer in answers.items()
    }
    reference = values.get(REFERENCE, {})
    for name, answer in answers.items():
        both = reference.keys() & values[name].keys()
        if both:
            answer["max_difference"] = max(abs(values[name][place] - reference[place]) for place in both)
        answer["pairs_compared"] = len(both)


def against_ours(answers: dict[str, dict[str, Any]]) -> None:
    """Add to each answer how many times as long as each of ours it takes."""
    for ours in OURS:
        for answer in answers.values():
            if "seconds" in answer and "seconds" in answers.get(ours, {}):
                answer.setdefault("ratio", {})[ours] = answer["seconds"] / answers[ours]["seconds"]


def best_rates(measurements: list[dict[str, Any]]) -> dict[str, float]:
    """The highest matrix-product rate of any library at any of the measurements, by number format."""
    found: dict[str, float] = {}
    for measured in measurements:
        for rates in measured["rates"].values():
            for dtype, rate in rates.items():
                found[dtype] = max(found.get(dtype, 0.0), rate)
    return found


def achieved(problem: Problem, answers: dict[str, dict[str, Any]], rates: dict[str, float]) -> None:
    """Add to each of ours the rate of the algorithm's operations, and its share of the machine's."""
    count = problem.splits * flops(
        problem.n_train, problem.n_test, problem.width, problem.layers, problem.layers
    )
    for name, (_, precision) in OURS.items():
        answer = answers.get(name, {})
        if "seconds" in answer:
            dtype = "float64" if precision == "float64" else "float32"
            rate = count / answer["seconds"] / 1e9
            answer["achieved"] = {
                "flop": count,
                "gflops": rate,
                "share": rate / rates[dtype],
                "share_of": dtype,
            }


def without_matrices(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer for the record: the spread of its R² in place of all of them."""
    values = [entry[-1] for entry in answer.get("r2", [])]
    kept = {key: value for key, value in answer.items() if key != "r2"}
    if values:
        kept["r2"] = {"min": min(values), "mean": float(np.mean(values)), "max": max(values)}
    return kept
