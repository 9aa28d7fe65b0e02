"""Jobs of the full experiment, and the time and memory that planning takes: `make bench-plans`.

Writes benchmarks/results/plans.{json,md,png}. Snakemake is called as a user calls it, in a folder of links to
this repository's files, with config.yaml and, for growth, with more models in it. For "nothing to do" every
output of the full experiment must be there: stand-ins of one byte are laid in their places, and
`snakemake --touch` writes its own metadata for each. So Snakemake compares times, inputs, params and code of
every job, as after a real run; the stand-ins say nothing about reading results, which planning does not do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from demo import REPOSITORY, RESULTS
from layer_r2.machine import machine_record, threads_here

from syncr2.provenance import code_version, library_versions

LINKED = ("Snakefile", "profiles", "resources", "workflow", "envs")
MODELS = (6, 12, 24)
# Seconds of wall time, on a quiet machine.
GOALS = {"plan": 8.0, "nothing to do": 10.0}
NOTHING = "Nothing to be done"


def clone(folder: Path, n_models: int) -> Path:
    """A folder from which Snakemake can be called as from a clone, with `n_models` in config.yaml."""
    folder.mkdir()
    for name in LINKED:
        (folder / name).symlink_to(REPOSITORY / name)
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    published = config["models"]
    config["models"] = published[:n_models]
    for number in range(len(published), n_models):
        like = published[number % len(published)]
        again = {"name": f"{like['name']}-again-{number}", "path": f"{like['path']}-again-{number}"}
        config["models"].append({**like, **again})
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return folder


def call(folder: Path, *arguments: str) -> dict[str, Any]:
    """Call Snakemake; give its text, its seconds of wall and of processor time, its peak of memory in MB."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", "snakemake", *arguments]
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        output.seek(0)
        text = output.read().decode()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{text[-3000:]}")
    return {
        "text": text,
        "seconds": round(wall, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "memory_mb": round(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6),
    }


def jobs_by_rule(text: str) -> dict[str, int]:
    """Jobs of each rule, from the table that Snakemake writes at the end of a dry run."""
    table = text.rpartition("Job stats:")[2].splitlines()
    counts = [line.split() for line in table if len(line.split()) == 2 and line.split()[1].isdigit()]
    found = {rule: int(count) for rule, count in counts}
    total = found.pop("total")
    if total != sum(found.values()):
        sys.exit(f"Snakemake counts {total} jobs, its table comes to {sum(found.values())}.")
    return found


def least(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The least of each measure over some runs: what other work added is least there."""
    return {key: min(run[key] for run in runs) for key in ("seconds", "cpu_seconds", "memory_mb")}


def planned(folder: Path, n_models: int, repeats: int) -> dict[str, Any]:
    """Plan all jobs of an experiment of so many models."""
    place = clone(folder / f"models-{n_models}", n_models)
    runs = [call(place, "--dry-run") for _ in range(repeats)]
    rules = jobs_by_rule(runs[0]["text"])
    return {"models": n_models, "jobs": sum(rules.values()), **least(runs), "rules": rules}


def finish(place: Path) -> int:
    """Lay a stand-in where each output belongs, have Snakemake note every job as done; give their number."""
    table = call(place, "--summary")["text"].splitlines()
    head = next(i for i, line in enumerate(table) if line.startswith("output_file\t"))
    outputs = [place / line.split("\t")[0] for line in table[head + 1 :] if "\t" in line]
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n", encoding="utf-8")
    call(place, "--touch", "--cores", "1", "--quiet", "all")
    return len(outputs)


def nothing_to_do(folder: Path, repeats: int) -> dict[str, Any]:
    """Call Snakemake where the full experiment is there: it looks at every job and runs none."""
    place = clone(
        folder / "finished", len(yaml.safe_load((REPOSITORY / "config.yaml").read_text())["models"])
    )
    n_outputs = finish(place)
    runs = [call(place, "--cores", "1") for _ in range(repeats)]
    if not all(NOTHING in run["text"] for run in runs):
        sys.exit(f"There was something to do:\n{runs[0]['text'][-3000:]}")
    return {"outputs": n_outputs, **least(runs)}


def draw(record: Mapping[str, Any], path: Path) -> None:
    """Planning time and memory by number of jobs."""
    # Here and not above: Linux counts the memory of whoever starts a process as that process's own.
    from matplotlib.figure import Figure

    from syncr2.figures.style import BLACK, BLUE, GREY, STYLE

    growth = record["growth"]
    jobs = [each["jobs"] for each in growth]
    with STYLE.context():
        figure = Figure(figsize=(STYLE.width, 2.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(jobs, [each["cpu_seconds"] for each in growth], marker="o", color=BLUE)
        left.axhline(GOALS["plan"], color=BLACK, linewidth=0.6, linestyle="--")
        left.annotate("goal at 6 models", (jobs[-1], GOALS["plan"]), ha="right", va="bottom", color=GREY)
        left.set(xlabel="jobs", ylabel="processor time of a plan (s)", ylim=(0, None), xlim=(0, None))
        right.plot(jobs, [each["memory_mb"] for each in growth], marker="o", color=BLUE)
        right.set(xlabel="jobs", ylabel="peak memory (MB)", ylim=(0, None), xlim=(0, None))
        for each in growth:
            place = (each["jobs"], each["cpu_seconds"])
            left.annotate(f"{each['models']} models ", place, ha="right", va="bottom")
        figure.savefig(path, dpi=STYLE.dpi)


def as_text(record: Mapping[str, Any]) -> str:
    """The same, to read."""
    machine, done = record["machine"], record["nothing_to_do"]
    first = record["growth"][0]
    rows = [
        f"| {each['models']} | {each['jobs']:,} | {each['seconds']:.1f} | {each['cpu_seconds']:.1f} "
        f"| {each['memory_mb']} |"
        for each in record["growth"]
    ]
    rules = [f"| {rule} | {count} |" for rule, count in sorted(first["rules"].items(), key=lambda x: -x[1])]
    busy = machine["load"] is not None and machine["load"] > 0.5
    warning = "Other work was under way: wall times are not to be trusted, processor times are too long."
    return "\n".join(
        [
            "# Planning, measured",
            "",
            f"`make bench-plans`, on {machine['processor']} ({machine['system']}), {machine['cores']} cores, "
            f"load before the run {machine['load']:.1f}, at commit {str(record['code']['commit'])[:10]}; the "
            f"least of {record['repeats']} calls.",
            *(["", warning] if busy else []),
            "",
            f"- the full experiment (config.yaml): {first['jobs']:,} jobs",
            f"- `snakemake -n`: {first['seconds']:.1f} s, {first['cpu_seconds']:.1f} s of processor time "
            f"(goal {GOALS['plan']:.0f} s)",
            f"- nothing to do, all {done['outputs']:,} outputs there: {done['seconds']:.1f} s, "
            f"{done['cpu_seconds']:.1f} s of processor time, {done['memory_mb']} MB (goal "
            f"{GOALS['nothing to do']:.0f} s)",
            "",
            "The outputs are stand-ins of one byte, noted as done by `snakemake --touch`.",
            "",
            "| models | jobs | `snakemake -n`, s | of processor time, s | peak memory, MB |",
            "| ---: | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            "![Time and memory of a plan by number of jobs](plans.png)",
            "",
            "Jobs of the full experiment:",
            "",
            "| rule | jobs |",
            "| --- | ---: |",
            *rules,
            "",
        ]
    )


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="calls of which the least counts")
    repeats = parser.parse_args().repeats
    # First of all, before this script makes work itself.
    machine = machine_record(threads_here())
    with tempfile.TemporaryDirectory(prefix="syncr2-plans-") as name:
        growth = [planned(Path(name), n_models, repeats) for n_models in MODELS]
        done = nothing_to_do(Path(name), repeats)
    record = {
        "machine": machine,
        "code": code_version(),
        "libraries": library_versions(),
        "repeats": repeats,
        "goals": GOALS,
        "growth": growth,
        "nothing_to_do": done,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "plans.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "plans.md").write_text(as_text(record), encoding="utf-8")
    draw(record, RESULTS / "plans.png")


if __name__ == "__main__":
    main()
