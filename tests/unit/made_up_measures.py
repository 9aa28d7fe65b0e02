"""Corrected measures of made-up pairs, with a value in every environment and source layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from syncr2.ids import DIRECTIONS, OrderedPair, speaking_orders
from syncr2.maps.nested import Score
from syncr2.protocols.measures import Measure, Measures


def measure(by_environment: np.ndarray, environments: Sequence[str]) -> Measure:
    """A measure whose value is the mean over environments, (n_environments, n_layers), with its jackknife."""
    n = len(by_environment)
    mean = by_environment.mean(axis=0)
    influence = (by_environment - mean) / np.sqrt(n * (n - 1))
    return Measure(Score(np.stack([mean, mean]), influence), tuple(environments), 10 * n, n)


def measured(
    values: Mapping[tuple[str, str], np.ndarray], environments: Sequence[str]
) -> dict[OrderedPair, dict[str, Measures]]:
    """The same values for all directions and speaking orders of each unordered pair."""
    found = {}
    for pair, by_environment in values.items():
        made = Measures({("plain", "interaction"): measure(by_environment, environments)})
        for order in speaking_orders(*pair):
            found[order] = dict.fromkeys(DIRECTIONS, made)
    return found
