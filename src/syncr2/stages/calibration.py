"""The calibration curve: models from worlds of known coupling, their tables and figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from syncr2 import figures
from syncr2.errors import SyncR2Error
from syncr2.files import read_jsonl, write_table
from syncr2.ids import OrderedPair
from syncr2.protocols.calibration import (
    Pair,
    calibration_tables,
    pooled_estimate,
    pooled_published,
    pooled_states,
)
from syncr2.protocols.measures import Measures, read_measures
from syncr2.protocols.pooled import Pooled
from syncr2.provenance import made_by_job
from syncr2.sotopia.episodes import Episode
from syncr2.sotopia.scenarios import read_scenarios
from syncr2.stages.control_files import read_control_table
from syncr2.world.dynamics import play
from syncr2.world.hearing import heard_labels
from syncr2.world.setting import game_of
from syncr2.world.tables import hearing_of, truth
from syncr2.world.transcripts import Labelled, transcript_measures

# The world plays each episode more often than models do, so that its own curve has little noise.
WORLD_SEEDS = 10


def summarise(
    scenarios: str,
    dialogues: Sequence[str],
    protocols: str,
    corrected: Mapping[str, str],
    baselines: Mapping[str, str],
    within: Sequence[tuple[float, str, str]],
    conditions: Sequence[str],
    settings: Mapping[str, Any],
    output: Mapping[str, str],
) -> None:
    """Gather what was measured by the coupling of the models' worlds.

    Parameters
    ----------
    scenarios, protocols : str
        Paths: checked scenarios of the world, the table `protocols` of the controls.
    dialogues : sequence of str
        Dialogues of these pairs, all speaking orders, seeds and shards.
    corrected, baselines : mapping
        Files by ordered pair; `baselines` is empty where not made.
    within : sequence of (coupling, model, model)
        Unordered pairs with the coupling of the world that both come from.
    conditions : sequence of str
        The interaction first.
    settings : mapping
        `folds`, `fold_seed`, `bootstrap_draws`.
    output : mapping
        Paths of the tables `calibration` and `calibration_overall`.
    """
    by_coupling: dict[float, list[Pair]] = {}
    for coupling, first, second in within:
        by_coupling.setdefault(float(coupling), []).append((first, second))
    pairs = list(chain.from_iterable(by_coupling.values()))
    n_draws = settings["bootstrap_draws"]
    pooled: dict[str, dict[Pair, Pooled]] = pooled_published(read_control_table(protocols), pairs)
    pooled |= pooled_states(_read(corrected), _read(baselines), pairs, conditions, n_draws)
    episodes = {episode.id: episode for episode in read_scenarios(scenarios).episodes}
    environments = sorted({episode.environment.id for episode in episodes.values()})

    def measured(dialogues: Iterable[Labelled]) -> Iterator[tuple[str, Pooled]]:
        found = transcript_measures(dialogues, environments, settings["folds"], settings["fold_seed"])
        for name, estimate in found.items():
            yield name, pooled_estimate(estimate, environments, n_draws)

    heard = heard_by_pair(episodes, dialogues)
    for pair in pairs:
        for name, value in measured(heard[frozenset(pair)]):
            pooled.setdefault(name, {})[pair] = value
    world: dict[str, dict[float, Pooled]] = {}
    for coupling in sorted({*by_coupling, 1.0}):
        for name, value in measured(_played(episodes.values(), coupling)):
            world.setdefault(name, {})[coupling] = value
    tables = calibration_tables(by_coupling, pooled, world)
    for name, path in output.items():
        write_table(path, tables[name])


def _read(paths: Mapping[str, str]) -> dict[OrderedPair, dict[str, Measures]]:
    return {OrderedPair.parse(pair): read_measures(path) for pair, path in paths.items()}


def heard_by_pair(
    episodes: Mapping[str, Episode], paths: Iterable[str]
) -> dict[frozenset[str], list[Labelled]]:
    """Dialogues of models, read back, by unordered pair.

    Parameters
    ----------
    episodes : mapping
        By id.
    paths : iterable of str
        Files of dialogues.
    """
    found: dict[frozenset[str], list[Labelled]] = {}
    for path in paths:
        for dialogue in read_jsonl(path):
            labelled = _labelled(
                episodes[dialogue["episode_id"]], heard_labels(hearing_of(episodes, dialogue))
            )
            found.setdefault(frozenset((dialogue["agent1"], dialogue["agent2"])), []).append(labelled)
    return found


def _played(episodes: Iterable[Episode], coupling: float) -> Iterator[Labelled]:
    """Dialogues of the world itself."""
    for episode in episodes:
        for seed in range(WORLD_SEEDS):
            yield _labelled(episode, truth(play(episode, seed, coupling)))


def _labelled(episode: Episode, labels: Sequence[Mapping[str, Any]]) -> Labelled:
    game = game_of(episode)
    return Labelled(episode.environment.id, game.kind, game.lead, labels)


def draw(calibration: str, overall: str, notice: str | None, output: Mapping[str, str]) -> None:
    """Draw the calibration curve.

    Parameters
    ----------
    calibration, overall : str
        Paths of the two tables.
    notice : str or None
        Warning on the figure.
    output : mapping
        `svg` and `png`.

    Raises
    ------
    SyncR2Error
        If there are no pairs within two couplings.
    """
    pairs, means = read_control_table(calibration), read_control_table(overall)
    if pairs["coupling"].nunique() < 2:
        raise SyncR2Error(
            f"{calibration}: holds pairs of fewer than two couplings, so there is no curve. Let `pairs` of "
            "the configuration hold pairs within each."
        )
    figure = figures.calibration_curve(pairs, means, watermark=notice)
    figures.save(figure, output["svg"], output["png"], made_by=made_by_job("figures"))
