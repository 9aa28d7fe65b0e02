"""EpisodeLogs of Sotopia as files; these two run from a terminal, not from a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from syncr2.errors import SyncR2Error
from syncr2.files import read_json, read_jsonl, write_json, write_jsonl, write_table
from syncr2.judges.base import DialogueKey
from syncr2.judges.dimensions import DIMENSIONS
from syncr2.provenance import made_by
from syncr2.sotopia.episode_logs import from_logs, score_rows, to_log
from syncr2.sotopia.scenarios import read_scenarios


def export_logs(results: str, output: str, judge: str | None, tag: str) -> str:
    """Write every dialogue of a run as one list of logs; give a sentence on what was written."""
    folder = Path(results)
    episodes = {episode.id: episode for episode in read_scenarios(folder / "scenarios.json").episodes}
    paths = sorted((folder / "dialogues").glob("*/seed-*/shard-*.jsonl"))
    if not paths:
        raise SyncR2Error(f"{folder}: no dialogues there. The results folder of a finished run is needed.")
    judged = {_key(line): line for line in _judgements(folder, judge)} if judge else {}
    logs = []
    for path in paths:
        for dialogue in read_jsonl(path):
            episode = episodes.get(dialogue["episode_id"])
            if episode is None:
                raise SyncR2Error(
                    f"{path}: episode {dialogue['episode_id']} is not in scenarios.json. Run the workflow "
                    "again."
                )
            logs.append(to_log(dialogue, episode, judged.get(_key(dialogue)), tag))
    write_json(output, logs)
    scored = sum(isinstance(log["rewards"][0], list) for log in logs)
    return (
        f"{output}: {len(logs)} dialogues, {scored} with scores. The others bear a bare 0.0 as reward, as "
        "Sotopia writes it: no score."
    )


def import_logs(logs: str, output: str, scenarios: str, judge: str, models: Mapping[str, str]) -> str:
    """Write dialogues.jsonl, judgements.jsonl and scores.tsv; give a sentence on what was read."""
    played = read_scenarios(scenarios)
    dialogues, judgements = from_logs(_read_logs(logs), played, judge, models)
    folder = Path(output)
    for name, stage, records in (
        ("dialogues.jsonl", "dialogues", dialogues),
        ("judgements.jsonl", "judgements", judgements),
    ):
        record = made_by(stage, {"imported": True}, [logs, scenarios])
        write_jsonl(
            folder / name, ({**line, "made_by": {**record, **line.get("made_by", {})}} for line in records)
        )
    columns = [*DialogueKey._fields, "agent", *(dimension.name for dimension in DIMENSIONS)]
    write_table(folder / "scores.tsv", pd.DataFrame(list(score_rows(judgements)), columns=columns))
    count = Counter(judgement["status"] for judgement in judgements)
    return (
        f"{folder}: {len(dialogues)} dialogues, {count['ok']} with scores of {judge}, "
        f"{len(judgements) - count['ok']} without."
    )


def _judgements(folder: Path, judge: str) -> list[dict[str, Any]]:
    paths = sorted((folder / "judgements" / judge).glob("*/seed-*/shard-*.jsonl"))
    if not paths:
        there = sorted(path.name for path in (folder / "judgements").glob("*") if path.is_dir())
        raise SyncR2Error(f"{folder}: no judgements of {judge!r}. There are: {', '.join(there) or 'none'}.")
    return [line for path in paths for line in read_jsonl(path)]


def _key(record: Mapping[str, Any]) -> DialogueKey:
    return DialogueKey(*(record[name] for name in DialogueKey._fields))


def _read_logs(path: str) -> list[Any]:
    if Path(path).suffix == ".jsonl":
        return read_jsonl(path)
    value = read_json(path)
    if isinstance(value, dict) and "messages" not in value:
        # An object of logs by their keys.
        value = [{"pk": key, **log} if isinstance(log, dict) else log for key, log in value.items()]
    return value if isinstance(value, list) else [value]
