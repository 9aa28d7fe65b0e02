"""How answers become turns: as published (`paper`), or as one would mean it (`corrected`).

The published code departs from what one would mean in ways that move results. `dialogue.protocol: paper`
does the same, so that a reader can see how much; docs/methods.md lists it row by row. The chat wrappers that
belong to it are in `syncr2.dialogues.paper_chat`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from syncr2.dialogues.turns import first_line, leaves, utterance
from syncr2.ids import OrderedPair

# Characters at an utterance's end in which the published code looks for a leaving agent, and for what.
_LAST = 10
_LEAVING = ("left", "leave")


class Convention(NamedTuple):
    """How a dialogue is made of answers.

    Attributes
    ----------
    name : {"corrected", "paper"}
        `dialogue.protocol`.
    utterance : callable
        From an answer's text and the speaker's name to the utterance.
    leaves : callable
        Whether an utterance ends the dialogue.
    seed : callable
        From ordered pair, episode, seed of generation and turn to the seed of the turn's randomness.
    whole_answers : bool
        Whether models go on behind the first line.
    """

    name: str
    utterance: Callable[[str, str], str]
    leaves: Callable[[str], bool]
    seed: Callable[[OrderedPair, str, int, int], int]
    whole_answers: bool


def turn_seed(pair: OrderedPair, episode_id: str, seed: int, turn: int) -> int:
    """The seed of one turn's randomness, from what the turn is and nothing else.

    Returns
    -------
    int
        64 bits of a SHA-256.
    """
    return _hashed(pair.id, episode_id, str(seed), str(turn))


def paper_seed(pair: OrderedPair, episode_id: str, seed: int, turn: int) -> int:
    """The same seed in every episode and pair: the published code starts its generator anew each time."""
    return _hashed("paper", str(seed), str(turn))


def paper_utterance(raw: str, name: str) -> str:
    """The first line, without what stands before its first ": ", and without every later ": "."""
    line = first_line(raw)
    _, colon, rest = line.partition(": ")
    return (rest.replace(": ", "") if colon else line).strip()


def paper_leaves(text: str) -> bool:
    """Whether "left" or "leave" stands in the last ten characters."""
    return any(word in text[-_LAST:] for word in _LEAVING)


def _hashed(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "little")


CORRECTED = Convention("corrected", utterance, leaves, turn_seed, whole_answers=False)
PAPER = Convention("paper", paper_utterance, paper_leaves, paper_seed, whole_answers=True)
CONVENTIONS = {convention.name: convention for convention in (CORRECTED, PAPER)}
