"""What made a file: code, libraries, machine, settings, inputs."""

from __future__ import annotations

import functools
import os
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
# Set inside a git hook, these point to the hook's repository, whatever the folder.
_OF_ANOTHER_CHECKOUT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
LIBRARIES = (
    "numpy",
    "scipy",
    "h5py",
    "scikit-learn",
    "statsmodels",
    "pandas",
    "torch",
    "transformers",
    "tokenizers",
    "openai",
)


@functools.cache
def code_version() -> dict[str, Any]:
    """Version of the package, git commit, and whether tracked files differ from it.

    The version is None where the package is not installed; the others are None outside a checkout of it.
    """
    try:
        version: str | None = metadata.version("syncr2")
    except metadata.PackageNotFoundError:
        version = None
    return {"version": version, **_checkout(REPOSITORY)}


def _checkout(folder: Path) -> dict[str, Any]:
    top, _, commit = (_git(folder, "rev-parse", "--show-toplevel", "HEAD") or "").partition("\n")
    # A copy without git of its own may lie inside another checkout, whose commit says nothing of this code.
    if not commit or Path(top).resolve() != folder.resolve():
        return {"commit": None, "dirty": None}
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _git(folder: Path, *arguments: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_CHECKOUT}
    # Without optional locks, for many jobs ask at once.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


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
        "inputs": {str(path): sha256_file(path) for path in dict.fromkeys(inputs)},
    }
