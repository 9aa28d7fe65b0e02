"""SyncR² of single dialogues: how well maps that never saw its environment predict its turns.

The maps are those that the corrected protocol chose. A row's score is 1 less its squared residual over the
variance of its test fold, averaged over dimensions and source layers; the mean over the rows of a fold is
that fold's R², so scores of dialogues are shares of SyncR² (raw), not new quantities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from syncr2.ids import DIRECTIONS, INTERACTION, Condition, OrderedPair
from syncr2.maps.nested import Computing, Folded, Selection, TargetRows, source_layer
from syncr2.maps.ridge import Layers
from syncr2.protocols.corrected import Meeting, Protocol, States, meet
from syncr2.protocols.measures import Measures

COLUMNS = ["agent1", "agent2", "seed", "episode_id", "direction", "sync_r2", "n_samples"]


def dialogue_scores(
    states: States,
    conditions: Sequence[Condition],
    environments: Mapping[str, str],
    measured: Mapping[str, Measures],
    protocol: Protocol,
    pair: OrderedPair,
) -> pd.DataFrame:
    """Score every dialogue of one ordered pair in both directions.

    Parameters
    ----------
    states, environments, protocol
        As for `corrected.meet`.
    conditions : sequence of Condition
        Rows are those that exist in all of them, as for the corrected protocol.
    measured : mapping
        Corrected measures by direction, with what was chosen.
    pair : OrderedPair

    Returns
    -------
    DataFrame
        One row a dialogue and direction: `agent1`, `agent2`, `seed`, `episode_id`, `direction`, `sync_r2`
        (not clipped) and `n_samples`, the target turns that it rests on.
    """
    tables = []
    for direction in DIRECTIONS:
        met = meet(states, conditions, direction, environments, protocol)
        chosen = measured[direction].by_name["plain", INTERACTION.name].choice
        table = _by_dialogue(met, _interaction_scores(met, chosen, protocol.computing))
        tables.append(table.assign(agent1=pair.agent1, agent2=pair.agent2, direction=direction))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _interaction_scores(met: Meeting, chosen: Selection, computing: Computing) -> NDArray[np.float64]:
    name = INTERACTION.name
    return row_scores(met.sources[name], met.targets[name], met.fold, chosen, computing)


def _by_dialogue(met: Meeting, scores: NDArray[np.float64]) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "episode_id": [row.episode_id for row in met.rows],
            "seed": [row.seed for row in met.rows],
            "score": scores,
        }
    )
    grouped = rows.groupby(["episode_id", "seed"], sort=False)["score"]
    return grouped.agg(sync_r2="mean", n_samples="size").reset_index()


def row_scores(
    source: Layers, target: Layers, fold: NDArray[np.intp], chosen: Selection, computing: Computing
) -> NDArray[np.float64]:
    """Score of every row under the chosen maps, averaged over source layers, (n_samples,).

    Parameters
    ----------
    source, target, fold, chosen, computing
        As for `nested.score`.
    """
    folded = Folded.of(fold)
    targets = TargetRows(target, folded, computing)
    n_layers = chosen.penalty.shape[1]
    found = np.zeros(len(fold))
    for layer in range(n_layers):
        maps = source_layer(source, layer, folded, computing)
        for test in range(len(folded.ranges)):
            train, m = folded.without(test), int(chosen.target_layer[test, layer])
            (smoother,) = maps.smoothers(train, test, [float(chosen.penalty[test, layer])])
            values, residual = targets.predicted(m, smoother, test)
            # A dimension that is constant over the fold counts 0, as in R².
            varies = ~(values == values[0]).all(axis=0)
            variance = values[:, varies].var(axis=0)
            explained = 1 - residual[:, varies] ** 2 / variance
            found[folded.rows(test)] += explained.sum(axis=1) / values.shape[1]
    return found / n_layers
