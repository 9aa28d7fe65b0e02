"""Names of things: pairs, conditions, readings, families.

A pair of models is *ordered* where it names who speaks first (`agent1--agent2`) and *unordered* where both
speaking orders are pooled. A condition says which state is the source and how far away the target is; a
reading says with which prompt a dialogue was replayed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

PAIR_SEPARATOR = "--"
DIRECTIONS = ("agent1_to_agent2", "agent2_to_agent1")
READINGS = ("engaged", "passive", "untrained")
CROSS_FAMILY = "cross"
# Where jobs leave their records, below the results; `job_records` writes them.
JOB_RECORDS = PurePosixPath("provenance", "jobs")


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
        It stands in paths and tables.
    source_reading : str
        Reading that the source state is taken from.
    lag : int
        Turns from source to target: the target at turn t + lag meets the source at turn t. Odd between
        partners, even within one agent; below 0 the source comes after its target.
    target_reading : str
        Reading that the target state is taken from.
    source_agent : {"partner", "self"}
        Whether the source is a state of the target agent's partner or of the target agent itself.
    dialogue : {"same", "other"}
        Whether the source stands in the target's own dialogue, or in the one that the same models played of
        the same episode with another seed of generation (see `samples.join`).
    """

    name: str
    source_reading: str
    lag: int
    target_reading: str = "engaged"
    source_agent: str = "partner"
    dialogue: str = "same"

    @property
    def is_interaction(self) -> bool:
        """Whether it is the interaction at some lag: nothing but the lag sets it apart."""
        return self._replace(name=INTERACTION.name, lag=INTERACTION.lag) == INTERACTION


INTERACTION = Condition("interaction", "engaged", 1)
PASSIVE = Condition("passive", "passive", 1)
UNTRAINED = Condition("untrained", "untrained", 1, target_reading="untrained")
PSEUDO = Condition("pseudo", "engaged", 1, dialogue="other")


def conditions(
    passive: bool, lags: Iterable[int], untrained: bool = False, pseudo: bool = False
) -> tuple[Condition, ...]:
    """Every condition of an experiment: the interaction, the published controls, the others."""
    return (
        INTERACTION,
        *([PASSIVE] if passive else []),
        *(Condition(f"lag{lag}", "engaged", lag) for lag in lags),
        *([UNTRAINED] if untrained else []),
        *([PSEUDO] if pseudo else []),
    )


def unordered_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair of models, self-pairs included, each once, in the order of `names`."""
    return [(first, second) for i, first in enumerate(names) for second in names[i:]]


def speaking_orders(first: str, second: str) -> list[OrderedPair]:
    """The ordered pairs of an unordered one: two, or one for a model with itself."""
    orders = [OrderedPair(first, second)]
    if first != second:
        orders.append(OrderedPair(second, first))
    return orders


def played_orders(first: str, second: str, played: Container[OrderedPair]) -> list[OrderedPair]:
    """The speaking orders of an unordered pair that a run has played: `speaking_orders` of its configuration.

    Raises
    ------
    KeyError
        If it has played none of them.
    """
    orders = [order for order in speaking_orders(first, second) if order in played]
    if not orders:
        raise KeyError(f"{first} and {second}: neither speaking order was played")
    return orders


def pair_family(first: str, second: str, family: Mapping[str, str]) -> str:
    """The family of a pair of models: theirs if they share it, else `cross`."""
    return family[first] if family[first] == family[second] else CROSS_FAMILY
