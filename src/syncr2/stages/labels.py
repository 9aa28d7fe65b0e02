"""Labels: one labeller reads one shard of dialogues; then what all of them said, by pair."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from syncr2.files import read_jsonl, read_table, write_jsonl, write_table
from syncr2.ids import INTERACTION
from syncr2.label_tables import label_correlations, label_table
from syncr2.labellers import LabellerSettings, label_shard
from syncr2.labels import read_labels
from syncr2.prompts import Prompts
from syncr2.provenance import made_by
from syncr2.scenarios import read_scenarios
from syncr2.stages.states import read_dialogues
from syncr2.stages.statistics import other_measures
from syncr2.statistics import Resampling


def label(
    scenarios: str,
    dialogues: str,
    output: str,
    shard: int,
    shard_size: int,
    prompts: str,
    settings: Mapping[str, Any],
    knobs: Mapping[str, Any],
    cache: str,
) -> None:
    """Label one shard; every dialogue leaves one line, whatever happened to it.

    Parameters
    ----------
    scenarios, dialogues, output, prompts : str
        Paths: checked scenarios, dialogues, JSON Lines to write, folder of templates.
    shard, shard_size : int
        Which episodes the dialogues must be of.
    settings : mapping
        Of the labeller, all that can change an answer.
    knobs : mapping
        Of the labeller, what cannot (`judges.KNOBS`), as far as the config gives it.
    cache : str
        Folder of valid answers, where the labeller names none of its own.
    """
    everything = read_scenarios(scenarios)
    records = read_dialogues(dialogues, everything.shard(shard, shard_size))
    labeller = LabellerSettings.from_dict({**settings, **knobs, "cache": knobs.get("cache") or cache})
    labelled = label_shard(everything, records, Prompts(prompts), labeller)
    record = made_by("labels", dict(settings), [scenarios, dialogues, *filter(None, [labeller.table])])
    write_jsonl(output, ({**line, "made_by": {**record, **line["made_by"]}} for line in labelled))
    logging.info(
        "%d of %d dialogues labelled", sum(line["status"] == "ok" for line in labelled), len(labelled)
    )


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
