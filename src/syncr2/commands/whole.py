"""Whether a file is whole, by what is in it, and what its own record says."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py

from syncr2.dialogue_records import prompt_ids
from syncr2.errors import SyncR2Error
from syncr2.files import read_json, read_jsonl, read_table
from syncr2.hdf5 import damage
from syncr2.ids import DIRECTIONS
from syncr2.measures import MEASURES_FORMAT
from syncr2.store import AGENTS, R2_FORMAT, STATES_FORMAT, read_layer

_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


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


def embedded(path: str | Path) -> Mapping[str, Any] | None:
    """The record inside a file; None where the kind of file holds none, or this file lacks it."""
    file = Path(path)
    read = _RECORD.get(file.suffix)
    if read is None or not file.is_file():
        return None
    try:
        found = read(file)
    except (SyncR2Error, OSError, KeyError, ValueError, RuntimeError, ElementTree.ParseError):
        return None
    return found if isinstance(found, dict) else None


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
    for _ in _png_chunks(path):
        pass


def _png_chunks(path: Path) -> Any:
    """Type and content of every chunk; each has a checksum, and the last is IEND."""
    content = path.read_bytes()
    if not content.startswith(_PNG_HEAD):
        raise SyncR2Error("not a PNG file")
    at, kind = len(_PNG_HEAD), b""
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        checksum = content[at + 8 + length : at + 12 + length]
        if len(checksum) < 4 or zlib.crc32(kind + body) != struct.unpack(">I", checksum)[0]:
            raise SyncR2Error(f"the part {kind!r} is cut off or was changed")
        yield kind, body
        at += 12 + length
    if kind != b"IEND":
        raise SyncR2Error("the file was cut off")


def _html(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise SyncR2Error("the page was cut off")


def _jsonl_record(path: Path) -> Any:
    with path.open(encoding="utf-8") as stream:
        return json.loads(stream.readline())["made_by"]


def _hdf5_record(path: Path) -> Any:
    with h5py.File(path, "r", locking=False) as file:
        return json.loads(file.attrs["made_by"])


def _json_record(path: Path) -> Any:
    found = read_json(path)
    return found.get("made_by") if isinstance(found, dict) else None


def _svg_record(path: Path) -> Any:
    found = ElementTree.parse(path).getroot().find(f".//{_DESCRIPTION}")
    return None if found is None else json.loads(found.text or "null")


def _png_record(path: Path) -> Any:
    for kind, body in _png_chunks(path):
        if kind in (b"tEXt", b"zTXt"):
            keyword, _, text = body.partition(b"\0")
            if keyword == b"made_by":
                return json.loads(zlib.decompress(text[1:]) if kind == b"zTXt" else text)
    return None


class _Head(HTMLParser):
    """Finds the record in a page's head."""

    record: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "meta" and found.get("name") == "made_by" and self.record is None:
            self.record = found.get("content")


def _html_record(path: Path) -> Any:
    head = _Head()
    head.feed(path.read_text(encoding="utf-8").partition("</head>")[0])
    return json.loads(head.record) if head.record else None


_LOOK: dict[str, Callable[[Path], object]] = {
    ".h5": _hdf5,
    ".jsonl": _jsonl,
    ".json": read_json,
    ".tsv": read_table,
    ".svg": _svg,
    ".png": _png,
    ".html": _html,
}
_RECORD: dict[str, Callable[[Path], Any]] = {
    ".h5": _hdf5_record,
    ".jsonl": _jsonl_record,
    ".json": _json_record,
    ".svg": _svg_record,
    ".png": _png_record,
    ".html": _html_record,
}
