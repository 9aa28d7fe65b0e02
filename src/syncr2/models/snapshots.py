"""Which bytes a model is: its files with their SHA-256, taken once and kept as a small JSON file.

A model's weights are many gigabytes, and hundreds of jobs load them. One job of each model reads all of its
files and writes what they are (`write_snapshot`); the others look only whether every file is still there in
its size.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from syncr2.errors import SyncR2Error
from syncr2.files import read_json, sha256_file, sha256_text, write_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Configuration, tokenizer and chat template. Of the indexes of weights only the one above counts.
_SMALL = ("*.json", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt")
_CODE = "*.py"


class ModelFile(NamedTuple):
    """Size in bytes and SHA-256 of one file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Snapshot:
    """A model as it lies in a folder of this machine.

    Attributes
    ----------
    name : str
        Name in the configuration.
    path, revision : str or None
        As configured: a Hugging Face id or a folder; what was asked for of the id.
    commit : str or None
        The commit that this came to; None for a folder.
    folder : str
        Where the files lie.
    files : mapping
        `ModelFile` by name.
    """

    name: str
    path: str
    revision: str | None
    commit: str | None
    folder: str
    files: Mapping[str, ModelFile]

    @property
    def sha256(self) -> str:
        """Of the names, sizes and contents of all files, wherever they lie."""
        return files_sha256(self.files)

    def check(self) -> None:
        """See that every file is there in its size.

        Raises
        ------
        SyncR2Error
            If one is missing or has another size.
        """
        for name, file in self.files.items():
            path = Path(self.folder) / name
            found = path.stat().st_size if path.is_file() else None
            if found != file.size:
                what = "is missing" if found is None else f"has {found} bytes, and had {file.size}"
                raise SyncR2Error(
                    f"Model {self.name}: {path} {what} since the model was recorded. If that is meant, "
                    "delete the model's record below the results (models/, or served/ for a judge's) and run "
                    "again; what rests on it is then made anew."
                )


def files_sha256(files: Mapping[str, ModelFile]) -> str:
    """SHA-256 of a list of files: name, size and SHA-256 of each, in the order of the names."""
    return sha256_text(
        "".join(f"{name}\t{files[name].size}\t{files[name].sha256}\n" for name in sorted(files))
    )


def model_files(names: Iterable[str], read: Callable[[str], Any], remote_code: bool = False) -> list[str]:
    """Those of a model's files that are used: weights as safetensors, configuration, tokenizer, template.

    Parameters
    ----------
    names : iterable of str
        Every file there is, folders as in `original/params.json`. Copies of the weights in other formats, and
        what lies in folders, is left out.
    read : callable
        Gives the JSON value of a file by its name.
    remote_code : bool
        Whether Python files count.

    Raises
    ------
    SyncR2Error
        If there is no configuration, or no weights as safetensors.
    """
    there = set(names)
    patterns = (*_SMALL, _CODE) if remote_code else _SMALL
    small = [
        name
        for name in there
        if ("/" not in name or (remote_code and name.endswith(".py")))
        and any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
        and (not name.endswith(".index.json") or name == INDEX)
    ]
    if "config.json" not in there:
        raise SyncR2Error("has no config.json, so it is no model that transformers can load.")
    if INDEX in there:
        weights = set(read(INDEX)["weight_map"].values())
    elif WEIGHTS in there:
        weights = {WEIGHTS}
    else:
        others = sorted(name for name in there if name.endswith((".bin", ".pt", ".pth", ".gguf")))
        raise SyncR2Error(
            f"has no weights as safetensors ({WEIGHTS})"
            + (f", only {', '.join(others[:3])}{' …' if len(others) > 3 else ''}" if others else "")
            + ". Other formats are not loaded: pickled weights can run code. Name a version with them, "
            "or load the model once where you trust it, write it with save_pretrained, and give that folder."
        )
    if missing := sorted(weights - there):
        raise SyncR2Error(f"lacks {', '.join(missing[:3])}, which its {INDEX} names.")
    return sorted({*small, *weights})


def files_of_folder(folder: str | Path, remote_code: bool = False) -> list[str]:
    """`model_files` of a folder.

    Raises
    ------
    SyncR2Error
        As there; the message names the folder.
    """
    folder = Path(folder)
    found = [*folder.iterdir(), *(folder.glob("**/*.py") if remote_code else ())]
    names = [path.relative_to(folder).as_posix() for path in found if path.is_file()]
    try:
        return model_files(names, lambda name: read_json(folder / name), remote_code)
    except SyncR2Error as error:
        raise SyncR2Error(f"{folder}: {error}") from None


def hashed(folder: str | Path, names: Iterable[str]) -> dict[str, ModelFile]:
    """Size and SHA-256 of files in a folder; every byte is read."""
    paths = {name: Path(folder) / name for name in names}
    return {name: ModelFile(path.stat().st_size, sha256_file(path)) for name, path in paths.items()}


def write_snapshot(path: str | Path, snapshot: Snapshot) -> None:
    """Write a model's record. It holds no time: the same bytes give the same record."""
    files = {name: file._asdict() for name, file in snapshot.files.items()}
    write_json(path, {**asdict(snapshot), "files": files, "sha256": snapshot.sha256})


def read_snapshot(path: str | Path) -> Snapshot:
    """Read what `write_snapshot` wrote.

    Raises
    ------
    SyncR2Error
        If the file is missing, damaged, or no such record.
    """
    value = read_json(path)
    try:
        files = {name: ModelFile(**file) for name, file in value["files"].items()}
        fields = {key: value[key] for key in ("name", "path", "revision", "commit", "folder")}
        snapshot = Snapshot(**fields, files=files)
        if snapshot.sha256 != value["sha256"]:
            raise ValueError("its files and its SHA-256 do not belong together")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SyncR2Error(
            f"{path}: no record of a model ({type(error).__name__}: {error}). Delete the file and run again."
        ) from None
    return snapshot
