"""Measures one competitor: `python -m layer_r2.worker TASK.json ANSWER.json`, in a process of its own.

So each has all threads, none has another's libraries in memory, and one that runs out of memory ends alone.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from layer_r2.competitors import COMPETITORS, OURS, Competitor
from layer_r2.estimates import multiplied, two_points, within
from layer_r2.machine import linear_algebra, matmul_rates, memory_gb, peak_memory_gb, timed
from layer_r2.problem import SIZES, Problem, layer_order, layer_values, pair_units, source_units, split, stack

# Stacked training and test rows of all target layers above this are not made; see `two_points`.
STACK_LIMIT_GB = 1.5
# Ours is timed again and again while the budget lasts, but no more often than this.
RUNS = 3


class Task(NamedTuple):
    """What one worker is to measure.

    Attributes
    ----------
    name : str
        A key of `COMPETITORS` or `OURS`, or "rates" for the machine's matrix products.
    problem : Problem
    path : str
        The file with the states.
    budget : float
        Seconds after which no further unit is begun.
    device : str
        cpu or cuda: where ours and the published method run.
    memory_gb : float
        Bound given to ours.
    """

    name: str
    problem: Problem
    path: str
    budget: float
    device: str = "cpu"
    memory_gb: float = 10.0


class Timed(NamedTuple):
    """Seconds of one unit and its R²: [split, source layer, target layer, value]."""

    seconds: float
    r2: list[list[float]]


class ClockedLayers:
    """States on disk, a layer at a time, with the time that reading takes."""

    def __init__(self, states: h5py.Dataset) -> None:
        self._states = states
        self.shape = states.shape
        self.dtype = states.dtype
        self.seconds = 0.0
        self.reads = 0

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, layer: int) -> NDArray:
        begin = time.perf_counter()
        values = self._states[layer]
        self.seconds += time.perf_counter() - begin
        self.reads += 1
        return values


def measure(task: Task, rate_size: int | None = None) -> dict[str, Any]:
    """Time, R² and memory of one competitor, as a record for JSON."""
    if task.name == "rates":
        rates = matmul_rates(task.device, *([rate_size] if rate_size else []))
        return {"rates": rates, "libraries": linear_algebra()}
    begin_gb = memory_gb()
    with warnings.catch_warnings(record=True) as caught, h5py.File(task.path, "r", locking=False) as file:
        warnings.simplefilter("always")
        if task.name in OURS:
            answer = _ours(task, file)
        else:
            competitor = COMPETITORS[task.name]
            answer = (_stacked if competitor.stacked else _pairs)(task, competitor, file)
    # Up to the first colon: what follows differs from call to call.
    warned = Counter(f"{entry.category.__name__}, {str(entry.message).split(':')[0]}" for entry in caught)
    answer |= {"peak_gb": peak_memory_gb(), "begin_gb": begin_gb, "warnings": dict(warned)}
    return answer | {"device_peak_gb": _device_peak_gb(task.device)}


def _device_peak_gb(device: str) -> float | None:
    if device != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated() / 1e9


def _ours(task: Task, file: h5py.File) -> dict[str, Any]:
    from syncr2.maps.ridge import layer_r2

    problem, precision = task.problem, OURS[task.name][1]
    settings = {"device": task.device, "precision": precision, "memory_gb": task.memory_gb}
    warm = [np.stack([layer_values(SIZES["tiny"], side, 0)]) for side in ("source", "target")]
    layer_r2(*warm, *split(SIZES["tiny"], 0), problem.penalty, **settings)
    reading: list[float] = []
    reads: list[int] = []

    def whole(_: int) -> Timed:
        stacks = [ClockedLayers(file[side]) for side in ("source", "target")]
        splits = [split(problem, number) for number in range(problem.splits)]
        r2, seconds = timed(
            lambda: [layer_r2(*stacks, *rows, problem.penalty, **settings) for rows in splits], task.device
        )
        reading.append(sum(states.seconds for states in stacks))
        reads.append(sum(states.reads for states in stacks))
        return Timed(seconds, [[*place, float(value)] for place, value in np.ndenumerate(np.stack(r2))])

    runs = within(task.budget, range(RUNS), whole, lambda run: run.seconds)
    seconds = float(np.mean([run.seconds for run in runs]))
    times = {1: "once", 2: "twice"}.get(len(runs), f"{len(runs)} times")
    return {
        "seconds": seconds,
        "timed": len(runs),
        "units": len(runs),
        "extrapolated": False,
        "how": f"timed whole, {times}" + (", mean" if len(runs) > 1 else ""),
        "unit_seconds": [run.seconds for run in runs],
        "reading_seconds": float(np.mean(reading)),
        "layers_read": reads[-1],
        "r2": runs[-1].r2,
    }


def _pairs(task: Task, competitor: Competitor, file: h5py.File) -> dict[str, Any]:
    problem = task.problem
    score = _scorer(task, competitor)

    def pair(unit: tuple[int, int, int]) -> Timed:
        number, layer, m = unit
        r2, seconds = score(file["source"][layer], file["target"][m], number)
        return Timed(seconds, [[number, layer, m, float(r2.mean(dtype=np.float64))]])

    units = pair_units(problem)
    done = within(task.budget, units, pair, lambda run: run.seconds)
    seconds = [run.seconds for run in done]
    estimate = multiplied(seconds, len(units), "pairs")
    return estimate._asdict() | {"unit_seconds": seconds, "r2": [entry for run in done for entry in run.r2]}


def _stacked(task: Task, competitor: Competitor, file: h5py.File) -> dict[str, Any]:
    problem = task.problem
    score = _scorer(task, competitor)
    order = layer_order(problem.layers)
    whole_gb = np.dtype(competitor.dtype).itemsize * problem.samples * problem.layers * problem.width / 1e9
    few, many = competitor.few_many
    at_once = [problem.layers] if whole_gb <= STACK_LIMIT_GB or many >= problem.layers else [few, many]
    targets = stack([file["target"][m] for m in order[: at_once[-1]]])

    def fits(unit: tuple[int, int]) -> list[Timed]:
        number, layer = unit
        found = []
        for k in at_once:
            columns = targets[:, : k * problem.width]
            r2, seconds = score(file["source"][layer], columns, number)
            means = r2.reshape(k, problem.width).mean(axis=1, dtype=np.float64)
            entries = [[number, layer, m, float(value)] for m, value in zip(order[:k], means, strict=True)]
            found.append(Timed(seconds, entries))
        return found

    units = source_units(problem)
    done = within(task.budget, units, fits, lambda runs: sum(run.seconds for run in runs))
    seconds = [[run.seconds for run in runs] for runs in zip(*done, strict=True)]
    if len(at_once) == 1:
        what = f"source layers, each with all {problem.layers} target layers"
        estimate = multiplied(seconds[0], len(units), what)
    else:
        estimate = two_points(*seconds, few, many, problem.layers, len(units))
    r2 = [entry for runs in done for entry in runs[-1].r2]
    return estimate._asdict() | {"unit_seconds": seconds, "r2": r2}


def _scorer(task: Task, competitor: Competitor) -> Callable[[NDArray, NDArray, int], tuple[NDArray, float]]:
    """Give R² of every column and the seconds of one fit; cutting rows and casting numbers is not timed."""
    device = task.device if competitor.torch else "cpu"

    def score(x: NDArray, y: NDArray, number: int, problem: Problem = task.problem) -> tuple[NDArray, float]:
        rows = split(problem, number)
        data = [competitor.own(values[part], device) for part in rows for values in (x, y)]
        return timed(lambda: competitor.scores(*data, problem.penalty), device)

    # Once before the clock runs, for imports and threads to start.
    tiny = SIZES["tiny"]
    score(layer_values(tiny, "source", 0), layer_values(tiny, "target", 0), 0, tiny)
    return score


def main() -> None:
    """Read a task, write its answer."""
    given = json.loads(Path(sys.argv[1]).read_text())
    task = Task(**{**given, "problem": Problem(**given["problem"])})
    Path(sys.argv[2]).write_text(json.dumps(measure(task)))


if __name__ == "__main__":
    main()
