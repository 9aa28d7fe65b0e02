"""Where an answer ends: at its first line with words on it, or where the model closes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from syncr2.speakers import Answer
from syncr2.speakers.thoughts import OPEN, part

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

# Tokens at a prompt's end in which an opened thought is looked for.
_TAIL = 8


class LineEnds:
    """Knows the tokens that hold a line end, and whether a line with words on it has come to its end.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        Turns tokens into text.
    vocabulary : int
        Tokens that the model can give.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> None:
        special = set(tokenizer.all_special_ids)
        ids = [i for i in range(min(vocabulary, len(tokenizer))) if i not in special]
        decoded = tokenizer.batch_decode([[i] for i in ids], clean_up_tokenization_spaces=False)
        self._breaks = {i for i, text in zip(ids, decoded, strict=True) if "\n" in text}
        self._tokenizer = tokenizer

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""
        found = self._tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(found)

    def ended_by(self, tokens: Sequence[int], opened: bool) -> bool:
        """Whether the last of these tokens ends the answer's first line that has words on it.

        Empty lines end nothing, and neither do the lines of a thought (see `part` for `opened`).
        """
        if tokens[-1] not in self._breaks:
            return False
        said = part(self.text(tokens), opened).said
        # A token can hold words and a break behind them ("\n\nYes.\nNo").
        return said is not None and bool(said.rpartition("\n")[0].strip())


class GrowingAnswer:
    """Tokens of one answer until it closes; what is offered afterwards is not taken.

    Parameters
    ----------
    line_ends : LineEnds
        Of the model that answers.
    closing : frozenset of int
        Tokens with which the model closes an answer.
    whole : bool, optional
        Go on behind the first line, as the published study did.
    opened : bool, optional
        Whether the prompt left a thought open.
    """

    def __init__(
        self, line_ends: LineEnds, closing: frozenset[int], whole: bool = False, opened: bool = False
    ) -> None:
        self.tokens: list[int] = []
        self.finish_reason: str | None = None
        self._line_ends = line_ends
        self._closing = closing
        self._whole = whole
        self._opened = opened

    def take(self, token: int) -> None:
        """Add a token, and close the answer if it ends the line or the answer."""
        if self.finish_reason:
            return
        self.tokens.append(token)
        if token in self._closing:
            self.finish_reason = "eos"
        elif not self._whole and self._line_ends.ended_by(self.tokens, self._opened):
            self.finish_reason = "line"

    def close(self) -> None:
        """Close the answer, for its server says that the model did."""
        self.finish_reason = self.finish_reason or "eos"

    @property
    def thinking(self) -> bool:
        """Whether the model is still at its thought."""
        return part(self._line_ends.text(self.tokens), self._opened).said is None

    def answer(self) -> Answer:
        """The answer with its text, whether or not it has come to its end."""
        ends = bool(self.tokens) and self.tokens[-1] in self._closing
        text = self._line_ends.text(self.tokens[:-1] if ends else self.tokens)
        thought, said = part(text, self._opened)
        reason = self.finish_reason or "length"
        if self._whole and said is not None and "\n" in said.lstrip():
            reason = "line"
        return Answer(said or "", len(self.tokens), reason, thought)


class AnswerForm:
    """Opens the answers of one model.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        Turns tokens into text.
    vocabulary : int
        Tokens that the model can give.
    closing : frozenset of int
        Tokens with which it closes an answer.
    whole : bool, optional
        As for `GrowingAnswer`.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        vocabulary: int,
        closing: frozenset[int],
        whole: bool = False,
    ) -> None:
        self.closing = closing
        self.whole = whole
        self._tokenizer = tokenizer
        self._line_ends = LineEnds(tokenizer, vocabulary)

    def open(self, prompt: Sequence[int]) -> GrowingAnswer:
        """An answer to a prompt, without tokens yet."""
        tail = str(self._tokenizer.decode(list(prompt[-_TAIL:])))
        return GrowingAnswer(self._line_ends, self.closing, self.whole, tail.rstrip().endswith(OPEN))


def closing_tokens(generation: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens with which a model closes its answer: what its generation config and its tokenizer name."""
    named = getattr(generation, "eos_token_id", None)
    found = list(named) if isinstance(named, list) else [named]
    return frozenset(token for token in [*found, tokenizer.eos_token_id] if token is not None)
