"""What made a file: code, libraries, machine, settings, inputs."""

from __future__ import annotations

import functools
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from syncr2.files import sha256_file
from syncr2.revisions import REVISIONS

REPOSITORY = Path(__file__).resolve().parents[2]
LIBRARIES = ("numpy", "scipy", "h5py", "scikit-learn", "pandas", "torch", "transformers", "tokenizers", "openai")


@functools.cache
def code_version() -> dict[str, Any]:
    """Version of the package, git commit, and whether tracked files differ from it (None outside a checkout)."""
    return {"version": metadata.version("syncr2"), "commit": _git("rev-parse", "HEAD"), "dirty": _dirty()}


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _dirty() -> bool | None:
    status = _git("status", "--porcelain", "--untracked-files=no")
    return None if status is None else bool(status)


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that can change a number, as installed (nothing is imported)."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def made_by(stage: str, settings: Mapping[str, Any], inputs: Sequence[str | Path] = ()) -> dict[str, Any]:
    """The record that goes into a file.

    Parameters
    ----------
    stage : str
        A key of `revisions.REVISIONS`.
    settings : mapping
        The slice of the configuration on which the file depends.
    inputs : sequence of paths
        Files read; their SHA-256 is taken now.
    """
    return {
        "stage": stage,
        "revision": REVISIONS[stage],
        "code": code_version(),
        "libraries": library_versions(),
        "host": {"system": platform.system(), "machine": platform.machine()},
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(settings),
        "inputs": {str(path): sha256_file(path) for path in inputs},
    }
