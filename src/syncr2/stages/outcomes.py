"""Outcomes that the episodes themselves define, from all dialogues."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from syncr2.files import read_jsonl, write_table
from syncr2.outcomes import outcome_pairs, outcome_table
from syncr2.sotopia.scenarios import read_scenarios


def summarise(
    scenarios: str, dialogues: Sequence[str], family: Mapping[str, str], output: Mapping[str, str]
) -> None:
    """Write one row a dialogue that plays for something, and one row a pair of models and game."""
    table = outcome_table(
        read_scenarios(scenarios), (line for path in dialogues for line in read_jsonl(path))
    )
    write_table(output["dialogues"], table)
    write_table(output["pairs"], outcome_pairs(table, family))
    unreadable = int((table["outcome"] == "unreadable").sum())
    logging.info("%d dialogues that play for something, %d unreadable", len(table), unreadable)
