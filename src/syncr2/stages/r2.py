"""R² matrices of one ordered pair under one condition."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from syncr2.ids import Condition
from syncr2.protocols.synchrony import PaperProtocol, condition_r2, directed_sync
from syncr2.provenance import made_by
from syncr2.sotopia.scenarios import read_scenarios
from syncr2.store import open_states, write_r2


def layer_maps(
    scenarios: str,
    source: Sequence[str],
    target: Sequence[str],
    output: str,
    condition: Sequence[Any],
    settings: Mapping[str, Any],
    device: str,
    memory_gb: float,
) -> None:
    """Fit and score every map.

    Parameters
    ----------
    scenarios, output : str
        Paths: checked scenarios, HDF5 to write.
    source, target : sequence of str
        State files of all seeds and shards: of the source's reading and of the target's.
    condition : sequence
        Fields of a `Condition`.
    settings : mapping
        `samples` (None for as many as there are), `penalty`, `split_seeds`, `precision`, `group_by`.
    device, memory_gb
        Where it is computed and in how much memory, which does not change the R² beyond rounding.
    """
    what = Condition(*condition)
    targets = open_states(target)
    sources = targets if list(source) == list(target) else open_states(source)
    columns = {episode.id: episode.columns() for episode in read_scenarios(scenarios).episodes}
    groups = {
        column: {episode: str(row[column]) for episode, row in columns.items()}
        for column in settings["group_by"]
    }
    protocol = PaperProtocol(
        samples=settings["samples"],
        split_seeds=settings["split_seeds"],
        penalty=settings["penalty"],
        device=device,
        precision=settings["precision"],
        memory_gb=memory_gb,
    )
    directions = condition_r2(sources, targets, what, protocol, groups)
    for name, result in directions.items():
        logging.info("%s, %s: SyncR² %.4f", what.name, name, directed_sync(result.r2.mean(axis=0)))
    record = made_by("r2", {**settings, "condition": what._asdict()}, [scenarios, *target, *source])
    write_r2(output, directions, record)
