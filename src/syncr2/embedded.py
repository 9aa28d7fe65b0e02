"""The record that stands inside a file, by kind of file: JSON Lines, HDF5, JSON, figures and pages."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from syncr2.errors import SyncR2Error
from syncr2.files import read_json

_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


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


def png_chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of every chunk; each has a checksum, and the last is IEND.

    Raises
    ------
    SyncR2Error
        If it is no PNG file, or a part of it is missing or was changed.
    """
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


def _jsonl(path: Path) -> Any:
    with path.open(encoding="utf-8") as stream:
        return json.loads(stream.readline())["made_by"]


def _hdf5(path: Path) -> Any:
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        return json.loads(file.attrs["made_by"])


def _json(path: Path) -> Any:
    found = read_json(path)
    return found.get("made_by") if isinstance(found, dict) else None


def _svg(path: Path) -> Any:
    found = ElementTree.parse(path).getroot().find(f".//{_DESCRIPTION}")
    return None if found is None else json.loads(found.text or "null")


def _png(path: Path) -> Any:
    for kind, body in png_chunks(path):
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


def _html(path: Path) -> Any:
    head = _Head()
    head.feed(path.read_text(encoding="utf-8").partition("</head>")[0])
    return json.loads(head.record) if head.record else None


_RECORD: dict[str, Callable[[Path], Any]] = {
    ".h5": _hdf5,
    ".jsonl": _jsonl,
    ".json": _json,
    ".svg": _svg,
    ".png": _png,
    ".html": _html,
}
