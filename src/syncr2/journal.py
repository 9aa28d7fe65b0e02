"""Records that a job has finished, kept beside its output until the output is whole.

A job that is killed and run again takes its finished records from here and makes only the others. They are
taken only if everything that can change them is as it was, which a fingerprint at the head of the journal
says. A line is written, flushed and synced before its record counts as finished; one that was cut off does
not count, nor does what stands behind one that does not fit its checksum. One job at a time can have a
journal.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from syncr2.checksums import json_line, take_checksum
from syncr2.errors import SyncR2Error
from syncr2.files import sha256_text

FORMAT = "syncr2/journal/1"
# What a file system answers that knows no locks.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)

_log = logging.getLogger(__name__)


def fingerprint(parameters: Mapping[str, Any]) -> str:
    """SHA-256 of everything that can change a record."""
    return sha256_text(json.dumps(parameters, sort_keys=True, ensure_ascii=True, allow_nan=False))


def journal_path(output: str | Path) -> Path:
    """Where the journal of an output lies: beside it, under a name that no pattern for outputs takes."""
    target = Path(output)
    return target.with_name(f".{target.name}.journal")


class Journal:
    """The journal of one output. Use it as a context; leaving it gives up the lock and keeps the file.

    Parameters
    ----------
    output : str or Path
        The output that the records will make.

    Raises
    ------
    SyncR2Error
        On entering: if another job has it.
    """

    def __init__(self, output: str | Path) -> None:
        self.path = journal_path(output)
        self._stream: BinaryIO | None = None

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            stream = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
            try:
                self._lock(stream)
                if _is_at(stream, self.path):
                    self._stream = stream
                    return self
            except BaseException:
                stream.close()
                raise
            # Whoever had it removed it in between, and what we hold is nowhere.
            stream.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def resume(self, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The finished records of an earlier run with the same parameters; later ones are added behind them.

        Parameters
        ----------
        parameters : mapping
            Everything that can change a record.
        """
        stream = self._open_stream()
        head = {"format": FORMAT, "fingerprint": fingerprint(parameters)}
        stream.seek(0)
        lines = stream.read().split(b"\n")[:-1]  # behind the last line end stands what was cut off
        values, length = [], 0
        for line in lines:
            value = _parsed(line)
            if value is None:
                break
            values.append(value)
            length += len(line) + 1
        if values and values[0] == head:
            stream.truncate(length)
            stream.seek(length)
            if len(values) > 1:
                _log.info("%d finished records are taken from %s", len(values) - 1, self.path)
            return values[1:]
        if len(values) > 1:
            _log.info("%d records in %s are not taken: parameters differ", len(values) - 1, self.path)
        stream.truncate(0)
        stream.seek(0)
        self.add([head])
        return []

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add finished records; when this returns they are on the disk."""
        stream = self._open_stream()
        data = memoryview("".join(map(json_line, records)).encode())
        while data:
            data = data[stream.write(data) :]
        os.fsync(stream.fileno())

    def remove(self) -> None:
        """Remove the file, for the output is in place."""
        self._open_stream()
        self.path.unlink()

    def _open_stream(self) -> BinaryIO:
        if self._stream is None:
            raise ValueError("the journal is not open; use it as a context")
        return self._stream

    def _lock(self, stream: BinaryIO) -> None:
        try:
            # A lock of the process, not of the open file: what this job starts does not inherit it, and so
            # cannot hold it when the job is gone.
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                _log.warning(
                    "%s: this file system knows no locks; see that no other job writes it", self.path
                )
                return
            raise SyncR2Error(
                f"{self.path}: another job is making the same output. Wait for it, or stop it, then run "
                "again."
            ) from None


def _is_at(stream: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A whole line's record; None for what a crash of the machine or a bad disk can leave."""
    try:
        text = line.decode()
        value = json.loads(text)
    except ValueError:  # UnicodeDecodeError is one
        return None
    return value if isinstance(value, dict) and take_checksum(text, value) else None
