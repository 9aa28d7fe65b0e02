"""Controls of one ordered pair (corrected protocol, nulls, baselines), and their tables."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from syncr2.files import read_jsonl, write_table
from syncr2.ids import INTERACTION, Condition, OrderedPair
from syncr2.maps.samples import Row
from syncr2.maps.text_features import dialogue_texts, text_features
from syncr2.protocols import control_tables
from syncr2.protocols.baselines import Baselines
from syncr2.protocols.corrected import Protocol, corrected_measures
from syncr2.protocols.measures import Measures, read_measures, write_measures
from syncr2.protocols.partners import partner_nulls, read_nulls, write_nulls
from syncr2.protocols.synchrony import ends
from syncr2.provenance import made_by
from syncr2.sotopia.scenarios import read_scenarios
from syncr2.store import open_states, read_r2


def nested_maps(
    scenarios: str,
    states: Mapping[str, Sequence[str]],
    output: str,
    conditions: Sequence[Sequence[Any]],
    settings: Mapping[str, Any],
    device: str,
    memory_gb: float,
) -> None:
    """Measure every condition of one ordered pair on nested folds over environments.

    Parameters
    ----------
    scenarios, output : str
        Paths: checked scenarios, HDF5 to write.
    states : mapping
        State files of all seeds and shards, by reading.
    conditions : sequence
        Fields of each `Condition`.
    settings : mapping
        `folds`, `fold_seed`, `penalties`, `precision`, `group_by`.
    device, memory_gb
        Where it is computed and in how much memory, which does not change a result beyond rounding.
    """
    everything = read_scenarios(scenarios)
    groups = {
        column: {episode.id: str(episode.columns()[column]) for episode in everything.episodes}
        for column in settings["group_by"]
    }
    found = corrected_measures(
        {reading: open_states(paths) for reading, paths in states.items()},
        [Condition(*fields) for fields in conditions],
        everything.environments,
        groups,
        Protocol.of(settings, device, memory_gb),
    )
    for direction, measures in found.items():
        interaction = measures.by_name["plain", INTERACTION.name]
        logging.info(
            "%s: SyncR² %.4f, raw %.4f", direction, interaction.sync_r2(), interaction.sync_r2(False)
        )
    record = made_by(
        "corrected", {**settings, "conditions": conditions}, [scenarios, *chain(*states.values())]
    )
    write_measures(output, found, record)


def permuted_partners(
    scenarios: str,
    states: Sequence[str],
    output: str,
    pair: str,
    conditions: Sequence[Sequence[Any]],
    settings: Mapping[str, Any],
    device: str,
    memory_gb: float,
) -> None:
    """Pair partners anew: the nulls of the interaction.

    Parameters
    ----------
    scenarios, output, pair : str
    states : sequence of str
        Engaged state files.
    conditions : sequence
        The conditions with engaged states: rows are those that exist in all of them.
    settings : mapping
        `folds`, `fold_seed`, `precision`, `penalty`, `null_draws`.
    """
    found = partner_nulls(
        {"engaged": open_states(states)},
        [Condition(*fields) for fields in conditions],
        read_scenarios(scenarios).environments,
        Protocol.of(settings, device, memory_gb),
        settings["penalty"],
        settings["null_draws"],
        pair,
    )
    write_nulls(output, found, made_by("nulls", {**settings, "conditions": conditions}, [scenarios, *states]))


def baselines(
    scenarios: str,
    states: Sequence[str],
    dialogues: Sequence[str],
    corrected: str,
    output: str,
    pair: str,
    n_seeds: int,
    settings: Mapping[str, Any],
    device: str,
    memory_gb: float,
) -> None:
    """Predict the same rows from the agent's own past, from context, from text, and by nonlinear maps.

    Parameters
    ----------
    scenarios, corrected, output, pair : str
        Paths of the scenarios, of what `nested_maps` wrote and of the HDF5 to write; the ordered pair.
    states, dialogues : sequence of str
        Engaged states and dialogues of all seeds and shards.
    n_seeds : int
        Seeds of generation; a ceiling needs two.
    settings : mapping
        As for `nested_maps`, with `profile_lags` and `nonlinear`.
    """
    opened = open_states(states)
    texts = dialogue_texts(record for path in dialogues for record in read_jsonl(path))
    environments = read_scenarios(scenarios).environments
    methods = set()

    def features(rows: Sequence[Row]) -> Any:
        # What the source had read when it was about to speak, one turn before its target.
        found = text_features([row._replace(turn=row.turn - INTERACTION.lag) for row in rows], texts)
        methods.add(found.method)
        return found.values

    found = {}
    for direction, measures in read_measures(corrected).items():
        whole = measures.by_name["plain", INTERACTION.name]
        protocol = Protocol.of(settings, device, memory_gb)
        base = Baselines({"engaged": opened}, direction, environments, whole.choice, protocol)
        target = opened[ends(direction, INTERACTION).target]
        made = base.past_and_context({row.key: row.n_prompt_tokens for row in target.rows})
        made |= base.text(features)
        made |= base.ceiling() if n_seeds > 1 else {}
        made |= base.lag_profile(settings["profile_lags"])
        made |= base.nonlinear(whole, seed=settings["fold_seed"]) if settings["nonlinear"] else {}
        found[direction] = Measures({("plain", name): measure for name, measure in made.items()})
        gain = made["own_past_and_source"].sync_r2(False) - made["own_past"].sync_r2(False)
        logging.info("%s, %s: ΔR² over own past %.4f", pair, direction, gain)
    record = made_by(
        "baselines",
        {**settings, "text_features": sorted(methods)},
        [scenarios, corrected, *states, *dialogues],
    )
    write_measures(output, found, record)


def summarise(
    pairs: Sequence[Sequence[str]],
    family: Mapping[str, str],
    conditions: Sequence[str],
    n_draws: int,
    published: Mapping[str, str],
    corrected: Mapping[str, str],
    nulls: Mapping[str, str],
    baselines: Mapping[str, str],
    output: Mapping[str, str],
) -> None:
    """Gather the controls of all ordered pairs into tables, a row an unordered pair.

    Parameters
    ----------
    pairs : sequence of (model, model)
        Unordered pairs.
    family : mapping
        Family by model name.
    conditions : sequence of str
    n_draws : int
        Draws of the bootstrap over environments.
    published : mapping
        R² files of the published protocol by `pair/condition`.
    corrected, nulls, baselines : mapping
        Files by ordered pair; empty where not made.
    output : mapping
        Path by table name.
    """
    parsed = {OrderedPair.parse(pair): read_measures(path) for pair, path in corrected.items()}
    matrices = {}
    for key, path in published.items():
        pair, condition = key.split("/")
        matrices[OrderedPair.parse(pair), condition] = read_r2(path)
    unordered = [(first, second) for first, second in pairs]
    tables = control_tables.corrected_tables(parsed, matrices, unordered, conditions, family, n_draws)
    if nulls:
        made = {OrderedPair.parse(pair): read_nulls(path) for pair, path in nulls.items()}
        tables["nulls"] = control_tables.null_table(made, unordered, family)
    if baselines:
        measured = {OrderedPair.parse(pair): read_measures(path) for pair, path in baselines.items()}
        tables |= control_tables.baseline_tables(measured, unordered, family, n_draws)
    for name, path in output.items():
        write_table(path, tables[name])
