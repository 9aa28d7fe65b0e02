"""Where the folder beside the project is, with published episodes, golden files and published numbers."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("SYNCR2_SHARED", REPOSITORY.parent / "shared"))


def missing(name: str) -> str:
    """Why a test is skipped that needs a part of it."""
    return f"no {name} in the shared folder beside the project; let SYNCR2_SHARED name a folder that has it"
