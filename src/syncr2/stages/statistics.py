"""SyncR² and social performance: over pairs of models and within them; where SyncR² is strongest."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from syncr2.errors import SyncR2Error
from syncr2.files import read_table, write_table
from syncr2.ids import INTERACTION, Condition, OrderedPair
from syncr2.judges.performance import performance_by_judge, social_performance
from syncr2.protocols.corrected import Protocol
from syncr2.protocols.dialogue_scores import dialogue_scores
from syncr2.protocols.measures import read_measures
from syncr2.sotopia.scenarios import RELATIONSHIPS, read_scenarios
from syncr2.stages.control_files import read_control_table
from syncr2.statistics import Resampling, dyadic_tables, pair_covariates, robustness_table
from syncr2.statistics.attenuation import attenuation_table
from syncr2.statistics.depth import depth_tables
from syncr2.statistics.dialogues import join_scores, within_pairs
from syncr2.statistics.relationships import relationship_tables
from syncr2.store import open_states


def correlate(
    synchrony: str,
    performance: str,
    controls: Mapping[str, str],
    pairs: Sequence[Sequence[str]],
    covariates: Sequence[str],
    covariates_by_model: Mapping[str, Mapping[str, float]],
    family: Mapping[str, str],
    resampling: Mapping[str, int],
    max_failure_rate: float,
    output: Mapping[str, str],
) -> None:
    """Join both sides by pair; write the pairs and their correlations by every way that there is.

    Parameters
    ----------
    synchrony, performance : str
        Paths of synchrony.tsv and performance.tsv.
    controls : mapping
        Paths of the tables `protocols` and `baselines` of the controls, those that were made.
    pairs : sequence of (model, model)
        Unordered pairs that have hidden states, and so SyncR². Others are judged and stay out of this.
    covariates : sequence of str
        Those to control for.
    covariates_by_model : mapping
        Their values by model.
    family : mapping
        Family by model.
    resampling : mapping
        Fields of `Resampling`.
    max_failure_rate : float
        See `social_performance`.
    output : mapping
        Path by table: `pairs`, `robustness` and those of `dyadic_tables`.
    """
    measured = read_table(synchrony)
    judged = _of_pairs(read_table(performance), pairs)
    how = Resampling(**resampling)
    keys = ["model_1", "model_2", "family"]
    sync = measured.loc[measured["condition"] == INTERACTION.name, [*keys, "sync_r2"]]
    both = joined(sync, social_performance(judged, max_failure_rate))
    with_covariates = pair_covariates(both, covariates_by_model, covariates)
    write_table(output["pairs"], with_covariates)
    for name, table in dyadic_tables(with_covariates, family, covariates, how).items():
        write_table(output[name], table)
    measures = {"published": sync} | other_measures(controls)
    by_judge = performance_by_judge(judged, max_failure_rate)
    write_table(output["robustness"], robustness_table(measures, by_judge, family, how))


def _of_pairs(table: pd.DataFrame, pairs: Sequence[Sequence[str]]) -> pd.DataFrame:
    wanted = {frozenset(pair) for pair in pairs}
    of_row = map(frozenset, zip(table["model_1"], table["model_2"], strict=True))
    return table[[pair in wanted for pair in of_row]]


def other_measures(controls: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """SyncR² by the corrected protocol, raw, of plain and centred states; what it adds to the own past."""
    keys = ["model_1", "model_2", "family"]
    found = {}
    if "protocols" in controls:
        table = read_control_table(controls["protocols"])
        rows = table[(table["protocol"] == "corrected") & (table["condition"] == INTERACTION.name)]
        for states in dict.fromkeys(rows["states"]):
            part = rows.loc[rows["states"] == states, [*keys, "sync_r2_raw"]]
            found[f"corrected_{states}"] = part.rename(columns={"sync_r2_raw": "sync_r2"})
    if "baselines" in controls:
        table = read_control_table(controls["baselines"])
        part = table.loc[table["measure"] == "own_past_gain", [*keys, "value"]]
        found["own_past_gain"] = part.rename(columns={"value": "sync_r2"})
    return found


def joined(sync: pd.DataFrame, social: pd.DataFrame) -> pd.DataFrame:
    """One row a pair with both sides.

    Raises
    ------
    SyncR2Error
        If a pair has one side only: a correlation over the pairs that happen to be complete would hide it.
    """
    keys = ["model_1", "model_2"]
    pairs = sync.merge(
        social[[*keys, "social_performance"]], on=keys, how="outer", validate="one_to_one", indicator=True
    )
    alone = pairs[pairs["_merge"] != "both"]
    if len(alone):
        row = alone.iloc[0]
        side = "SyncR² but no judgement" if row["_merge"] == "left_only" else "judgements but no SyncR²"
        raise SyncR2Error(
            f"{len(alone)} of {len(pairs)} pairs have one side only; the first, {row['model_1']} and "
            f"{row['model_2']}, has "
            f"{side}. Both tables must come from one run: run the workflow again."
        )
    # An outer join sorts; the order of the configuration is the one that readers know.
    return sync[keys].merge(pairs.drop(columns="_merge"), on=keys)


def score_dialogues(
    scenarios: str,
    states: Sequence[str],
    corrected: str,
    output: str,
    pair: str,
    conditions: Sequence[Sequence[Any]],
    settings: Mapping[str, Any],
    device: str,
    memory_gb: float,
) -> None:
    """Score every dialogue of one ordered pair with the maps that the corrected protocol chose.

    Parameters
    ----------
    scenarios, corrected, output, pair : str
        Paths of the scenarios, of what `controls.nested_maps` wrote and of the table to write; the ordered
        pair.
    states : sequence of str
        Engaged states of all seeds and shards.
    conditions : sequence
        Fields of each `Condition` between engaged states: rows are those that exist in all of them.
    settings : mapping
        `folds`, `fold_seed`, `penalties`, `precision`.
    device, memory_gb
        Where it is computed and in how much memory.
    """
    protocol = Protocol.of(settings, device, memory_gb)
    table = dialogue_scores(
        {"engaged": open_states(states)},
        [Condition(*fields) for fields in conditions],
        read_scenarios(scenarios).environments,
        read_measures(corrected),
        protocol,
        OrderedPair.parse(pair),
    )
    write_table(output, table)


def relate_dialogues(
    scores: Sequence[str],
    dialogues: str,
    pairs: Sequence[Sequence[str]],
    family: Mapping[str, str],
    resampling: Mapping[str, int],
    output: Mapping[str, str],
) -> None:
    """Write dialogues with both sides; does higher synchrony go with performance, or with the relationship?

    Parameters
    ----------
    scores : sequence of str
        Tables of `score_dialogues`, all ordered pairs.
    dialogues : str
        Path of dialogues.tsv.
    pairs : sequence of (model, model)
        Unordered pairs.
    family : mapping
        Family by model.
    resampling : mapping
        Fields of `Resampling`.
    output : mapping
        Paths of `dialogues`, `within_pairs`, `relationship` and `relationship_trend`.
    """
    table = join_scores(pd.concat([read_table(path) for path in scores]), read_table(dialogues))
    write_table(output["dialogues"], table)
    found = within_pairs(table, family)
    write_table(output["within_pairs"], found)
    unordered = [(first, second) for first, second in pairs]
    by_relationship = relationship_tables(table, unordered, family, RELATIONSHIPS, Resampling(**resampling))
    for name, each in by_relationship.items():
        write_table(output[name], each)
    for row in found.to_dict("records"):
        logging.info("%s: slope %.3f, p %.3g, %s", row["family"], row["slope"], row["p"], row["status"])


def locate(
    corrected: Mapping[str, str],
    dialogues: str,
    pairs: Sequence[Sequence[str]],
    family: Mapping[str, str],
    n_draws: int,
    output: Mapping[str, str],
) -> None:
    """In which layers SyncR² is strongest; how reliable it and performance are.

    Parameters
    ----------
    corrected : mapping
        Corrected measures by ordered pair.
    dialogues : str
        Path of dialogues.tsv.
    pairs : sequence of (model, model)
        Unordered pairs.
    family : mapping
        Family by model.
    n_draws : int
        Bootstrap draws over environments.
    output : mapping
        Paths of `depth_profile`, `depth_peak` and `attenuation`.
    """
    measured = {OrderedPair.parse(pair): read_measures(path) for pair, path in corrected.items()}
    unordered = [(first, second) for first, second in pairs]
    tables = depth_tables(measured, unordered, family, n_draws)
    tables["attenuation"] = attenuation_table(measured, read_table(dialogues), unordered, family)
    for name, path in output.items():
        write_table(path, tables[name])
