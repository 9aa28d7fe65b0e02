"""Situations and people of the world, in Sotopia's form, and how a situation is read back from its text."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from syncr2.errors import SyncR2Error
from syncr2.files import sha256_text, write_json
from syncr2.sotopia.episodes import RELATIONSHIPS, Environment, Episode, Profile
from syncr2.sotopia.reading import ENVIRONMENTS, EPISODES, PROFILES
from syncr2.world.sentences import LEVEL_KINDS, grammar, pattern

KINDS = (*LEVEL_KINDS, "comfort", "secret")
# Levels go from 0 to this; what one gets of it, the other does not.
TOP = 8
TEMPERS = {"gentle": "sadness", "proud": "anger", "shy": "fear", "picky": "disgust"}

# kind: (word list of the thing, scenario, goal of who leads or wants a high level, goal of the other)
_TEXTS: dict[str, tuple[str, str, str, str]] = {
    "bargain": (
        "goods",
        "The {thing} is for sale at {place}, for {low} to {high} euros.",
        "Sell the {thing} for as much as you can. Your limit is {limit} euros.",
        "Buy the {thing} for as little as you can. Your limit is {limit} euros.",
    ),
    "split": (
        "shares",
        "At {place} two people share {low} to {high} {thing}.",
        "Get as many of the {thing} as you can. Your limit is {limit}.",
        "Get as many of the {thing} as you can. Your limit is {limit}.",
    ),
    "plan": (
        "events",
        "The {thing} at {place} needs an hour, from {low} to {high} o'clock.",
        "Have the {thing} as late as you can. Your limit is {limit} o'clock.",
        "Have the {thing} as early as you can. Your limit is {limit} o'clock.",
    ),
    "persuade": (
        "chores",
        "Somebody needs help with the {thing} at {place}, for {low} to {high} hours.",
        "Get as many hours of help with the {thing} as you can. Your limit is {limit} hours.",
        "Give as few hours of help with the {thing} as you can. Your limit is {limit} hours.",
    ),
    "comfort": (
        "troubles",
        "Two people meet at {place} after the {troubles}.",
        "Comfort the other over the {troubles}.",
        "Be heard, and feel better about the {troubles}.",
    ),
    "secret": (
        "places",
        "Two people meet at {place}, and there are rumours.",
        "Find out what the other hides.",
        "Keep your secret to yourself.",
    ),
}


class Traits(NamedTuple):
    """A personality: whether one is warm and patient, and the emotion that a bad mood shows as."""

    warm: bool
    patient: bool
    temper: str


@dataclass(frozen=True)
class Game:
    """What an episode is about.

    Attributes
    ----------
    kind : str
        One of `KINDS`; the first four have levels that can be agreed on.
    thing : str
        What is sold, shared, planned, or worked on; "" for the other kinds.
    low, step : int
        Level 0 is the number `low`, and each level adds `step`.
    lead : {1, 2}
        Who wants a high level; of the other kinds: who comforts, who asks.
    limits : tuple of int
        The least utility, 0..8, that agent 1 and agent 2 should accept.
    """

    kind: str
    thing: str
    low: int
    step: int
    lead: int
    limits: tuple[int, int]

    @property
    def has_levels(self) -> bool:
        """Whether there is something to agree on."""
        return self.kind in LEVEL_KINDS

    def utility(self, agent: int, level: int) -> int:
        """What a level is worth to an agent, 0..8; and the level that is worth so much."""
        return level if agent == self.lead else TOP - level

    def number(self, agent: int, level: int) -> int:
        """The number that an agent says for a level: when sharing, its own part; else the same for both."""
        return self.utility(agent, level) if self.kind == "split" else self.low + self.step * level

    def level(self, agent: int, number: int) -> int | None:
        """The level that an agent means by a number; None if there is none such."""
        level, rest = divmod(number - self.low, self.step)
        if rest or not 0 <= level <= TOP:
            return None
        return self.utility(agent, level) if self.kind == "split" else level


def seed_of(*parts: object) -> int:
    """A seed from what it is for."""
    return int(sha256_text("\0".join(map(str, parts)))[:16], 16)


def draw_environment(seed: int, number: int, kind: str | None = None) -> Environment:
    """One situation, from seed and number alone; every kind and relationship is equally likely.

    Parameters
    ----------
    seed, number : int
    kind : str, optional
        Instead of drawing it.
    """
    rng = random.Random(seed_of("environment", seed, number))
    drawn = KINDS[int(rng.random() * len(KINDS))]
    kind = kind or drawn
    words = grammar().words
    name, scenario, *goals = _TEXTS[kind]
    thing, place = _one(rng, words[name]), _one(rng, words["places"])
    lows = {
        "bargain": (10, 20, 40, 60, 100),
        "split": (0,),
        "plan": (8, 9, 10, 11, 12),
        "persuade": (0, 1, 2),
    }
    low = _one(rng, lows.get(kind, (0,)))
    step = _one(rng, (1, 2, 5, 10)) if kind == "bargain" else 1
    lead = 1 if rng.random() < 0.5 else 2
    limits = (1 + int(rng.random() * 3), 1 + int(rng.random() * 3))
    if kind == "split":
        lead = 1  # both goals are the same
    game = Game(kind, thing, low, step, lead, limits)
    filled = {"thing": thing, "troubles": thing, "place": place, "low": low, "high": low + TOP * step}
    texts = [
        goal.format(**filled, limit=game.number(agent, game.utility(agent, limits[agent - 1])))
        for goal, agent in zip(goals, (lead, 3 - lead), strict=True)
    ]
    relationship = int(rng.random() * len(RELATIONSHIPS))
    ordered = (texts[0], texts[1]) if lead == 1 else (texts[1], texts[0])
    return Environment(
        f"world-{seed}-{number}", scenario.format(**filled), ordered, relationship, {"kind": kind}
    )


def draw_profile(seed: int, number: int, name: str) -> Profile:
    """A person: warm or cool, patient or hasty, one of four tempers, and a secret."""
    rng = random.Random(seed_of("profile", seed, number, name))
    traits = [_one(rng, pair) for pair in (("warm", "cool"), ("patient", "hasty"), tuple(TEMPERS))]
    secret = _one(rng, grammar().words["secrets"])
    text = f"{traits[0]}, {traits[1]} and {traits[2]}"
    return Profile(f"person-{seed}-{number}-{name.lower()}", name, personality=text, secret=secret)


def draw_episode(seed: int, number: int) -> Episode:
    """An episode of its own environment and two people of its own: the training set is made of these."""
    rng = random.Random(seed_of("episode", seed, number))
    names = list(grammar().words["names"])
    first = names.pop(int(rng.random() * len(names)))
    people = draw_profile(seed, number, first), draw_profile(seed, number, _one(rng, names))
    return Episode(f"episode-{seed}-{number}", number, draw_environment(seed, number), people)


def traits_of(profile: Profile) -> Traits:
    """Read a personality back.

    Raises
    ------
    SyncR2Error
        If the profile is not of the world.
    """
    found = re.fullmatch(
        rf"(warm|cool), (patient|hasty) and ({'|'.join(TEMPERS)})", profile.personality or ""
    )
    if not found:
        raise SyncR2Error(
            f"Profile {profile.id}: the personality {profile.personality!r} is none of the toy world, such "
            "as 'warm, hasty and shy'."
        )
    return Traits(found[1] == "warm", found[2] == "patient", TEMPERS[found[3]])


def read_game(scenario: str, goals: Sequence[str]) -> Game | None:
    """Read a situation back from its scenario and both goals; None if it is not of the world."""
    for kind, about, leads, follows in _patterns():
        situation = about.fullmatch(scenario)
        if not situation:
            continue
        for lead in (1, 2):
            own, other = leads.fullmatch(goals[lead - 1]), follows.fullmatch(goals[2 - lead])
            if own and other:
                return _game(kind, situation.groupdict(), (own, other), lead)
    return None


def game_of(episode: Episode) -> Game:
    """What an episode is about.

    Raises
    ------
    SyncR2Error
        If it is not of the world.
    """
    game = read_game(episode.environment.scenario, episode.environment.goals)
    if game is None:
        raise SyncR2Error(
            f"Episode {episode.id}: its environment {episode.environment.id} is not of the toy world. Make "
            "episodes with `python -m syncr2.world scenarios`."
        )
    return game


def write_folder(folder: str | Path, seed: int, environments: int, episodes_each: int) -> None:
    """Write the three files: kinds in turn, people who appear in many episodes, the list shuffled.

    Parameters
    ----------
    folder : str or Path
    seed : int
        Other seeds than those of training give situations that no model has met.
    environments, episodes_each : int
        How many situations, and how many pairs of people in each.
    """
    names = grammar().words["names"]
    people = [draw_profile(seed, 0, name) for name in names]
    situations = [draw_environment(seed, i, KINDS[i % len(KINDS)]) for i in range(environments)]
    rng = random.Random(seed_of("folder", seed))
    episodes = []
    for i in range(environments):
        drawn = rng.sample(people, 2 * episodes_each)
        for k in range(episodes_each):
            pair = drawn[2 * k : 2 * k + 2]
            episodes.append(
                {
                    "pk": f"world-{seed}-{i}-{k}",
                    "env_id": situations[i].id,
                    "agent_ids": [person.id for person in pair],
                }
            )
    rng.shuffle(episodes)
    used = {agent for episode in episodes for agent in episode["agent_ids"]}
    write_json(Path(folder) / ENVIRONMENTS, {each.id: _as_sotopia(each) for each in situations})
    write_json(Path(folder) / PROFILES, {each.id: _as_sotopia(each) for each in people if each.id in used})
    write_json(Path(folder) / EPISODES, episodes)


def _as_sotopia(record: Environment | Profile) -> dict[str, Any]:
    values = asdict(record)
    renamed = {"id": "pk", "goals": "agent_goals", "personality": "personality_and_values"}
    named = {renamed.get(key, key): value for key, value in values.items() if key != "fields"}
    return {key: value for key, value in named.items() if value is not None} | values["fields"]


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str], re.Pattern[str], re.Pattern[str]], ...]:
    words = grammar().words
    return tuple(
        (kind, *(pattern(text, words) for text in texts))  # type: ignore[misc]
        for kind, (_, *texts) in _TEXTS.items()
    )


def _game(
    kind: str, found: dict[str, str], goals: tuple[re.Match[str], re.Match[str]], lead: int
) -> Game | None:
    if kind not in LEVEL_KINDS:
        return Game(kind, "", 0, 1, lead, (0, 0))
    low, high = int(found["low"]), int(found["high"])
    step, rest = divmod(high - low, TOP)
    if rest or step < 1:
        return None
    game = Game(kind, found["thing"], low, step, lead, (0, 0))
    levels = [
        game.level(agent, int(goal["limit"])) for agent, goal in zip((lead, 3 - lead), goals, strict=True)
    ]
    if levels[0] is None or levels[1] is None:
        return None
    own, other = game.utility(lead, levels[0]), game.utility(3 - lead, levels[1])
    return Game(kind, found["thing"], low, step, lead, (own, other) if lead == 1 else (other, own))


def _one(rng: random.Random, listed: Sequence[Any]) -> Any:
    return listed[int(rng.random() * len(listed))]
