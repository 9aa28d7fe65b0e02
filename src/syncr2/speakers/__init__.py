"""Ways to produce utterances. A speaker turns prompts into raw answers; the turn loop is in `syncr2.dialogue`."""

from __future__ import annotations

from collections.abc import Sequence
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
        `line` (a line came to its end), `eos` (the model closed its answer) or `length` (the token limit cut it off).
    """

    raw: str
    n_new_tokens: int
    finish_reason: str


class Sampling(NamedTuple):
    """How tokens are drawn; every knob explicit."""

    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int


class Speaker(Protocol):
    """One model that answers prompts."""

    def speak(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Answer]:
        """Answer each prompt (token ids) with the randomness of its own seed alone."""
        ...
