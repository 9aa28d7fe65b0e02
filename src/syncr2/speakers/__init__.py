"""Ways to produce utterances: a speaker turns prompts into raw answers. `dialogues.playing` asks them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

# Token ids, or the text itself for a model whose tokenizer nobody here has.
Prompt = Sequence[int] | str


def token_ids(prompt: Prompt) -> Sequence[int]:
    """A prompt for a model whose tokenizer is known."""
    if isinstance(prompt, str):
        raise TypeError("a prompt of token ids is needed, found text")
    return prompt


class Answer(NamedTuple):
    """What a model said to one prompt.

    Attributes
    ----------
    raw : str
        Decoded text, special tokens and the thought left out, nothing else changed.
    n_new_tokens : int or None
        Tokens generated, those of the thought and the closing one included; None where a server does not say.
    finish_reason : str
        `line` (a line came to its end), `eos` (the model closed its answer), `length` (the token limit cut
        it off), or `context` (a server found the prompt too long: there is no answer).
    thought : str or None
        What a reasoning model thought before it spoke.
    n_prompt_tokens : int or None
        Tokens of a prompt sent as text, as its server counted them.
    """

    raw: str
    n_new_tokens: int | None
    finish_reason: str
    thought: str | None = None
    n_prompt_tokens: int | None = None


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
        self, dialogues: Sequence[Hashable], prompts: Sequence[Prompt], seeds: Sequence[int]
    ) -> list[Answer]:
        """Answer the next prompt of each dialogue, with the randomness of its own seed alone."""
        ...


class Speaker(Protocol):
    """One model that answers prompts."""

    def join(self) -> Side:
        """Take one agent's side in a new group of dialogues; a speaker may take several at once."""
        ...


@runtime_checkable
class FreeSpeaker(Speaker, Protocol):
    """A speaker that can be asked at any time, by many dialogues at once."""

    async def reply(self, prompt: Prompt, seed: int) -> Answer:
        """Answer one prompt with the randomness of its seed."""
        ...

    async def aclose(self) -> None:
        """Close connections that belong to the running event loop; the next `reply` opens new ones."""
        ...
