"""Models: fetched from the hub or found in a folder, and recorded; miniatures are built."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from syncr2.config import BUNDLED_SCENARIOS, REPOSITORY
from syncr2.models.fetching import fetch_model
from syncr2.models.miniatures import MiniatureSpec, build_miniature, miniature_corpus
from syncr2.models.snapshots import Snapshot, files_of_folder, hashed, write_snapshot


def build(spec: Mapping[str, Any], folder: str) -> None:
    """Build one model folder; its tokenizer comes from the project's own texts, whatever is played later."""
    corpus = miniature_corpus(BUNDLED_SCENARIOS, REPOSITORY / "resources" / "prompts")
    build_miniature(folder, MiniatureSpec.from_dict(spec), corpus)


def fetch(name: str, path: str, revision: str | None, trust_remote_code: bool, output: str) -> None:
    """Download a model and write its record.

    Parameters
    ----------
    name, path, revision, trust_remote_code
        As configured; `path` is a Hugging Face id.
    output : str
        Record to write (`syncr2.models.snapshots`).
    """
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()  # in a job's log each step would be a line
    _write(output, fetch_model(name, path, revision, trust_remote_code))


def record(name: str, path: str, trust_remote_code: bool, output: str) -> None:
    """Read every file of a model's folder and write its record.

    Parameters
    ----------
    name, path, trust_remote_code
        As configured; `path` is a folder.
    output : str
        Record to write.
    """
    files = hashed(path, files_of_folder(path, trust_remote_code))
    _write(output, Snapshot(name, path, None, None, path, files))


def _write(output: str, snapshot: Snapshot) -> None:
    write_snapshot(output, snapshot)
    size = sum(file.size for file in snapshot.files.values())
    logging.info("%s: %d files, %.2f GB", snapshot.name, len(snapshot.files), size / 1e9)
