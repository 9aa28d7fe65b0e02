"""Replay a prompt and keep the last token's hidden state after every block.

The state is what the block gives to the next one: forward hooks take it from the blocks themselves, before any final norm,
and the embedding layer is not among them. (`output_hidden_states` would give the embedding too, its last entry after the
final norm, and would keep every token of the prompt.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from syncr2.chat import ChatEncoder
from syncr2.dialogue import Spoken, prompt_ids
from syncr2.models import find_blocks
from syncr2.prompts import Prompts
from syncr2.scenarios import Episode
from syncr2.store import StateRow
from syncr2.views import bystander_view

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.inference_mode()
def last_token_states(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], batch_tokens: int
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Hidden states of each prompt's last token after every block.

    Parameters
    ----------
    model : PreTrainedModel
        A causal language model.
    prompts : sequence of sequences of int
        Token ids.
    batch_tokens : int
        Tokens computed at once, padding counted; a single prompt may be longer.

    Yields
    ------
    (positions, states)
        Positions of the prompts of one batch and their states, float32, (n_layers, n_prompts_in_batch, hidden_size).
    """
    blocks = find_blocks(model)
    for chosen in batches([len(prompt) for prompt in prompts], batch_tokens):
        ids, last = _right_padded([prompts[i] for i in chosen])
        with _kept_last_token(blocks, last.to(model.device)) as kept:
            # The blocks' own model, without the head: nothing is to be predicted. No mask is needed: padding stands to
            # the right of the last token, where a causal model cannot look.
            model.base_model(input_ids=ids.to(model.device), use_cache=False)
        yield chosen, torch.stack(kept).float().cpu().numpy()


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Positions grouped by similar length, so that the longest times the number stays within `batch_tokens`."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _right_padded(prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.zeros(len(prompts), max(map(len, prompts)), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
    return ids, torch.tensor([len(prompt) - 1 for prompt in prompts])


@contextmanager
def _kept_last_token(blocks: Sequence[torch.nn.Module], last: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """Collect `(n_prompts, hidden_size)` from every block while a forward pass runs."""
    kept: list[torch.Tensor] = []
    rows = torch.arange(len(last), device=last.device)

    def keep(block: torch.nn.Module, inputs: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        if hidden.ndim != 3:
            raise RuntimeError(f"{type(block).__name__} gave shape {tuple(hidden.shape)}; (batch, token, hidden) expected")
        # With device_map the blocks of a large model lie on several devices.
        kept.append(hidden[rows.to(hidden.device), last.to(hidden.device)].to(last.device))

    handles = [block.register_forward_hook(keep) for block in blocks]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def replay(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], batch_tokens: int, n_layers: int, hidden_size: int
) -> NDArray[np.float32]:
    """States of all prompts, (n_layers, n_prompts, hidden_size), float32."""
    states = np.empty((n_layers, len(prompts), hidden_size), dtype=np.float32)
    for chosen, values in last_token_states(model, prompts, batch_tokens):
        states[:, chosen] = values
    return states


def engaged_prompts(record: Mapping[str, Any]) -> list[list[int]]:
    """The prompts that the agents answered, one a turn, from the dialogue's own record."""
    return prompt_ids(record)


def passive_prompts(
    record: Mapping[str, Any], episode: Episode, encoders: tuple[ChatEncoder, ChatEncoder], prompts: Prompts, private: bool
) -> list[list[int]]:
    """The same histories as a passive reader sees them, one a turn, in the tokens of the speaking agent's model."""
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
