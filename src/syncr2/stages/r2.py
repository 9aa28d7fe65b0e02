"""R² matrices of one ordered pair under one condition."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from syncr2.ids import Condition
from syncr2.provenance import made_by
from syncr2.scenarios import read_scenarios
from syncr2.store import open_states, write_r2
from syncr2.synchrony import condition_r2, directed_sync


def layer_maps(
    scenarios: str,
    engaged: Sequence[str],
    source: Sequence[str],
    output: str,
    condition: Sequence[Any],
    settings: Mapping[str, Any],
) -> None:
    """Fit and score every map.

    Parameters
    ----------
    scenarios, output : str
        Paths: checked scenarios, HDF5 to write.
    engaged, source : sequence of str
        State files of all seeds and shards: of the target's reading and of the source's.
    condition : sequence
        Fields of a `Condition`.
    settings : mapping
        `samples` (None for as many as there are), `penalty`, `split_seeds`, `group_by`.
    """
    what = Condition(*condition)
    targets = open_states(engaged)
    sources = targets if list(source) == list(engaged) else open_states(source)
    columns = {episode.id: episode.columns() for episode in read_scenarios(scenarios).episodes}
    groups = {
        column: {episode: str(row[column]) for episode, row in columns.items()}
        for column in settings["group_by"]
    }
    directions = condition_r2(
        sources, targets, what, settings["samples"], settings["split_seeds"], settings["penalty"], groups
    )
    for name, result in directions.items():
        logging.info("%s, %s: SyncR² %.4f", what.name, name, directed_sync(result.r2.mean(axis=0)))
    record = made_by("r2", {**settings, "condition": what._asdict()}, [scenarios, *engaged, *source])
    write_r2(output, directions, record)
