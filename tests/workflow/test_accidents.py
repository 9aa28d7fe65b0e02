"""A driver killed in the middle: the same command goes on, and ends with what an undisturbed run gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import yaml
from conftest import REPOSITORY, snakemake

from syncr2.files import read_jsonl
from syncr2.store import read_r2


def wait_for(condition, seconds: float = 90) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this never happened"
        time.sleep(0.05)


def said(folder):
    """All that was said, by file."""
    return {
        path.relative_to(folder): [[turn["raw"] for turn in record["turns"]] for record in read_jsonl(path)]
        for path in sorted((folder / "results/dialogues").rglob("*.jsonl"))
    }


def test_a_killed_run_goes_on_and_ends_the_same(tiny, finished, tmp_path):
    configfile = tmp_path / "test.yaml"
    configfile.write_text(yaml.safe_dump(tiny))
    command = [
        "-m",
        "snakemake",
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--cores",
        "2",
        "--configfile",
    ]
    with (tmp_path / "driver.log").open("w") as log:
        driver = subprocess.Popen(
            [sys.executable, *command, str(configfile)],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "SYNCR2_WARM"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        done = tmp_path / "results/dialogues"
        wait_for(lambda: len(list(done.rglob("shard-*.jsonl"))) >= 3)
        # The whole process group, as when a machine goes down: scripts and all.
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    time.sleep(1)  # children of the warm process see that their scripts are gone
    assert not list((tmp_path / "results").rglob("figures")), "it was killed in the middle"
    unfinished = {path.name for path in (tmp_path / ".snakemake/incomplete").glob("*")}
    kept = {path: path.stat().st_mtime_ns for path in done.rglob("shard-*.jsonl")}

    run = snakemake(tiny, tmp_path)
    assert run.error is None, run.error
    rewritten = [path for path, written in kept.items() if path.stat().st_mtime_ns != written]
    # Only what was being written when the kill came may be made again: two jobs ran at a time.
    assert len(rewritten) <= max(2, len(unfinished))
    assert len(kept) - len(rewritten) >= 1
    assert said(tmp_path) == said(finished)
    for path in (finished / "results/r2").rglob("*.h5"):
        same = read_r2(tmp_path / path.relative_to(finished))
        for direction, result in read_r2(path).items():
            np.testing.assert_array_equal(same[direction].r2, result.r2)
