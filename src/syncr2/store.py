"""The HDF5 layout: the only module that knows dataset paths.

A states file holds, for each of the two agents, `hidden` (layer, row, hidden size), layer-major because the
maps read one layer at a time, and `rows`, a table with one entry a row. An R² file holds, for each direction,
`r2` (split, source layer, target layer) and what is needed to check it.

Whoever reads states has each of them held against its CRC-32; the rest of a file is held against its SHA-256
when it is opened (`hdf5`). Files of earlier versions have neither, and are read as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from syncr2.errors import SyncR2Error
from syncr2.hdf5 import AGAIN, ROWS_SUFFIX, reading, row_checksums, writing
from syncr2.ids import DIRECTIONS
from syncr2.maps.samples import Row

STATES_FORMAT = "syncr2/states/1"
R2_FORMAT = "syncr2/r2/1"
AGENTS = ("agent1", "agent2")
# Rows in one chunk at most: a chunk stays below HDF5's 4 GiB and within reach of its cache.
CHUNK_ROWS = 8192


class StateRow(NamedTuple):
    """One row of the table beside the states."""

    episode_id: str
    environment_id: str
    seed: int
    turn: int
    n_prompt_tokens: int
    last_token_id: int

    @property
    def key(self) -> Row:
        """What samples are joined on."""
        return Row(self.episode_id, self.seed, self.turn)


class AgentStates(NamedTuple):
    """States of one agent, (n_layers, n_rows, hidden_size), and their rows."""

    hidden: NDArray
    rows: Sequence[StateRow]


class DirectionR2(NamedTuple):
    """R² of one direction of one condition.

    Attributes
    ----------
    r2 : ndarray, shape (n_splits, n_source_layers, n_target_layers)
    n_train, n_test : ndarray of int, shape (n_splits,)
    n_available : int
        Samples there were to draw from.
    groups : dict
        `{column: {value: (r2, n_test)}}`, with r2 of shape (n_splits, n_source_layers): test R² within that
        group of episodes at the target layer that is best over all test rows.
    """

    r2: NDArray
    n_train: NDArray
    n_test: NDArray
    n_available: int
    groups: Mapping[str, Mapping[str, tuple[NDArray, NDArray]]]


def write_states(path: str | Path, states: Mapping[str, AgentStates], made_by: Mapping[str, Any]) -> None:
    """Write the states of both agents, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Target file.
    states : mapping
        `agent1` and `agent2`, in the number format in which they are to be stored.
    made_by : mapping
        Provenance, kept as JSON in an attribute.
    """
    with writing(path, STATES_FORMAT, made_by) as file:
        for agent in AGENTS:
            hidden, rows = states[agent]
            add_agent(file, agent, rows, hidden.shape, hidden.dtype)[...] = hidden
            add_checksums(file, agent, row_checksums(hidden))


def add_agent(
    file: h5py.File, agent: str, rows: Sequence[StateRow], shape: tuple[int, ...], dtype: DTypeLike
) -> h5py.Dataset:
    """Make room for an agent's states in a file being written; every row of it must then be filled.

    Parameters
    ----------
    file : h5py.File
        From `writing`.
    agent : str
        `agent1` or `agent2`.
    rows : sequence of StateRow
        What the rows are.
    shape : tuple of int
        (n_layers, n_rows, hidden_size).
    dtype : dtype
        Number format in the file.

    Returns
    -------
    Dataset
        With a layer in one piece, so that it is read in one go.
    """
    _, n_rows, width = shape
    group = file.create_group(agent)
    chunks = (1, min(n_rows, CHUNK_ROWS), width) if n_rows else None
    group.create_dataset("rows", data=_table(rows))
    # Not filled with zeros first: that would write everything twice.
    return group.create_dataset("hidden", shape, dtype, chunks=chunks, fill_time="never")


def add_checksums(file: h5py.File, agent: str, checksums: NDArray[np.uint32]) -> None:
    """Put the CRC-32 of every state, (n_layers, n_rows), beside an agent's states."""
    file[agent].create_dataset(f"hidden{ROWS_SUFFIX}", data=checksums)


def read_layer(path: str | Path, agent: str, layer: int) -> NDArray:
    """States of one layer, (n_rows, hidden_size), each held against its checksum.

    Raises
    ------
    SyncR2Error
        If a state was changed after it was written; the message names file, agent, layer and row.
    """
    with reading(path, STATES_FORMAT, known=True) as file:
        values = file[agent]["hidden"][layer]
        checksums = file[agent].get(f"hidden{ROWS_SUFFIX}")
        wrong = np.empty(0) if checksums is None else row_checksums(values) != checksums[layer]
    if wrong.any():
        raise SyncR2Error(
            f"{path}: {agent}, layer {layer}, row {np.argmax(wrong)} does not fit its checksum: the file "
            f"was changed after it was written. {AGAIN}"
        )
    return values


def _table(rows: Sequence[StateRow]) -> NDArray:
    text = h5py.string_dtype("utf-8")
    dtype = [
        (name, text if name in ("episode_id", "environment_id") else np.int64) for name in StateRow._fields
    ]
    return np.array([tuple(row) for row in rows], dtype=dtype)


def _state_rows(table: h5py.Dataset) -> list[StateRow]:
    return [
        StateRow(episode.decode(), environment.decode(), *map(int, numbers))
        for episode, environment, *numbers in table[()]
    ]


@dataclass(frozen=True)
class StackedStates:
    """One agent's states over several files, read a layer at a time.

    Indexing with a layer number gives `(n_rows, hidden_size)`; `take` keeps chosen rows only.
    """

    paths: tuple[Path, ...]
    agent: str
    rows: tuple[StateRow, ...]
    n_layers: int
    hidden_size: int
    chosen: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return self.n_layers

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_layers, n_rows, hidden_size)."""
        n_rows = len(self.rows) if self.chosen is None else len(self.chosen)
        return self.n_layers, n_rows, self.hidden_size

    def __getitem__(self, layer: int) -> NDArray:
        parts = [read_layer(path, self.agent, layer) for path in self.paths]
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return values if self.chosen is None else values[self.chosen]

    def take(self, rows: NDArray[np.intp]) -> StackedStates:
        """The same states with only these rows, in this order."""
        return StackedStates(self.paths, self.agent, self.rows, self.n_layers, self.hidden_size, rows)


def open_states(paths: str | Path | Sequence[str | Path]) -> dict[str, StackedStates]:
    """Open the states of one ordered pair and reading, without reading them yet.

    Parameters
    ----------
    paths : path or sequence of paths
        Files of the same pair and reading: its seeds and shards.

    Returns
    -------
    dict
        `agent1` and `agent2`, each `StackedStates`: `states["agent1"][layer]` is an array
        (n_rows, hidden_size) and
        `states["agent1"].rows` says which episode, seed and turn each row is.

    Raises
    ------
    SyncR2Error
        If a file is missing, cut off or of another format, or the files differ in layers or width.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not files:
        raise SyncR2Error("open_states needs at least one file.")
    rows: dict[str, list[StateRow]] = {agent: [] for agent in AGENTS}
    shape: dict[str, tuple[int, int]] = {}
    for path in files:
        with reading(path, STATES_FORMAT) as file:
            for agent in AGENTS:
                n_layers, _, width = file[agent]["hidden"].shape
                if shape.setdefault(agent, (n_layers, width)) != (n_layers, width):
                    raise SyncR2Error(
                        f"{path}: {agent} has {n_layers} layers of {width}, the files before it "
                        f"{shape[agent]}: "
                        "they are not of one model."
                    )
                rows[agent] += _state_rows(file[agent]["rows"])
    return {agent: StackedStates(tuple(files), agent, tuple(rows[agent]), *shape[agent]) for agent in AGENTS}


def write_r2(path: str | Path, directions: Mapping[str, DirectionR2], made_by: Mapping[str, Any]) -> None:
    """Write the R² matrices of one ordered pair and condition, whole or not at all."""
    with writing(path, R2_FORMAT, made_by) as file:
        for name in DIRECTIONS:
            result = directions[name]
            group = file.create_group(name)
            group.create_dataset("r2", data=result.r2)
            group.create_dataset("n_train", data=result.n_train)
            group.create_dataset("n_test", data=result.n_test)
            group.attrs["n_available"] = result.n_available
            for column, values in result.groups.items():
                for i, (value, (r2, n_test)) in enumerate(sorted(values.items())):
                    # Values are free text; only their number is a path.
                    part = group.create_group(f"groups/{column}/{i}")
                    part.attrs["value"] = value
                    part.create_dataset("r2", data=r2)
                    part.create_dataset("n_test", data=n_test)


def read_r2(path: str | Path) -> dict[str, DirectionR2]:
    """Read what `write_r2` wrote.

    Raises
    ------
    SyncR2Error
        If the file is missing, cut off or of another format.
    """
    found = {}
    with reading(path, R2_FORMAT) as file:
        for name in DIRECTIONS:
            group = file[name]
            groups = {
                column: {part.attrs["value"]: (part["r2"][()], part["n_test"][()]) for part in parts.values()}
                for column, parts in group.get("groups", {}).items()
            }
            found[name] = DirectionR2(
                group["r2"][()],
                group["n_train"][()],
                group["n_test"][()],
                int(group.attrs["n_available"]),
                groups,
            )
    return found


def read_made_by(path: str | Path) -> dict[str, Any]:
    """The provenance record inside one of our HDF5 files."""
    with h5py.File(path, "r", locking=False) as file:
        return json.loads(file.attrs["made_by"])
