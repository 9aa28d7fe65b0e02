"""R² matrices of a pair of agents, and SyncR².

directed(A→B) = mean over source layers l of max(0, max over target layers m of R²(l, m))
SyncR²(A, B)  = mean of the directed values, over both directions and both speaking orders
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from syncr2.errors import SyncR2Error
from syncr2.ids import DIRECTIONS, Condition
from syncr2.maps import ridge, samples
from syncr2.maps.held import held
from syncr2.maps.ridge import Layers
from syncr2.maps.samples import Samples
from syncr2.store import DirectionR2, StackedStates


def directed_sync(r2: ArrayLike) -> float:
    """SyncR² of one direction from its R² matrix.

    Parameters
    ----------
    r2 : array_like, shape (n_source_layers, n_target_layers)
        Test R², averaged over splits.

    Returns
    -------
    float
        The best target layer's R² of each source layer, negative ones set to 0, averaged over source layers;
        0 to 1.

    Raises
    ------
    SyncR2Error
        If the matrix is not two-dimensional, is empty or holds a value that is not finite.
    """
    matrix = np.asarray(r2, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise SyncR2Error(f"R² must be (n_source_layers, n_target_layers), found shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise SyncR2Error("R² holds a value that is not finite.")
    return float(np.maximum(matrix.max(axis=1), 0).mean())


class Ends(NamedTuple):
    """Which agent's states a direction begins and ends with."""

    source: str
    target: str


# Below this, `samples: auto` refuses: a split of fewer is no measurement.
LEAST_SAMPLES = 10

# Between partners. Every target is reached by one direction.
ENDS: Mapping[str, Ends] = {
    DIRECTIONS[0]: Ends("agent1", "agent2"),
    DIRECTIONS[1]: Ends("agent2", "agent1"),
}


def ends(direction: str, condition: Condition) -> Ends:
    """Whose states meet in a direction: where the source agent is `self`, both are those of its target."""
    between = ENDS[direction]
    return Ends(between.target, between.target) if condition.source_agent == "self" else between


def episode_order(states: Mapping[str, StackedStates]) -> list[str]:
    """Episodes in the order of the files; agent 1 speaks in every dialogue, so its rows name them all."""
    return list(dict.fromkeys(row.episode_id for row in states["agent1"].rows))


def join_states(
    source: StackedStates, target: StackedStates, condition: Condition, order: Sequence[str]
) -> Samples:
    """Samples of one direction under one condition: see `samples.join`.

    Parameters
    ----------
    source, target : StackedStates
        States of the agents that `ends` names, in the condition's source and target reading.
    condition : Condition
        Its lag and its dialogue say which rows meet.
    order : sequence of str
        See `episode_order`.
    """
    rows = [[row.key for row in states.rows] for states in (source, target)]
    return samples.join(rows[0], rows[1], condition.lag, order, condition.dialogue)


class PaperProtocol(NamedTuple):
    """How the published protocol draws its samples, and how its maps are fitted.

    Attributes
    ----------
    samples : int or None
        For the split, see `samples.paper_split`; None for as many as each direction can meet, so that every
        condition uses (nearly) all episodes.
    split_seeds : sequence of int
    penalty : float
    device, precision, memory_gb
        How it is computed, see `ridge.layer_r2`.
    """

    samples: int | None
    split_seeds: Sequence[int]
    penalty: float
    device: str = "cpu"
    precision: str = "float64"
    memory_gb: float = 10.0


def condition_r2(
    source_states: Mapping[str, StackedStates],
    target_states: Mapping[str, StackedStates],
    condition: Condition,
    protocol: PaperProtocol,
    groups: Mapping[str, Mapping[str, str]],
) -> dict[str, DirectionR2]:
    """R² of both directions of one ordered pair under one condition.

    Parameters
    ----------
    source_states, target_states : mapping
        States of both agents in the condition's source and in its target reading.
    condition : Condition
        Which source row meets which target row.
    protocol : PaperProtocol
    groups : mapping
        `{column: {episode id: value}}`: R² is given within each value too.
    """
    order = episode_order(target_states)
    found = {}
    for name in DIRECTIONS:
        between = ends(name, condition)
        source, target = source_states[between.source], target_states[between.target]
        found[name] = _direction_r2(source, target, condition, order, protocol, groups)
    return found


def _direction_r2(
    source: StackedStates,
    target: StackedStates,
    condition: Condition,
    order: Sequence[str],
    protocol: PaperProtocol,
    groups: Mapping[str, Mapping[str, str]],
) -> DirectionR2:
    joined = join_states(source, target, condition, order)
    # Every split reads all layers; a tenth of the memory holds those of both ends, or they stay on disk.
    memory = protocol.memory_gb * 1e9 / 20
    x, y = held(source.take(joined.source), memory), held(target.take(joined.target), memory)
    counts = joined.per_episode(len(order))
    n_drawn = protocol.samples or _all_samples(counts, condition)
    splits = [
        samples.sample_rows(joined, samples.paper_split(counts, n_drawn, seed))
        for seed in protocol.split_seeds
    ]
    r2 = np.stack([_layer_r2(x, y, train, test, protocol) for train, test in splits])
    best = r2.mean(axis=0).argmax(axis=1)
    labels = {
        column: np.array([of[episode] for episode in order])[joined.episode] for column, of in groups.items()
    }
    return DirectionR2(
        r2=r2,
        n_train=np.array([len(train) for train, _ in splits]),
        n_test=np.array([len(test) for _, test in splits]),
        n_available=len(joined.source),
        groups=_grouped(x, y, splits, best.tolist(), labels, protocol.penalty),
    )


def _layer_r2(
    x: Layers,
    y: Layers,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    protocol: PaperProtocol,
) -> NDArray[np.float64]:
    return ridge.layer_r2(
        x,
        y,
        train,
        test,
        protocol.penalty,
        device=protocol.device,
        precision=protocol.precision,
        memory_gb=protocol.memory_gb,
    )


def _all_samples(counts: NDArray[np.intp], condition: Condition) -> int:
    """The most samples that any split can meet; refused where that is too few to mean anything."""
    most = samples.max_samples(counts)
    if most < LEAST_SAMPLES:
        raise SyncR2Error(
            f"Condition {condition.name} (lag {condition.lag}): there are {counts.sum()} samples in "
            f"{np.count_nonzero(counts)} episodes; a split needs room for at least {LEAST_SAMPLES} beside "
            "the largest episode. The dialogues are too few or end too early: play more episodes or seeds, "
            "or take the condition out of the configuration's section `synchrony`."
        )
    return most


def _grouped(
    x: Layers,
    y: Layers,
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    best: Sequence[int],
    labels: Mapping[str, NDArray[np.str_]],
    penalty: float,
) -> dict[str, dict[str, tuple[NDArray, NDArray]]]:
    keys = [(column, str(value)) for column, of in labels.items() for value in np.unique(of)]
    if not keys:
        return {}
    masks = [[labels[column][test] == value for column, value in keys] for _, test in splits]
    r2 = np.stack(
        [
            ridge.subset_r2(x, y, train, test, best, chosen, penalty)
            for (train, test), chosen in zip(splits, masks, strict=True)
        ]
    )
    found: dict[str, dict[str, tuple[NDArray, NDArray]]] = {}
    for i, (column, value) in enumerate(keys):
        sizes = np.array([chosen[i].sum() for chosen in masks])
        found.setdefault(column, {})[value] = (r2[:, i], sizes)
    return found
