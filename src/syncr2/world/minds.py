"""Hidden states of two people: what they are, what can be known of them, and how they move."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import NamedTuple

from syncr2.world.sentences import Said
from syncr2.world.setting import TOP, Game, Traits
from syncr2.world.tendencies import HARSH, KIND

# Probability that a mood jumps anywhere, and that a demand does.
NEWS, SURPRISE = 0.35, 0.2
# How much of the partner's shown valence a mood takes up.
CONTAGION_WARM, CONTAGION_COOL = 0.7, 0.4
MOST_TRUST = 4


class Signs(NamedTuple):
    """What one can know of a partner's hidden state from what it said.

    Attributes
    ----------
    valence : int
        Shown in the last turn, -2..2.
    act : str
        Last act; "silence" if there was none.
    offer : int or None
        What its last offer is worth to oneself, 0..8.
    gave : int
        By how much that offer was better for oneself than the one before; 0 unless the last turn made it.
    """

    valence: int = 0
    act: str = "silence"
    offer: int | None = None
    gave: int = 0


@dataclass(frozen=True)
class Mind:
    """The hidden state of one person: mood -2..2, trust 0..4, demand (own utility, 0..8); and its past.

    `settled` is None until one has agreed, then the number of own turns since; `turns` counts own turns.
    """

    mood: int
    trust: int
    demand: int
    turns: int = 0
    settled: int | None = None
    last_act: str = ""


class Role(NamedTuple):
    """Who responds, in what situation: names are its own and its partner's."""

    game: Game
    agent: int
    traits: Traits
    names: tuple[str, str]
    secret: str


def first_mind(role: Role, relationship: int, rng: random.Random) -> Mind:
    """The state before the first word: trust by relationship, any mood, a high demand."""
    mood = uniform(rng, -2, 2)
    return Mind(
        mood, first_trust(relationship), max(role.game.limits[role.agent - 1], TOP - uniform(rng, 0, 2))
    )


def first_trust(relationship: int) -> int:
    """Strangers begin with 1, friends with 2, couples and relatives with 3."""
    return 1 + relationship // 2 if relationship < 4 else 3


def heard(role: Role, before: Signs, said: Said, level: int | None) -> Signs:
    """Signs after the partner's next turn."""
    if said.act != "offer" or level is None:
        return Signs(said.valence, said.act, before.offer, 0)
    offer = role.game.utility(role.agent, level)
    return Signs(said.valence, "offer", offer, 0 if before.offer is None else offer - before.offer)


def moved(role: Role, mind: Mind, signs: Signs, rng: random.Random) -> Mind:
    """The hidden state after the signs, before one acts.

    With probability `NEWS` the mood is anything; else it takes up a part of the valence shown, and one step
    up or down for what was done. Trust goes a step with kind and harsh acts. The demand is anything above the
    limit with probability `SURPRISE`; else it comes down, faster for who is hasty, of good mood, or given
    something, and not at all after harsh words.
    """
    jump, anything, rounding, surprise, any_demand = (rng.random() for _ in range(5))
    good = signs.act in KIND or signs.gave > 0
    bad = signs.act in HARSH or signs.gave < 0
    if jump < NEWS:
        mood = int(anything * 5) - 2
    else:
        share = CONTAGION_WARM if role.traits.warm else CONTAGION_COOL
        pulled = (1 - share) * mind.mood + share * signs.valence + good - bad
        mood = max(-2, min(2, math.floor(pulled + rounding)))
    trust = max(0, min(MOST_TRUST, mind.trust + good - bad))
    limit = role.game.limits[role.agent - 1]
    if surprise < SURPRISE:
        demand = limit + int(any_demand * (TOP - limit + 1))
    else:
        step = (not role.traits.patient) + (mood > 0) + min(2, max(0, signs.gave))
        demand = max(limit, mind.demand - (0 if bad else step))
    settled = mind.settled
    if settled is not None:
        settled += 1
    elif signs.act == "accept":
        settled = 0
    return replace(mind, mood=mood, trust=trust, demand=demand, settled=settled)


def uniform(rng: random.Random, low: int, high: int) -> int:
    """A whole number from `low` to `high`, each equally likely."""
    return low + int(rng.random() * (high - low + 1))
