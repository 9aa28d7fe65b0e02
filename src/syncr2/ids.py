"""Names of things: pairs, conditions, readings, families.

A pair of models is *ordered* where it names who speaks first (`agent1--agent2`) and *unordered* where both
speaking orders are pooled. A condition says which state is the source and how far away the target is; a
reading says with which prompt a dialogue was replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

PAIR_SEPARATOR = "--"
DIRECTIONS = ("agent1_to_agent2", "agent2_to_agent1")
READINGS = ("engaged", "passive")
CROSS_FAMILY = "cross"


class OrderedPair(NamedTuple):
    """Two models by name; the first speaks first."""

    agent1: str
    agent2: str

    @property
    def id(self) -> str:
        """The name in paths, `agent1--agent2`."""
        return f"{self.agent1}{PAIR_SEPARATOR}{self.agent2}"

    @classmethod
    def parse(cls, pair_id: str) -> OrderedPair:
        """The inverse of `id`; model names never hold the separator (the schema sees to it)."""
        agent1, agent2 = pair_id.split(PAIR_SEPARATOR)
        return cls(agent1, agent2)


class Condition(NamedTuple):
    """Which source state is mapped to which target state.

    Attributes
    ----------
    name : str
        `interaction`, `passive` or `lag{k}`.
    source_reading : str
        Reading that the source state is taken from; the target is always `engaged`.
    lag : int
        Turns from source to target, odd.
    """

    name: str
    source_reading: str
    lag: int


INTERACTION = Condition("interaction", "engaged", 1)


def conditions(passive: bool, lags: Iterable[int]) -> tuple[Condition, ...]:
    """Every condition of an experiment, the interaction first."""
    found = [INTERACTION]
    if passive:
        found.append(Condition("passive", "passive", 1))
    found += [Condition(f"lag{lag}", "engaged", lag) for lag in lags]
    return tuple(found)


def unordered_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair of models, self-pairs included, each once, in the order of `names`."""
    return [(first, second) for i, first in enumerate(names) for second in names[i:]]


def speaking_orders(first: str, second: str) -> list[OrderedPair]:
    """The ordered pairs of an unordered one: two, or one for a model with itself."""
    orders = [OrderedPair(first, second)]
    if first != second:
        orders.append(OrderedPair(second, first))
    return orders


def pair_family(first: str, second: str, family: Mapping[str, str]) -> str:
    """The family of a pair of models: theirs if they share it, else `cross`."""
    return family[first] if family[first] == family[second] else CROSS_FAMILY
