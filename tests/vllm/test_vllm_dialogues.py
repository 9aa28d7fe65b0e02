"""Dialogues of two models through real vLLM, in the real workflow; killed on the way, and gone on with."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from on_cpu import ARGUMENTS, COMMAND, LLAMA, MISTRAL, running, until

from syncr2.checksums import take_checksum
from syncr2.config import REPOSITORY

DIALOGUES = "results/dialogues/red--blue/seed-0/shard-0.jsonl"
STATES = "results/states/red--blue/engaged/seed-0/shard-0.h5"
EPISODES = 12


def configuration() -> dict[str, Any]:
    """The published one with two miniatures, few episodes, and servers on the CPU."""
    raw = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    raw["scenarios"] |= {"source": "bundled", "episodes": EPISODES}
    raw["models"] = [
        {
            **{"name": name, "family": family, "dtype": "float32", "gpus": 0, "memory_gb": 2},
            "miniature": dataclasses.asdict(spec),
        }
        for name, family, spec in (("red", "warm", LLAMA), ("blue", "cold", MISTRAL))
    ]
    raw["seeds"] = [0]
    raw["prompts"] = str(REPOSITORY / "resources" / "prompts")
    raw["dialogue"] |= {"engine": "vllm", "max_turns": 8, "max_new_tokens": 12, "concurrency": 2}
    raw["vllm"] = {"command": list(COMMAND), "arguments": list(ARGUMENTS), "start_deadline": 300}
    raw["synchrony"] |= {"samples": "auto", "lags": [3], "folds": 3, "profile_lags": [1, 2, 3]}
    raw["judges"] = [{"name": "surface", "engine": "surface"}]
    raw["statistics"]["covariates"] = []
    raw["resources"] = {"threads": 1, "runtime": 10, "warm_start": False}
    return raw


def start(folder: Path, target: str) -> subprocess.Popen[bytes]:
    """Snakemake in a session of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration()))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--cores",
        "2",
    ]
    command += ["--directory", str(folder), "--rerun-incomplete", "--nolock", "--quiet", "all", "--", target]
    with (folder / "snakemake.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def finish(folder: Path, target: str) -> None:
    code = start(folder, target).wait(400)
    log = folder / "results/logs/play_dialogues/red--blue/seed-0/shard-0.log"
    told = [path.read_text()[-2000:] for path in (folder / "snakemake.log", log) if path.exists()]
    assert code == 0, "\n".join(told)


def said(folder: Path) -> list[dict[str, Any]]:
    """The dialogues, each line whole, without what tells when they were written."""
    lines = (folder / DIALOGUES).read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for line, record in zip(lines, records, strict=True):
        assert take_checksum(line, record)
        for key in ("started", "written"):
            record["made_by"].pop(key)
    return records


def test_a_killed_job_goes_on_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(whole, STATES)
    records = said(whole)
    assert len(records) == EPISODES
    assert {record["made_by"]["settings"]["engine"] for record in records} == {"vllm"}
    assert "0.32.0" in json.dumps(records[0]["made_by"]["settings"]["models"])
    assert any(turn["text"] for record in records for turn in record["turns"])
    assert running(whole) == []

    job = start(killed, DIALOGUES)
    folder = (killed / DIALOGUES).parent
    # The journal has some dialogues, and not yet all.
    assert until(lambda: any(b'"episode_id"' in path.read_bytes() for path in folder.glob(".*.journal")), 300)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not (killed / DIALOGUES).exists()
    # The servers are in sessions of their own, and gone all the same.
    assert until(lambda: running(killed) == [], 30)
    finish(killed, DIALOGUES)
    assert said(killed) == records
    log = (killed / "results/logs/play_dialogues/red--blue/seed-0/shard-0.log").read_text()
    taken = re.search(r"(\d+) finished records are taken", log)
    assert taken
    assert 1 <= int(taken[1]) < EPISODES
