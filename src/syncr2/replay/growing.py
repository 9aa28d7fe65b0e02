"""Read prompts that grow, and compute each token once.

From one turn of an agent to its next, its prompt repeats the last one and adds what was said since. A
`Reader` keeps the keys and values of what it has read and, at the next prompt, computes only what comes after
the common prefix of the two, found on token ids. Generation and replay use the same reader.

Many dialogues are read at once, one a row. A row's tokens stand side by side and end at the right, so that
all padding is at the left and there are never gaps: before each reading, what a row keeps is moved to where
it belongs, and every row computes as many tokens as the one that needs most (the others compute a few of
theirs again). Distances between tokens are then those of a prompt read alone, and a sliding window cuts off
the same tokens.

Not every model can go on from kept keys and values; `reuse_limit` decides. The others read each prompt whole
and alone, which is slow and right.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from syncr2.errors import SyncR2Error
from syncr2.replay.key_values import RoomyCache
from syncr2.replay.tokens import common_prefix

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

UNLIMITED = sys.maxsize
# Attention that depends on the distance between tokens alone, not on the slots where they stand.
ATTENTION = frozenset({"full_attention", "sliding_attention"})
# Rotary positions whose frequencies are the same for every length of the sequence.
FIXED_ROPES = frozenset({"default", "linear", "llama3", "yarn", "proportional"})


def reuse_limit(network: PreTrainedModel) -> int:
    """The longest sequence of which keys and values can be kept for a later prompt.

    What the class and its configuration say decides:

    - its forward must name `attention_mask`, `position_ids` and `past_key_values`; an argument that vanished
      in `**kwargs` would be ignored without a word;
    - it must not be stateful, and every layer's cache must be keys and values, attended to in full or within
      a sliding window: a recurrent state cannot be cut back to a prefix, and chunks of attention depend on
      the padding;
    - where rotary frequencies change with the length of the sequence ("dynamic", "longrope"), what was
      computed in a short one holds only up to the length at which they begin to change.

    Parameters
    ----------
    network : PreTrainedModel
        A causal language model or its base model.

    Returns
    -------
    int
        Number of tokens; 0 if nothing can be kept, `UNLIMITED` if only the model's own context limits it.
    """
    needed = {"attention_mask", "position_ids", "past_key_values"}
    if not needed <= _arguments(network) or network._is_stateful:
        return 0
    config = network.config.get_text_config(decoder=True)
    if not set(getattr(config, "layer_types", None) or ()) <= ATTENTION:
        return 0
    layers = DynamicCache(config=config).layers
    if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return 0
    return min((_fixed_up_to(rope, config) for rope in _ropes(config)), default=UNLIMITED)


def _arguments(network: PreTrainedModel) -> frozenset[str]:
    return frozenset(inspect.signature(network.forward).parameters)


def _ropes(config: PreTrainedConfig) -> Iterator[Mapping[str, Any]]:
    """Rotary parameters: one set, or one for each type of layer."""
    parameters = getattr(config, "rope_parameters", None) or {}
    if "rope_type" in parameters:
        yield parameters
    else:
        yield from (rope for rope in parameters.values() if isinstance(rope, Mapping))


def warn_if_slow(network: PreTrainedModel) -> None:
    """Say so in the log if every prompt must be read whole and alone."""
    if reuse_limit(network) == 0:
        logging.warning(
            "%s cannot go on from what it has read: every prompt is read whole and alone, which is slow.",
            type(network).__name__,
        )


def _refuse_dynamic(network: PreTrainedModel, length: int) -> None:
    """Refuse a prompt whose positions would depend on what the network has read before it."""
    config = network.config.get_text_config(decoder=True)
    limits = [_fixed_up_to(rope, config) for rope in _ropes(config) if rope.get("rope_type") == "dynamic"]
    if limits and length > min(limits):
        raise SyncR2Error(
            f"{type(network).__name__}: {length} tokens are to be read, but beyond {min(limits)} its dynamic "
            "rotary positions depend on the longest prompt read so far, and with them every state. Set "
            f"`context` of this model to {min(limits)} or less."
        )


def _fixed_up_to(rope: Mapping[str, Any], config: PreTrainedConfig) -> int:
    if rope.get("rope_type", "default") in FIXED_ROPES:
        return UNLIMITED
    return int(rope.get("original_max_position_embeddings") or config.max_position_embeddings)


class Reader:
    """Reads prompt after prompt of a group of dialogues.

    Parameters
    ----------
    network : PreTrainedModel
        A causal language model, or its base model where nothing is to be predicted.
    room : int
        Tokens that may follow a prompt, by `extend`, before the next one is read.
    """

    def __init__(self, network: PreTrainedModel, room: int = 0) -> None:
        self._network = network
        self._limit = reuse_limit(network)
        self._room = room
        self._together = _Together(network)
        # Where the length decides about frequencies, not even the tokens of one answer can share a cache.
        self._alone = _Alone(network, caches=self._limit == 0 and "past_key_values" in _arguments(network))
        self._in_use: _Together | _Alone = self._alone

    @torch.inference_mode()
    def read(self, dialogues: Sequence[Hashable], prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Read the next prompt of each dialogue.

        Parameters
        ----------
        dialogues : sequence of hashable
            The dialogue of each prompt. Any that was read before and is not named now is forgotten.
        prompts : sequence of sequences of int
            Token ids, at least one a prompt.

        Returns
        -------
        Tensor, shape (n_dialogues, size)
            The network's output at the last token of each prompt: logits (size: vocabulary), or from a base
            model the last hidden state behind the final norm.

        Raises
        ------
        SyncR2Error
            If a prompt is longer than what the network's "dynamic" rotary positions are fixed for.
        """
        longest = max(map(len, prompts)) + self._room
        self._in_use = self._together if longest <= self._limit else self._alone
        if self._in_use is self._alone:
            _refuse_dynamic(self._network, longest)
        return self._in_use.read(dialogues, prompts)

    @torch.inference_mode()
    def extend(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor:
        """Add a token to each dialogue of the last `read`, at most `room` times; give the same as `read`.

        These tokens are not kept for the next prompt: there, other text stands before them.

        Parameters
        ----------
        tokens : sequence of int
        rows : sequence of int, optional
            Places of the dialogues that go on, among those that were read or extended last; the others are
            not extended any more. All, if not given.
        """
        return self._in_use.extend(tokens, rows)


class _Together:
    """All dialogues in one left-padded block, with one cache."""

    def __init__(self, network: PreTrainedModel) -> None:
        self._network = network
        self._last_only = _last_only(network)
        self._cache = RoomyCache()
        self._rows: dict[Hashable, int] = {}
        self._prompts: list[tuple[int, ...]] = []
        # State of the last forward: the cache of the rows that go on, which of its slots hold tokens, and the
        # position of each row's last one.
        self._going_on = self._cache
        self._mask = torch.empty(0)
        self._position = torch.empty(0)

    def read(self, dialogues: Sequence[Hashable], prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        known = [self._known(*named) for named in zip(dialogues, prompts, strict=True)]
        n_new = max(len(prompt) - n for prompt, n in zip(prompts, known, strict=True))
        kept = torch.tensor([max(len(prompt) - n_new, 0) for prompt in prompts])
        self._move(dialogues, kept)
        self._rows = {dialogue: row for row, dialogue in enumerate(dialogues)}
        self._prompts = [tuple(prompt) for prompt in prompts]

        lengths = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        slots = torch.arange(int(lengths.max()))
        padding = len(slots) - lengths
        self._mask = (slots >= padding).long().to(self._network.device)
        positions = (slots - padding).clamp(min=0).to(self._network.device)
        self._position = positions[:, -1:]
        self._going_on = self._cache
        return self._forward([prompt[-n_new:] for prompt in prompts], positions[:, -n_new:])

    def extend(self, tokens: Sequence[int], rows: Sequence[int] | None) -> torch.Tensor:
        if rows is not None:
            # Copies: the next prompts go on from the cache of all.
            chosen = torch.tensor(rows)
            self._going_on = self._going_on.of_rows(chosen)
            chosen = chosen.to(self._network.device)
            self._mask, self._position = self._mask[chosen], self._position[chosen]
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        self._position = self._position + 1
        return self._forward([[token] for token in tokens], self._position)

    def _known(self, dialogue: Hashable, prompt: Sequence[int]) -> int:
        """Number of a prompt's tokens that the cache holds; the last one is always to be computed."""
        row = self._rows.get(dialogue)
        return 0 if row is None else min(common_prefix(self._prompts[row], prompt), len(prompt) - 1)

    def _move(self, dialogues: Sequence[Hashable], kept: torch.Tensor) -> None:
        """Bring the first `kept` tokens of each dialogue to where they belong, their ends in one column."""
        width = int(kept.max())
        if width == 0:
            self._cache = RoomyCache()
            return
        rows = torch.tensor([self._rows.get(dialogue, 0) for dialogue in dialogues])
        lengths = torch.tensor([len(prompt) for prompt in self._prompts])
        begins, will_begin = (lengths.max() - lengths)[rows], width - kept
        sources = torch.arange(width) + (begins - will_begin)[:, None]
        # Into slots of padding comes anything that is a number; the mask hides it.
        sources = sources.clamp(0, int(lengths.max()) - 1)
        self._cache.rearrange(rows, sources)

    def _forward(self, new: Sequence[Sequence[int]], positions: torch.Tensor) -> torch.Tensor:
        ids = torch.zeros(positions.shape, dtype=torch.long)
        for row, tokens in enumerate(new):
            ids[row, ids.shape[1] - len(tokens) :] = torch.tensor(tokens)
        output = self._network(
            input_ids=ids.to(self._network.device),
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._going_on,
            use_cache=True,
            **self._last_only,
        )
        return output[0][:, -1]


class _Alone:
    """Each dialogue by itself, unpadded, and nothing kept from the prompt before."""

    def __init__(self, network: PreTrainedModel, caches: bool) -> None:
        self._network = network
        self._last_only = _last_only(network)
        self._caches = caches
        self._sequences: list[list[int]] = []
        self._past: list[Any] = []

    def read(self, dialogues: Sequence[Hashable], prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        self._sequences = [list(prompt) for prompt in prompts]
        self._past = [None] * len(prompts)
        return torch.cat([self._forward(row, ids) for row, ids in enumerate(self._sequences)])

    def extend(self, tokens: Sequence[int], rows: Sequence[int] | None) -> torch.Tensor:
        if rows is not None:
            self._sequences = [self._sequences[row] for row in rows]
            self._past = [self._past[row] for row in rows]
        for sequence, token in zip(self._sequences, tokens, strict=True):
            sequence.append(token)
        new = [[token] for token in tokens] if self._caches else self._sequences
        return torch.cat([self._forward(row, ids) for row, ids in enumerate(new)])

    def _forward(self, row: int, ids: Sequence[int]) -> torch.Tensor:
        options: dict[str, Any] = {"past_key_values": self._past[row]} if self._caches else {}
        ids_on_device = torch.tensor([ids], device=self._network.device)
        output = self._network(input_ids=ids_on_device, use_cache=self._caches, **options, **self._last_only)
        if self._caches:
            self._past[row] = output.past_key_values
        return output[0][:, -1]


def _last_only(network: PreTrainedModel) -> dict[str, int]:
    """The argument that saves computing the logits of all tokens but the last, where there is one."""
    return {"logits_to_keep": 1} if "logits_to_keep" in _arguments(network) else {}
