"""What is measured on outer folds, and its HDF5 layout.

A measure is R² of chosen maps by fold and source layer, with each environment's influence on it. SyncR² of
a measure is the mean over source layers of R² averaged over folds, raw or with negative layers set to 0 as
published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.hdf5 import reading, writing
from syncr2.ids import DIRECTIONS
from syncr2.maps.nested import Score, Selection

MEASURES_FORMAT = "syncr2/measures/1"


@dataclass(frozen=True)
class Measure:
    """R² of one source for one target on outer folds.

    Attributes
    ----------
    score : Score
        R², (n_folds, n_source_layers), and influences, (n_environments, n_source_layers); NaN where unknown.
    environments : tuple of str
        All that the folds were drawn over.
    n_samples : int
        Test rows over all folds.
    n_environments : int
        Those with test rows.
    chosen : Selection or None
        Penalty and target layer, (n_folds, n_source_layers) each.
    """

    score: Score
    environments: tuple[str, ...]
    n_samples: int
    n_environments: int
    chosen: Selection | None = None

    @property
    def choice(self) -> Selection:
        """What was chosen; for measures that have a penalty and target layer at all."""
        if self.chosen is None:
            raise SyncR2Error("This measure keeps no penalty and target layer.")
        return self.chosen

    @property
    def layers(self) -> NDArray[np.float64]:
        """R² of every source layer, the mean over the folds that could be scored."""
        return np.nanmean(self.score.r2, axis=0)

    def sync_r2(self, clipped: bool = True) -> float:
        """The mean over source layers; `clipped` sets negative layers to 0 first."""
        return float((np.maximum(self.layers, 0) if clipped else self.layers).mean())

    def sync_draws(self, multiplied: NDArray[np.float64], clipped: bool = True) -> NDArray[np.float64]:
        """The same for every bootstrap draw, (n_draws,).

        Parameters
        ----------
        multiplied : ndarray, shape (n_draws, n_environments)
            See `intervals.multipliers`.
        """
        draws = self.layers + multiplied @ self.score.influence
        return (np.maximum(draws, 0) if clipped else draws).mean(axis=1)


@dataclass(frozen=True)
class Measures:
    """Everything that was measured for one direction of one ordered pair.

    Attributes
    ----------
    by_name : dict
        `{(kind, name): Measure}`, such as `("plain", "interaction")`.
    groups : dict
        `{(fit, column, value): Measure}` of the interaction within a group of episodes; `fit` is
        `one` for the maps of all episodes and `separate` for maps of the group's own.
    """

    by_name: Mapping[tuple[str, str], Measure]
    groups: Mapping[tuple[str, str, str], Measure] = field(default_factory=dict)


def write_measures(path: str | Path, measured: Mapping[str, Measures], made_by: Mapping[str, Any]) -> None:
    """Write the measures of both directions of one ordered pair, whole or not at all."""
    with writing(path, MEASURES_FORMAT, made_by) as file:
        for direction in DIRECTIONS:
            _write_all(file, f"{direction}/measures", measured[direction].by_name)
            _write_all(file, f"{direction}/groups", measured[direction].groups)


def read_measures(path: str | Path) -> dict[str, Measures]:
    """Read what `write_measures` wrote.

    Raises
    ------
    SyncR2Error
        If the file is missing, cut off or of another format.
    """
    with reading(path, MEASURES_FORMAT) as file:
        return {
            direction: Measures(
                {(kind, name): measure for (kind, name), measure in _read_all(file, f"{direction}/measures")},
                {
                    (fit, column, value): measure
                    for (fit, column, value), measure in _read_all(file, f"{direction}/groups")
                },
            )
            for direction in DIRECTIONS
        }


def _write_all(file: h5py.File, where: str, measures: Mapping[Any, Measure]) -> None:
    file.create_group(where)
    for i, (key, measure) in enumerate(measures.items()):
        # Values of columns are free text; only their number is a path.
        group = file.create_group(f"{where}/{i}")
        group.attrs["key"] = list(key)
        group.attrs["environments"] = list(measure.environments)
        group.attrs["n_samples"] = measure.n_samples
        group.attrs["n_environments"] = measure.n_environments
        group.create_dataset("r2", data=measure.score.r2)
        group.create_dataset("influence", data=measure.score.influence)
        if measure.chosen is not None:
            group.create_dataset("penalty", data=measure.chosen.penalty)
            group.create_dataset("target_layer", data=measure.chosen.target_layer)


def _read_all(file: h5py.File, where: str) -> Iterator[tuple[Iterable[str], Measure]]:
    for group in sorted(file[where].values(), key=lambda part: int(part.name.rsplit("/", 1)[1])):
        chosen = Selection(group["penalty"][()], group["target_layer"][()]) if "penalty" in group else None
        score = Score(group["r2"][()], group["influence"][()])
        measure = Measure(
            score,
            tuple(str(name) for name in group.attrs["environments"]),
            int(group.attrs["n_samples"]),
            int(group.attrs["n_environments"]),
            chosen,
        )
        yield tuple(str(part) for part in group.attrs["key"]), measure
