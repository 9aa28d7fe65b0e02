"""The engine "table": labels made elsewhere, by people or by another program, read from a file.

The file is what `syncr2.labels` reads. Labels of a dialogue or an agent stand at each turn of theirs. Columns
called `label:class` are one label together: a distribution, whose numbers are brought to a sum of 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from syncr2.errors import SyncR2Error
from syncr2.files import sha256_file
from syncr2.judges.base import Case
from syncr2.labellers.base import Labelled, LabellerSettings
from syncr2.labels import label_columns, read_labels

_PART = ":"


class TableLabeller:
    """Look every dialogue up.

    Parameters
    ----------
    settings : LabellerSettings
        With engine "table".

    Raises
    ------
    SyncR2Error
        If the file cannot be used; the message names the line. From `label`: if it has a row of a turn that
        a dialogue has not.
    """

    def __init__(self, settings: LabellerSettings) -> None:
        self._path = Path(settings.file or "").expanduser()
        self._labels = read_labels(self._path)
        self._parts = grouped(self._labels.names)

    def label(self, cases: Sequence[Case]) -> list[Labelled]:
        """The labels of each case; a dialogue of which the table has no row has failed."""
        return [self._look_up(case) for case in cases]

    def provenance(self) -> dict[str, Any]:
        """Say which table it was."""
        return {"engine": "table", "table_sha256": sha256_file(self._path)}

    def _look_up(self, case: Case) -> Labelled:
        turns = [(line.turn, line.agent) for line in case.lines]
        if not self._labels.has(case.key):
            error = f"{self._path.name} has no row of this dialogue."
            return Labelled("failed", None, 1, error, None, {})
        values = {name: self._labels.at_turns(name, case.key, turns) for name in self._labels.names}
        found: dict[str, list[Any]] = {}
        for name, parts in self._parts.items():
            if not parts:
                found[name] = values[name]
                continue
            columns = [values[f"{name}{_PART}{part}"] for part in parts]
            found[name] = [self._distribution(name, parts, row) for row in zip(*columns, strict=True)]
        return Labelled("ok", found, 1, None, None, {})

    def _distribution(
        self, name: str, parts: Sequence[str], row: Sequence[Any]
    ) -> Mapping[str, float] | None:
        if all(value is None for value in row):
            return None
        if any(not isinstance(value, float) or value < 0 for value in row) or sum(row) <= 0:
            raise SyncR2Error(
                f"{self._path}: the columns {name}{_PART}… of a row have {row}; numbers that are not "
                "negative, with a sum above 0, or none at all are needed."
            )
        return {part: value / sum(row) for part, value in zip(parts, row, strict=True)}


def grouped(columns: Iterable[str]) -> dict[str, list[str]]:
    """The labels of a table, each with the classes that have a column of their own (none: one column).

    Raises
    ------
    SyncR2Error
        If a label has both a column of its own and columns of classes.
    """
    found: dict[str, list[str]] = {}
    for column in columns:
        name, mark, part = column.partition(_PART)
        if name in found and bool(found[name]) != bool(mark):
            raise SyncR2Error(f"A table of labels has both the column {name!r} and {name + _PART!r}…")
        found.setdefault(name, [])
        found[name] += [part] if mark else []
    return found


def names_in(path: str | Path) -> list[str]:
    """Names of the labels in a table, from its first line alone.

    Raises
    ------
    SyncR2Error
        If the file is missing or no table of labels.
    """
    return list(grouped(label_columns(Path(path).expanduser())))
