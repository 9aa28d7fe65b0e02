"""Write states while others are still being computed.

A thread of its own takes batches from a short queue, waits until they have come from the GPU, checks their
range, brings them to the number format of the file and writes them. So memory holds a few batches, however
many rows there are, and computing does not wait for the disk unless the disk is slower.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.hdf5 import row_checksums, writing
from syncr2.store import STATES_FORMAT, StateRow, add_agent, add_checksums

# Batches that wait to be written; further ones are computed only when there is room.
DEPTH = 2


def as_stored(hidden: NDArray, precision: str, rows: Sequence[StateRow]) -> NDArray:
    """States in the number format of the file, refused where it cannot hold them.

    Raises
    ------
    SyncR2Error
        If a value is not finite or beyond float16's range; the message names layer, episode, turn and value.
    """
    limit = float(np.finfo(precision).max)
    bad = ~(np.abs(hidden) <= limit)
    if bad.any():
        layer, row, unit = (int(i[0]) for i in np.nonzero(bad))
        at = rows[row]
        where = f"layer {layer}, unit {unit}, episode {at.episode_id}, seed {at.seed}, turn {at.turn}"
        value = hidden[layer, row, unit]
        if not np.isfinite(value):
            raise SyncR2Error(f"A hidden state is {value} ({where}). Try the model with dtype: float32.")
        raise SyncR2Error(
            f"A hidden state of {value:.6g} ({where}) is beyond float16's {limit:.0f}. "
            "Set states.precision: float32."
        )
    return hidden.astype(precision)


class _Part(NamedTuple):
    """Rows to be written: of which agent, from which row on, and how to get their states."""

    agent: str
    begin: int
    values: Callable[[], NDArray[np.float32]]


class _Agent(NamedTuple):
    dataset: h5py.Dataset
    rows: Sequence[StateRow]
    written: NDArray[np.bool_]
    checksums: NDArray[np.uint32]


class StatesWriter:
    """Fills one file; see `streaming`."""

    def __init__(self, file: h5py.File, precision: str) -> None:
        self._file = file
        self._precision = precision
        self._agents: dict[str, _Agent] = {}
        self._queue: Queue[_Part | None] = Queue(DEPTH)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="states writer", daemon=True)
        self._thread.start()

    def begin(self, agent: str, rows: Sequence[StateRow], n_layers: int, hidden_size: int) -> None:
        """Make room for an agent's states; before the first `put` of them."""
        dataset = add_agent(self._file, agent, rows, (n_layers, len(rows), hidden_size), self._precision)
        written = np.zeros(len(rows), dtype=bool)
        checksums = np.zeros((n_layers, len(rows)), dtype=np.uint32)
        self._agents[agent] = _Agent(dataset, rows, written, checksums)

    def put(self, agent: str, begin: int, values: Callable[[], NDArray[np.float32]]) -> None:
        """Have some rows written; wait while too many others wait.

        Parameters
        ----------
        agent : str
            `agent1` or `agent2`.
        begin : int
            First row.
        values : callable
            Gives the states, (n_layers, n_rows, hidden_size). Called in the writer's thread.

        Raises
        ------
        SyncR2Error
            If an earlier part could not be stored.
        """
        self._raise()
        self._queue.put(_Part(agent, begin, values))

    def note(self, agent: str, **attributes: float) -> None:
        """Keep attributes beside an agent's states."""
        self._file[agent].attrs.update(attributes)

    def close(self) -> None:
        """Wait until all is written.

        Raises
        ------
        SyncR2Error
            If a part could not be stored.
        """
        self._queue.put(None)
        self._thread.join()
        self._raise()
        for name, agent in self._agents.items():
            if not agent.written.all():
                raise RuntimeError(f"{name}: {np.count_nonzero(~agent.written)} rows were never written")
            add_checksums(self._file, name, agent.checksums)

    def abandon(self) -> None:
        """End the thread without writing what still waits."""
        self._error = self._error or RuntimeError("abandoned")
        self._queue.put(None)
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        # After an error the queue is emptied all the same, or who puts would wait for ever.
        while (part := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._write(part)
                except BaseException as error:
                    self._error = error

    def _write(self, part: _Part) -> None:
        dataset, rows, written, checksums = self._agents[part.agent]
        values = part.values()
        place = slice(part.begin, part.begin + values.shape[1])
        stored = as_stored(values, self._precision, rows[place])
        dataset[:, place] = stored
        checksums[:, place] = row_checksums(stored)
        written[place] = True


@contextmanager
def streaming(path: str | Path, precision: str, made_by: Mapping[str, Any]) -> Iterator[StatesWriter]:
    """Give a writer of a states file, which is whole or absent when the block ends.

    Parameters
    ----------
    path : str or Path
        Target file.
    precision : str
        Number format in the file, float16 or float32.
    made_by : mapping
        Provenance, kept as JSON in an attribute.
    """
    with writing(path, STATES_FORMAT, made_by) as file:
        writer = StatesWriter(file, precision)
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.abandon()
            raise
