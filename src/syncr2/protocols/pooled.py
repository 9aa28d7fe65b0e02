"""A value and its bootstrap draws, averaged over directions, speaking orders or pairs.

Draws are shared by all that rests on the same environments (`maps.intervals`), so a difference or a mean
of pooled values has an interval of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from syncr2.maps.intervals import Interval, interval, multipliers
from syncr2.protocols.measures import Measure


@lru_cache(maxsize=4)
def multipliers_of(environments: tuple[str, ...], n_draws: int) -> NDArray[np.float64]:
    """The multipliers of these environments, (n_draws, n_environments), made once."""
    return multipliers(environments, n_draws)


class Pooled:
    """A value and its draws; differences keep draws together.

    Parameters
    ----------
    value : float
    draws : ndarray, shape (n_draws,)
    """

    def __init__(self, value: float, draws: NDArray[np.float64]) -> None:
        self.value, self.draws = value, draws

    @classmethod
    def of(cls, measures: Iterable[Measure], n_draws: int, clipped: bool = False) -> Pooled:
        """The mean over measures, such as directions; `clipped` sets negative layers to 0 first."""
        parts = [
            (each.sync_r2(clipped), each.sync_draws(multipliers_of(each.environments, n_draws), clipped))
            for each in measures
        ]
        return cls(
            float(np.mean([value for value, _ in parts])), np.mean([draws for _, draws in parts], axis=0)
        )

    @classmethod
    def mean(cls, pooled: Sequence[Pooled]) -> Pooled:
        """The mean, each counting the same."""
        return cls(
            float(np.mean([each.value for each in pooled])), np.mean([each.draws for each in pooled], axis=0)
        )

    def __sub__(self, other: Pooled) -> Pooled:
        return Pooled(self.value - other.value, self.draws - other.draws)

    def __truediv__(self, other: Pooled) -> Pooled:
        return Pooled(self.value / other.value, self.draws / other.draws)

    def interval(self) -> Interval:
        """The value with its 95 % interval; NaN where there are no draws."""
        return interval(self.value, self.draws)

    def columns(self, value: str, low: str = "low", high: str = "high") -> dict[str, float]:
        """The interval under these names of columns."""
        return dict(zip((value, low, high), self.interval(), strict=True))
