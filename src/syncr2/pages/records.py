"""What the outputs say about themselves: the `made_by` records inside them, gathered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from syncr2.errors import SyncR2Error
from syncr2.store import open_states, read_made_by

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Trace:
    """Everything that is known of how the results were made.

    Attributes
    ----------
    records : tuple of (path, made_by)
        One for each file that holds a record.
    heads : mapping
        The first lines of every JSON Lines file.
    states_gone : int
        State files that the R² files name and that are no longer on this disk (they are large, and nothing
        needs them once the maps are fitted).
    n_states : mapping
        Prompts read, by reading; one state after every block was kept of each.
    """

    records: tuple[tuple[str, Record], ...]
    heads: Mapping[str, tuple[Record, ...]]
    states_gone: int
    n_states: Mapping[str, int]

    def of_stage(self, stage: str) -> list[Record]:
        """Records of one stage."""
        return [record for _, record in self.records if record["stage"] == stage]


def gather(jsonl: Iterable[str], r2: Iterable[str], n_lines: int) -> Trace:
    """Read the records of dialogues, judgements and R² files, and of the states behind the R² files.

    Parameters
    ----------
    jsonl : iterable of str
        Dialogues and judgements; every line holds the file's record.
    r2 : iterable of str
        R² files. State files are found through what their records name: they may have been deleted since.
    n_lines : int
        First lines to keep of each JSON Lines file.

    Raises
    ------
    SyncR2Error
        If a file is missing or cut off, or holds no record.
    """
    heads = {path: tuple(_first_lines(path, n_lines)) for path in jsonl}
    records = [(path, _made_by(path, lines[0])) for path, lines in heads.items()]
    maps = [(path, _made_by_hdf5(path)) for path in r2]
    named = dict.fromkeys(path for _, record in maps for path in record["inputs"] if path.endswith(".h5"))
    there = [path for path in named if Path(path).is_file()]
    states = [(path, _made_by_hdf5(path)) for path in there]
    n_states: dict[str, int] = {}
    for path, record in states:
        n_rows = sum(len(agent.rows) for agent in open_states(path).values())
        reading = record["settings"]["reading"]
        n_states[reading] = n_states.get(reading, 0) + n_rows
    return Trace((*records, *states, *maps), heads, len(named) - len(there), n_states)


def _first_lines(path: str, n_lines: int) -> list[Record]:
    try:
        with Path(path).open(encoding="utf-8") as stream:
            lines = [json.loads(line) for line in islice(stream, max(n_lines, 1))]
    except FileNotFoundError:
        raise SyncR2Error(
            f"{path}: no such file. Run the workflow again: only what is missing is made."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SyncR2Error(f"{path}: not valid JSON Lines ({error}). Delete it and run again.") from None
    if not lines:
        raise SyncR2Error(f"{path}: the file is empty. Delete it and run again.")
    return lines


def _made_by(path: str, line: Record) -> Record:
    record = line.get("made_by") if isinstance(line, Mapping) else None
    if not isinstance(record, Mapping) or "stage" not in record:
        raise SyncR2Error(f"{path}: the first line has no made_by record. Delete the file and run again.")
    return record


def _made_by_hdf5(path: str) -> Record:
    try:
        return read_made_by(path)
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise SyncR2Error(
            f"{path}: its made_by record cannot be read ({error}). Delete it and run again."
        ) from None


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in the order of first appearance; values need not be hashable."""
    found: dict[str, Any] = {}
    for value in values:
        found.setdefault(json.dumps(value, sort_keys=True), value)
    return list(found.values())


def models_used(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Every model as it was loaded, each distinct description once."""
    return distinct(model for record in records for model in record["settings"].get("models", {}).values())
