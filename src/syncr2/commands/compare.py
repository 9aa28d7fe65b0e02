"""Do two runs say the same? Their files by scientific content: all but the record of what made each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import h5py

from syncr2.errors import SyncR2Error
from syncr2.files import read_jsonl, sha256_file
from syncr2.hdf5 import content_sha256

# Folders below the results that tell how it went, and not what came out.
_ASIDE = ("benchmarks", "logs", "provenance")


def contents(results: str | Path) -> dict[str, str]:
    """SHA-256 of the scientific content of every table, JSON Lines and HDF5 file, by path below the results.

    Raises
    ------
    SyncR2Error
        If there is no such file, or one is damaged.
    """
    folder = Path(results)
    found = {
        path.relative_to(folder).as_posix(): _DIGESTS[path.suffix](path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in _DIGESTS
        and path.relative_to(folder).parts[0] not in _ASIDE
        and not path.name.startswith(".")
    }
    if not found:
        raise SyncR2Error(f"{folder}: no results there. Give the results folder of a run.")
    return found


def differences(one: str | Path, other: str | Path) -> list[str]:
    """What two results folders do not have in common, a line each."""
    first, second = contents(one), contents(other)
    lines = [f"{path}: only in {one}" for path in first if path not in second]
    lines += [f"{path}: only in {other}" for path in second if path not in first]
    return lines + [f"{path}: differs" for path, sha in first.items() if second.get(path, sha) != sha]


def _jsonl(path: Path) -> str:
    digest = hashlib.sha256()
    for record in read_jsonl(path):
        record.pop("made_by", None)
        digest.update(json.dumps(record, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _hdf5(path: Path) -> str:
    with h5py.File(path, "r", locking=False) as file:
        return content_sha256(file, without="made_by")


_DIGESTS: dict[str, Callable[[Path], str]] = {".tsv": sha256_file, ".jsonl": _jsonl, ".h5": _hdf5}
