"""Turns of a dialogue: what was said, what is wrong with it, and when there are enough of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from syncr2.dialogues.prompts import LEAVE_MARK
from syncr2.speakers import Prompt

# The leave mark at the end of an utterance; models like to wrap it in asterisks or quotes.
_LEAVES = re.compile(rf"""(?:^|\s)[*"'`(]*{re.escape(LEAVE_MARK)}[*"'`)]*\s*[.!]?$""", re.IGNORECASE)


@dataclass(frozen=True)
class Turn:
    """One turn as it was spoken.

    Attributes
    ----------
    turn : int
        Number, from 0 over both agents.
    agent : int
        1 or 2; agent 1 has the even turns.
    speaker : str
        Name of the character.
    text : str
        The utterance: one line, or empty.
    raw : str
        All that the model said.
    finish_reason : str
        As in `syncr2.speakers.Answer`.
    n_new_tokens : int or None
        Tokens that the model generated; None where a server does not say.
    prompt : tuple of int or str
        The prompt, exactly as the model was given it.
    flags : tuple of str
        See `flags`.
    thought : str or None
        What the model thought before it spoke.
    n_prompt_tokens : int or None
        Length of the prompt; of a text, as its server counted.
    """

    turn: int
    agent: int
    speaker: str
    text: str
    raw: str
    finish_reason: str
    n_new_tokens: int | None
    prompt: Prompt = field(repr=False)
    flags: tuple[str, ...] = ()
    thought: str | None = None
    n_prompt_tokens: int | None = None


class Spoken(NamedTuple):
    """What others hear of a turn: enough for a prompt."""

    turn: int
    speaker: str
    text: str


def utterance(raw: str, name: str) -> str:
    """The utterance in a model's answer: its first line with words, without the speaker's own cue.

    The cue comes with or without its turn number (`Turn 3 | Ada Byron:` or `Ada Byron:`), for models like to
    repeat it. Control characters become spaces.
    """
    return _cue(name).sub("", first_line(raw)).strip()


def first_line(raw: str) -> str:
    """The first line with words, control characters turned into spaces."""
    lines = (
        "".join(" " if unicodedata.category(c) == "Cc" else c for c in line) for line in raw.splitlines()
    )
    return next((line.strip() for line in lines if line.strip()), "")


def flags(text: str, finish_reason: str, earlier: Sequence[Turn], partner: str) -> tuple[str, ...]:
    """What is wrong with an utterance, for the quality table; nothing is left out because of it.

    `empty`; `cut_off` by the token limit; `repeated` word for word from any earlier turn; `wrong_speaker`,
    for it begins with the partner's cue.
    """
    said = {turn.text.casefold() for turn in earlier if turn.text}
    found = {
        "empty": not text,
        "cut_off": finish_reason == "length",
        "repeated": text.casefold() in said,
        "wrong_speaker": _cue(partner).match(text) is not None,
    }
    return tuple(flag for flag, present in found.items() if present)


def _cue(name: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:turn\s*#?\d+\s*\|\s*)?{re.escape(name)}\s*:\s*", re.IGNORECASE)


def leaves(text: str) -> bool:
    """Whether an utterance ends with the leave mark."""
    return _LEAVES.search(text) is not None


@dataclass(frozen=True)
class StoppingRule:
    """When a dialogue is over, by what was said.

    Attributes
    ----------
    max_turns : int
        Most turns, over both agents.
    stale_after : int
        Empty utterances in a row that end it; 0: any number may follow each other.
    leaves : callable, optional
        Whether an utterance says that its speaker leaves.
    """

    max_turns: int
    stale_after: int
    leaves: Callable[[str], bool] = leaves

    def reason(self, turns: Sequence[Turn]) -> str | None:
        """Why the dialogue is over after these turns, or None.

        Returns
        -------
        {"left", "stale", "turn_limit"} or None
            The last utterance ends with the leave mark; too many empty ones in a row; all turns taken.
        """
        if turns and self.leaves(turns[-1].text):
            return "left"
        if 0 < self.stale_after <= len(turns) and not any(turn.text for turn in turns[-self.stale_after :]):
            return "stale"
        return "turn_limit" if len(turns) >= self.max_turns else None
