"""Nested choice and permutation null beside the plain estimate: `python benchmarks/controls.py`.

Writes benchmarks/results/controls.{json,md}. On made-up states, in one run and with all threads: R² of all
layer pairs on five folds at one penalty (the plain estimate), the same with penalty and target layer chosen
on inner folds, and the permutation null with all its draws. What it would take if every draw were arranged by
itself is multiplied from the slope between few and more draws, of which none shares an arrangement.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from demo import RESULTS
from layer_r2.machine import machine_record, threads_here, timed
from layer_r2.problem import SIZES, Problem, write_states

from syncr2 import layer_r2
from syncr2.maps.nested import Clusters, Computing, inner_r2, score, select
from syncr2.maps.nulls import dialogue_permutations, n_arrangements, r2_null, row_permutations
from syncr2.provenance import code_version, library_versions

PENALTIES = [0.1, 1.0, 10.0, 100.0, 1000.0]
FOLDS = 5
ENVIRONMENTS = 90
TURNS = 8  # samples of one dialogue and direction
FEW, MORE = 5, 25
DRAWS = 1000
# About half of the published samples and width, a quarter of its layers: minutes on two cores.
PROBLEMS = {**SIZES, "wide": Problem(samples=3000, layers=8, width=2048)}


def measure(problem: Problem, source: Any, target: Any, device: str) -> dict[str, float]:
    """Wall time in seconds of each estimate."""
    dialogue, turn = np.divmod(np.arange(problem.samples), TURNS)
    environment = dialogue % ENVIRONMENTS
    fold = environment % FOLDS
    clusters = Clusters(environment, tuple(f"environment {i}" for i in range(ENVIRONMENTS)))
    computing = Computing(device=device)

    def plain() -> None:
        for test in range(FOLDS):
            layer_r2(
                source, target, np.flatnonzero(fold != test), np.flatnonzero(fold == test), device=device
            )

    def nested() -> None:
        chosen = select(inner_r2({"source": source}, target, fold, PENALTIES, computing)["source"], PENALTIES)
        score(source, target, fold, chosen, clusters, computing)

    # A dialogue changes places with others of its fold and length.
    cells = [(int(fold[first]), min(TURNS, problem.samples - first)) for first in np.flatnonzero(turn == 0)]

    parts = [part for part, _ in cells]

    def null(draws: int) -> None:
        drawn = dialogue_permutations(cells, draws, "benchmark", parts)
        r2_null(source, target, fold, row_permutations(drawn, dialogue, turn), 0.1, computing)

    seconds = {name: timed(run, device)[1] for name, run in (("plain", plain), ("nested", nested))}
    few, more, seconds["null"] = (timed(lambda n=n: null(n), device)[1] for n in (FEW, MORE, DRAWS))
    seconds["draw"] = (more - few) / (MORE - FEW)
    seconds["null apart"] = few + (DRAWS - FEW) * seconds["draw"]
    return seconds


def table(problem: Problem, seconds: dict[str, float], record: dict[str, Any]) -> str:
    """The result as Markdown."""
    plain = seconds["plain"]
    rows = [
        ("plain: five folds, one penalty", plain, 1.0),
        (f"nested: {len(PENALTIES)} penalties and the target layer on inner folds", seconds["nested"], None),
        (f"null: {DRAWS} draws of {n_arrangements(DRAWS, FOLDS)} arrangements a fold", seconds["null"], None),
        (
            f"the same with every draw arranged by itself: {FEW} and {MORE} timed, the rest from their slope",
            seconds["null apart"],
            None,
        ),
    ]
    lines = [f"| {name} | {value:.1f} | {ratio or value / plain:.1f} |" for name, value, ratio in rows]
    cpu = record["machine"]
    return "\n".join(
        [
            "# What honesty costs",
            "",
            f"{problem.samples} samples, {problem.layers} × {problem.layers} layers of width "
            f"{problem.width}, one direction, {cpu['threads']} threads of {cpu['processor']} "
            f"({cpu['system']}).",
            "",
            "| estimate | seconds | times the plain one |",
            "| --- | ---: | ---: |",
            *lines,
            "",
            f"One more draw by itself: {seconds['draw']:.3f} s for all layer pairs and folds.",
            "",
        ]
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--size", choices=PROBLEMS, default="wide")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    problem = PROBLEMS[given.size]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "states.h5"
        write_states(problem, path)
        with h5py.File(path) as file:
            source, target = (file[side][()] for side in ("source", "target"))
    seconds = measure(problem, source, target, given.device)
    record = {
        "size": given.size,
        "device": given.device,
        "machine": machine_record(threads_here()),
        "code": code_version(),
        "libraries": library_versions(),
        "seconds": seconds,
    }
    text = table(problem, seconds, record)
    print(text)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "controls.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    (given.out / "controls.md").write_text(text)


if __name__ == "__main__":
    main()
