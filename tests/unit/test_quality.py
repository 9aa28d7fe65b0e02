"""Rows about dialogues, where not everything is known of every turn."""

from __future__ import annotations

import math

import pytest

from syncr2.quality import dialogue_table, quality_table


def record(agent2, counts):
    """A dialogue whose turns have these numbers of new tokens; each read a prompt ten times as long."""
    turns = [
        {"n_new_tokens": n, "n_prompt_tokens": None if n is None else 10 * n, "flags": ["empty"]}
        for n in counts
    ]
    head = {"agent1": "red", "agent2": agent2, "seed": 0, "episode_id": "e", "stop_reason": "left"}
    return {**head, "columns": {}, "turns": turns}


def test_tokens_that_no_server_counted_are_unknown_and_not_zero():
    table = dialogue_table([record("blue", [3, 5]), record("api", [3, None]), record("api", [1, 1])])
    assert table["n_new_tokens"].tolist()[::2] == [8, 2]
    assert table["longest_prompt"].tolist()[::2] == [50, 10]
    assert all(math.isnan(table.loc[1, column]) for column in ("n_new_tokens", "n_prompt_tokens"))
    blue, api = quality_table(table).to_dict("records")
    assert blue["tokens_per_turn"] == pytest.approx(4)
    assert blue["longest_prompt"] == 50
    assert math.isnan(api["tokens_per_turn"])
    assert math.isnan(api["longest_prompt"])
    assert api["share_empty"] == 1
    assert api["mean_turns"] == 2
