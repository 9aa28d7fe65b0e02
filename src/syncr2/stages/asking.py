"""One judge or labeller goes through one shard of dialogues."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from syncr2.dialogues.prompts import Prompts
from syncr2.files import write_jsonl
from syncr2.judges import JudgeSettings, judge_shard
from syncr2.judges.served import Hosting
from syncr2.labellers import LabellerSettings, label_shard
from syncr2.models.snapshots import read_snapshot
from syncr2.provenance import made_by
from syncr2.serving.launch import ServerSettings
from syncr2.sotopia.scenarios import read_scenarios
from syncr2.stages.states import read_dialogues


class _Kind(NamedTuple):
    """Who goes through dialogues: settings, what is done, the stage in records, the prompt's template."""

    settings: type[JudgeSettings]
    answers: Callable[..., list[dict[str, Any]]]
    stage: str
    template: str


# By section of the configuration.
_KINDS = {
    "judges": _Kind(JudgeSettings, judge_shard, "judgements", "judge"),
    "labels": _Kind(LabellerSettings, label_shard, "labels", "labels"),
}


def ask(
    section: str,
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
    weights: Sequence[str] = (),
) -> None:
    """Judge or label one shard; every dialogue leaves one line, whatever happened to it.

    Parameters
    ----------
    section : {"judges", "labels"}
        Where the configuration names the judge or labeller.
    scenarios, dialogues, output, prompts : str
        Paths: checked scenarios, dialogues, JSON Lines to write, folder of templates.
    shard, shard_size : int
        Which episodes the dialogues must be of.
    settings : mapping
        Of the judge or labeller, all that can change an answer.
    knobs : mapping
        What cannot (`judges.KNOBS`), as far as the config gives it.
    cache : str
        Folder of valid answers, where the config names none.
    vllm : mapping
        The configuration's section: how the engine `vllm` has its server started.
    log_folder : str
        Takes what that server prints.
    weights : sequence of str
        The record of the folder that is served (`syncr2.models.snapshots`), if it is one.
    """
    kind = _KINDS[section]
    everything = read_scenarios(scenarios)
    records = read_dialogues(dialogues, everything.shard(shard, shard_size))
    templates = Prompts(prompts)
    asked = kind.settings.from_dict({**settings, **knobs, "cache": knobs.get("cache") or cache})
    hosting = Hosting(ServerSettings(**vllm), log_folder, _recorded(weights))
    answers = kind.answers(everything, records, templates, asked, hosting=hosting)
    template = {"template_sha256": templates.sha256(kind.template)} if asked.asks_model else {}
    tables = [asked.table] if asked.table else []
    record = made_by(kind.stage, {**settings, **template}, [scenarios, dialogues, *weights, *tables])
    write_jsonl(output, ({**line, "made_by": {**record, **line["made_by"]}} for line in answers))
    n_ok = sum(line["status"] == "ok" for line in answers)
    logging.info("%d of %d dialogues %s", n_ok, len(answers), asked.DONE)


def _recorded(weights: Sequence[str]) -> str | None:
    """Which bytes are served, as their record says; their sizes are looked at."""
    for path in weights:
        snapshot = read_snapshot(path)
        snapshot.check()
        return snapshot.sha256
    return None
