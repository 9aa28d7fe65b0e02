"""Dialogues: the two models of an ordered pair play one shard of the episodes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from syncr2.dialogue import Listener, Match, Progress, check_contexts, play
from syncr2.files import write_jsonl
from syncr2.ids import OrderedPair
from syncr2.models import (
    ModelSource,
    context_length,
    describe,
    load_config,
    load_encoder,
    load_model,
    resolve_device,
)
from syncr2.prompts import Prompts
from syncr2.provenance import made_by
from syncr2.scenarios import read_scenarios
from syncr2.speakers import Sampling
from syncr2.turns import StoppingRule


def play_shard(
    scenarios: str,
    output: str,
    pair: str,
    seed: int,
    shard: int,
    models: Mapping[str, Mapping[str, Any]],
    prompts: str,
    settings: Mapping[str, Any],
    batch_size: int,
    device: str,
) -> None:
    """Play one shard.

    Parameters
    ----------
    scenarios, output, prompts : str
        Paths: checked scenarios, JSON Lines to write, folder of templates.
    pair : str
        Ordered pair, `agent1--agent2`.
    seed, shard : int
        Seed of generation and number of the shard.
    models : mapping
        `ModelSource` fields by model name.
    settings : mapping
        Sampling knobs, turn limit, stale rule and shard size.
    batch_size, device
        How it is computed, which does not change what is said.
    """
    ordered = OrderedPair.parse(pair)
    sampling = Sampling(**{name: settings[name] for name in Sampling._fields})
    episodes = read_scenarios(scenarios).shard(shard, settings["shard_size"])
    templates = Prompts(prompts)
    sources = {name: ModelSource.from_dict(models[name]) for name in ordered}
    encoders = {name: load_encoder(source) for name, source in sources.items()}
    listeners = {name: Listener(encoders[name], context_length(source)) for name, source in sources.items()}
    both = (listeners[ordered.agent1], listeners[ordered.agent2])

    # Everything that can be wrong with the input is found before the weights are loaded.
    check_contexts(episodes, both, templates, sampling)

    from syncr2.speakers.local import LocalSpeaker

    resolved = resolve_device(device)
    speakers = {
        name: LocalSpeaker(load_model(source, resolved), encoders[name].tokenizer, sampling)
        for name, source in sources.items()
    }
    match = Match(
        pair=ordered,
        seed=seed,
        listeners=both,
        speakers=(speakers[ordered.agent1], speakers[ordered.agent2]),
        prompts=templates,
        rule=StoppingRule(settings["max_turns"], settings["stale_after"]),
        sampling=sampling,
    )
    described = {
        name: describe(source, encoders[name], load_config(source)) for name, source in sources.items()
    }
    record = made_by(
        "dialogues",
        {**settings, "models": described, "template_sha256": templates.sha256("engaged")},
        [scenarios],
    )
    dialogues = play(match, episodes, batch_size, lambda progress: _log(progress, len(episodes)))
    write_jsonl(output, ({**dialogue, "made_by": record} for dialogue in dialogues))
    logging.info("%d dialogues of %s, seed %d", len(episodes), pair, seed)


def _log(progress: Progress, n_episodes: int) -> None:
    logging.info(
        "dialogues %d to %d of %d, turn %d: %d going",
        progress.first,
        progress.last,
        n_episodes,
        progress.turn,
        progress.n_playing,
    )
