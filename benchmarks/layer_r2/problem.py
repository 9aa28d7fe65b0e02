"""The made-up data on which all competitors run, and the order in which parts of the job are timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from syncr2.store import CHUNK_ROWS

SIDES = ("source", "target")
TEST_SHARE = 0.2
# Test R² of the first and of the last target layer; those between lie between.
WEAKEST, STRONGEST = 0.3, 0.6


@dataclass(frozen=True)
class Problem:
    """One job: the R² matrices of all layer pairs for one or several splits of the rows.

    Attributes
    ----------
    samples, layers, width : int
        Rows, layers of the source and of the target, and d; training and test rows together.
    splits : int
        Random splits of the rows into 80 % for training and 20 % for the test.
    penalty : float
    """

    samples: int
    layers: int
    width: int
    splits: int = 1
    penalty: float = 0.1

    @property
    def n_test(self) -> int:
        return round(TEST_SHARE * self.samples)

    @property
    def n_train(self) -> int:
        return self.samples - self.n_test

    @property
    def rank(self) -> int:
        """Dimensions of the signal that all layers share: few enough to be seen through the noise."""
        return min(32, max(2, self.width // 16))


SIZES = {
    "tiny": Problem(samples=200, layers=3, width=32),
    "small": Problem(samples=1500, layers=8, width=512),
    "medium": Problem(samples=3000, layers=16, width=2048),
    "full": Problem(samples=6500, layers=32, width=4096),
}


class Split(NamedTuple):
    """Row numbers of one split."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]


def split(problem: Problem, number: int) -> Split:
    """Rows of one split, drawn by its number."""
    order = np.random.default_rng([1, number]).permutation(problem.samples)
    return Split(np.sort(order[: problem.n_train]), np.sort(order[problem.n_train :]))


def layer_values(problem: Problem, side: str, layer: int) -> NDArray[np.float16]:
    """States of one layer, (samples, width).

    Every layer is a mix of the same `rank` latent variables, and noise. A least-squares map with d inputs
    from n rows multiplies what is left unexplained by about 1 / (1 − d / n), so the noise is that much
    smaller than 1 − R² where it can be. As in real models some dimensions, the same in all layers, are 50 to
    1,000 times larger than the rest and lie off zero.
    """
    shared = np.random.default_rng(2).standard_normal((problem.samples, problem.rank), dtype=np.float32)
    rng = np.random.default_rng([3, SIDES.index(side), layer])
    loadings = rng.standard_normal((problem.rank, problem.width), dtype=np.float32)
    depth = layer / max(1, problem.layers - 1)
    wanted = WEAKEST + (STRONGEST - WEAKEST) * depth
    noise = (1 - wanted) * max(0.1, 1 - problem.width / problem.n_train)
    values = rng.standard_normal((problem.samples, problem.width), dtype=np.float32) * np.sqrt(noise)
    values += shared @ (loadings * np.sqrt((1 - noise) / problem.rank))
    outliers, scale = _outliers(problem, side)
    values[:, outliers] = (values[:, outliers] + 3) * scale
    return values.astype(np.float16)


def _outliers(problem: Problem, side: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    rng = np.random.default_rng([4, SIDES.index(side)])
    count = max(2, problem.width // 500)
    chosen = rng.choice(problem.width, count, replace=False)
    return chosen, np.geomspace(50, 1000, count).astype(np.float32)


def write_states(problem: Problem, path: Path) -> None:
    """Both sides as the store keeps states: layer-major, float16, one chunk a layer."""
    with h5py.File(path, "w") as file:
        for side in SIDES:
            shape = (problem.layers, problem.samples, problem.width)
            chunks = (1, min(problem.samples, CHUNK_ROWS), problem.width)
            states = file.create_dataset(side, shape, dtype="float16", chunks=chunks)
            for layer in range(problem.layers):
                states[layer] = layer_values(problem, side, layer)


def layer_order(layers: int) -> list[int]:
    """A fixed shuffle, so that the first few layers timed are from all depths."""
    return [int(layer) for layer in np.random.default_rng(5).permutation(layers)]


def source_units(problem: Problem) -> list[tuple[int, int]]:
    """(split, source layer), in the order of timing."""
    return [(number, layer) for number in range(problem.splits) for layer in layer_order(problem.layers)]


def pair_units(problem: Problem) -> list[tuple[int, int, int]]:
    """(split, source layer, target layer), in the order of timing: a growing square of the first layers.

    So the pairs timed first lie within what stacked competitors time first, and can be compared with it.
    """
    order = layer_order(problem.layers)
    places = sorted(np.ndindex(problem.layers, problem.layers), key=lambda place: (max(place), place))
    return [(number, order[i], order[j]) for number in range(problem.splits) for i, j in places]


def stack(layers: Sequence[NDArray]) -> NDArray:
    """Layers side by side, (rows, n_layers · width)."""
    return np.concatenate(layers, axis=1)
