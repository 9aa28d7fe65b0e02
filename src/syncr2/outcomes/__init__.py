"""Outcomes that an episode itself defines: items divided, a price agreed on, a friend found.

Three of Sotopia's sources say in figures what each agent gains, so that an outcome can be counted beside what
a judge thinks of it. `games` knows what an episode plays for, `reading` finds in a transcript what was agreed
on, `table` puts both into rows. Reading is by rules over words, made to be silent rather than wrong: what it
cannot follow is "unreadable" and counted as that.
"""

from __future__ import annotations

from syncr2.outcomes.games import Bargain, Division, Game, MutualFriend, game_of
from syncr2.outcomes.reading import read_agreement
from syncr2.outcomes.table import outcome_pairs, outcome_row, outcome_table

__all__ = [
    "Bargain",
    "Division",
    "Game",
    "MutualFriend",
    "game_of",
    "outcome_pairs",
    "outcome_row",
    "outcome_table",
    "read_agreement",
]
