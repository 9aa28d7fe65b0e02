"""A checksum in every line of our JSON Lines, so that what was changed on the disk is an error, not a number.

It is against accidents (a bit that a disk or a cable flipped, a part that was overwritten), not against
people: whoever changes a file on purpose can change its checksum, too. It is the CRC-32 of zlib, PNG and
gzip, which finds every change within 32 bits. HDF5 files have theirs in `hdf5`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

LINE_KEY = "crc32"


def json_line(record: Mapping[str, Any]) -> str:
    """A record as one line of JSON, its last key the CRC-32 of all that stands before that key."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    before = f"{text[:-1]}, " if record else "{"
    return f'{before}"{LINE_KEY}": "{_crc32(before)}"}}\n'


def take_checksum(line: str, record: dict[str, Any]) -> bool:
    """Take the checksum out of a line's record; say whether it fits (a line without one does).

    Parameters
    ----------
    line : str
        As it stands in the file.
    record : dict
        What the line says; it loses the key.
    """
    given = record.pop(LINE_KEY, None)
    return given is None or given == _crc32(line.rpartition(f'"{LINE_KEY}"')[0])


def _crc32(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
