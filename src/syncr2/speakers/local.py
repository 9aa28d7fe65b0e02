"""A transformers model in this process, answering many prompts at once.

Every prompt draws its tokens with numbers of its own generator, seeded by what the turn is, so who else is in
the group does not matter (up to rounding: in float32 sums differ by 1e-6 between batch shapes, which moves a
draw about once in a million tokens; in bfloat16 set `batch_size: 1` where that matters).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from syncr2.attention import share_heads
from syncr2.errors import SyncR2Error
from syncr2.growing import Reader, warn_if_slow
from syncr2.speakers import Answer, Sampling
from syncr2.speakers.drawing import draw_tokens
from syncr2.speakers.lines import GrowingAnswer, LineEnds

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class LocalSpeaker:
    """Answers with a transformers model in this process.

    Parameters
    ----------
    model : PreTrainedModel
        The model, on its device.
    tokenizer : PreTrainedTokenizerBase
        Its tokenizer, to turn answers into text.
    sampling : Sampling
        Temperature, nucleus, top k and token limit.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sampling: Sampling
    ) -> None:
        share_heads(model)
        warn_if_slow(model)
        self.model = model
        self.sampling = sampling
        self._tokenizer = tokenizer
        self._line_ends = LineEnds(tokenizer, model.config.get_text_config().vocab_size)
        self._closing = closing_tokens(model, tokenizer)

    def join(self) -> LocalSide:
        """Take one agent's side; see `Speaker`."""
        return LocalSide(self)

    def open_answer(self) -> GrowingAnswer:
        """An answer without tokens."""
        return GrowingAnswer(self._line_ends, self._closing)

    def close_answer(self, grown: GrowingAnswer) -> Answer:
        """An answer with its text."""
        text = self._tokenizer.decode(
            grown.spoken, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Answer(str(text), len(grown.tokens), grown.finish_reason or "length")


class LocalSide:
    """One agent's side of a group of dialogues; keeps the keys and values of what it has read."""

    def __init__(self, speaker: LocalSpeaker) -> None:
        self._speaker = speaker
        self._reader = Reader(speaker.model, room=speaker.sampling.max_new_tokens)

    def answer(
        self, dialogues: Sequence[Hashable], prompts: Sequence[Sequence[int]], seeds: Sequence[int]
    ) -> list[Answer]:
        """Answer the next prompt of each dialogue; see `Side`."""
        sampling = self._speaker.sampling
        draws = np.stack([_uniform(seed, sampling.max_new_tokens) for seed in seeds])
        growing = [self._speaker.open_answer() for _ in prompts]
        logits = self._reader.read(dialogues, prompts)
        if logits.isnan().any():
            raise SyncR2Error(
                f"{type(self._speaker.model).__name__} in {self._speaker.model.dtype} gives logits that are "
                "no numbers, so nothing can be drawn. Try the model with dtype: float32 or bfloat16."
            )
        for step in range(sampling.max_new_tokens):
            tokens = draw_tokens(logits, draws[:, step], sampling)
            for answer, token in zip(growing, tokens, strict=True):
                answer.take(token)
            if step + 1 == sampling.max_new_tokens or all(answer.finish_reason for answer in growing):
                break
            logits = self._reader.extend(tokens)
        return [self._speaker.close_answer(answer) for answer in growing]


def closing_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens with which a model closes its answer: what its generation config and its tokenizer name."""
    named = getattr(model.generation_config, "eos_token_id", None)
    found = list(named) if isinstance(named, list) else [named]
    return frozenset(token for token in [*found, tokenizer.eos_token_id] if token is not None)


def _uniform(seed: int, n: int) -> NDArray[np.float64]:
    return np.random.Generator(np.random.Philox(seed)).random(n)
