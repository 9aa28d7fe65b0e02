"""Dialogues: the two models of an ordered pair play one shard of the episodes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from syncr2.dialogue import StoppingRule, Voice, check_contexts, play
from syncr2.files import write_jsonl
from syncr2.ids import OrderedPair
from syncr2.models import ModelSource, context_length, describe, load_config, load_encoder, resolve_device
from syncr2.prompts import Prompts
from syncr2.provenance import made_by
from syncr2.scenarios import read_scenarios
from syncr2.speakers import Sampling


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
    size = settings["shard_size"]
    episodes = read_scenarios(scenarios).episodes[shard * size : (shard + 1) * size]
    templates = Prompts(prompts)
    sources = {name: ModelSource.from_dict(models[name]) for name in ordered}
    encoders = {name: load_encoder(source) for name, source in sources.items()}
    contexts = {name: context_length(source) for name, source in sources.items()}

    # Everything that can be wrong with the input is found before the weights are loaded.
    mute = [Voice(None, encoders[name], contexts[name]) for name in ordered]
    check_contexts(episodes, (mute[0], mute[1]), templates, sampling)

    from syncr2.speakers.local import LocalSpeaker

    resolved = resolve_device(device)
    speakers = {
        name: LocalSpeaker(source, encoders[name].tokenizer, resolved, sampling, batch_size)
        for name, source in sources.items()
    }
    voices = [Voice(speakers[name], encoders[name], contexts[name]) for name in ordered]
    described = {name: describe(source, encoders[name], load_config(source)) for name, source in sources.items()}
    record = made_by("dialogues", {**settings, "models": described, "template_sha256": templates.sha256("engaged")}, [scenarios])
    dialogues = play(
        episodes,
        ordered,
        seed,
        (voices[0], voices[1]),
        templates,
        StoppingRule(settings["max_turns"], settings["stale_after"]),
        sampling,
        on_turn=lambda turn, playing: logging.info("turn %d, %d dialogues going", turn, playing),
    )
    write_jsonl(output, ({**dialogue, "made_by": record} for dialogue in dialogues))
    logging.info("%d dialogues of %s, seed %d", len(episodes), pair, seed)
