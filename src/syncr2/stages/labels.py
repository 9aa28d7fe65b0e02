"""Labels: one labeller reads one shard of dialogues; then what all of them said, by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from syncr2.files import read_jsonl, read_table, write_table
from syncr2.ids import INTERACTION
from syncr2.label_tables import label_correlations, label_table
from syncr2.labels import read_labels
from syncr2.stages.statistics import other_measures
from syncr2.statistics import Resampling


def summarise(labels: Sequence[str], family: Mapping[str, str], output: str) -> None:
    """How often each class was given, by labeller and pair, and how many dialogues have no labels."""
    write_table(output, label_table((line for path in labels for line in read_jsonl(path)), family))


def correlate(
    synchrony: str,
    controls: Mapping[str, str],
    tables: Mapping[str, str],
    family: Mapping[str, str],
    resampling: Mapping[str, int],
    output: str,
) -> None:
    """Correlate SyncR² with the numbers that tables of labels hold.

    Parameters
    ----------
    synchrony : str
        Path of synchrony.tsv.
    controls : mapping
        As for `stages.statistics.correlate`.
    tables : mapping
        Paths of tables of labels by labeller.
    family : mapping
    resampling : mapping
        Fields of `Resampling`.
    output : str
    """
    measured = read_table(synchrony)
    columns = ["model_1", "model_2", "family", "sync_r2"]
    sync = measured.loc[measured["condition"] == INTERACTION.name, columns]
    measures = {"published": sync} | other_measures(controls)
    read = {name: read_labels(Path(path).expanduser()) for name, path in tables.items()}
    write_table(output, label_correlations(measures, read, family, Resampling(**resampling)))
