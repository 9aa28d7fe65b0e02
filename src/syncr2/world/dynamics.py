"""Two people talk: a dialogue of the world, turn by turn.

A turn is: take in the partner's signs (or, not attending, imagined ones), let mood, trust and demand move,
draw an act, show a feeling, find words. Everything random comes from (seed, episode, turn).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from syncr2.sotopia.episodes import Episode
from syncr2.world import tendencies
from syncr2.world.minds import Mind, Role, Signs, first_mind, heard, moved, uniform
from syncr2.world.sentences import NEUTRAL, Said, say
from syncr2.world.setting import Game, Traits, game_of, seed_of, traits_of
from syncr2.world.tendencies import BARGAINING

T = TypeVar("T")

# Probability that a feeling is not shown.
MASK = 0.1
MAX_TURNS = 12
# One accepts not before one's fourth turn, and leaves not before it either.
_FIRST_ACCEPT, _FIRST_LEAVE = 3, 4


@dataclass(frozen=True)
class Turn:
    """One turn with all that is hidden.

    Attributes
    ----------
    turn, agent : int
        Number from 0; 1 or 2.
    text : str
        What is heard.
    said : Said
        What it says.
    mind : Mind
        The state behind it.
    level : int or None
        Level of an offer.
    attends : bool
        Whether the agent took in its partner, or imagined one.
    """

    turn: int
    agent: int
    text: str
    said: Said
    mind: Mind
    level: int | None
    attends: bool


def imagined(role: Role, mind: Mind, rng: random.Random) -> Signs:
    """Signs of nobody: as likely as a real partner's at this stage, but of one's own making."""
    shown = _drawn(rng, tendencies.IMAGINED_VALENCES)
    logits = dict(tendencies.base(role.game.kind, role.agent != role.game.lead))
    if role.game.has_levels and mind.turns >= _FIRST_ACCEPT:
        logits["accept"] = 0.2
    if mind.turns == 0:
        logits = {"greet": 3.0, "ask": 0.5} if role.agent == 2 else {"silence": 0.0}
    act = _drawn(rng, _softmax(logits))
    offer = max(0, uniform(rng, 0, 3) + mind.turns - 1) if role.game.has_levels and mind.turns else None
    gave = uniform(rng, -1, 3)
    return Signs(shown, act, offer, gave if act == "offer" else 0)


def choices(role: Role, mind: Mind, signs: Signs) -> dict[str, float]:
    """Probability of each act, given one's own state and the signs."""
    has_levels, settled = role.game.has_levels, mind.settled
    logits = dict(tendencies.base(role.game.kind, role.agent == role.game.lead))
    if not has_levels:
        logits["leave"] = -3.0
    logits["leave"] = 1.0 * (mind.turns - _FIRST_LEAVE) - (2.5 if has_levels and settled is None else 1.0)
    if settled is not None:
        logits |= tendencies.SETTLED
        logits["leave"] += 0.8 * settled
    if mind.turns == 0:
        logits["greet"] = 1.0
    willing = has_levels and settled is None and mind.turns >= _FIRST_ACCEPT and signs.offer is not None
    if willing and signs.offer is not None and signs.offer >= mind.demand:
        logits["accept"] = 4.0
    warmth = 1.0 if role.traits.warm else 0.5
    effects: list[tuple[Mapping[str, float], float]] = [
        (tendencies.RESPONSES[signs.act], 1.0),
        (tendencies.MOOD, mind.mood),
        (tendencies.SHOWN, warmth * signs.valence),
        (tendencies.TRUST, mind.trust - 2),
        (tendencies.WARM, float(role.traits.warm)),
        (tendencies.HASTY, float(not role.traits.patient)),
    ]
    for effect, size in effects:
        for act, value in effect.items():
            if act in logits:
                logits[act] += size * value
    if mind.last_act in logits:
        logits[mind.last_act] += tendencies.AGAIN.get(mind.last_act, tendencies.AGAIN_OTHERWISE)
    if settled is not None:
        logits = {act: value for act, value in logits.items() if act not in BARGAINING}
    if mind.turns < _FIRST_LEAVE - 1:
        del logits["leave"]
    return _softmax(logits)


def shown_feeling(before: Mind, after: Mind, traits: Traits, rng: random.Random) -> str:
    """The feeling that is shown: the mood by temper, surprise after a jump, or nothing."""
    masked, surprised = rng.random() < MASK, rng.random() < 0.5
    if masked or (after.mood == 0 and before.mood == 0):
        return NEUTRAL
    change = after.mood - before.mood
    if abs(change) >= 2 and surprised:
        return f"surprise {1 if change > 0 else -1}"
    if after.mood == 0:
        return NEUTRAL
    return f"joy {after.mood}" if after.mood > 0 else f"{traits.temper} {after.mood}"


def respond(role: Role, mind: Mind, signs: Signs, coupling: float, turn: int, rng: random.Random) -> Turn:
    """One turn.

    Parameters
    ----------
    role : Role
    mind : Mind
        Own hidden state before.
    signs : Signs
        The partner's, of its real turns.
    coupling : float
        Probability of attending to them, 0..1.
    turn : int
    rng : Random
        Of this turn alone. As many numbers are drawn whether one attends or not, so that worlds of different
        coupling differ in nothing else.
    """
    attends = rng.random() < coupling
    own = imagined(role, mind, rng)
    seen = signs if attends else own
    after = moved(role, mind, seen, rng)
    act = _drawn(rng, choices(role, after, seen))
    feeling = NEUTRAL if act == "leave" else shown_feeling(mind, after, role.traits, rng)
    own_name, name = role.names
    slots = {"self": own_name, "name": name, "thing": role.game.thing, "secrets": role.secret}
    level = role.game.utility(role.agent, after.demand) if act == "offer" else None
    if level is not None:
        slots["n"] = str(role.game.number(role.agent, level))
    said = Said(act, feeling, slots, role.game.kind if act == "offer" else None)
    text = say(said, lambda listed: listed[int(rng.random() * len(listed))])
    settled = 0 if act == "accept" else after.settled
    after = replace(after, settled=settled, last_act=act, turns=mind.turns + 1)
    return Turn(turn, role.agent, text, said, after, level, attends)


def play(episode: Episode, seed: int, coupling: float, max_turns: int = MAX_TURNS) -> list[Turn]:
    """A whole dialogue of the world.

    Parameters
    ----------
    episode : Episode
        Of the world (see `syncr2.world.setting`).
    seed : int
        Of the dialogue.
    coupling : float
        How much one depends on signs of the other, 0..1.
    max_turns : int
        Most turns; it also ends when somebody leaves.

    Raises
    ------
    SyncR2Error
        If the episode is not of the world.
    """
    game = game_of(episode)
    roles = [_role(game, episode, i) for i in (0, 1)]
    rng = random.Random(seed_of("minds", seed, episode.id))
    minds = [first_mind(role, episode.environment.relationship, rng) for role in roles]
    signs = [Signs(), Signs()]
    turns: list[Turn] = []
    for number in range(max_turns):
        i = number % 2
        rng = random.Random(seed_of("turn", seed, episode.id, number))
        turn = respond(roles[i], minds[i], signs[i], coupling, number, rng)
        minds[i] = turn.mind
        signs[1 - i] = heard(roles[1 - i], signs[1 - i], turn.said, turn.level)
        turns.append(turn)
        if turn.said.act == "leave":
            break
    return turns


def _role(game: Game, episode: Episode, i: int) -> Role:
    own, partner = episode.agents[i], episode.agents[1 - i]
    return Role(game, i + 1, traits_of(own), (own.name, partner.name), own.secret or "")


def _softmax(logits: Mapping[str, float]) -> dict[str, float]:
    highest = max(logits.values())
    weights = {act: math.exp(value - highest) for act, value in logits.items()}
    total = sum(weights.values())
    return {act: weight / total for act, weight in weights.items()}


def _drawn(rng: random.Random, weights: Mapping[T, float]) -> T:
    at = rng.random() * sum(weights.values())
    for value, weight in weights.items():
        at -= weight
        if at < 0:
            return value
    return list(weights)[-1]  # rounding
