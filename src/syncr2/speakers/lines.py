"""Where an answer ends: at its first line with words on it, or where the model closes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class LineEnds:
    """Tells of every token whether it ends an answer's first line that has words on it.

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
        texts = dict(zip(ids, decoded, strict=True))
        self._words = {i for i, text in texts.items() if text.strip()}
        self._breaks = {i for i, text in texts.items() if "\n" in text}
        # A token can hold words and a break behind them ("\n\nYes.\nNo").
        self._breaks_after_words = {i for i in self._breaks if texts[i].rpartition("\n")[0].strip()}

    def has_words(self, token: int) -> bool:
        """Whether the token is more than white space."""
        return token in self._words

    def ends_line(self, token: int, after_words: bool) -> bool:
        """Whether the token closes a line, given whether words came before it; empty lines close nothing."""
        return token in self._breaks_after_words or (after_words and token in self._breaks)


class GrowingAnswer:
    """Tokens of one answer until it closes; what is offered afterwards is not taken.

    Parameters
    ----------
    line_ends : LineEnds
        Of the model that answers.
    closing : frozenset of int
        Tokens with which the model closes an answer.
    """

    def __init__(self, line_ends: LineEnds, closing: frozenset[int]) -> None:
        self.tokens: list[int] = []
        self.finish_reason: str | None = None
        self._line_ends = line_ends
        self._closing = closing
        self._has_words = False

    @property
    def spoken(self) -> list[int]:
        """The tokens without the one that closed the answer."""
        return self.tokens[:-1] if self.finish_reason == "eos" else self.tokens

    def take(self, token: int) -> None:
        """Add a token, and close the answer if it ends the line or the answer."""
        if self.finish_reason:
            return
        self.tokens.append(token)
        if token in self._closing:
            self.finish_reason = "eos"
        elif self._line_ends.ends_line(token, self._has_words):
            self.finish_reason = "line"
        self._has_words = self._has_words or self._line_ends.has_words(token)
