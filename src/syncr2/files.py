"""Files that are whole or absent, and read back with errors that name the place.

Every output of the workflow is written to a temporary name beside its target, flushed to disk, then renamed.
A crash, a kill or a full disk leaves at most a temporary file, never one that looks complete.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncr2.checksums import json_line, take_checksum
from syncr2.errors import SyncR2Error

if TYPE_CHECKING:
    import pandas as pd

_AGAIN = "Delete the file and run again: only its job is repeated."
# Columns of the result tables that hold names.
_NAMES = (
    *(
        "agent1",
        "agent2",
        "model_1",
        "model_2",
        "family",
        "versus",
        "without",
        "lowest_without",
        "highest_without",
        "judge",
        "pair",
        "condition",
        "direction",
        "source",
    ),
    *(
        "target",
        "episode_id",
        "environment_id",
        "relationship",
        "column",
        "value",
        "covariate",
        "stop_reason",
    ),
)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` when the block ends without an error.

    Parameters
    ----------
    path : str or Path
        The target. Its folder is made if need be.

    Yields
    ------
    Path
        A file name in the same folder, so that the rename is atomic.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes private files; results are to be read by the group that shares the folder.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON value, indented, keys in the order given."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read one JSON value.

    Raises
    ------
    SyncR2Error
        If the file is missing or is not JSON; the message names file, line and column.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SyncR2Error(f"{path}: no such file.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SyncR2Error(
            f"{path}: not valid JSON ({error}). Is the file cut off? Restore it, then run again."
        ) from None


def read_yaml(path: str | Path) -> Any:
    """Read YAML, plain values only; through libyaml where it is there, which is ten times as fast."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(Path(path).read_bytes())
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def write_jsonl(path: str | Path, records: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line, with its checksum, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as lines:
        lines.writelines(json_line(record) for record in records)


def _read_text(path: str | Path) -> str:
    """The text of one of our outputs, its line ends as they stand in the file."""
    try:
        return Path(path).read_bytes().decode()
    except FileNotFoundError:
        raise SyncR2Error(f"{path}: no such file.") from None
    except UnicodeDecodeError as error:
        raise SyncR2Error(f"{path}: not UTF-8 text ({error}). {_AGAIN}") from None


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Read a JSON Lines file; checksums are held against their lines, and are in no record.

    Raises
    ------
    SyncR2Error
        If a line is not a JSON object or does not fit its checksum, or the last line has no line end (a file
        that was cut off).
    """
    text = _read_text(path)
    records = []
    # Not splitlines(): it also breaks at U+2028 and its like, which may stand inside an utterance.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise SyncR2Error(
                f"{path}, line {number}: not valid JSON ({error.msg} at column {error.colno}). "
                f"The file was cut off or changed. {_AGAIN}"
            ) from None
        if not isinstance(record, dict):
            raise SyncR2Error(
                f"{path}, line {number}: a JSON object is needed, found {type(record).__name__}."
            )
        if not take_checksum(line, record):
            raise SyncR2Error(
                f"{path}, line {number}: does not fit its checksum: the line was changed after it was "
                f"written. {_AGAIN}"
            )
        records.append(record)
    if text and not text.endswith("\n"):
        raise SyncR2Error(
            f"{path}: the last line ({len(records)}) has no line end, so the file was cut off. {_AGAIN}"
        )
    return records


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a tidy table as tab-separated text; missing values are empty fields.

    Floats are written so that reading gives back the same bits.
    """
    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, lineterminator="\n")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table written by `write_table`.

    Only empty fields are missing values ("nan" and "None" stay words), and the columns that name things are
    text whatever they look like (a model called 7, an episode called 01).

    Raises
    ------
    SyncR2Error
        If the file is missing, cut off, or no table.
    """
    import pandas as pd

    text = _read_text(path)
    if not text.endswith("\n"):
        raise SyncR2Error(f"{path}: the last line has no line end, so the file was cut off. {_AGAIN}")
    try:
        return pd.read_csv(
            io.StringIO(text, newline=""),
            sep="\t",
            lineterminator="\n",  # a carriage return inside a text ends no line
            keep_default_na=False,
            na_values=[""],
            float_precision="round_trip",
            dtype=dict.fromkeys(_NAMES, str),
        )
    except ValueError as error:  # pandas' own errors are of this kind
        raise SyncR2Error(f"{path}: not a tab-separated table ({str(error).strip()}). {_AGAIN}") from None


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
