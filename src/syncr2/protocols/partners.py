"""Nulls of one ordered pair: partners paired anew, in both directions together, for SyncR², CKA and CCA."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.hdf5 import reading, writing
from syncr2.ids import DIRECTIONS, INTERACTION, Condition
from syncr2.maps.nulls import (
    Null,
    dialogue_permutations,
    movable_share,
    r2_null,
    row_permutations,
    similarity_null,
)
from syncr2.maps.ridge import Layers
from syncr2.maps.similarity import cca_operand, cka_operand
from syncr2.protocols.corrected import Meeting, Protocol, States, meet
from syncr2.protocols.synchrony import directed_sync

NULLS_FORMAT = "syncr2/nulls/1"
INDICES = ("sync_r2", "cka", "cca")
# More principal components have mostly noise to correlate; fewer are taken where layers are narrower.
CCA_COMPONENTS = 10


class PartnerNull(NamedTuple):
    """One index of one direction under one null.

    Attributes
    ----------
    observed : ndarray, shape (n_source_layers, n_target_layers)
        The index of every pair of layers; R² is averaged over folds.
    draws : ndarray, shape (n_draws,)
        The directed statistic of every draw: the best target layer of each source layer, averaged over those.
    movable_share : float
        Share of the dialogues that could change places.
    """

    observed: NDArray[np.float64]
    draws: NDArray[np.float64]
    movable_share: float

    @property
    def statistic(self) -> float:
        """The directed statistic as observed."""
        return directed_sync(self.observed)


# By null (`permutation`, `pseudo`) and index.
PartnerNulls = Mapping[tuple[str, str], PartnerNull]


def partner_nulls(
    states: States,
    conditions: Sequence[Condition],
    environments: Mapping[str, str],
    protocol: Protocol,
    penalty: float,
    n_draws: int,
    name: str,
) -> dict[str, dict[tuple[str, str], PartnerNull]]:
    """Nulls of both directions.

    Parameters
    ----------
    states, conditions, environments, protocol
        As for `corrected.meet`: rows are those of the corrected protocol.
    penalty : float
        Of the ridge maps. It is given, not chosen: the null must be free of what was observed.
    n_draws : int
    name : str
        Of the ordered pair; it seeds the draws.
    """
    met = {direction: meet(states, conditions, direction, environments, protocol) for direction in DIRECTIONS}
    dialogues = sorted({row[:2] for meeting in met.values() for row in meeting.rows})
    found: dict[str, dict[tuple[str, str], PartnerNull]] = {direction: {} for direction in DIRECTIONS}
    nulls, folds = _cells(met, dialogues)
    for null, cells in nulls.items():
        drawn = dialogue_permutations(cells, n_draws, f"{name} {null}", folds)
        # The second direction has the same pairs of dialogues, seen from the other side.
        for direction, permutations in zip(DIRECTIONS, (drawn, np.argsort(drawn, axis=1)), strict=True):
            rows = _rows(met[direction], dialogues, permutations)
            for index, made in _indices(met[direction], rows, penalty, protocol):
                draws = np.array([directed_sync(draw) for draw in made.draws])
                found[direction][null, index] = PartnerNull(made.observed, draws, movable_share(cells))
    return found


def _cells(
    met: Mapping[str, Meeting], dialogues: Sequence[tuple[str, int]]
) -> tuple[dict[str, list[Hashable]], list[int]]:
    """For each null, what dialogues must share to change places: their turns, and a fold or an episode.

    With it the fold of every dialogue.
    """
    turns: dict[tuple[str, int], list[tuple[str, int]]] = {dialogue: [] for dialogue in dialogues}
    fold: dict[tuple[str, int], int] = {}
    for direction, meeting in met.items():
        for row, of in zip(meeting.rows, meeting.fold.tolist(), strict=True):
            turns[row[:2]].append((direction, row.turn))
            fold[row[:2]] = of
    cells: dict[str, list[Hashable]] = {
        "permutation": [(fold[dialogue], *turns[dialogue]) for dialogue in dialogues],
        "pseudo": [(dialogue[0], *turns[dialogue]) for dialogue in dialogues],
    }
    return cells, [fold[dialogue] for dialogue in dialogues]


def _rows(
    meeting: Meeting, dialogues: Sequence[tuple[str, int]], permutations: NDArray[np.intp]
) -> NDArray[np.intp]:
    place = {dialogue: i for i, dialogue in enumerate(dialogues)}
    dialogue = np.array([place[row[:2]] for row in meeting.rows])
    turn = np.array([row.turn for row in meeting.rows])
    return row_permutations(permutations, dialogue, turn)


def _indices(
    meeting: Meeting, rows: NDArray[np.intp], penalty: float, protocol: Protocol
) -> Iterator[tuple[str, Null]]:
    source, target = meeting.sources[INTERACTION.name], meeting.targets[INTERACTION.name]
    yield "sync_r2", r2_null(source, target, meeting.fold, rows, penalty, protocol.computing)
    widths = [np.shape(stack[0])[1] for stack in (source, target)]
    n_components = min(CCA_COMPONENTS, len(meeting.rows) - 1, *widths)
    for index, operand in (
        ("cka", cka_operand),
        ("cca", lambda values: cca_operand(values, n_components)),
    ):
        left, right = _Operands(source, operand), _Operands(target, operand)
        yield index, similarity_null(left, right, meeting.fold, rows, protocol.computing)


class _Operands:
    """A layer's matrix when it is asked for."""

    def __init__(self, stack: Layers, operand: Callable[[NDArray], NDArray]) -> None:
        self._stack, self._operand = stack, operand

    def __len__(self) -> int:
        return len(self._stack)

    def __getitem__(self, layer: int) -> NDArray:
        return self._operand(np.asarray(self._stack[layer], dtype=np.float64))


def write_nulls(path: str | Path, nulls: Mapping[str, PartnerNulls], made_by: Mapping[str, Any]) -> None:
    """Write the nulls of both directions of one ordered pair, whole or not at all."""
    with writing(path, NULLS_FORMAT, made_by) as file:
        for direction in DIRECTIONS:
            for (null, index), made in nulls[direction].items():
                group = file.create_group(f"{direction}/{null}/{index}")
                group.create_dataset("observed", data=made.observed)
                group.create_dataset("draws", data=made.draws)
                group.attrs["movable_share"] = made.movable_share


def read_nulls(path: str | Path) -> dict[str, dict[tuple[str, str], PartnerNull]]:
    """Read what `write_nulls` wrote.

    Raises
    ------
    SyncR2Error
        If the file is missing, cut off or of another format.
    """
    with reading(path, NULLS_FORMAT) as file:
        return {
            direction: {
                (null, index): PartnerNull(
                    group["observed"][()], group["draws"][()], float(group.attrs["movable_share"])
                )
                for null, indices in file[direction].items()
                for index, group in indices.items()
            }
            for direction in DIRECTIONS
        }
