"""Our R² of all layer pairs beside other ways to get it: `python benchmarks/layer_r2.py --size full`.

Writes benchmarks/results/layer_r2_<size>.{json,md,png}. All methods run one after another on the same made-up
data, each in a process of its own with all threads. A method that would take long is timed on part of its
work, and the table says so. With `--scaling` it writes layer_r2_scaling.{json,md,png} instead: time of ours
as layers, samples and width grow. Its parts are in the folder of the same name.

The full size puts 3.4 GB into the folder for temporary files (TMPDIR). himalaya takes part where it is
installed: `pip install --no-deps himalaya`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from demo import RESULTS
from layer_r2 import plots, report, running
from layer_r2.competitors import COMPETITORS, OURS
from layer_r2.machine import MATRIX, machine_record, threads_here
from layer_r2.problem import SIZES, Problem, write_states
from layer_r2.scaling import measure_scaling
from layer_r2.worker import Task
from matplotlib.figure import Figure

from syncr2.figures import STYLE
from syncr2.provenance import code_version, library_versions


def arguments(given: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--size", choices=SIZES, default="small", help="size of the job (default: small)")
    parser.add_argument(
        "--splits", type=int, default=1, help="splits of the rows, all of them timed (default: 1)"
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=60.0,
        help="seconds of timing for each method; at least one unit is timed",
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="for ours and the published one"
    )
    parser.add_argument("--threads", type=int, default=threads_here(), help="CPU threads (default: all)")
    parser.add_argument("--memory-gb", type=float, default=10.0, help="bound on ours (default: 10)")
    parser.add_argument(
        "--only", nargs="+", choices=[*OURS, *COMPETITORS], help="leave out the other methods"
    )
    parser.add_argument("--scaling", action="store_true", help="time ours against the size instead")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for what is written")
    return parser.parse_args(given)


def compare(asked: argparse.Namespace) -> dict[str, Any]:
    """All methods on one job, and the machine's rate before and after."""
    problem = dataclasses.replace(SIZES[asked.size], splits=asked.splits)
    names = [name for name in [*OURS, *COMPETITORS] if not asked.only or name in asked.only]
    with tempfile.TemporaryDirectory(prefix="syncr2-layer-r2-") as folder:
        path = Path(folder) / "states.h5"
        write_states(problem, path)

        def answer(name: str) -> dict[str, Any]:
            print(f"{name} …", file=sys.stderr, flush=True)
            task = Task(name, problem, str(path), asked.budget, asked.device, asked.memory_gb)
            return running.in_process(task, asked.threads, Path(folder))

        before = answer("rates")
        if "missing" in before:
            sys.exit(f"The machine's matrix products could not be measured on {asked.device}.")
        methods = {}
        for name in names:
            missing = running.not_installed(name)
            methods[name] = {"missing": missing} if missing else answer(name)
        after = answer("rates")
    running.compared(methods)
    running.against_ours(methods)
    running.achieved(problem, methods, running.best_rates([before, after]))
    return {
        "size": asked.size,
        "problem": described(problem),
        "budget": asked.budget,
        "memory_gb": asked.memory_gb,
        "rate_size": MATRIX,
        "rates": {"before": {"rates": before["rates"]}, "after": {"rates": after["rates"]}},
        "libraries_of_products": before["libraries"],
        "methods": {name: running.without_matrices(answer) for name, answer in methods.items()},
    }


def described(problem: Problem) -> dict[str, Any]:
    """A problem for the record."""
    return vars(problem) | {"n_train": problem.n_train, "n_test": problem.n_test}


def write(out: Path, name: str, measured: dict[str, Any], text: str, figure: Figure) -> None:
    """The record, the text and the figure of one run."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(measured, indent=1) + "\n")
    (out / f"{name}.md").write_text(text)
    figure.savefig(out / f"{name}.png", dpi=STYLE.dpi)
    print(text)


def main(given: list[str]) -> None:
    """Measure and write."""
    asked = arguments(given)
    about = {
        "command": shlex.join(["python", "benchmarks/layer_r2.py", *given]),
        "machine": machine_record(asked.threads),
        "code": code_version(),
        "libraries": library_versions(),
        "device": asked.device,
    }
    if asked.scaling:
        tiny = asked.size == "tiny"
        measured = about | measure_scaling(tiny, asked.budget, asked.device, asked.threads)
        write(asked.out, "layer_r2_scaling", measured, report.scaling_text(measured), plots.scaling(measured))
    else:
        measured = about | compare(asked)
        name = f"layer_r2_{asked.size}"
        write(asked.out, name, measured, report.as_text(measured), plots.times(measured))


if __name__ == "__main__":
    main(sys.argv[1:])
