"""Training several miniatures side by side, a process each: the fastest way on few cores, and repeatable."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from syncr2.world.targets import Target


def train_all(
    targets: Iterable[Target],
    folder: Path,
    prompt_folder: Path,
    *,
    jobs: int,
    threads: int | None,
    device: str,
    n_trials: int,
) -> None:
    """Train and save miniatures.

    Parameters
    ----------
    targets : iterable of Target
    folder : Path
        Each goes into the folder of its name in here.
    prompt_folder : Path
        The experiment's templates.
    jobs : int
        How many at a time.
    threads : int, optional
        Threads of torch in each.
    device : str
        "cpu" or "cuda".
    n_trials : int
        See `saving.save`.
    """
    job = partial(_train_one, folder, prompt_folder, threads=threads, device=device, n_trials=n_trials)
    # The longest first, so that no processor waits for it in the end.
    ordered = sorted(targets, key=lambda target: -target.work)
    if jobs == 1:
        for target in ordered:
            job(target)
        return
    # Not forked: a fork of a process in which torch has run its threads can hang.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        list(pool.map(job, ordered))


def _train_one(
    folder: Path, prompt_folder: Path, target: Target, *, threads: int | None, device: str, n_trials: int
) -> None:
    import torch

    from syncr2.dialogues.prompts import Prompts
    from syncr2.world.saving import save
    from syncr2.world.training import train

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if threads:
        torch.set_num_threads(threads)
    prompts = Prompts(prompt_folder)

    def tell(step: int, loss: float) -> None:
        if step % 50 == 0 or step == target.steps:
            logging.info("%s: step %d of %d, loss %.3f", target.name, step, target.steps, loss)

    trained = train(target, prompts, device=device, on_step=tell)
    card = save(folder / target.name, target, trained, prompts, n_trials)
    logging.info("%s: %s", target.name, card["measured"]["trial"])
