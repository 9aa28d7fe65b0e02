"""Judgements: one judge scores one shard of dialogues; then all judges' scores by pair."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from syncr2.files import read_jsonl, write_jsonl, write_table
from syncr2.judges import JudgeSettings, judge_shard
from syncr2.judges.performance import performance_table
from syncr2.prompts import Prompts
from syncr2.provenance import made_by
from syncr2.scenarios import read_scenarios
from syncr2.stages.states import read_dialogues


def judge(
    scenarios: str,
    dialogues: str,
    output: str,
    shard: int,
    shard_size: int,
    prompts: str,
    settings: Mapping[str, Any],
) -> None:
    """Judge one shard; every dialogue leaves one line, whatever happened to it."""
    everything = read_scenarios(scenarios)
    records = read_dialogues(dialogues, everything.shard(shard, shard_size))
    templates = Prompts(prompts)
    judged = judge_shard(everything, records, templates, JudgeSettings.from_dict(settings))
    record = made_by(
        "judgements", {**settings, "template_sha256": templates.sha256("judge")}, [scenarios, dialogues]
    )
    write_jsonl(output, ({**line, "made_by": {**record, **line["made_by"]}} for line in judged))
    logging.info("%d of %d dialogues judged", sum(line["status"] == "ok" for line in judged), len(judged))


def summarise(judgements: Sequence[str], family: Mapping[str, str], output: str) -> None:
    """Average over agents, episodes, seeds and speaking orders, by judge and pair."""
    write_table(output, performance_table((line for path in judgements for line in read_jsonl(path)), family))
