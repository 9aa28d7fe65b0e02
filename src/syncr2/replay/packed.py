"""Read many growing prompts in one forward pass, each token once and none of them padding.

Prompts stand in one row as bundles (`bundles`): a token's position is the one that it has in its own
prompt, and it sees its own prompt and nothing else. Which of those tokens it sees is asked of the model:
transformers makes each layer's mask from a rule of positions (causal, or causal within a window), and that
rule is applied to the positions of a piece at a time. So windows cut off the same tokens as in a prompt that
is read alone, in each layer by its own rule. The attention itself is the model's own as well, called once for
each trunk and once for its branches.
"""

from __future__ import annotations

import functools
import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch

from syncr2.replay.bundles import Layout, Rule, bundles
from syncr2.replay.growing import reuse_limit
from syncr2.replay.rounding import TOLERANCES, relative_difference

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "syncr2_packed"
# Queries in one call where a mask is needed: bounds what masks (and eager attention's scores) take.
BLOCK = 512


class _Piece(NamedTuple):
    """Tokens that attend in one call, and what they see; no mask means plain causal attention."""

    queries: slice
    keys: slice
    mask: torch.Tensor | None


class _Sight:
    """What transformers hands to every layer as its mask: the layer's rule, not yet applied."""

    def __init__(self, layout: Layout, own: str, rule: Rule) -> None:
        self._layout = layout
        self._rule = rule
        self.own = own
        self._made: dict[tuple[torch.device, torch.dtype], list[_Piece]] = {}

    def pieces(self, device: torch.device, dtype: torch.dtype) -> list[_Piece]:
        """The pieces of a pass; made once for all layers of one kind on one device."""
        key = (device, dtype)
        if key not in self._made:
            self._made[key] = list(self._pieces(device, dtype))
        return self._made[key]

    def _pieces(self, device: torch.device, dtype: torch.dtype) -> Iterator[_Piece]:
        longest = torch.arange(max(part.n_trunk for part in self._layout.parts))
        plain = self.own == "sdpa" and self._is_causal(longest)
        for part in self._layout.parts:
            borders = [*range(part.n_trunk, len(part.positions), BLOCK), len(part.positions)]
            if plain:
                whole = slice(part.begin, part.begin + part.n_trunk)
                yield _Piece(whole, whole, None)
            else:
                borders = [*range(0, part.n_trunk, BLOCK), *borders]
            for begin, end in itertools.pairwise(borders):
                first, last, mask = part.visible(self._rule, begin, end)
                queries = slice(part.begin + begin, part.begin + end)
                keys = slice(part.begin + first, part.begin + last)
                yield _Piece(queries, keys, self._form(on_device(mask, device), dtype))

    def _is_causal(self, positions: torch.Tensor) -> bool:
        return all(
            bool((self._rule(queries[:, None], positions) == (positions <= queries[:, None])).all())
            for queries in positions.split(BLOCK)
        )

    def _form(self, mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """A mask as the model's own attention takes it."""
        mask = mask[None, None]
        if self.own == "sdpa":
            return mask
        return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


def _sight(layout: Layout, own: str, *, mask_function: Callable[..., Any], **options: Any) -> _Sight:
    """Make a layer's mask, as transformers asks for it."""
    if options.get("use_vmap"):
        raise TypeError("this mask is not a rule of positions alone")
    here = torch.zeros((), dtype=torch.long)
    return _Sight(layout, own, lambda queries, keys: mask_function(here, here, queries, keys))


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: _Sight,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """The model's own attention, piece by piece, in the form that transformers asks for.

    Parameters
    ----------
    module : Module
        The layer.
    query : Tensor, shape (1, n_heads, n_tokens, size)
    key, value : Tensor, shape (1, n_shared_heads, n_tokens, size)
    attention_mask
        What `_sight` gave.
    **options
        What else transformers passes on.

    Returns
    -------
    (Tensor, None)
        (1, n_tokens, n_heads, size).
    """
    own = _own_attention(attention_mask.own, module)
    found = []
    for queries, keys, mask in attention_mask.pieces(query.device, query.dtype):
        causal = {"is_causal": True} if mask is None else {}
        part = own(
            module, query[:, :, queries], key[:, :, keys], value[:, :, keys], mask, **{**options, **causal}
        )
        found.append(part[0])
    return torch.cat(found, dim=1), None


def _own_attention(name: str, module: torch.nn.Module) -> Callable[..., Any]:
    if name == "eager":
        # Each model's file has its own, which knows what is special about it (caps, sinks).
        return cast("Callable[..., Any]", sys.modules[type(module).__module__].eager_attention_forward)
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    return sdpa_attention_forward


def read_packed(network: PreTrainedModel, layout: Layout) -> torch.Tensor:
    """Read all prompts of a layout in one pass.

    Returns
    -------
    Tensor, shape (n_prompts, size)
        The network's output at the last token of each prompt.
    """
    device = network.device
    with torch.inference_mode(), _packed(network, layout):
        output = network(
            input_ids=on_device(layout.ids, device),
            # Of no effect; without it, transformers takes a row whose positions start anew for a batch of
            # its own kind and guesses where the sequences begin.
            attention_mask=torch.ones_like(layout.ids, device=device),
            position_ids=on_device(layout.positions, device),
            use_cache=False,
        )
    return output[0][0, on_device(layout.last, output[0].device)]


def on_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on a device; a GPU gets it in its turn, while this process goes on."""
    if device.type == "cuda":
        # From memory that may be swapped, the copy would wait for all that the GPU has still to do.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def can_pack(network: PreTrainedModel) -> bool:
    """Whether prompts can be read in one row: by what the network's class says of it, then by trial.

    Parameters
    ----------
    network : PreTrainedModel
        A base model.

    Returns
    -------
    bool
        False where tokens meet other than by attention, where the attention cannot be called for a piece at
        a time, or where a trial with a few short prompts fails or gives something else than each alone.
    """
    own = network.config._attn_implementation
    callable_alone = own == "sdpa" or (
        own == "eager" and hasattr(sys.modules[type(network).__module__], "eager_attention_forward")
    )
    if reuse_limit(network) == 0 or not network._supports_attention_backend or not callable_alone:
        return False
    n_words = min(network.config.get_text_config().vocab_size, 100)
    history = [(7 * i + 3) % n_words for i in range(20)]
    dialogues = [[[*history[:12], 5, 6], [*history, 5, 6]], [history[4:13]]]
    device = network.device
    try:
        found = read_packed(network, Layout([bundles(prompts) for prompts in dialogues]))
        with torch.inference_mode():
            alone = [
                network(input_ids=torch.tensor([ids], device=device), use_cache=False)[0][0, -1]
                for prompts in dialogues
                for ids in prompts
            ]
    except Exception as error:
        # Whatever an unforeseen class makes of it: there is another way.
        logging.warning("%s cannot read prompts in one row: %r", type(network).__name__, error)
        return False
    difference = relative_difference(found, torch.stack(alone))
    if not difference <= TOLERANCES[str(network.dtype).removeprefix("torch.")]:
        logging.warning(
            "%s reads prompts in one row otherwise than alone (relative difference %.2g).",
            type(network).__name__,
            difference,
        )
        return False
    return True


@contextmanager
def _packed(network: PreTrainedModel, layout: Layout) -> Iterator[None]:
    from transformers import AttentionInterface, AttentionMaskInterface

    own = network.config._attn_implementation
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, functools.partial(_sight, layout, own))
    network.set_attn_implementation(NAME)
    try:
        yield
    finally:
        network.set_attn_implementation(own)
