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

from syncr2.errors import SyncR2Error
from syncr2.replay.attention import share_heads
from syncr2.replay.growing import Reader, warn_if_slow
from syncr2.speakers import Answer, Prompt, Sampling, token_ids
from syncr2.speakers.drawing import draw_tokens
from syncr2.speakers.lines import AnswerForm, closing_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# When no more than this share of the answers being computed are open, the others are computed no further: to
# leave them out costs a copy of what the open ones have read.
_WORTH_DROPPING = 0.75


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
    whole : bool, optional
        Go on behind the first line, as the published study did.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        whole: bool = False,
    ) -> None:
        share_heads(model)
        warn_if_slow(model)
        self.model = model
        self.sampling = sampling
        closing = closing_tokens(model.generation_config, tokenizer)
        self.form = AnswerForm(tokenizer, model.config.get_text_config().vocab_size, closing, whole)

    def join(self) -> LocalSide:
        """Take one agent's side; see `Speaker`."""
        return LocalSide(self)


class LocalSide:
    """One agent's side of a group of dialogues; keeps the keys and values of what it has read."""

    def __init__(self, speaker: LocalSpeaker) -> None:
        self._speaker = speaker
        self._reader = Reader(speaker.model, room=speaker.sampling.max_new_tokens)

    def answer(
        self, dialogues: Sequence[Hashable], prompts: Sequence[Prompt], seeds: Sequence[int]
    ) -> list[Answer]:
        """Answer the next prompt of each dialogue; see `Side`."""
        sampling = self._speaker.sampling
        draws = np.stack([_uniform(seed, sampling.max_new_tokens) for seed in seeds])
        read = [token_ids(prompt) for prompt in prompts]
        growing = [self._speaker.form.open(ids) for ids in read]
        logits = self._reader.read(dialogues, read)
        if logits.isnan().any():
            raise SyncR2Error(
                f"{type(self._speaker.model).__name__} in {self._speaker.model.dtype} gives logits that are "
                "no numbers, so nothing can be drawn. Try the model with dtype: float32 or bfloat16."
            )
        # Places of the answers that are computed.
        computed = list(range(len(growing)))
        for step in range(sampling.max_new_tokens):
            tokens = draw_tokens(logits, draws[computed, step], sampling)
            for place, token in zip(computed, tokens, strict=True):
                growing[place].take(token)
            open_rows = [row for row, place in enumerate(computed) if not growing[place].finish_reason]
            if step + 1 == sampling.max_new_tokens or not open_rows:
                break
            if len(open_rows) > _WORTH_DROPPING * len(computed):
                logits = self._reader.extend(tokens)
                continue
            logits = self._reader.extend([tokens[row] for row in open_rows], open_rows)
            computed = [computed[row] for row in open_rows]
        return [answer.answer() for answer in growing]


def _uniform(seed: int, n: int) -> NDArray[np.float64]:
    return np.random.Generator(np.random.Philox(seed)).random(n)
