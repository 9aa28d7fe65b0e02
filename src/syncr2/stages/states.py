"""States: replay every prompt of one shard of dialogues, one model at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncr2.dialogues.paper_chat import paper_encoder
from syncr2.dialogues.prompts import Prompts
from syncr2.errors import SyncR2Error
from syncr2.files import read_jsonl
from syncr2.ids import OrderedPair
from syncr2.models.loading import (
    ModelSource,
    describe,
    load_config,
    load_encoder,
    load_model,
    load_untrained,
    resolve_device,
    untrained_seed,
)
from syncr2.provenance import made_by
from syncr2.replay.self_check import SelfCheck, seed_of
from syncr2.replay.state_writer import StatesWriter, streaming
from syncr2.replay.states import Dialogue, engaged_prompts, passive_prompts, replay, state_rows
from syncr2.sotopia.scenarios import Episode, read_scenarios
from syncr2.store import AGENTS, StateRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
    self_check: int,
    device: str,
    n_gpus: int,
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
    batch_tokens, device, n_gpus
        How it is computed, which does not change the states beyond rounding.
    self_check : int
        Rows of each agent that are computed a second time, one prompt at a time, and compared.

    Raises
    ------
    SyncR2Error
        If the dialogues are not those of the shard, a state cannot be stored, or the check fails.
    """
    ordered = OrderedPair.parse(pair)
    episodes = read_scenarios(scenarios).shard(shard, shard_size)
    records = read_dialogues(dialogues, episodes)
    sources = {name: ModelSource.from_dict(models[name]) for name in ordered}
    encoders = {name: load_encoder(source) for name, source in sources.items()}
    if any(record.get("protocol") == "paper" for record in records):
        # A bystander reads in the chat format in which the dialogue was spoken.
        encoders = {name: paper_encoder(sources[name], encoder) for name, encoder in encoders.items()}
    templates = Prompts(prompts, used=["bystander"] if reading == "passive" else [])
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
    with streaming(output, settings["precision"], record) as writer:
        for name in dict.fromkeys(ordered):
            if reading == "untrained":
                model = load_untrained(sources[name], resolved, untrained_seed(name), n_gpus)
            else:
                model = load_model(sources[name], resolved, n_gpus)
            for agent in AGENTS:
                if getattr(ordered, agent) == name:
                    seed = seed_of(pair, reading, shard, agent, *dict.fromkeys(r["seed"] for r in records))
                    check = SelfCheck(model, asked[agent], rows[agent], self_check, seed)
                    _replay_agent(model, agent, asked[agent], rows[agent], batch_tokens, check, writer)
            del model, check  # one model in memory at a time


def _replay_agent(
    model: PreTrainedModel,
    agent: str,
    dialogues: Sequence[Dialogue],
    rows: Sequence[StateRow],
    batch_tokens: int,
    check: SelfCheck,
    writer: StatesWriter,
) -> None:
    config = model.config.get_text_config()
    writer.begin(agent, rows, config.num_hidden_layers, config.hidden_size)
    for batch in replay(model, dialogues, batch_tokens):
        writer.put(agent, batch.begin, batch.values)
        check.look(batch)
    found = check.result
    writer.note(agent, **{f"self_check_{key}": value for key, value in found._asdict().items()})
    logging.info(
        "%s: %d prompts; %d of them read alone as well: largest difference %.2g, %.2g of a state's size",
        agent,
        len(rows),
        found.rows,
        found.largest_difference,
        found.largest_relative_difference,
    )


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
