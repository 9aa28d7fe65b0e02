"""Where the folder beside the project is, with published episodes, golden files and published numbers."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def shared_folder(name: str) -> Path | None:
    """A folder of the shared material (SYNCR2_SHARED, or `shared` beside the checkout), or None."""
    folder = Path(os.environ.get("SYNCR2_SHARED", REPOSITORY.parent / "shared")) / name
    return folder if folder.is_dir() else None
