"""The user's command on a real Slurm: GPUs are given, and whatever goes wrong, the results are the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from one_host import Cluster, missing, wait_for

from syncr2.commands.compare import contents

REPOSITORY = Path(__file__).resolve().parents[2]
EXPERIMENT = REPOSITORY / "tests/cluster/experiment.yaml"
# The models of a pair; both speak at once, and one after the other they are replayed.
GPU_RULES = {"play_dialogues": {1, 2}, "replay_states": {1}}
DEADLINE = 1200

if problem := missing():
    pytest.skip(f"{problem}; `make test-slurm` sets it up", allow_module_level=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def clone(folder: Path) -> Path:
    """The repository's files as they are now, and nothing else."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((REPOSITORY / name).read_bytes())
    return folder


def start(folder: Path, *arguments: str, environment: dict[str, str]) -> subprocess.Popen:
    """Snakemake in a clone, as a user calls it."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, "--configfile", str(EXPERIMENT)]
    with (folder / "driver.log").open("a") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def finish(driver: subprocess.Popen, folder: Path) -> None:
    assert driver.wait(DEADLINE) == 0, (folder / "driver.log").read_text()[-6000:]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    """What a local run comes to."""
    folder = clone(tmp_path_factory.mktemp("local"))
    finish(start(folder, environment=dict(os.environ)), folder)
    return contents(folder / "results")


def running(cluster: Cluster, rule: str) -> list[int]:
    return [record.job for record in cluster.records("RUNNING") if record.rule == rule]


def test_the_command_as_typed(cluster, undisturbed, tmp_path):
    folder = clone(tmp_path)
    before = {record.job for record in cluster.records()}
    finish(start(folder, "--profile", "slurm", environment=cluster.environment), folder)
    assert contents(folder / "results") == undisturbed

    jobs = [record for record in cluster.records() if record.job not in before]
    assert {record.state for record in jobs} == {"COMPLETED"}
    given = {rule: {record.gpus for record in jobs if record.rule == rule} for rule in GPU_RULES}
    assert given == GPU_RULES
    assert not [record for record in jobs if record.gpus and record.rule not in GPU_RULES]
    assert {record.partition for record in jobs if record.gpus} == {"gpu"}
    assert {record.partition for record in jobs if not record.gpus} == {"cpu"}
    # Both models speak at once; the map's memory is the configured one and what computes it.
    by_rule = {record.rule: record for record in jobs}
    assert by_rule["fit_layer_maps"].memory == "6000M"
    assert by_rule["replay_states"].limit == "00:10:00"
    assert Counter(record.rule for record in jobs)["play_dialogues"] == 4


def test_whatever_goes_wrong_nothing_is_lost(cluster, undisturbed, tmp_path):
    folder = clone(tmp_path)
    arguments = (
        *("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "3"),
        # Too little memory the first time, and a limit that a job which hangs comes to.
        *("--set-resources", "fit_layer_maps:mem_mb=60 if attempt == 1 else 1500"),
        "replay_states:runtime=attempt",
    )
    before = {record.job for record in cluster.records()}
    driver = start(folder, *arguments, environment=cluster.environment)
    try:
        wait_for(lambda: running(cluster, "play_dialogues"), "a dialogue on its way", DEADLINE)
        cancelled = running(cluster, "play_dialogues")[0]
        cluster.ask("scancel", str(cancelled))

        wait_for(lambda: running(cluster, "replay_states"), "a replay on its way", DEADLINE)
        hanging = running(cluster, "replay_states")[0]
        cluster.signal(hanging, signal.SIGSTOP)

        def busy() -> str | None:
            there = [n for n in cluster.nodes if cluster.on(n) and hanging not in cluster.on(n)]
            return there[0] if there else None

        wait_for(busy, "a job on the other node", DEADLINE)
        crashed = busy() or cluster.nodes[-1]
        lost = cluster.kill_node(crashed)
        wait_for(lambda: not {r.job for r in cluster.records("RUNNING")} & {*lost}, "the crash noticed", 120)
        cluster.start_node(crashed)

        wait_for(lambda: len(list(folder.glob("results/r2/*/*.h5"))) >= 2, "the first maps", DEADLINE)
    finally:
        driver.kill()
        driver.wait()
    # Dialogues with maps are surely on the driver's record, too; of others it may not have heard yet.
    done = {path.parent.name for path in folder.glob("results/r2/*/*.h5")}
    files = [path for pair in done for path in folder.glob(f"results/dialogues/{pair}/*/*.jsonl")]
    kept = {path: path.stat().st_mtime_ns for path in files}
    assert kept

    finish(start(folder, *arguments, environment=cluster.environment), folder)
    assert contents(folder / "results") == undisturbed
    assert kept == {path: path.stat().st_mtime_ns for path in kept}, "finished work was repeated"

    jobs = {record.job: record for record in cluster.records() if record.job not in before}
    assert jobs[cancelled].state == "CANCELLED"
    assert jobs[hanging].state == "TIMEOUT"
    assert lost
    maps = [record for record in jobs.values() if record.rule == "fit_layer_maps"]
    assert {record.memory for record in maps if record.state == "COMPLETED"} == {"1500M"}
    assert [record for record in maps if record.memory == "60M" and record.state != "COMPLETED"]
