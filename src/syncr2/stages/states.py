"""States: replay every prompt of one shard of dialogues, one model at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from syncr2.errors import SyncR2Error
from syncr2.files import read_jsonl
from syncr2.ids import OrderedPair
from syncr2.models import (
    ModelSource,
    describe,
    load_config,
    load_encoder,
    load_model,
    load_untrained,
    resolve_device,
    untrained_seed,
)
from syncr2.prompts import Prompts
from syncr2.provenance import made_by
from syncr2.scenarios import Episode, read_scenarios
from syncr2.states import engaged_prompts, passive_prompts, replay, state_rows
from syncr2.store import AGENTS, AgentStates, StateRow, as_stored, write_states


def replay_shard(
    scenarios: str,
    dialogues: str,
    output: str,
    pair: str,
    reading: str,
    shard: int,
    shard_size: int,
    models: Mapping[str, Mapping[str, Any]],
    prompts: str,
    settings: Mapping[str, Any],
    batch_tokens: int,
    device: str,
) -> None:
    """Replay one shard in one reading.

    Parameters
    ----------
    scenarios, dialogues, output, prompts : str
        Paths: checked scenarios, dialogues, HDF5 to write, folder of templates.
    pair, reading : str
        Ordered pair; `engaged` (the prompts that were answered), `passive` (a bystander's), or `untrained`
        (the prompts that were answered, read by each model's untrained twin).
    shard, shard_size : int
        Which episodes the dialogues must be of.
    models : mapping
        `ModelSource` fields by model name.
    settings : mapping
        `precision` and, for the passive reading, `bystander`.
    batch_tokens, device
        How it is computed, which does not change the states beyond rounding.
    """
    ordered = OrderedPair.parse(pair)
    episodes = read_scenarios(scenarios).shard(shard, shard_size)
    records = read_dialogues(dialogues, episodes)
    sources = {name: ModelSource.from_dict(models[name]) for name in ordered}
    encoders = {name: load_encoder(source) for name, source in sources.items()}
    templates = Prompts(prompts)
    resolved = resolve_device(device)

    # For each agent, dialogue by dialogue: the prompts that it reads, and a row for each of them.
    asked: dict[str, list[list[Sequence[int]]]] = {agent: [] for agent in AGENTS}
    rows: dict[str, list[StateRow]] = {agent: [] for agent in AGENTS}
    for record, episode in zip(records, episodes, strict=True):
        if reading == "passive":
            pair_encoders = (encoders[ordered.agent1], encoders[ordered.agent2])
            read = passive_prompts(
                record, episode, pair_encoders, templates, settings["bystander"] == "private"
            )
        else:
            read = engaged_prompts(record)
        for agent in AGENTS:
            asked[agent].append([])
        for turn, ids, row in zip(record["turns"], read, state_rows(record, read), strict=True):
            asked[f"agent{turn['agent']}"][-1].append(ids)
            rows[f"agent{turn['agent']}"].append(row)

    hidden: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(ordered):
        if reading == "untrained":
            model = load_untrained(sources[name], resolved, untrained_seed(name))
        else:
            model = load_model(sources[name], resolved)
        for agent in AGENTS:
            if getattr(ordered, agent) == name:
                states = replay(model, asked[agent], batch_tokens)
                hidden[agent] = as_stored(states, settings["precision"], rows[agent])
                logging.info("%s, %s: %d prompts of %s", pair, reading, len(rows[agent]), name)
        del model  # one model in memory at a time

    template = templates.sha256("bystander" if reading == "passive" else "engaged")
    described = {
        name: describe(source, encoders[name], load_config(source))
        | ({"weights": "random", "seed": untrained_seed(name)} if reading == "untrained" else {})
        for name, source in sources.items()
    }
    record = made_by(
        "states",
        {**settings, "reading": reading, "models": described, "template_sha256": template},
        [scenarios, dialogues],
    )
    write_states(output, {agent: AgentStates(hidden[agent], rows[agent]) for agent in AGENTS}, record)


def read_dialogues(path: str, episodes: Sequence[Episode]) -> list[dict[str, Any]]:
    """Read one shard and see that it is whole.

    Raises
    ------
    SyncR2Error
        If it does not hold exactly these episodes, in this order.
    """
    records = read_jsonl(path)
    found, wanted = [record.get("episode_id") for record in records], [episode.id for episode in episodes]
    if found != wanted:
        missing = [episode for episode in wanted if episode not in found]
        raise SyncR2Error(
            f"{path}: holds {len(found)} dialogues where the scenarios have {len(wanted)} episodes"
            + (
                f" (missing: {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''})"
                if missing
                else ", in another order"
            )
            + ". Delete the file and run again: only its job is repeated."
        )
    return records
