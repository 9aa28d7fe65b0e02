"""Time of ours as layers, samples and width grow, one at a time."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from layer_r2.machine import flops
from layer_r2.problem import SIZES, Problem, write_states
from layer_r2.running import in_process
from layer_r2.worker import Task

BASE = Problem(samples=2000, layers=8, width=1024)
GRID = {
    "layers": (2, 4, 8, 16),
    "samples": (1000, 2000, 4000, 8000),
    "width": (256, 512, 1024, 2048),
}
# To see that the code runs.
TINY_GRID = {"layers": (2, 4), "samples": (100, 200, 400), "width": (16, 32)}


def power(values: ArrayLike, seconds: ArrayLike) -> tuple[float, float]:
    """Slope and intercept of log seconds over log values, by least squares."""
    slope, intercept = np.polyfit(np.log(values), np.log(seconds), 1)
    return float(slope), float(intercept)


def measure_scaling(tiny: bool, budget: float, device: str, threads: int) -> dict[str, Any]:
    """Base size and, for each varied size, its points and slopes."""
    base, grid = (SIZES["tiny"], TINY_GRID) if tiny else (BASE, GRID)
    axes = []
    for varied, values in grid.items():
        problems = [dataclasses.replace(base, **{varied: value}) for value in values]
        points = [
            {"value": value, **_point(problem, budget, device, threads)}
            for value, problem in zip(values, problems, strict=True)
        ]
        slope, intercept = power(values, [point["seconds"] for point in points])
        flop_slope, _ = power(values, [point["flop"] for point in points])
        axes.append(
            {
                "varied": varied,
                "slope": slope,
                "intercept": intercept,
                "flop_slope": flop_slope,
                "points": points,
            }
        )
    return {"base": vars(base), "axes": axes}


def _point(problem: Problem, budget: float, device: str, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="syncr2-layer-r2-") as folder:
        path = Path(folder) / "states.h5"
        write_states(problem, path)
        answer = in_process(Task("ours", problem, str(path), budget, device), threads, Path(folder))
    if "missing" in answer:
        raise SystemExit(f"{problem}: {answer['missing']}")
    return {
        "seconds": answer["seconds"],
        "peak_gb": answer["peak_gb"],
        "flop": flops(problem.n_train, problem.n_test, problem.width, problem.layers, problem.layers),
    }
