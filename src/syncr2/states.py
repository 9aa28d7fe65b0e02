"""Replay prompts and keep the last token's hidden state after every block.

The state is what the block gives to the next one: forward hooks take it from the blocks themselves, before
any final norm, and the embedding layer is not among them. (`output_hidden_states` would give the embedding
too, its last entry after the final norm, and would keep every token of the prompt.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from syncr2.chat import ChatEncoder
from syncr2.dialogue import prompt_ids
from syncr2.growing import Reader, warn_if_slow
from syncr2.models import find_blocks
from syncr2.prompts import Prompts
from syncr2.scenarios import Episode
from syncr2.store import StateRow
from syncr2.turns import Spoken
from syncr2.views import bystander_view

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def replay(
    model: PreTrainedModel, dialogues: Sequence[Sequence[Sequence[int]]], batch_tokens: int
) -> NDArray[np.float32]:
    """Hidden states of the last token of every prompt, after every block.

    Parameters
    ----------
    model : PreTrainedModel
        A causal language model.
    dialogues : sequence of sequences of prompts
        For each dialogue the prompts (token ids) that the model reads in it, in the order of the turns: each
        grows from the one before, and only what is new in it is computed.
    batch_tokens : int
        Tokens kept in memory at once: dialogues read together times their longest prompt. One dialogue may be
        longer.

    Returns
    -------
    ndarray, shape (n_layers, n_prompts, hidden_size)
        float32; all prompts of the first dialogue, then those of the second, and so on.
    """
    blocks = find_blocks(model)
    # The base model is the model without its head: nothing is to be predicted.
    network = cast("PreTrainedModel", model.base_model)
    warn_if_slow(network)
    first_row = np.cumsum([0, *map(len, dialogues)])
    size = model.config.get_text_config().hidden_size
    states = np.empty((len(blocks), first_row[-1], size), dtype=np.float32)
    longest = {i: max(map(len, prompts)) for i, prompts in enumerate(dialogues) if prompts}
    for batch in batches(longest, batch_tokens):
        reader = Reader(network)
        for step in range(max(len(dialogues[i]) for i in batch)):
            reading = [i for i in batch if step < len(dialogues[i])]
            with last_token_states(blocks) as kept:
                reader.read(reading, [dialogues[i][step] for i in reading])
            states[:, first_row[reading] + step] = [torch.cat(parts).float().cpu().numpy() for parts in kept]
    return states


def batches(lengths: Mapping[int, int], batch_tokens: int) -> Iterator[list[int]]:
    """Put dialogues of similar length together: the longest times their number stays within `batch_tokens`.

    Parameters
    ----------
    lengths : mapping
        Length of the longest prompt, by dialogue.
    batch_tokens : int
        Bound on a batch; a longer dialogue gets one of its own.

    Yields
    ------
    list of int
        Dialogues of one batch, the longest first.
    """
    batch: list[int] = []
    for i in sorted(lengths, key=lambda i: -lengths[i]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


@contextmanager
def last_token_states(blocks: Sequence[torch.nn.Module]) -> Iterator[list[list[torch.Tensor]]]:
    """Keep what every block gives for the last token, while the network reads.

    Yields
    ------
    list of lists of Tensor
        For each block the states, (n_rows, hidden_size), of each forward pass.
    """
    kept: list[list[torch.Tensor]] = [[] for _ in blocks]

    def keep(layer: int, block: torch.nn.Module, output: Any) -> None:
        # A tensor in transformers 5, a tuple that begins with it before.
        hidden = output[0] if isinstance(output, tuple) else output
        if hidden.ndim != 3:
            raise RuntimeError(
                f"{type(block).__name__} gave shape {tuple(hidden.shape)}; (row, token, hidden) was expected"
            )
        # A copy: a view would keep all tokens of the prompt in memory.
        kept[layer].append(hidden[:, -1].clone())

    handles = [
        block.register_forward_hook(lambda block, inputs, output, layer=layer: keep(layer, block, output))
        for layer, block in enumerate(blocks)
    ]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def engaged_prompts(record: Mapping[str, Any]) -> list[list[int]]:
    """The prompts that the agents answered, one a turn, from the dialogue's own record."""
    return prompt_ids(record)


def passive_prompts(
    record: Mapping[str, Any],
    episode: Episode,
    encoders: tuple[ChatEncoder, ChatEncoder],
    prompts: Prompts,
    private: bool,
) -> list[list[int]]:
    """The same histories as a passive reader sees them, one a turn, in tokens of the speaker's model."""
    turns = [Spoken(turn["turn"], turn["speaker"], turn["text"]) for turn in record["turns"]]
    found = []
    for i, turn in enumerate(record["turns"]):
        view = bystander_view(episode, turn["agent"], private)
        found.append(encoders[turn["agent"] - 1].encode(prompts.bystander(view, turns[:i])))
    return found


def state_rows(record: Mapping[str, Any], prompts: Sequence[Sequence[int]]) -> list[StateRow]:
    """The row table of one dialogue, one row a turn."""
    return [
        StateRow(
            episode_id=record["episode_id"],
            environment_id=record["environment_id"],
            seed=record["seed"],
            turn=turn["turn"],
            n_prompt_tokens=len(ids),
            last_token_id=ids[-1],
        )
        for turn, ids in zip(record["turns"], prompts, strict=True)
    ]
