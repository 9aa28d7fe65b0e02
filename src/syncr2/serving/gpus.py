"""Which GPUs of a job each of its servers takes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from syncr2.errors import SyncR2Error

if TYPE_CHECKING:
    from syncr2.serving.launch import ServedModel

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus() -> list[str]:
    """The GPUs that this process may use: as CUDA_VISIBLE_DEVICES says, else all that there are."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        return [gpu for gpu in (each.strip() for each in named.split(",")) if gpu and gpu != "-1"]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.split()


def share_gpus(models: Sequence[ServedModel]) -> list[str]:
    """Divide this job's GPUs between its servers, as many to each as its model asks for.

    Returns
    -------
    list
        A value of CUDA_VISIBLE_DEVICES a model, in order; an empty one for a server on the CPU.

    Raises
    ------
    SyncR2Error
        If they ask for more than there are.
    """
    wanted = sum(model.gpus for model in models)
    if not wanted:
        return [""] * len(models)
    there = visible_gpus()
    if wanted > len(there):
        asked = ", ".join(f"{model.name} {model.gpus}" for model in models)
        raise SyncR2Error(
            f"The servers of this job need {wanted} GPU(s) at once ({asked}), and it may use {len(there)}. "
            "Give the job more (on a cluster it asks for them itself; on one machine: --resources gpu=N), "
            "or lower `gpus` of a model; 0 serves it on the CPU."
        )
    shares = []
    for model in models:
        share, there = there[: model.gpus], there[model.gpus :]
        shares.append(",".join(share))
    return shares
