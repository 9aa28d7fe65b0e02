"""Judgements: one judge scores one shard of dialogues; then all judges' scores by pair."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from syncr2.files import read_jsonl, write_jsonl, write_table
from syncr2.judges import JudgeSettings, judge_shard
from syncr2.judges.performance import performance_of
from syncr2.judges.reliability import agreement_table
from syncr2.judges.scores import read_scores
from syncr2.judges.served import Hosting
from syncr2.prompts import Prompts
from syncr2.provenance import made_by
from syncr2.scenarios import read_scenarios
from syncr2.serving import ServerSettings
from syncr2.stages.states import read_dialogues


def judge(
    scenarios: str,
    dialogues: str,
    output: str,
    shard: int,
    shard_size: int,
    prompts: str,
    settings: Mapping[str, Any],
    knobs: Mapping[str, Any],
    cache: str,
    vllm: Mapping[str, Any],
    log_folder: str,
) -> None:
    """Judge one shard; every dialogue leaves one line, whatever happened to it.

    Parameters
    ----------
    scenarios, dialogues, output, prompts : str
        Paths: checked scenarios, dialogues, JSON Lines to write, folder of templates.
    shard, shard_size : int
        Which episodes the dialogues must be of.
    settings : mapping
        Of the judge, all that can change an answer.
    knobs : mapping
        Of the judge, what cannot (`judges.KNOBS`), as far as the config gives it.
    cache : str
        Folder of valid answers, where the judge names none of its own.
    vllm : mapping
        The configuration's section: how a judge with the engine `vllm` has its server started.
    log_folder : str
        Takes what that server prints.
    """
    everything = read_scenarios(scenarios)
    records = read_dialogues(dialogues, everything.shard(shard, shard_size))
    templates = Prompts(prompts)
    judge_settings = JudgeSettings.from_dict({**settings, **knobs, "cache": knobs.get("cache") or cache})
    judged = judge_shard(
        everything, records, templates, judge_settings, hosting=Hosting(ServerSettings(**vllm), log_folder)
    )
    record = made_by(
        "judgements",
        {**settings, "template_sha256": templates.sha256("judge")},
        [scenarios, dialogues, *filter(None, [judge_settings.table])],
    )
    write_jsonl(output, ({**line, "made_by": {**record, **line["made_by"]}} for line in judged))
    logging.info("%d of %d dialogues judged", sum(line["status"] == "ok" for line in judged), len(judged))


def summarise(judgements: Sequence[str], family: Mapping[str, str], output: Mapping[str, str]) -> None:
    """Average over agents, orders, episodes, seeds and speaking orders, by judge and pair; and say how far
    judges and orders agree.
    """
    scores = read_scores((line for path in judgements for line in read_jsonl(path)), family)
    write_table(output["performance"], performance_of(scores, family))
    write_table(output["agreement"], agreement_table(scores))
