"""Our HDF5 files: whole or absent, with what made them and checksums of all that they hold.

Datasets that are read in parts have a CRC-32 of every row beside them, which whoever reads rows compares; all
else is held against the SHA-256 of the content when the file is opened. (HDF5's own checksum is a filter over
whole chunks. States are written in parts of chunks, and with a filter each part would have to read and write
whole ones.)
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.files import atomic_path

AGAIN = "Delete it and run again: only its job is repeated."
# Behind the name of a dataset whose rows have checksums of their own.
ROWS_SUFFIX = "_crc32"
_CONTENT = "sha256"
_COMPLETE = "complete"


@contextmanager
def writing(path: str | Path, file_format: str, made_by: Mapping[str, Any]) -> Iterator[h5py.File]:
    """One of our HDF5 files to fill; it is whole or absent."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = file_format
        file.attrs["made_by"] = json.dumps(made_by, ensure_ascii=False)
        yield file
        file.attrs[_CONTENT] = content_sha256(file)
        # Last of all: a file without it was never finished, whatever else can be read from it.
        file.attrs[_COMPLETE] = True


@contextmanager
def reading(path: str | Path, file_format: str, known: bool = False) -> Iterator[h5py.File]:
    """One of our HDF5 files; `SyncR2Error` where it is missing, cut off, changed or of another format.

    Parameters
    ----------
    path : str or Path
    file_format : str
    known : bool
        Opened before, so that its content need not be held against its checksum once more.
    """
    if not Path(path).is_file():
        raise SyncR2Error(f"{path}: no such file.")
    try:
        # No lock: network file systems refuse it, and our files never change once they have their name.
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise SyncR2Error(f"{path}: not a whole HDF5 file ({error}). {AGAIN}") from None
    with file:
        if not known:
            reason = damage(file, file_format)
            if reason:
                raise SyncR2Error(f"{path}: {reason}. {AGAIN}")
        try:
            yield file
        except (OSError, RuntimeError) as error:  # the latter is HDF5's, too
            raise SyncR2Error(f"{path}: cannot be read ({error}). {AGAIN}") from None


def damage(file: h5py.File, file_format: str | None = None) -> str | None:
    """Why an open file is not to be read; None if it is whole. States are checked when they are read."""
    try:
        found = file.attrs.get("format")
        if file_format not in (None, found) or not file.attrs.get(_COMPLETE, False):
            return f"expected a finished file of format {file_format}, found {found}"
        given = file.attrs.get(_CONTENT)
        if given not in (None, content_sha256(file)):
            return "its content does not fit its checksum: the file was changed after it was written"
    except Exception as error:  # whatever h5py and HDF5 make of damaged bytes
        return f"cannot be read ({type(error).__name__}: {error})"
    return None


def row_checksums(values: NDArray) -> NDArray[np.uint32]:
    """CRC-32 of every row, of its bytes as stored.

    Parameters
    ----------
    values : ndarray, shape (…, width)
        In the number format of the file.

    Returns
    -------
    ndarray of uint32, shape (…)
    """
    # Little-endian, whatever the machine that reads.
    stored = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    rows = stored.reshape(-1, values.shape[-1]).view(np.uint8)
    found = np.fromiter((zlib.crc32(row.data) for row in rows), np.uint32, len(rows))
    return found.reshape(values.shape[:-1])


def content_sha256(file: h5py.File, without: str = "") -> str:
    """SHA-256 of all that an HDF5 file says: names, attributes, shapes and numbers.

    Datasets whose rows have checksums of their own (beside them, `…_crc32`) count by these: they are large,
    and read in parts.

    Parameters
    ----------
    file : h5py.File
    without : str
        An attribute of the file that is left out.
    """
    aside = (_CONTENT, _COMPLETE, without)
    digest = hashlib.sha256()
    names = [""]
    file.visit(names.append)
    rows_have_their_own = {name.removesuffix(ROWS_SUFFIX) for name in names if name.endswith(ROWS_SUFFIX)}
    for name in names:
        # By HDF5's own handles: h5py's objects cost more than all the rest where datasets are many and small.
        item = h5py.h5o.open(file.id, (name or "/").encode())
        said = []
        if h5py.h5a.get_num_attrs(item):
            attributes = {key: np.asarray(value).tolist() for key, value in file[name or "/"].attrs.items()}
            said = sorted(each for each in attributes.items() if name or each[0] not in aside)
        digest.update(repr((name, said)).encode())
        if isinstance(item, h5py.h5d.DatasetID):
            dtype, shape = item.dtype, item.shape
            digest.update(repr((dtype.str, dtype.names, shape)).encode())
            if name not in rows_have_their_own:
                digest.update(_bytes(item, dtype, shape))
    return digest.hexdigest()


def _bytes(dataset: h5py.h5d.DatasetID, dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    if dtype.hasobject:
        # Texts lie elsewhere in memory: their bytes here would be addresses.
        return repr(np.asarray(h5py.Dataset(dataset)[()]).tolist()).encode()
    values = np.empty(shape, dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values.tobytes()
