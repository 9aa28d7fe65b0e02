"""Scenarios: fetch the public files, and bring any set of three files into one checked file."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from syncr2.errors import SyncR2Error
from syncr2.sotopia.scenarios import ScenarioSet, fetch, read_folder, write_scenarios


def fetch_public(url: str, sha256: Mapping[str, str], folder: str) -> None:
    """Download the three public files and check their bytes."""
    fetch(url, dict(sha256), folder)


def prepare(folder: str, origin: str, episodes: int, group_by: Sequence[str], output: str) -> None:
    """Check a folder of three files and write the episodes to be played."""
    scenarios = replace(read_folder(folder, episodes), origin=origin)
    check_columns(scenarios, group_by)
    write_scenarios(scenarios, output)
    logging.info("%d episodes of %s", len(scenarios.episodes), origin)


def check_columns(scenarios: ScenarioSet, group_by: Sequence[str]) -> None:
    """See that every column to group by is there, and known for every episode.

    Raises
    ------
    SyncR2Error
        With the columns that there are.
    """
    columns = [episode.columns() for episode in scenarios.episodes]
    known = sorted(set().union(*columns))
    for column in group_by:
        if column not in known:
            close = difflib.get_close_matches(column, known, n=1)
            hint = f"did you mean `{close[0]}`? " if close else ""
            raise SyncR2Error(
                f"synchrony.group_by: the episodes have no column `{column}`; {hint}"
                f"They have: {', '.join(known)}."
            )
        missing = [
            e.id for e, row in zip(scenarios.episodes, columns, strict=True) if row.get(column) is None
        ]
        if missing:
            raise SyncR2Error(
                f"synchrony.group_by: {len(missing)} of {len(columns)} episodes have no `{column}` "
                "(the first: "
                f"{missing[0]}). Fill it in for all, or take it off the list."
            )
