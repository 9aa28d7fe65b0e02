"""Every replay checks itself: some of its rows are computed again, one prompt at a time.

That is slow and as plain as can be: no cache, no padding, no other prompt beside it. The two may differ by
rounding and by nothing else, whatever the model's class does that nobody thought of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.replay.rounding import TOLERANCES, relative_difference
from syncr2.replay.states import Batch, Dialogue, states_alone
from syncr2.store import StateRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Checked(NamedTuple):
    """What a self-check found.

    Attributes
    ----------
    rows : int
        Rows that were computed twice.
    largest_difference : float
        Of a single number.
    largest_relative_difference : float
        Of a state (a layer of a row): |difference| / |state|, Euclidean norms.
    tolerance : float
        What the relative difference may be at most, by the number format of the computation.
    """

    rows: int
    largest_difference: float
    largest_relative_difference: float
    tolerance: float


def seed_of(*parts: str | int) -> int:
    """A seed made of what the check is of."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:8], "little")


def chosen_rows(dialogues: Sequence[Dialogue], n: int, seed: int) -> list[int]:
    """Rows to check: the longest prompt, and others from as many dialogues and stages of them as can be.

    Parameters
    ----------
    dialogues : sequence of sequences of prompts
        Rows are their prompts, in order.
    n : int
        How many; all if there are no more.
    seed : int

    Returns
    -------
    list of int
        In ascending order.
    """
    lengths = [len(prompt) for prompts in dialogues for prompt in prompts]
    if n >= len(lengths):
        return list(range(len(lengths)))
    if n == 0:
        return []
    rng = np.random.default_rng(seed)
    chosen = {int(np.argmax(lengths))}
    first = np.cumsum([0, *map(len, dialogues)])
    order = rng.permutation([i for i, prompts in enumerate(dialogues) if prompts])
    for i, stage in enumerate(rng.permutation(n - 1)):
        dialogue = order[i % len(order)]
        turn = int((stage + rng.random()) / (n - 1) * len(dialogues[dialogue]))
        chosen.add(int(first[dialogue]) + turn)
    # Where a row came up twice.
    spare = (int(row) for row in rng.permutation(len(lengths)) if row not in chosen)
    while len(chosen) < n:
        chosen.add(next(spare))
    return sorted(chosen)


class SelfCheck:
    """Compares some rows of a replay, as its batches come, with each prompt alone.

    Parameters
    ----------
    model : PreTrainedModel
        The model that is replayed.
    dialogues : sequence of sequences of prompts
        What it reads.
    rows : sequence of StateRow
        What each row is, for messages.
    n : int
        Rows to check; 0 checks none.
    seed : int
        Decides which.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        dialogues: Sequence[Dialogue],
        rows: Sequence[StateRow],
        n: int,
        seed: int,
    ) -> None:
        self._model = model
        self._prompts = [prompt for prompts in dialogues for prompt in prompts]
        self._rows = rows
        self._chosen = chosen_rows(dialogues, n, seed)
        self._differences: list[tuple[float, float]] = []
        self._tolerance = TOLERANCES[str(model.dtype).removeprefix("torch.")]

    def look(self, batch: Batch) -> None:
        """Compare those rows of a batch that were chosen.

        Raises
        ------
        SyncR2Error
            If one differs by more than rounding.
        """
        mine = [row for row in self._chosen if 0 <= row - batch.begin < batch.hidden.shape[1]]
        if not mine:
            return
        values = batch.values()
        for row in mine:
            self._compare(row, values[:, row - batch.begin])

    def _compare(self, row: int, found: NDArray[np.float32]) -> None:
        if not np.isfinite(found).all():
            return  # Refused when it is stored, with its place.
        alone = states_alone(self._model, self._prompts[row])
        relative = relative_difference(torch.from_numpy(found), torch.from_numpy(alone))
        difference = float(np.abs(found - alone).max())
        if not relative <= self._tolerance:
            at = self._rows[row]
            dtype = str(self._model.dtype).removeprefix("torch.")
            raise SyncR2Error(
                f"{type(self._model).__name__}: the states of episode {at.episode_id}, seed {at.seed}, turn "
                f"{at.turn} differ from those of the same prompt read alone by {relative:.2g} of their size "
                f"(a single number by {difference:.3g}), where rounding in {dtype} explains up to "
                f"{self._tolerance:g}. In half precision, try the model with dtype: float32. If it differs "
                "there too, models of this class are not read rightly: please report its name and leave it "
                "out. states.self_check: 0 takes the states unchecked."
            )
        self._differences.append((difference, relative))

    @property
    def result(self) -> Checked:
        """The largest differences so far."""
        absolute, relative = zip(*self._differences, strict=True) if self._differences else ((0.0,), (0.0,))
        return Checked(len(self._differences), max(absolute), max(relative), self._tolerance)
