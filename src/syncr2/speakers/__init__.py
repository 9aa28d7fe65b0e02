"""Ways to produce utterances: a speaker turns prompts into raw answers. `syncr2.dialogue` has the turns."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple, Protocol


class Answer(NamedTuple):
    """What a model said to one prompt.

    Attributes
    ----------
    raw : str
        Decoded text, special tokens left out, nothing else changed.
    n_new_tokens : int
        Tokens generated, the closing one included.
    finish_reason : str
        `line` (a line came to its end), `eos` (the model closed its answer) or `length` (the token limit cut
        it off).
    """

    raw: str
    n_new_tokens: int
    finish_reason: str


class Sampling(NamedTuple):
    """How tokens are drawn; every knob explicit.

    Attributes
    ----------
    temperature : float
        Divides the logits; 0 takes the likeliest token.
    top_p : float
        Draw among the likeliest tokens that hold this probability together; 1 takes all.
    top_k : int
        Draw among so many of the likeliest tokens; 0 takes all.
    max_new_tokens : int
        Tokens after which an answer is cut off.
    """

    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int


class Side(Protocol):
    """One agent's side of a group of dialogues, from their first turn to their last.

    It may remember what it has read, for a prompt repeats the one before. Its memory ends with it.
    """

    def answer(
        self, dialogues: Sequence[Hashable], prompts: Sequence[Sequence[int]], seeds: Sequence[int]
    ) -> list[Answer]:
        """Answer the next prompt (token ids) of each dialogue, with the randomness of its own seed alone."""
        ...


class Speaker(Protocol):
    """One model that answers prompts."""

    def join(self) -> Side:
        """Take one agent's side in a new group of dialogues; a speaker may take several at once."""
        ...
