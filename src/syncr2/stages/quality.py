"""Tables about the dialogues themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from syncr2.files import read_jsonl, write_table
from syncr2.judges.performance import dialogue_performance
from syncr2.quality import dialogue_table, quality_table

KEYS = ["agent1", "agent2", "seed", "episode_id"]


def describe(dialogues: Sequence[str], judgements: Sequence[str], output: Mapping[str, str]) -> None:
    """Write one row a dialogue (with its judged performance) and one row an ordered pair."""
    table = dialogue_table(record for path in dialogues for record in read_jsonl(path))
    scores = pd.DataFrame(_scores(judgements)).groupby(KEYS, as_index=False)["social_performance"].mean()
    write_table(output["dialogues"], table.merge(scores, on=KEYS, how="left", validate="one_to_one"))
    write_table(output["quality"], quality_table(table))


def _scores(judgements: Sequence[str]) -> Iterator[dict[str, Any]]:
    for path in judgements:
        for line in read_jsonl(path):
            score = dialogue_performance(line)
            yield {
                **{key: line[key] for key in KEYS},
                "social_performance": None if math.isnan(score) else score,
            }
