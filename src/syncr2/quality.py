"""What the dialogues are like: one row a dialogue, and one row an ordered pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

STOP_REASONS = ("turn_limit", "left", "stale", "context")
FLAGS = ("empty", "cut_off", "repeated", "wrong_speaker")


def dialogue_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of one dialogue, with every column that its episode brings."""
    turns = record["turns"]
    return {
        "agent1": record["agent1"],
        "agent2": record["agent2"],
        "seed": record["seed"],
        "episode_id": record["episode_id"],
        **record["columns"],
        "n_turns": len(turns),
        "stop_reason": record["stop_reason"],
        "n_new_tokens": _counted(turns, "n_new_tokens", sum),
        "n_prompt_tokens": _counted(turns, "n_prompt_tokens", sum),
        "longest_prompt": _counted(turns, "n_prompt_tokens", lambda counts: max(counts, default=0)),
        **{f"n_{flag}": sum(flag in turn["flags"] for turn in turns) for flag in FLAGS},
    }


def _counted(turns: Sequence[Mapping[str, Any]], key: str, together: Callable[[Sequence[int]], int]) -> float:
    """Tokens of all turns; NaN where a server that spoke did not count them."""
    counts = [turn[key] for turn in turns]
    return math.nan if None in counts else together(counts)


def dialogue_table(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a dialogue."""
    return pd.DataFrame([dialogue_row(record) for record in records])


def quality_table(dialogues: pd.DataFrame) -> pd.DataFrame:
    """One row an ordered pair: how long its dialogues are, how they end, which share of turns is flawed.

    Parameters
    ----------
    dialogues : DataFrame
        From `dialogue_table`.

    Returns
    -------
    DataFrame
        `n_dialogues`, `mean_turns`, `tokens_per_turn`, `longest_prompt`; `share_…` of turns that are empty,
        cut off at the token limit, a repetition of an earlier utterance or spoken as the partner; `stop_…`,
        the share of dialogues that ended for each reason. Tokens are NaN where a turn's are not known.
    """
    rows = []
    for (agent1, agent2), part in dialogues.groupby(["agent1", "agent2"], sort=False):
        n_turns = part["n_turns"].sum()
        rows.append(
            {
                "agent1": agent1,
                "agent2": agent2,
                "n_dialogues": len(part),
                "mean_turns": part["n_turns"].mean(),
                "tokens_per_turn": part["n_new_tokens"].sum(skipna=False) / n_turns,
                "longest_prompt": part["longest_prompt"].max(skipna=False),
                **{f"share_{flag}": part[f"n_{flag}"].sum() / n_turns for flag in FLAGS},
                **{f"stop_{reason}": (part["stop_reason"] == reason).mean() for reason in STOP_REASONS},
            }
        )
    return pd.DataFrame(rows)
