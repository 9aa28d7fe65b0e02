"""Real vLLM on the CPU, and miniatures that it can serve: its attention takes heads from 32 dimensions on."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from syncr2.config import REPOSITORY
from syncr2.models.miniatures import MiniatureSpec
from syncr2.serving.servers import ServedModel, ServerSettings

PYTHON = REPOSITORY / ".venv-vllm" / "bin" / "python"
COMMAND = (str(PYTHON), "-m", "vllm.entrypoints.openai.api_server")
# As in demo-vllm.yaml: nothing compiled, and no chunked prefill, which on the CPU does not go with seeds.
ARGUMENTS = (
    "--enforce-eager",
    "--no-enable-chunked-prefill",
    "--max-num-batched-tokens=4096",
    "--max-num-seqs=16",
)
SETTINGS = ServerSettings(COMMAND, ARGUMENTS, 300.0)
LLAMA = MiniatureSpec(
    seed=1,
    architecture="llama",
    layers=2,
    hidden_size=64,
    intermediate_size=64,
    heads=2,
    kv_heads=1,
    vocabulary=1024,
    context=4096,
    chat_format="llama-3",
)
MISTRAL = dataclasses.replace(
    LLAMA, seed=2, architecture="mistral", sliding_window=64, chat_format="mistral", layers=3
)


def served(name: str, folder: Path) -> ServedModel:
    """A miniature on the CPU, in float32."""
    return ServedModel(name, str(folder), dtype="float32", context=4096, gpus=0)


def running(needle: Path | str) -> list[int]:
    """Processes whose command line names something, and everything in their process groups."""
    listed = subprocess.run(
        ["ps", "-eww", "-o", "pid=,pgid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 3) for line in listed.stdout.splitlines()]
    groups = {row[1] for row in rows if len(row) > 3 and str(needle) in row[3] and "Z" not in row[2]}
    return [int(row[0]) for row in rows if row[1] in groups and "Z" not in row[2]]


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for something; whether it came."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
