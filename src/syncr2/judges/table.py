"""The engine "table": scores made elsewhere, by people or by another program, read from a file.

A tab-separated (or, named .csv, comma-separated) table with the columns agent1, agent2, seed, episode_id and
the seven dimensions. A row is either one agent's scores, with a column `agent` (1 or 2), or those of one
turn, with a column `turn` (from 0; the even ones are agent 1's). Several rows of one agent, turns or raters,
count as their mean; a field left empty counts nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from syncr2.errors import SyncR2Error
from syncr2.files import sha256_file
from syncr2.judges.base import AGENTS, Case, DialogueKey, JudgeSettings, Verdict
from syncr2.judges.dimensions import DIMENSIONS

_KEYS = DialogueKey._fields
_NAMES = [dimension.name for dimension in DIMENSIONS]


class TableJudge:
    """Look every dialogue up.

    Parameters
    ----------
    settings : JudgeSettings
        With engine "table".

    Raises
    ------
    SyncR2Error
        If the file is missing, is no such table, or holds a score out of range; the message names the line.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._path = Path(settings.file or "").expanduser()
        self._scores = _means(read_scores(self._path))

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """The scores of each case; a dialogue that the table lacks, or has in part, has failed."""
        return [self._look_up(case) for case in cases]

    def provenance(self) -> dict[str, Any]:
        """Say which table it was."""
        return {"engine": "table", "table_sha256": sha256_file(self._path)}

    def _look_up(self, case: Case) -> Verdict:
        scores: dict[str, dict[str, float]] = {}
        for number, agent in enumerate(AGENTS, start=1):
            found = self._scores.get((*case.key, number), {})
            missing = [name for name in _NAMES if name not in found]
            if missing:
                what = "no row" if not found else f"no {', no '.join(missing)}"
                return Verdict(
                    "failed", None, None, 0, f"{self._path.name} has {what} for {agent}.", None, {}
                )
            scores[agent] = found
        return Verdict("ok", scores, None, 0, None, None, {})


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read and check a table of scores.

    Returns
    -------
    DataFrame
        `agent1`, `agent2`, `seed`, `episode_id`, `agent`, and the dimensions as floats, NaN where a field is
        empty; one row for each row of the file.
    """
    path = Path(path)
    try:
        table = pd.read_csv(
            path, sep="," if path.suffix == ".csv" else "\t", dtype=str, keep_default_na=False, na_values=[""]
        )
    except FileNotFoundError:
        raise SyncR2Error(f"{path}: no such file. It is named as `file` of a judge.") from None
    except (ValueError, OSError) as error:
        raise SyncR2Error(f"{path}: not a table of scores ({str(error).strip()}).") from None
    speaker = next((name for name in ("agent", "turn") if name in table), None)
    missing = [name for name in (*_KEYS, *_NAMES) if name not in table]
    if missing or speaker is None:
        missing += [] if speaker else ["agent (or turn)"]
        raise SyncR2Error(
            f"{path}: a table of scores lacks the column(s) {', '.join(missing)}. It has: "
            f"{', '.join(map(str, table.columns))}."
        )
    result = table[list(_KEYS)].copy()
    _refuse(path, result.isna().any(axis=1), "agent1, agent2, seed and episode_id are needed in each row")
    seed, number = (pd.to_numeric(table[name], errors="coerce") for name in ("seed", speaker))
    _refuse(path, ~_whole(seed), "seed has to be a whole number")
    allowed = number.isin((1, 2)) if speaker == "agent" else _whole(number)
    _refuse(path, ~allowed, "agent has to be 1 or 2" if speaker == "agent" else "turn is counted from 0")
    result["seed"] = seed.astype(int)
    result["agent"] = number.astype(int) if speaker == "agent" else number.astype(int) % 2 + 1
    for dimension in DIMENSIONS:
        written, values = table[dimension.name], pd.to_numeric(table[dimension.name], errors="coerce")
        bad = written.notna() & ~values.between(dimension.low, dimension.high)
        _refuse(path, bad, f"{dimension.name} has to be a number from {dimension.low} to {dimension.high}")
        result[dimension.name] = values.astype(float)
    return result


def _whole(values: pd.Series) -> pd.Series:
    return values.notna() & (values >= 0) & (values % 1 == 0) & np.isfinite(values)


def _refuse(path: Path, bad: pd.Series, needed: str) -> None:
    if bad.any():
        # Line 1 is the head.
        line = int(np.flatnonzero(bad)[0]) + 2
        raise SyncR2Error(f"{path}, line {line}: {needed} ({int(bad.sum())} such row(s)).")


def _means(scores: pd.DataFrame) -> dict[tuple[Any, ...], dict[str, float]]:
    """Key of the dialogue and agent to the dimensions that have a value."""
    means = scores.groupby([*_KEYS, "agent"], sort=False)[_NAMES].mean()
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    for key, values in zip(means.index, means.to_numpy(), strict=True):
        found[tuple(key)] = {
            name: float(value) for name, value in zip(_NAMES, values, strict=True) if np.isfinite(value)
        }
    return found
