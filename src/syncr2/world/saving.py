"""A trained miniature on disk: float16 weights, tokenizer, chat format, and a card of what was measured."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from syncr2.dialogues.prompts import Prompts
from syncr2.errors import SyncR2Error
from syncr2.files import read_json, sha256_file, write_json
from syncr2.models.loading import no_progress_bars
from syncr2.world.readings import READERS
from syncr2.world.targets import FOLDER, Target
from syncr2.world.training import Trained, held_out_loss
from syncr2.world.trials import TEMPERATURE, trial

FORMAT = "syncr2/miniature-card/1"
CARD, PAGE = "card.json", "README.md"
# Of all that a folder of shipped miniatures may take, in bytes.
MOST_BYTES = 25_000_000
TRIALS = 120
_TEMPLATE = FOLDER / "card.jinja"


def save(
    folder: str | Path, target: Target, trained: Trained, prompts: Prompts, n_trials: int = TRIALS
) -> dict[str, Any]:
    """Write the folder of one miniature, whole or not at all, and give its card.

    What is measured is measured on the weights as they are shipped: rounded to float16, computed in float32.

    Parameters
    ----------
    folder : str or Path
        An older miniature there is replaced.
    target, trained
        What was to be trained, and what came of it.
    prompts : Prompts
        The templates that it was trained on.
    n_trials : int
        Dialogues that it plays with itself, and readings of each kind for its perplexities.

    Raises
    ------
    SyncR2Error
        If the folder holds anything but a trained miniature.
    """
    import torch

    folder = Path(folder)
    if folder.exists() and not (folder / CARD).is_file():
        raise SyncR2Error(f"{folder}: holds no card of a trained miniature, so it stays as it is. Move it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    try:
        new = temporary / "new"
        half = trained.model.half()
        half.config.dtype = torch.float16
        with no_progress_bars():
            half.save_pretrained(new)
        trained.encoder.tokenizer.save_pretrained(new)
        files = {path.name: sha256_file(path) for path in sorted(new.iterdir())}
        card = _card(target, trained._replace(model=half.float()), prompts, files, n_trials)
        write_json(new / CARD, card)
        (new / PAGE).write_text(page(card), encoding="utf-8")
        for path in new.iterdir():
            path.chmod(0o644)  # safetensors makes private files
        if folder.exists():
            folder.rename(temporary / "old")
        new.rename(folder)
    finally:
        shutil.rmtree(temporary)
    return card


def check_folder(folder: str | Path) -> dict[str, Any]:
    """See that a miniature's files are those of its card; gives the card.

    Raises
    ------
    SyncR2Error
        If a file is missing, was added or changed, or the page says something else than the card.
    """
    folder = Path(folder)
    card: dict[str, Any] = read_json(folder / CARD)
    if card.get("format") != FORMAT:
        raise SyncR2Error(f"{folder / CARD}: found format {card.get('format')!r}, {FORMAT!r} is needed.")
    found = {path.name: sha256_file(path) for path in folder.iterdir() if path.name not in (CARD, PAGE)}
    wrong = sorted(name for name in {*found, *card["files"]} if found.get(name) != card["files"].get(name))
    if not wrong and (folder / PAGE).read_text(encoding="utf-8") != page(card):
        wrong = [PAGE]
    if wrong:
        raise SyncR2Error(
            f"{folder}: {', '.join(wrong)} differ from what the card says. Restore the folder, or train the "
            "miniature again (`make miniatures`)."
        )
    return card


def page(card: Mapping[str, Any]) -> str:
    """The card as a page to read."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(**card, readers=READERS, temperature=TEMPERATURE)


def _card(
    target: Target, trained: Trained, prompts: Prompts, files: Mapping[str, str], n_trials: int
) -> dict[str, Any]:
    import torch

    model, encoder = trained.model, trained.encoder
    perplexity = {
        reader: math.exp(held_out_loss(model, encoder, prompts, target.coupling, i, n_trials))
        for i, reader in enumerate(READERS)
    }
    found, sample = trial(model, encoder, prompts, n_trials)
    return {
        "format": FORMAT,
        "name": target.name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "target": asdict(target),
        "prompts": {name: prompts.sha256(name) for name in ("engaged", "bystander")},
        "training": {
            "readings": trained.steps * target.batch,
            "steps": trained.steps,
            "tokens": trained.tokens,
            "seconds": round(trained.seconds, 1),
            "threads": torch.get_num_threads(),
            "device": trained.device,
            "first_losses": trained.first,
            "curve": [[step, round(loss, 4)] for step, loss in trained.curve],
        },
        "measured": {
            "perplexity": {name: round(value, 4) for name, value in perplexity.items()},
            "trial": {key: None if math.isnan(value) else round(value, 4) for key, value in found.items()},
            "sample": sample,
        },
        "files": dict(files),
    }
