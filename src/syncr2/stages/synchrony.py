"""SyncR² of all pairs and conditions, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncr2.files import write_table
from syncr2.ids import OrderedPair
from syncr2.protocols.synchrony_tables import tables
from syncr2.store import read_r2


def summarise(
    r2: Mapping[str, str],
    pairs: Sequence[Sequence[str]],
    conditions: Sequence[str],
    family: Mapping[str, str],
    output: Mapping[str, str],
) -> None:
    """Gather every R² file into the four tables.

    Parameters
    ----------
    r2 : mapping
        Path by `pair/condition`.
    pairs : sequence of (model, model)
        Unordered pairs.
    conditions : sequence of str
    family : mapping
        Family by model name.
    output : mapping
        Paths of the tables `pairs`, `directed`, `layers` and `groups`.
    """
    measured = {}
    for key, path in r2.items():
        pair, condition = key.split("/")
        measured[OrderedPair.parse(pair), condition] = read_r2(path)
    made = tables(measured, [(first, second) for first, second in pairs], conditions, family)
    for name, table in made._asdict().items():
        write_table(output[name], table)
