"""Whether a file is whole, by what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py

from syncr2.dialogues.dialogue_records import prompt_ids
from syncr2.embedded import png_chunks
from syncr2.errors import SyncR2Error
from syncr2.files import read_json, read_jsonl, read_table
from syncr2.hdf5 import damage
from syncr2.ids import DIRECTIONS
from syncr2.protocols.measures import MEASURES_FORMAT
from syncr2.store import AGENTS, R2_FORMAT, STATES_FORMAT, read_layer


def problem(path: str | Path) -> str | None:
    """Why a file is not whole; None if it is, or if nothing is known of its kind."""
    file = Path(path)
    look = _LOOK.get(file.suffix)
    if look is None or not file.is_file():
        return None
    try:
        look(file)
    except SyncR2Error as error:
        return str(error).removeprefix(f"{file}: ").removeprefix(f"{file}, ")
    except (OSError, KeyError, ValueError, RuntimeError, ElementTree.ParseError) as error:
        # What the libraries say of damaged bytes; RuntimeError is HDF5's.
        return f"cannot be read ({type(error).__name__}: {error})"
    return None


def _hdf5(path: Path) -> None:
    with h5py.File(path, "r", locking=False) as file:
        if not file.attrs.get("complete", False):
            raise SyncR2Error("the file was never finished")
        reason = damage(file)
        if reason:
            raise SyncR2Error(reason)
        json.loads(file.attrs["made_by"])
        kind = file.attrs["format"]
        parts = AGENTS if kind == STATES_FORMAT else DIRECTIONS
        for name in parts:
            if name not in file:
                raise SyncR2Error(f"has no group {name}")
        if kind == STATES_FORMAT:
            _states(path, file)
        elif kind in (R2_FORMAT, MEASURES_FORMAT):
            file.visititems(_readable)


def _readable(_: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
        item[()]


def _states(path: Path, file: h5py.File) -> None:
    for agent in AGENTS:
        hidden, rows = file[agent]["hidden"], file[agent]["rows"]
        if hidden.shape[1] != len(rows[()]):
            raise SyncR2Error(f"{agent} has states of {hidden.shape[1]} rows and a table of {len(rows)}")
        # Space that was set aside and never written reads as zeros.
        if hidden.chunks and hidden.id.get_num_chunks() != _n_chunks(hidden):
            raise SyncR2Error(f"{agent} has states that were never written")
        for layer in range(len(hidden)):
            read_layer(path, agent, layer)


def _n_chunks(dataset: h5py.Dataset) -> int:
    number = 1
    for size, chunk in zip(dataset.shape, dataset.chunks, strict=True):
        number *= -(-size // chunk)
    return number


def _jsonl(path: Path) -> None:
    lines = read_jsonl(path)
    if not lines:
        raise SyncR2Error("the file is empty")
    for number, line in enumerate(lines, start=1):
        if "made_by" not in line:
            raise SyncR2Error(f"line {number} has no made_by record")
        if "turns" in line and any("prompt" in turn for turn in line["turns"]):
            prompt_ids(line)


def _svg(path: Path) -> None:
    ElementTree.parse(path)


def _png(path: Path) -> None:
    for _ in png_chunks(path):
        pass


def _html(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise SyncR2Error("the page was cut off")


_LOOK: dict[str, Callable[[Path], object]] = {
    ".h5": _hdf5,
    ".jsonl": _jsonl,
    ".json": read_json,
    ".tsv": read_table,
    ".svg": _svg,
    ".png": _png,
    ".html": _html,
}
