"""What each correction of the published protocol changes: `python benchmarks/protocols.py`.

Writes benchmarks/results/protocols.{json,md}. Reads the states of a finished demo (`make demo`) and
measures the interaction of every pair, changing one thing at a time on the way from the published protocol
to the corrected one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from demo import RESULTS
from layer_r2.machine import machine_record, threads_here

from syncr2 import config as configuration
from syncr2 import directed_sync, ids, layer_r2
from syncr2.maps.nested import Selection, inner_r2, score, select
from syncr2.maps.samples import max_samples, paper_split
from syncr2.protocols.corrected import Meeting, Protocol, meet
from syncr2.provenance import code_version
from syncr2.sotopia.scenarios import read_scenarios
from syncr2.store import open_states

NAME = ids.INTERACTION.name
STEPS = (
    "published: split by episode, best target layer on the test rows, negative layers set to 0",
    "negative layers kept",
    "target rows that exist in every condition",
    "folds over environments, every row tested once",
    "target layer chosen on inner folds",
    "penalty chosen on inner folds too: the corrected protocol",
)


def steps(met: Meeting, alone: Meeting, settings: configuration.Synchrony, protocol: Protocol) -> list[float]:
    """SyncR² of one direction after each step."""
    split = np.mean([by_episode(alone, seed, settings.penalty) for seed in settings.split_seeds], axis=0)
    common = np.mean([by_episode(met, seed, settings.penalty) for seed in settings.split_seeds], axis=0)
    source, target = met.sources[NAME], met.targets[NAME]
    folds = range(protocol.folds)
    by_fold = np.mean(
        [
            layer_r2(
                source, target, np.flatnonzero(met.fold != f), np.flatnonzero(met.fold == f), settings.penalty
            )
            for f in folds
        ],
        axis=0,
    )
    inner = inner_r2({NAME: source}, target, met.fold, protocol.penalties, protocol.computing)[NAME]
    one = list(protocol.penalties).index(settings.penalty)
    layer_only = Selection(
        np.full((protocol.folds, len(source)), settings.penalty), inner[:, one].argmax(axis=2)
    )
    nested = [
        score(source, target, met.fold, chosen, met.clusters, protocol.computing)[0].r2.mean()
        for chosen in (layer_only, select(inner, protocol.penalties))
    ]
    return [
        directed_sync(split),
        *(float(each.max(axis=1).mean()) for each in (split, common, by_fold)),
        *nested,
    ]


def by_episode(met: Meeting, seed: int, penalty: float) -> np.ndarray:
    """R² of one published split of a meeting's rows."""
    order = list(dict.fromkeys(row.episode_id for row in met.rows))
    episode = np.array([order.index(row.episode_id) for row in met.rows])
    counts = np.bincount(episode)
    split = paper_split(counts, max_samples(counts), seed)
    train, test = (np.flatnonzero(np.isin(episode, part)) for part in (split.train, split.test))
    return layer_r2(met.sources[NAME], met.targets[NAME], train, test, penalty)


def pairs(experiment: configuration.Experiment) -> Iterator[np.ndarray]:
    """Every unordered pair: the mean over both directions and the speaking orders that were played."""
    settings, results = experiment.synchrony, experiment.results
    protocol = Protocol(settings.folds, settings.fold_seed, settings.penalties)
    episodes = read_scenarios(results / "scenarios.json").episodes
    environments = {episode.id: episode.environment.id for episode in episodes}
    engaged = [c for c in settings.conditions if {c.source_reading, c.target_reading} == {"engaged"}]
    for pair in experiment.pairs:
        found = []
        for order in ids.played_orders(*pair, experiment.pairs_with_states):
            files = sorted((results / "states" / order.id / "engaged").rglob("*.h5"))
            states = {"engaged": open_states(files)}
            for direction in ids.DIRECTIONS:
                met = meet(states, engaged, direction, environments, protocol)
                alone = meet(states, [ids.INTERACTION], direction, environments, protocol)
                found.append(steps(met, alone, settings, protocol))
        yield np.mean(found, axis=0)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    raw = yaml.safe_load(Path("config.yaml").read_text())
    for key, value in yaml.safe_load(Path("demo.yaml").read_text()).items():
        raw[key] = {**raw[key], **value} if isinstance(value, dict) else value
    experiment = configuration.load(raw)
    found = np.array(list(pairs(experiment)))
    values = found.mean(axis=0)
    lines = [f"| {step} | {value:.3f} |" for step, value in zip(STEPS, values, strict=True)]
    text = "\n".join(
        [
            "# From the published protocol to the corrected one, on the demo",
            "",
            f"Mean SyncR² of the interaction over {len(experiment.pairs)} pairs of miniatures in a toy "
            "world: no finding about language models. Each line changes one thing more.",
            "",
            "| step | SyncR² |",
            "| --- | ---: |",
            *lines,
            "",
        ]
    )
    print(text)
    record = {
        "steps": dict(zip(STEPS, values.tolist(), strict=True)),
        "code": code_version(),
        "machine": machine_record(threads_here()),
    }
    (given.out / "protocols.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    (given.out / "protocols.md").write_text(text)


if __name__ == "__main__":
    main()
