"""One Snakemake at a time in a folder, and no lock left behind by one that was killed.

Snakemake locks its folder with files, and whoever is killed leaves them there: the same command is then
refused until somebody unlocks by hand. So the workflow also holds a lock of the operating system, which goes
when its process goes. Where that lock is free, files of Snakemake's own lock belong to nobody.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

LOCK = "driver.lock"

# Held until this process ends; a second workflow in the same process and folder has it already.
_held: dict[Path, IO[str]] = {}


def claim(state: Path) -> bool:
    """Take the lock of a folder, until this process ends.

    Parameters
    ----------
    state : Path
        Snakemake's own folder, `.snakemake`.

    Returns
    -------
    bool
        False if another process has it, or if the file system knows no locks.
    """
    path = state.absolute() / LOCK
    if path in _held:
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        return False
    # Jobs are processes of their own, and must not hold it when this one is gone.
    os.set_inheritable(stream.fileno(), False)
    _held[path] = stream
    return True


def clear_abandoned(state: Path) -> bool:
    """Remove Snakemake's lock if the process that made it is gone; say whether there was one.

    Parameters
    ----------
    state : Path
        Snakemake's own folder, `.snakemake`.
    """
    if not claim(state):
        return False
    abandoned = list((state / "locks").glob("*.lock"))
    for lock in abandoned:
        lock.unlink(missing_ok=True)
    return bool(abandoned)
