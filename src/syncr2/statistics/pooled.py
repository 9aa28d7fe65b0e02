"""What corrected measures say over pairs: values with the influence of every environment on them.

An estimate of a pair is the mean over directions and speaking orders, of a family the mean over its pairs;
environments' influences are averaged alike, since all pairs play the same ones. The sum of their squares is
the cluster jackknife variance (see `maps.intervals`); with as many bootstrap draws as one likes, intervals
over environments become those of Student's t here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.ids import DIRECTIONS, OrderedPair, pair_family, played_orders
from syncr2.maps.intervals import LEVEL
from syncr2.protocols.measures import Measure, Measures
from syncr2.statistics.dyads import ALL

Pair = tuple[str, str]
Measured = Mapping[OrderedPair, Mapping[str, Measures]]


class Estimate(NamedTuple):
    """A value, or several, and what each environment contributes to it.

    Attributes
    ----------
    value : ndarray, shape (k,)
    influence : ndarray, shape (n_environments, k)
    environments : tuple of str
    """

    value: NDArray[np.float64]
    influence: NDArray[np.float64]
    environments: tuple[str, ...]

    @classmethod
    def of_layers(cls, measure: Measure) -> Estimate:
        """R² of every source layer."""
        return cls(measure.layers, measure.score.influence, measure.environments)

    @classmethod
    def mean(cls, estimates: Sequence[Estimate]) -> Estimate:
        """The mean of estimates over the same environments."""
        environments = estimates[0].environments
        if any(each.environments != environments for each in estimates):
            raise SyncR2Error(
                "Corrected measures of different pairs rest on different environments. They must come from "
                "one run: delete the folder controls below the results and run again."
            )
        return cls(
            np.mean([each.value for each in estimates], axis=0),
            np.mean([each.influence for each in estimates], axis=0),
            environments,
        )

    def combined(self, weights: NDArray[np.float64]) -> Estimate:
        """Weighted sums of the values, (m,), with weights (m, k)."""
        return self._replace(value=weights @ self.value, influence=self.influence @ weights.T)

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard errors, (k,)."""
        return np.sqrt((self.influence**2).sum(axis=0))

    @property
    def n_environments(self) -> int:
        """Environments that contribute to any of the values."""
        return int((self.influence != 0).any(axis=1).sum())

    def interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ends of the 95 % intervals, (k,) each; NaN from fewer than two environments."""
        from scipy import stats

        df = self.n_environments - 1
        if df < 1:
            nothing = np.full_like(self.value, np.nan)
            return nothing, nothing
        reach = stats.t.ppf((1 + LEVEL) / 2, df) * self.error
        return self.value - reach, self.value + reach


class Scope(NamedTuple):
    """One row's pairs: one pair, a family, or all.

    Attributes
    ----------
    level : {"pair", "family", "all"}
    who : dict
        `model_1`, `model_2` (empty but for a pair) and `family`.
    pairs : list of (model, model)
    """

    level: str
    who: dict[str, Any]
    pairs: list[Pair]


def scopes(pairs: Sequence[Pair], families: Mapping[str, str], each: bool = True) -> Iterator[Scope]:
    """Each pair (unless told otherwise), each family, all."""
    kind = {pair: pair_family(*pair, families) for pair in pairs}
    if each:
        for pair in pairs:
            who = {"model_1": pair[0], "model_2": pair[1], "family": kind[pair]}
            yield Scope("pair", who, [pair])
    for family in dict.fromkeys(kind.values()):
        who = {"model_1": "", "model_2": "", "family": family}
        yield Scope("family", who, [pair for pair in pairs if kind[pair] == family])
    yield Scope("all", {"model_1": "", "model_2": "", "family": ALL}, list(pairs))


def directions(measured: Measured, pair: Pair) -> list[Measures]:
    """Both directions of each speaking order."""
    return [
        measured[order][direction] for order in played_orders(*pair, measured) for direction in DIRECTIONS
    ]


def by_pair(
    measured: Measured, pairs: Sequence[Pair], make: Callable[[Measures], Estimate]
) -> dict[Pair, Estimate]:
    """An estimate of every pair from those of its directions."""
    return {pair: Estimate.mean([make(each) for each in directions(measured, pair)]) for pair in pairs}
