"""The corrected protocol: SyncR² of one ordered pair on folds over environments.

Against the published protocol it changes four things. Folds are grouped by environment, so that no scenario
stands on both sides. All conditions are measured on the same target rows, those that exist in every one of
them. Penalty and target layer are chosen on inner folds. And every value has an interval over environments
that conditions share. Beside the states as they are (`plain`) it measures them centred within each dialogue
(`centred`), so that only what moves within a dialogue counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.ids import DIRECTIONS, INTERACTION, Condition
from syncr2.maps.folds import environment_folds, fold_of
from syncr2.maps.held import Held, held
from syncr2.maps.nested import Clusters, Computing, Score, Selection, inner_r2, score, select
from syncr2.maps.ridge import Layers
from syncr2.maps.samples import Row
from syncr2.protocols.measures import Measure, Measures
from syncr2.protocols.synchrony import LEAST_SAMPLES, ends, episode_order, join_states
from syncr2.store import StackedStates

# States of both agents by reading.
States = Mapping[str, Mapping[str, StackedStates]]
KINDS = ("plain", "centred")


@dataclass(frozen=True)
class Protocol:
    """How the corrected protocol measures; see the schema for each key."""

    folds: int = 5
    fold_seed: int = 0
    penalties: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0, 1000.0)
    computing: Computing = field(default_factory=Computing)

    @classmethod
    def of(cls, settings: Mapping[str, Any], device: str, memory_gb: float) -> Protocol:
        """From a rule's params; a null has no penalties to choose from."""
        return cls(
            folds=settings["folds"],
            fold_seed=settings["fold_seed"],
            penalties=tuple(settings.get("penalties", ())),
            computing=Computing(device, settings["precision"], memory_gb),
        )


@dataclass(frozen=True)
class Meeting:
    """Sources and targets of some conditions, row by row, and where each row belongs.

    Attributes
    ----------
    sources, targets : dict
        Layers by condition, (n_layers, n_samples, d); row i is the same target place in all of them.
    rows : list of Row
        Key of every target row.
    fold : ndarray of int, shape (n_samples,)
    clusters : Clusters
        Environment of every row.
    dialogue : ndarray of int, shape (n_samples,)
        Number of each row's dialogue; rows of a dialogue stand together.
    """

    sources: Mapping[str, StackedStates | Held]
    targets: Mapping[str, StackedStates | Held]
    rows: list[Row]
    fold: NDArray[np.intp]
    clusters: Clusters
    dialogue: NDArray[np.intp]

    @property
    def n_environments(self) -> int:
        """Environments with rows here."""
        return len(np.unique(self.clusters.environment))

    def measure(self, found: Score, chosen: Selection | None = None) -> Measure:
        """A score of all rows as a measure."""
        return Measure(found, self.clusters.names, len(self.rows), self.n_environments, chosen)


def meet(
    states: States,
    conditions: Sequence[Condition],
    direction: str,
    environments: Mapping[str, str],
    protocol: Protocol,
) -> Meeting:
    """Join the states of some conditions on the target rows that exist in all of them.

    Parameters
    ----------
    states : mapping
        States of both agents by reading.
    conditions : sequence of Condition
    direction : str
    environments : mapping
        Environment id by episode id; folds are drawn over all of them.
    protocol : Protocol

    Raises
    ------
    SyncR2Error
        If too few rows exist in all conditions, or a fold has none.
    """
    order = episode_order(states["engaged"])
    joined: dict[str, dict[Row, tuple[int, int]]] = {}
    stacks: dict[str, tuple[StackedStates, StackedStates]] = {}
    for condition in conditions:
        agents = ends(direction, condition)
        source = states[condition.source_reading][agents.source]
        target = states[condition.target_reading][agents.target]
        samples = join_states(source, target, condition, order)
        keys = (target.rows[j].key for j in samples.target)
        pairs = zip(samples.source.tolist(), samples.target.tolist(), strict=True)
        joined[condition.name] = dict(zip(keys, pairs, strict=True))
        stacks[condition.name] = source, target
    first = joined[conditions[0].name]
    rows = [row for row in first if all(row in found for found in joined.values())]
    if len(rows) < LEAST_SAMPLES:
        counts = ", ".join(f"{name} {len(found)}" for name, found in joined.items())
        raise SyncR2Error(
            f"{direction}: {len(rows)} target states exist in every condition (by condition: {counts}); at "
            f"least {LEAST_SAMPLES} are needed. Play more episodes or longer dialogues, or take the longest "
            "lag off synchrony.lags."
        )
    # A tenth of the memory for all states that are read again and again; more than that stays on disk.
    memory = protocol.computing.memory_gb * 1e9 / 10 / (2 * len(stacks))
    folds = environment_folds(list(environments.values()), protocol.folds, protocol.fold_seed)
    names = [environments[row.episode_id] for row in rows]
    everywhere = sorted(folds)
    place = {name: i for i, name in enumerate(everywhere)}
    index = {name: np.array([found[row] for row in rows]) for name, found in joined.items()}
    return Meeting(
        {name: held(stack[0].take(index[name][:, 0]), memory) for name, stack in stacks.items()},
        {name: held(stack[1].take(index[name][:, 1]), memory) for name, stack in stacks.items()},
        rows,
        fold_of(names, folds),
        Clusters(np.array([place[name] for name in names]), tuple(everywhere)),
        np.cumsum([i > 0 and row[:2] != rows[i - 1][:2] for i, row in enumerate(rows)]),
    )


class Centred:
    """Layers less the mean of each dialogue's rows.

    Parameters
    ----------
    stack : Layers, (n_layers, n_samples, d)
    dialogue : ndarray of int, shape (n_samples,)
        Ascending, from 0.
    """

    def __init__(self, stack: Layers, dialogue: NDArray[np.intp]) -> None:
        self._stack, self._dialogue = stack, dialogue
        self._first = np.flatnonzero(np.diff(dialogue, prepend=-1))
        self._count = np.bincount(dialogue)

    def __len__(self) -> int:
        return len(self._stack)

    def __getitem__(self, layer: int) -> NDArray[np.float64]:
        values = np.asarray(self._stack[layer], dtype=np.float64)
        means = np.add.reduceat(values, self._first, axis=0) / self._count[:, None]
        return values - means[self._dialogue]


def corrected_measures(
    states: States,
    conditions: Sequence[Condition],
    environments: Mapping[str, str],
    groups: Mapping[str, Mapping[str, str]],
    protocol: Protocol,
) -> dict[str, Measures]:
    """Measure both directions of one ordered pair under all conditions.

    Parameters
    ----------
    states, conditions, environments, protocol
        As for `meet`.
    groups : mapping
        `{column: {episode id: value}}`: the interaction is measured within each value too.
    """
    found = {}
    for direction in DIRECTIONS:
        met = meet(states, conditions, direction, environments, protocol)
        by_name: dict[tuple[str, str], Measure] = {}
        for kind in KINDS:
            by_name |= {(kind, name): measure for name, measure in _conditions(met, kind, protocol).items()}
        chosen = by_name["plain", INTERACTION.name].choice
        found[direction] = Measures(by_name, _groups(met, groups, chosen, protocol))
    return found


def _conditions(met: Meeting, kind: str, protocol: Protocol) -> dict[str, Measure]:
    def seen(stack: Layers) -> Layers:
        return Centred(stack, met.dialogue) if kind == "centred" else stack

    # Conditions with the same target rows of the same reading share its kernels.
    by_target: dict[object, list[str]] = {}
    for name, target in met.targets.items():
        states = target.states if isinstance(target, Held) else target
        by_target.setdefault((states.paths, states.agent), []).append(name)
    measures = {}
    for names in by_target.values():
        shared = seen(met.targets[names[0]])
        sources = {name: seen(met.sources[name]) for name in names}
        inner = inner_r2(sources, shared, met.fold, protocol.penalties, protocol.computing)
        for name in names:
            chosen = select(inner[name], protocol.penalties)
            (found,) = score(sources[name], shared, met.fold, chosen, met.clusters, protocol.computing)
            measures[name] = met.measure(found, chosen=chosen)
    return {name: measures[name] for name in met.sources}


def _groups(
    met: Meeting, groups: Mapping[str, Mapping[str, str]], chosen: Selection, protocol: Protocol
) -> dict[tuple[str, str, str], Measure]:
    """The interaction within each value of each column, with the maps of all rows and with its own."""
    source, target = met.sources[INTERACTION.name], met.targets[INTERACTION.name]
    labels = {column: np.array([of[row.episode_id] for row in met.rows]) for column, of in groups.items()}
    masks = {
        (column, str(value)): labels[column] == value
        for column in groups
        for value in np.unique(labels[column])
    }
    if not masks:
        return {}
    together = score(source, target, met.fold, chosen, met.clusters, protocol.computing, list(masks.values()))
    found = {}
    for ((column, value), mask), one in zip(masks.items(), together, strict=True):
        n_environments = len(np.unique(met.clusters.environment[mask]))
        if np.isnan(one.r2).all():
            continue
        one = _with_known_spread(one, met, mask)
        found["one", column, value] = Measure(one, met.clusters.names, int(mask.sum()), n_environments)
        # Two rows a fold make a variance; a map needs as many training folds as the whole has.
        if (np.bincount(met.fold[mask], minlength=protocol.folds) >= 2).all():
            rows = np.flatnonzero(mask)
            clusters = met.clusters._replace(environment=met.clusters.environment[mask])
            (own,) = score(
                SomeRows(source, rows),
                SomeRows(target, rows),
                met.fold[mask],
                chosen,
                clusters,
                protocol.computing,
            )
            own = _with_known_spread(own, met, mask)
            found["separate", column, value] = Measure(own, met.clusters.names, len(rows), n_environments)
    return found


def _with_known_spread(found: Score, met: Meeting, mask: NDArray[np.bool_]) -> Score:
    """A score without influences where a fold has one environment: leaving it out leaves nothing."""
    places = {(fold, name) for fold, name in zip(met.fold[mask], met.clusters.environment[mask], strict=True)}
    per_fold = np.bincount([fold for fold, _ in places])
    return found._replace(influence=np.full_like(found.influence, np.nan)) if (per_fold == 1).any() else found


class SomeRows:
    """Some rows of layers."""

    def __init__(self, stack: Layers, rows: NDArray[np.intp]) -> None:
        self._stack, self._rows = stack, rows

    def __len__(self) -> int:
        return len(self._stack)

    def __getitem__(self, layer: int) -> NDArray:
        return np.asarray(self._stack[layer])[self._rows]
