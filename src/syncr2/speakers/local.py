"""A transformers model in this process, answering many prompts at once.

Every prompt draws its tokens with numbers of its own generator, seeded by what the turn is, so who else is in the batch
does not matter (up to rounding: in float32 sums differ by 1e-6 between batch shapes, which moves a draw about once in a
million tokens; in bfloat16 set `batch_size: 1` where that matters).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from syncr2.models import ModelSource, load_model
from syncr2.speakers import Answer, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class LocalSpeaker:
    """Answers with a transformers model in this process.

    Parameters
    ----------
    source : ModelSource
        The model.
    tokenizer : PreTrainedTokenizerBase
        Its tokenizer, to turn answers into text.
    device : str
        `cuda`, `mps` or `cpu`.
    sampling : Sampling
        Temperature, nucleus, top k and token limit.
    batch_size : int
        Prompts computed at once.
    """

    def __init__(
        self,
        source: ModelSource,
        tokenizer: PreTrainedTokenizerBase,
        device: str,
        sampling: Sampling,
        batch_size: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._model = load_model(source, device)
        self._sampling = sampling
        self._batch_size = batch_size
        self._line_ends = _LineEnds(self._tokenizer, self._model.config.get_text_config().vocab_size)
        eos = self._model.generation_config.eos_token_id if self._model.generation_config else None
        eos = self._tokenizer.eos_token_id if eos is None else eos
        self._eos = frozenset([eos] if isinstance(eos, int) else eos or [])

    @torch.inference_mode()
    def speak(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Answer]:
        """Answer each prompt; see `Speaker`."""
        answers: list[Answer | None] = [None] * len(prompts)
        # Neighbours in length share a batch, so that little of it is padding.
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            batch = self._batch([prompts[i] for i in chosen], [seeds[i] for i in chosen])
            for i, answer in zip(chosen, batch, strict=True):
                answers[i] = answer
        return [answer for answer in answers if answer is not None]

    def _batch(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Answer]:
        limit = self._sampling.max_new_tokens
        draws = np.stack([np.random.Generator(np.random.Philox(seed)).random(limit) for seed in seeds])
        growing = [_GrowingAnswer(self._line_ends, self._eos) for _ in prompts]
        decoder = _Decoder(self._model)
        logits = decoder.read(prompts)
        for step in range(limit):
            tokens = draw_tokens(logits, draws[:, step], self._sampling)
            for answer, token in zip(growing, tokens, strict=True):
                answer.take(token)
            if step + 1 == limit or all(answer.finish_reason for answer in growing):
                break
            logits = decoder.extend(tokens)
        return [self._answer(answer) for answer in growing]

    def _answer(self, grown: _GrowingAnswer) -> Answer:
        kept = grown.tokens[:-1] if grown.finish_reason == "eos" else grown.tokens
        raw = self._tokenizer.decode(kept, skip_special_tokens=True)
        return Answer(raw, len(grown.tokens), grown.finish_reason or "length")


class _Decoder:
    """Logits of the next token for a left-padded batch, one token further at each step."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._cache: Any = None

    def read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Take in the prompts; give the logits, (n_prompts, vocabulary), of each one's next token."""
        width = max(map(len, prompts))
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        self._mask = mask.to(self._model.device)
        self._positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        return self._forward(ids.to(self._model.device))

    def extend(self, tokens: Sequence[int]) -> torch.Tensor:
        """Take in one more token a prompt."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        self._positions = self._positions[:, -1:] + 1
        return self._forward(torch.tensor(tokens, device=self._model.device)[:, None])

    def _forward(self, ids: torch.Tensor) -> torch.Tensor:
        out = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = out.past_key_values
        return out.logits[:, -1]


class _GrowingAnswer:
    """Tokens of one answer until it closes; what is offered afterwards is not taken."""

    def __init__(self, line_ends: _LineEnds, eos: frozenset[int]) -> None:
        self.tokens: list[int] = []
        self.finish_reason: str | None = None
        self._line_ends = line_ends
        self._eos = eos
        self._has_words = False

    def take(self, token: int) -> None:
        """Add a token, and close the answer if it ends the line or the answer."""
        if self.finish_reason:
            return
        self.tokens.append(token)
        if token in self._eos:
            self.finish_reason = "eos"
        elif self._line_ends.ends_line(token, self._has_words):
            self.finish_reason = "line"
        self._has_words = self._has_words or self._line_ends.has_words(token)


def draw_tokens(logits: torch.Tensor, uniform: np.ndarray, sampling: Sampling) -> list[int]:
    """Draw one token a row by inverting the cumulative distribution at the row's own uniform number.

    Parameters
    ----------
    logits : Tensor, shape (n_rows, vocabulary)
    uniform : ndarray, shape (n_rows,)
        Numbers in [0, 1).
    sampling : Sampling
        Temperature 0 takes the likeliest token. `top_k` is applied before `top_p`; the token that crosses `top_p` stays.
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=1).tolist()
    # mps has no float64; there the cumulative sum is a little coarser.
    exact = torch.float32 if logits.device.type == "mps" else torch.float64
    scaled = logits.to(exact) / sampling.temperature
    if 0 < sampling.top_k < scaled.shape[1]:
        least = scaled.topk(sampling.top_k, dim=1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    weights = scaled.softmax(dim=1)
    if sampling.top_p < 1:
        ordered, order = weights.sort(dim=1, descending=True, stable=True)
        surplus = ordered.cumsum(dim=1) - ordered >= sampling.top_p
        weights = weights.masked_fill(surplus.scatter(1, order, surplus), 0)
    cumulative = weights.cumsum(dim=1)
    wanted = torch.as_tensor(uniform, dtype=exact, device=logits.device)[:, None] * cumulative[:, -1:]
    # right=True: a uniform of 0 must not pick a leading token of probability 0.
    found = torch.searchsorted(cumulative, wanted, right=True).squeeze(1)
    last = (weights > 0).to(torch.int8).flip(1).argmax(dim=1)
    return torch.minimum(found, weights.shape[1] - 1 - last).tolist()


class _LineEnds:
    """Tells for every token whether it ends an answer's first line that has words on it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> None:
        special = set(tokenizer.all_special_ids)
        ids = [i for i in range(min(vocabulary, len(tokenizer))) if i not in special]
        texts = dict(zip(ids, tokenizer.batch_decode([[i] for i in ids]), strict=True))
        self._words = {i for i, text in texts.items() if text.strip()}
        self._breaks = {i for i, text in texts.items() if "\n" in text}
        self._breaks_after_words = {i for i in self._breaks if texts[i].split("\n")[0].strip()}

    def has_words(self, token: int) -> bool:
        """Whether the token is more than white space."""
        return token in self._words

    def ends_line(self, token: int, after_words: bool) -> bool:
        """Whether the token closes a line, given whether words came before it; empty lines close nothing."""
        return token in self._breaks_after_words or (after_words and token in self._breaks)
