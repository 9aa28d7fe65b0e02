"""Dialogues read back: what was said turn by turn, what was agreed on, whom one came to trust.

The world's own dialogues are read without loss. What miniatures say may be no sentence of the world, or one
of another episode; such turns are counted, and for the rest they are as if nothing had been said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from syncr2.world import tendencies
from syncr2.world.minds import MOST_TRUST, first_trust
from syncr2.world.sentences import Said, emotion, read
from syncr2.world.setting import Game


class LineLike(Protocol):
    """What reading needs of a turn."""

    @property
    def agent(self) -> int:
        """Who speaks, 1 or 2."""
        ...

    @property
    def text(self) -> str:
        """What is said."""
        ...


class Line(NamedTuple):
    """An utterance and who speaks it."""

    agent: int
    text: str


class HeardTurn(NamedTuple):
    """One turn as it was read.

    Attributes
    ----------
    said : Said or None
        None: no sentence of the world.
    fits : bool
        Whether it is a sentence of this episode: its own names and things, a number on the scale.
    level : int or None
        Level of an offer that fits.
    """

    agent: int
    said: Said | None
    fits: bool
    level: int | None


@dataclass(frozen=True)
class Hearing:
    """A dialogue as it was read.

    Attributes
    ----------
    turns : tuple of HeardTurn
    deal : int or None
        The level agreed on: that of the first acceptance of a partner's standing offer.
    trust : tuple of list of int
        Trust of agent 1 and of agent 2 after each turn, from acts alone, as if both attended always.
    broken : tuple of int
        Offers that each made after the deal.
    """

    turns: tuple[HeardTurn, ...]
    deal: int | None
    trust: tuple[list[int], list[int]]
    broken: tuple[int, int]


def hear(game: Game, names: Sequence[str], relationship: int, lines: Sequence[LineLike]) -> Hearing:
    """Read a dialogue.

    Parameters
    ----------
    game : Game
    names : sequence of str
        Of agent 1 and agent 2.
    relationship : int
        Place in `RELATIONSHIPS`: where trust begins.
    lines : sequence of LineLike
        The turns in order.
    """
    turns = tuple(_turn(game, names, line) for line in lines)
    standing: list[int | None] = [None, None]
    trust = [first_trust(relationship)] * 2
    kept: tuple[list[int], list[int]] = ([], [])
    deal, broken = None, [0, 0]
    for turn in turns:
        i, j = turn.agent - 1, 2 - turn.agent
        act = turn.said.act if turn.said and turn.fits else ""
        gave = 0
        if act == "offer" and turn.level is not None:
            before = standing[i]
            gave = 0 if before is None else game.utility(j + 1, turn.level) - game.utility(j + 1, before)
            standing[i] = turn.level
            broken[i] += deal is not None and turn.level != deal
        elif act == "accept" and deal is None:
            deal = standing[j]
        good, bad = act in tendencies.KIND or gave > 0, act in tendencies.HARSH or gave < 0
        trust[j] = max(0, min(MOST_TRUST, trust[j] + good - bad))
        for k in (0, 1):
            kept[k].append(trust[k])
    return Hearing(turns, deal, kept, (broken[0], broken[1]))


def _turn(game: Game, names: Sequence[str], line: LineLike) -> HeardTurn:
    said = read(line.text)
    if said is None:
        return HeardTurn(line.agent, None, False, None)
    own, partner = names[line.agent - 1], names[2 - line.agent]
    slots = said.slots
    fits = slots.get("self", own) == own and slots.get("name", partner) == partner
    fits = fits and slots.get("thing", game.thing) == game.thing and said.kind in (None, game.kind)
    level = None
    if said.act == "offer" and fits:
        level = game.level(line.agent, int(slots["n"]))
        fits = level is not None
    return HeardTurn(line.agent, said, fits, level)


def heard_labels(hearing: Hearing) -> list[dict[str, Any]]:
    """Labels of each turn from its text alone, in the columns of `syncr2.world.tables.truth`.

    Mood and demand cannot be heard. A turn that could not be read has its number and `well_formed` 0 only.
    """
    rows: list[dict[str, Any]] = []
    for number, turn in enumerate(hearing.turns):
        row: dict[str, Any] = {"turn": number, "well_formed": int(turn.fits)}
        row["trust"] = hearing.trust[turn.agent - 1][number]
        row["partner_trust"] = hearing.trust[2 - turn.agent][number]
        said = turn.said
        if said is not None:
            row |= {
                "emotion": emotion(said.feeling),
                "valence": said.valence,
                "act": said.act,
                "intention": tendencies.INTENTIONS[said.act],
                "action": tendencies.action(said.act),
                "offer_level": turn.level,
            }
        rows.append(row)
    return rows


def quality(hearings: Sequence[Hearing], games: Sequence[Game]) -> Mapping[str, float]:
    """How much of a set of dialogues is language of the world.

    Returns
    -------
    dict
        `n_turns`; shares of turns that are sentences of the world (`grammatical`) and of their own episode
        (`well_formed`); share of dialogues with levels that come to a deal (`deals`, NaN without any).
    """
    turns = [turn for hearing in hearings for turn in hearing.turns]
    with_levels = [
        hearing.deal is not None for hearing, game in zip(hearings, games, strict=True) if game.has_levels
    ]
    n = max(1, len(turns))
    return {
        "n_turns": len(turns),
        "grammatical": sum(turn.said is not None for turn in turns) / n,
        "well_formed": sum(turn.fits for turn in turns) / n,
        "deals": sum(with_levels) / len(with_levels) if with_levels else float("nan"),
    }
