"""Read prompts that grow, and compute each token once.

From one turn of an agent to its next, its prompt repeats the last one and adds what was said since. A `Reader` keeps the
keys and values of what it has read and, at the next prompt, computes only what comes after the common prefix of both,
found on token ids. Generation and replay use the same reader.

Many dialogues are read at once, one a row. A row's tokens stand without a gap and end at the right, so the only padding is
on the left: before each reading, what a row keeps is moved to the place where it belongs, and every row computes as many
tokens as the one that needs most (the others compute a few of theirs again). Distances between tokens are then the same as
in a prompt read alone, so a sliding window cuts off the same tokens.

Not every model can go on from kept keys and values; `reuse_limit` says which can. The others read each prompt whole and
alone, which is slow and right.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Rotary positions whose frequencies do not depend on the length of the sequence.
FIXED_ROPES = frozenset({"default", "linear", "llama3", "yarn", "proportional"})
ATTENTION = frozenset({"full_attention", "sliding_attention"})
UNLIMITED = sys.maxsize


def reuse_limit(network: PreTrainedModel) -> int:
    """The longest sequence of which `network` can keep keys and values for later, in any padding.

    Decided by what the class and its configuration say:

    - its forward must name `attention_mask`, `position_ids` and `past_key_values` (an argument that disappears in
      `**kwargs` would be ignored without a word);
    - it must not be stateful, and each layer's cache must be one of keys and values, attended to in full or in a sliding
      window (recurrent states cannot be cut back to a prefix; chunks of attention are counted from the first slot);
    - where rotary frequencies change with the length of the sequence ("dynamic", "longrope"), what was computed in a
      shorter one holds only up to the length at which they start to.

    Returns
    -------
    int
        Tokens; 0 if nothing can be kept, `UNLIMITED` if there is no limit but the model's own.
    """
    named = inspect.signature(network.forward).parameters
    if not {"attention_mask", "position_ids", "past_key_values"} <= named.keys() or network._is_stateful:
        return 0
    config = network.config.get_text_config(decoder=True)
    if not set(getattr(config, "layer_types", None) or ()) <= ATTENTION:
        return 0
    if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=config).layers):
        return 0
    return min((_fixed_up_to(rope, config) for rope in _ropes(config)), default=UNLIMITED)


def _ropes(config: Any) -> Iterator[dict[str, Any]]:
    """The rotary parameters: one set, or one for each type of layer."""
    parameters = getattr(config, "rope_parameters", None) or {}
    if "rope_type" in parameters:
        yield parameters
    else:
        yield from (value for value in parameters.values() if isinstance(value, dict))


def _fixed_up_to(rope: dict[str, Any], config: Any) -> int:
    if rope.get("rope_type", "default") in FIXED_ROPES:
        return UNLIMITED
    return int(rope.get("original_max_position_embeddings") or config.max_position_embeddings)


class Reader:
    """Reads one prompt after the other of a fixed set of dialogues.

    Parameters
    ----------
    network : PreTrainedModel
        A causal language model, or its `base_model` where nothing is to be predicted.
    room : int
        Tokens that may follow a prompt, by `extend`, before the next one is read.
    """

    def __init__(self, network: PreTrainedModel, room: int = 0) -> None:
        self._limit = reuse_limit(network)
        self._room = room
        self._together = _Together(network)
        # Where the length decides about frequencies, not even one answer's tokens share a cache.
        self._alone = _Alone(network, caches=self._limit == 0)
        self._way: _Together | _Alone = self._together
        if self._limit == 0:
            logging.info(
                "%s cannot go on from what it has read; every prompt is read whole and alone", type(network).__name__
            )

    @torch.inference_mode()
    def read(self, dialogues: Sequence[Hashable], prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Read the next prompt of each dialogue.

        Parameters
        ----------
        dialogues : sequence of hashable
            Which dialogue each prompt belongs to. Those read before and not named now are forgotten.
        prompts : sequence of sequences of int
            Token ids, at least one a prompt.

        Returns
        -------
        Tensor, shape (n_dialogues, n)
            The network's output at each prompt's last token: logits of the next one (n = vocabulary), or the last
            hidden state, after any final norm, if `network` is a base model.
        """
        longest = max(map(len, prompts)) + self._room
        self._way = self._together if longest <= self._limit else self._alone
        return self._way.read(dialogues, prompts)

    @torch.inference_mode()
    def extend(self, tokens: Sequence[int]) -> torch.Tensor:
        """Read one token more in each dialogue of the last `read`; give the same as `read`.

        These tokens are not kept for the next prompt: before they come back in it, other text has changed its place.
        """
        return self._way.extend(tokens)


class _Together:
    """All rows in one block, left-padded, with one cache."""

    def __init__(self, network: PreTrainedModel) -> None:
        self._network = network
        self._only_last = _only_last(network)
        self._rows: dict[Hashable, int] = {}
        self._prompts: list[Sequence[int]] = []
        self._width = 0
        self._cache = DynamicCache()
        self._mask = torch.empty(0)
        self._positions = torch.empty(0)

    def read(self, dialogues: Sequence[Hashable], prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """See `Reader`."""
        known = [self._known(dialogue, prompt) for dialogue, prompt in zip(dialogues, prompts, strict=True)]
        n_new = max(len(prompt) - n for prompt, n in zip(prompts, known, strict=True))
        kept = [max(len(prompt) - n_new, 0) for prompt in prompts]
        self._move(dialogues, kept)
        self._rows = {dialogue: row for row, dialogue in enumerate(dialogues)}
        self._prompts = list(prompts)
        self._width = max(kept) + n_new

        ids = torch.zeros(len(prompts), n_new, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            new = prompt[-n_new:]
            ids[row, n_new - len(new) :] = torch.tensor(new)
        device = self._network.device
        padding = torch.tensor([self._width - len(prompt) for prompt in prompts], device=device)[:, None]
        slots = torch.arange(self._width, device=device)[None]
        self._mask = (slots >= padding).long()
        positions = (slots - padding).clamp(min=0)
        self._positions = positions[:, -1:]
        return self._forward(ids.to(device), positions[:, -n_new:])

    def extend(self, tokens: Sequence[int]) -> torch.Tensor:
        """See `Reader`."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        self._positions = self._positions + 1
        return self._forward(torch.tensor(tokens, device=self._network.device)[:, None], self._positions)

    def _known(self, dialogue: Hashable, prompt: Sequence[int]) -> int:
        """How many of a prompt's tokens are in the cache; its last one is always to be computed."""
        if dialogue not in self._rows:
            return 0
        return common_prefix(self._prompts[self._rows[dialogue]], prompt[:-1])

    def _move(self, dialogues: Sequence[Hashable], kept: Sequence[int]) -> None:
        """Bring the first `kept` tokens of each dialogue to where they belong, side by side at the right."""
        width = max(kept)
        if width == 0:
            self._cache = DynamicCache()
            return
        rows = torch.tensor([self._rows.get(dialogue, 0) for dialogue in dialogues])
        lengths = torch.tensor([len(prompt) for prompt in self._prompts])
        # Where a dialogue's tokens begin now, less where they will.
        shifts = (self._width - lengths[rows]) - (width - torch.tensor(kept))
        # What comes into a slot of padding is masked; any number will do, if it is one.
        slots = (torch.arange(width) + shifts[:, None]).clamp(0, self._width - 1)
        for layer in self._cache.layers:
            where = rows[:, None].to(layer.keys.device), slots.to(layer.keys.device)
            layer.keys = layer.keys.transpose(1, 2)[where].transpose(1, 2)
            layer.values = layer.values.transpose(1, 2)[where].transpose(1, 2)

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        output = self._network(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            **self._only_last,
        )
        return output[0][:, -1]


class _Alone:
    """Each row by itself and unpadded, without what was read before."""

    def __init__(self, network: PreTrainedModel, caches: bool) -> None:
        self._network = network
        self._only_last = _only_last(network)
        self._caches = caches and "past_key_values" in inspect.signature(network.forward).parameters
        self._sequences: list[list[int]] = []
        self._past: list[Any] = []

    def read(self, dialogues: Sequence[Hashable], prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """See `Reader`."""
        self._sequences = [list(prompt) for prompt in prompts]
        self._past = [None] * len(prompts)
        return torch.cat([self._forward(row, ids) for row, ids in enumerate(self._sequences)])

    def extend(self, tokens: Sequence[int]) -> torch.Tensor:
        """See `Reader`."""
        outputs = []
        for row, token in enumerate(tokens):
            self._sequences[row].append(token)
            outputs.append(self._forward(row, [token] if self._caches else self._sequences[row]))
        return torch.cat(outputs)

    def _forward(self, row: int, ids: Sequence[int]) -> torch.Tensor:
        past = {"past_key_values": self._past[row]} if self._caches else {}
        output = self._network(
            input_ids=torch.tensor([ids], device=self._network.device), use_cache=self._caches, **past, **self._only_last
        )
        if self._caches:
            self._past[row] = output.past_key_values
        return output[0][:, -1]


def _only_last(network: PreTrainedModel) -> dict[str, int]:
    """The argument that saves the logits of all tokens but the last, where there is one."""
    return {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(network.forward).parameters else {}


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many leading tokens two sequences share."""
    return next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))
