"""What an episode plays for, read from its scenario and goals; and what an agreement is worth."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from syncr2.sotopia import markup
from syncr2.sotopia.scenarios import Environment

Gains = tuple[float, float]

_COUNTED = re.compile(r"\b(\d+)\s+([a-z]+)\b", re.IGNORECASE)
# With or without commas between thousands, and written so that no text takes long to search.
FIGURE = r"(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
MONEY = r"\$\s?" + FIGURE
_ROLE = re.compile(r"\b(buyer|seller)\b", re.IGNORECASE)
_FRIEND = re.compile(r"common friends?:\s*([^.,<]+)", re.IGNORECASE)
_FEWEST_ITEMS = 2


class Worth(NamedTuple):
    """What an outcome is worth. NaN stands where a game has no such value.

    Attributes
    ----------
    gains : tuple of float
        Of agent 1 and agent 2, each on a scale that both share (see the games).
    pareto_distance : float
        Euclidean distance from the gains to the nearest outcome that no other betters for both and that is no
        worse for either; 0 on the frontier.
    fairness : float
        1 less the difference between the gains; NaN without an agreement.
    """

    gains: Gains
    pareto_distance: float
    fairness: float


@dataclass(frozen=True)
class Division:
    """Items to be divided; gains are points over those for all items together.

    Attributes
    ----------
    items : tuple of str
        Singular nouns.
    counts : tuple of int
        How many there are of each.
    values : tuple of tuple of float
        Points that one of each is worth to agent 1, and to agent 2.
    """

    items: tuple[str, ...]
    counts: tuple[int, ...]
    values: tuple[tuple[float, ...], tuple[float, ...]]

    kind = "division"

    def points(self, share: Sequence[int]) -> tuple[float, float]:
        """Points of both when agent 1 gets `share` of the items and agent 2 the others."""
        rest = [n - got for n, got in zip(self.counts, share, strict=True)]
        first, second = self.values
        return (
            sum(value * n for value, n in zip(first, share, strict=True)),
            sum(value * n for value, n in zip(second, rest, strict=True)),
        )

    def worth(self, share: Sequence[int] | None) -> Worth:
        """Worth of a division; None: no agreement, and no points."""
        gains = (0.0, 0.0) if share is None else self.gains(share)
        no_worse = [end for end in _frontier(self) if end[0] >= gains[0] and end[1] >= gains[1]]
        return Worth(
            gains, min(math.dist(gains, end) for end in no_worse), _fairness(gains, share is not None)
        )

    def gains(self, share: Sequence[int]) -> Gains:
        """Points of both over what all items together are worth to each."""
        first, second = (
            sum(value * n for value, n in zip(values, self.counts, strict=True)) for values in self.values
        )
        points = self.points(share)
        return points[0] / first, points[1] / second


@dataclass(frozen=True)
class Bargain:
    """A price to agree on; gains are what the price is better than one's target, over the list price.

    Attributes
    ----------
    listed : float
        The price that is asked for at first.
    targets : tuple of float
        Of agent 1 and agent 2.
    buyer : int
        Which agent buys, 1 or 2.
    """

    listed: float
    targets: tuple[float, float]
    buyer: int

    kind = "bargaining"

    def worth(self, price: float | None) -> Worth:
        """Worth of a price; None: no agreement, nothing gained or lost.

        One's gain is the other's loss, so every price lies on the frontier. Without a price both stand at 0,
        which is on it, too, unless the targets leave something between them.
        """
        left = self.targets[self.buyer - 1] - self.targets[2 - self.buyer]
        if price is None:
            return Worth((0.0, 0.0), max(0.0, left / self.listed) / math.sqrt(2.0), math.nan)
        signs = (1.0, -1.0) if self.buyer == 1 else (-1.0, 1.0)
        first, second = (
            sign * (target - price) / self.listed for sign, target in zip(signs, self.targets, strict=True)
        )
        return Worth((first, second), 0.0, _fairness((first, second), True))


@dataclass(frozen=True)
class MutualFriend:
    """A friend whom both know, to be found out by talking; both gain 1 or nothing."""

    name: str

    kind = "mutual_friend"

    def worth(self, found: bool | None) -> Worth:
        """Worth of having found the friend."""
        gains = (1.0, 1.0) if found else (0.0, 0.0)
        return Worth(gains, math.nan, math.nan)


Game = Division | Bargain | MutualFriend


def game_of(environment: Environment) -> Game | None:
    """What an environment plays for, or None if it does not say so in figures.

    A division: at least two kinds of counted things in the scenario ("3 hats, 2 balls"), each worth points in
    both goals. A bargain: a price in dollars in the scenario, a buyer and a seller with a target each. A
    friend: the note for the environment that names the one common friend.
    """
    scenario = markup.visible(environment.scenario, markup.ENVIRONMENT)
    goals = [markup.visible(goal, markup.ENVIRONMENT) for goal in environment.goals]
    return _division(scenario, goals) or _bargain(scenario, goals) or _friend(scenario, goals)


def singular(noun: str) -> str:
    """Books to book; no more grammar than the lists need."""
    noun = noun.lower()
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun


def _division(scenario: str, goals: Sequence[str]) -> Division | None:
    counts: dict[str, int] = {}
    for number, noun in _COUNTED.findall(scenario):
        counts.setdefault(singular(noun), int(number))
    values = [[_points(noun, goal) for noun in counts] for goal in goals]
    known = [
        (noun, n, (first, second))
        for (noun, n), first, second in zip(counts.items(), *values, strict=True)
        if first is not None and second is not None and n > 0
    ]
    if len(known) < _FEWEST_ITEMS:
        return None
    first, second = (tuple(float(pair[i]) for _, _, pair in known) for i in (0, 1))
    if not sum(first) or not sum(second):
        return None
    return Division(tuple(noun for noun, _, _ in known), tuple(n for _, n, _ in known), (first, second))


def _points(noun: str, goal: str) -> float | None:
    # From the noun to its points there is neither another figure nor the next part of the list.
    found = re.search(rf"\b{noun}s?\b[^,.;\d]*?(\d+(?:\.\d+)?)\s+points?\b", goal, re.IGNORECASE)
    return float(found[1]) if found else None


def _bargain(scenario: str, goals: Sequence[str]) -> Bargain | None:
    listed = re.search(MONEY, scenario)
    roles = [{role.lower() for role in _ROLE.findall(goal)} for goal in goals]
    targets = [re.findall(MONEY, goal) for goal in goals]
    if not listed or roles not in ([{"buyer"}, {"seller"}], [{"seller"}, {"buyer"}]):
        return None
    if any(len(target) != 1 for target in targets) or not amount(listed[1]):
        return None
    first, second = (amount(target[0]) for target in targets)
    return Bargain(amount(listed[1]), (first, second), 1 if roles[0] == {"buyer"} else 2)


def amount(written: str) -> float:
    """A figure such as 1,250.00."""
    return float(written.replace(",", ""))


def _friend(scenario: str, goals: Sequence[str]) -> MutualFriend | None:
    found = _FRIEND.search(scenario)
    name = found[1].strip() if found else ""
    # One friend, and both know it.
    known = bool(name) and " and " not in name and all(re.search(rf"\b{re.escape(name)}\b", g) for g in goals)
    return MutualFriend(name) if known else None


@functools.cache
def _frontier(game: Division) -> tuple[Gains, ...]:
    """Gains of the divisions that no other betters for one without being worse for the other."""
    every = itertools.product(*(range(n + 1) for n in game.counts))
    possible = sorted({game.gains(share) for share in every}, reverse=True)
    best = -1.0
    frontier = []
    for gains in possible:  # agent 1 from best to worst: what counts is where agent 2 does better than before
        if gains[1] > best:
            frontier.append(gains)
            best = gains[1]
    return tuple(frontier)


def _fairness(gains: Gains, agreed: bool) -> float:
    return 1.0 - abs(gains[0] - gains[1]) if agreed else math.nan
