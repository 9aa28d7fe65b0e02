"""Time and memory of the whole demo on this machine: `make bench-demo`.

Writes benchmarks/results/demo.{json,md}. Runs the demo from nothing into a folder of its own, and samples the
memory of Snakemake and everything below it every five seconds (proportional set size: a page shared by n
processes counts 1/n in each).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path

import psutil

from syncr2.provenance import code_version, library_versions

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"


def proportional_memory(root: psutil.Process) -> int:
    """Bytes held by a process and all its descendants."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def watched(command: list[str]) -> tuple[float, int]:
    """Run a command; give its wall time in seconds and its peak memory in bytes."""
    begin, peak, over = time.monotonic(), 0, threading.Event()
    process = psutil.Popen(command, cwd=REPOSITORY)

    def sample() -> None:
        nonlocal peak
        # To ask takes the system a quarter of a second of processor time.
        while not over.wait(10):
            peak = max(peak, proportional_memory(process))

    watcher = threading.Thread(target=sample)
    watcher.start()
    code = process.wait()
    over.set()
    watcher.join()
    if code != 0:
        sys.exit(f"{' '.join(command)} ended with {code}")
    return time.monotonic() - begin, peak


def by_rule(folder: Path) -> dict[str, dict[str, float]]:
    """Jobs and their wall seconds, from Snakemake's benchmark files."""
    found: dict[str, list[float]] = defaultdict(list)
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        header, values = (line.split("\t") for line in path.read_text().splitlines()[:2])
        found[rule].append(float(values[header.index("s")]))
    return {rule: {"jobs": len(times), "seconds": round(sum(times), 1)} for rule, times in found.items()}


def processor() -> str:
    """Name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def main() -> None:
    """Run the demo and its report, and write what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", metavar="FOLDER", help="where the run stays, to be looked at")
    parser.add_argument("--note", help="what else the machine did meanwhile, to stand beside the numbers")
    asked = parser.parse_args()
    keep = asked.keep
    cores = 2
    snakemake = [sys.executable, "-m", "snakemake", "--configfile", "demo.yaml", "--cores", str(cores)]
    with nullcontext(keep) if keep else tempfile.TemporaryDirectory(prefix="syncr2-demo-") as folder:
        here = ["--scheduler", "greedy", "--config", f"results={folder}/demo", "--logger", "syncr2"]
        run, memory = watched([*snakemake, *here])
        report, _ = watched(
            [*snakemake, "--config", f"results={folder}/demo", "--report", f"{folder}/demo/report.html"]
        )
        disk = int(
            subprocess.run(["du", "-sk", folder], capture_output=True, text=True, check=True).stdout.split()[
                0
            ]
        )
        rules = by_rule(Path(folder) / "demo" / "benchmarks")
    measured = {
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        },
        "code": code_version(),
        "libraries": library_versions(),
        "cores_used": cores,
        "run_seconds": round(run, 1),
        "report_seconds": round(report, 1),
        "peak_memory_mb": round(memory / 1e6),
        "disk_mb": round(disk / 1e3, 1),
        "rules": rules,
        "note": asked.note,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "demo.json").write_text(json.dumps(measured, indent=1) + "\n")
    (RESULTS / "demo.md").write_text(as_text(measured))


def as_text(measured: dict) -> str:
    """The same, to read."""
    machine, code = measured["machine"], measured["code"]
    rows = [f"| {rule} | {entry['jobs']} | {entry['seconds']} |" for rule, entry in measured["rules"].items()]
    return "\n".join(
        [
            "# The demo, measured",
            "",
            f"`make bench-demo`, on {machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_gb']} GB of memory, "
            f"at commit {str(code['commit'])[:10]}.",
            "",
            f"- run: {measured['run_seconds'] / 60:.1f} minutes on {measured['cores_used']} cores, "
            "after installation",
            f"- report: {measured['report_seconds']:.0f} s more",
            f"- peak memory of all processes: {measured['peak_memory_mb'] / 1000:.1f} GB",
            f"- disk: {measured['disk_mb']:.0f} MB",
            *([f"- {measured['note']}"] if measured.get("note") else []),
            "",
            "| rule | jobs | seconds, summed over jobs |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
