"""Replay prompts and keep the last token's hidden state after every block.

The state is what the block gives to the next one: forward hooks take it from the blocks themselves, before
any final norm, and the embedding layer is not among them. (`output_hidden_states` would give the embedding
too, its last entry after the final norm, and would keep every token of the prompt.)

The prompts of a dialogue grow by what was said, so each token is computed once: many dialogues at a time in
one row without padding (`packed`), or where a network cannot do that, prompt after prompt from what was kept
of the one before (`growing`), or where it cannot do that either, each prompt alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from syncr2.dialogues.chat import ChatEncoder
from syncr2.dialogues.dialogue import prompt_ids
from syncr2.dialogues.prompts import Prompts
from syncr2.dialogues.turns import Spoken
from syncr2.models.loading import find_blocks
from syncr2.replay.bundles import Bundle, Layout, bundles
from syncr2.replay.growing import Reader, reuse_limit, warn_if_slow
from syncr2.replay.packed import can_pack, on_device, read_packed
from syncr2.sotopia.scenarios import Episode
from syncr2.sotopia.views import bystander_view
from syncr2.store import StateRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# On a CPU, a pass with more numbers than this in an intermediate result is slower: the memory goes back to
# the system and comes anew in every block.
CPU_NUMBERS = 2**23

Dialogue = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Batch:
    """States of some rows, perhaps still under way from a GPU.

    Attributes
    ----------
    begin : int
        The first row; the others follow it.
    hidden : Tensor, shape (n_layers, n_rows, hidden_size)
        In the number format of the network, in the memory of the CPU.
    copied : tuple of cuda events
        What to wait for before `hidden` is read.
    """

    begin: int
    hidden: torch.Tensor
    copied: tuple[torch.cuda.Event, ...] = ()

    def values(self) -> NDArray[np.float32]:
        """The states, as soon as they are there: (n_layers, n_rows, hidden_size)."""
        for event in self.copied:
            event.synchronize()
        return cast("NDArray[np.float32]", self.hidden.float().numpy())


def replay(model: PreTrainedModel, dialogues: Sequence[Dialogue], batch_tokens: int) -> Iterator[Batch]:
    """Hidden states of the last token of every prompt, after every block.

    Parameters
    ----------
    model : PreTrainedModel
        A causal language model.
    dialogues : sequence of sequences of prompts
        For each dialogue the prompts (token ids) that the model reads in it.
    batch_tokens : int
        Tokens computed at once. One dialogue may have more.

    Yields
    ------
    Batch
        Rows are prompts: all of the first dialogue, then those of the second, and so on.
    """
    blocks = find_blocks(model)
    # The base model is the model without its head: nothing is to be predicted.
    network = cast("PreTrainedModel", model.base_model)
    limit = reuse_limit(network) if can_pack(network) else 0
    if limit == 0:
        warn_if_slow(network)
    row = 0
    for group in groups(dialogues, _tokens_at_once(network, batch_tokens), limit):
        hidden = _packed_states(network, blocks, group) if group.bundled else _states(network, blocks, group)
        yield Batch(row, *hidden)
        row += sum(map(len, group.dialogues))


@dataclass(frozen=True)
class Group:
    """Dialogues that are read together; `bundled` is empty where they must be read prompt after prompt."""

    dialogues: Sequence[Dialogue]
    bundled: Sequence[Sequence[Bundle]]


def groups(dialogues: Sequence[Dialogue], batch_tokens: int, limit: int) -> Iterator[Group]:
    """Cut a sequence of dialogues into groups of at most `batch_tokens` tokens to compute.

    Parameters
    ----------
    dialogues : sequence of sequences of prompts
        Those without a prompt are left out.
    batch_tokens : int
        Bound on a group; a dialogue that has more is one of its own.
    limit : int
        Longest prompt that can be read beside others; a dialogue with a longer one is a group of its own.

    Yields
    ------
    Group
        In the order of the dialogues.
    """
    waiting: list[Dialogue] = []
    bundled: list[list[Bundle]] = []
    n_tokens = 0
    for prompts in filter(None, dialogues):
        together = max(map(len, prompts)) <= limit
        own = bundles(prompts) if together else []
        n_own = sum(bundle.n_tokens for bundle in own)
        if waiting and (not together or n_tokens + n_own > batch_tokens):
            yield Group(waiting, bundled)
            waiting, bundled, n_tokens = [], [], 0
        if together:
            waiting.append(prompts)
            bundled.append(own)
            n_tokens += n_own
        else:
            yield Group([prompts], [])
    if waiting:
        yield Group(waiting, bundled)


def _tokens_at_once(network: PreTrainedModel, batch_tokens: int) -> int:
    if network.device.type != "cpu":
        return batch_tokens
    # The widest intermediate result has about four numbers for each of the hidden units.
    return min(batch_tokens, CPU_NUMBERS // (4 * network.config.get_text_config().hidden_size))


def _packed_states(
    network: PreTrainedModel, blocks: Sequence[torch.nn.Module], group: Group
) -> tuple[torch.Tensor, tuple[torch.cuda.Event, ...]]:
    layout = Layout(group.bundled)
    with states_at(blocks, layout.last) as kept:
        read_packed(network, layout)
    return _to_host([parts[0] for parts in kept])


def _states(
    network: PreTrainedModel, blocks: Sequence[torch.nn.Module], group: Group
) -> tuple[torch.Tensor, tuple[torch.cuda.Event, ...]]:
    reader = Reader(network)
    with states_at(blocks) as kept:
        for number, prompts in enumerate(group.dialogues):
            for prompt in prompts:
                reader.read([number], [prompt])
    return _to_host([torch.cat(parts) for parts in kept])


@torch.inference_mode()
def states_alone(model: PreTrainedModel, prompt: Sequence[int]) -> NDArray[np.float32]:
    """The states of one prompt that is read by itself, whole, without cache, padding or batch.

    Returns
    -------
    ndarray, shape (n_layers, hidden_size)
    """
    network = cast("PreTrainedModel", model.base_model)
    with states_at(find_blocks(model)) as kept:
        network(input_ids=torch.tensor([prompt], device=network.device), use_cache=False)
    return torch.cat([parts[0].float().cpu() for parts in kept]).numpy()


def _to_host(states: Sequence[torch.Tensor]) -> tuple[torch.Tensor, tuple[torch.cuda.Event, ...]]:
    """States of all blocks as one tensor of the CPU, and what to wait for before it is read."""
    if not states[0].is_cuda:
        return torch.stack([state.cpu() for state in states]), ()
    hidden = torch.empty((len(states), *states[0].shape), dtype=states[0].dtype, pin_memory=True)
    for target, state in zip(hidden, states, strict=True):
        target.copy_(state, non_blocking=True)
    # Blocks may lie on several GPUs, each with a queue of its own.
    streams = [torch.cuda.current_stream(device) for device in {state.device for state in states}]
    return hidden, tuple(stream.record_event() for stream in streams)


@contextmanager
def states_at(
    blocks: Sequence[torch.nn.Module], places: torch.Tensor | None = None
) -> Iterator[list[list[torch.Tensor]]]:
    """Keep what every block gives for some tokens, while the network reads.

    Parameters
    ----------
    blocks : sequence of Module
        The blocks, first to last.
    places : Tensor of int, optional
        Which tokens of a single row; without it, the last of every row.

    Yields
    ------
    list of lists of Tensor
        For each block the states, (n_rows or n_places, hidden_size), of each forward pass.
    """
    kept: list[list[torch.Tensor]] = [[] for _ in blocks]
    there: dict[torch.device, torch.Tensor] = {}

    def keep(layer: int, block: torch.nn.Module, output: Any) -> None:
        # A tensor in transformers 5, a tuple that begins with it before.
        hidden = output[0] if isinstance(output, tuple) else output
        if hidden.ndim != 3:
            raise RuntimeError(
                f"{type(block).__name__} gave shape {tuple(hidden.shape)}; (row, token, hidden) was expected"
            )
        # Copies: a view would keep all tokens of the prompts in memory.
        if places is None:
            kept[layer].append(hidden[:, -1].clone())
            return
        if hidden.device not in there:
            there[hidden.device] = on_device(places, hidden.device)
        kept[layer].append(hidden[0].index_select(0, there[hidden.device]))

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
