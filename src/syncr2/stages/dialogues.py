"""Dialogues: the two models of an ordered pair play one shard of the episodes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from syncr2 import config as configuration
from syncr2.dialogues.conventions import CONVENTIONS
from syncr2.dialogues.dialogue import Match, check_contexts
from syncr2.dialogues.playing import Progress, can_play_freely, play, play_freely
from syncr2.dialogues.prompts import Prompts
from syncr2.dialogues.turns import StoppingRule
from syncr2.files import write_jsonl
from syncr2.ids import OrderedPair
from syncr2.journal import Journal
from syncr2.models.loading import ModelSource
from syncr2.provenance import made_by
from syncr2.sotopia.scenarios import Episode, read_scenarios
from syncr2.speakers import Sampling
from syncr2.speakers.engines import Cast, listener, voices


def play_shard(
    scenarios: str,
    output: str,
    pair: str,
    seed: int,
    shard: int,
    models: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    config: Mapping[str, Any],
    log_folder: str,
) -> None:
    """Play one shard; a job that was stopped goes on where it was.

    Parameters
    ----------
    scenarios, output, log_folder : str
        Paths: checked scenarios, JSON Lines to write, folder for the logs of servers.
    pair : str
        Ordered pair, `agent1--agent2`.
    seed, shard : int
        Seed of generation and number of the shard.
    models : mapping
        `ModelSource` fields by model name.
    settings : mapping
        The keys of `dialogue` that can change what is said.
    config : mapping
        The whole configuration as Snakemake merged it, for what cannot: where models run and with how much
        patience.
    """
    ordered = OrderedPair.parse(pair)
    experiment = configuration.load(config)
    episodes = read_scenarios(scenarios).shard(shard, settings["shard_size"])
    templates = Prompts(experiment.prompts, used=["engaged"])
    convention = CONVENTIONS[settings["protocol"]]
    sources = {name: ModelSource.from_dict(models[name]) for name in ordered}
    listeners = {name: listener(source, convention) for name, source in sources.items()}
    both = (listeners[ordered.agent1], listeners[ordered.agent2])

    # Everything that can be wrong with the input is found before weights are loaded or servers started.
    check_contexts(episodes, both, templates, settings["max_new_tokens"])

    cast = Cast(
        engine=settings["engine"],
        sources=sources,
        experiment=experiment,
        sampling=Sampling(**{name: settings[name] for name in Sampling._fields}),
        convention=convention,
        log_folder=log_folder,
    )
    with Journal(output) as journal, voices(cast, listeners) as speaking:
        agents = (speaking[ordered.agent1], speaking[ordered.agent2])
        match = Match(
            pair=ordered,
            seed=seed,
            listeners=both,
            speakers=(agents[0].speaker, agents[1].speaker),
            prompts=templates,
            # As published, a dialogue goes on whatever is left unsaid.
            rule=StoppingRule(
                settings["max_turns"],
                0 if convention.name == "paper" else settings["stale_after"],
                convention.leaves,
            ),
            sampling=(agents[0].sampling, agents[1].sampling),
            convention=convention,
        )
        described = {name: speaking[name].described for name in sources}
        record = made_by(
            "dialogues",
            {**settings, "models": described, "template_sha256": templates.sha256("engaged")},
            [scenarios],
        )
        passing = ("started", "written", "host")
        lasting = {key: value for key, value in record.items() if key not in passing}
        done = journal.resume({"pair": pair, "seed": seed, "shard": shard, "made_by": lasting})
        dialogues = _play_rest(match, episodes, done, journal, experiment.dialogue)
        write_jsonl(output, ({**dialogues[episode.id], "made_by": record} for episode in episodes))
        journal.remove()
    logging.info("%d dialogues of %s, seed %d", len(episodes), pair, seed)


def _play_rest(
    match: Match,
    episodes: Sequence[Episode],
    done: Sequence[dict[str, Any]],
    journal: Journal,
    knobs: configuration.Dialogue,
) -> dict[str, dict[str, Any]]:
    """Play what is not done; all records, by episode."""
    found = {record["episode_id"]: record for record in done}
    rest = [episode for episode in episodes if episode.id not in found]

    def keep(records: Sequence[dict[str, Any]]) -> None:
        journal.add(records)
        found.update({record["episode_id"]: record for record in records})

    def keep_one(record: dict[str, Any]) -> None:
        keep([record])
        ended = f"{len(record['turns'])} turns, {record['stop_reason']}"
        logging.info("dialogue %d of %d: %s", len(found), len(episodes), ended)

    if can_play_freely(match):
        play_freely(match, rest, knobs.concurrency, keep_one)
    else:
        for group in play(match, rest, knobs.batch_size, lambda progress: _log(progress, len(rest))):
            keep(group)
    return found


def _log(progress: Progress, n_episodes: int) -> None:
    logging.info(
        "dialogues %d to %d of %d, turn %d: %d going",
        progress.first,
        progress.last,
        n_episodes,
        progress.turn,
        progress.n_playing,
    )
