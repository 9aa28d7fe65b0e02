"""Attention of one new token over keys and values that several heads share, without a copy for each head.

Where heads share keys and values (grouped-query attention) and rows are padded, transformers copies keys and
values once for every head, at every token and layer. To generate tokens, that copy costs more than all else
together. One query a head can as well be taken as several queries of one shared head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "syncr2_shared_heads"


def share_heads(model: PreTrainedModel) -> None:
    """Let `model` generate with this attention, if it would use torch's own with shared heads.

    Everything but a single new token is left to transformers, and so is every model that calls for another
    attention.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    config = model.config.get_text_config()
    n_heads = config.num_attention_heads
    shared = getattr(config, "num_key_value_heads", None) not in (None, n_heads)
    if not shared or config._attn_implementation != "sdpa" or not model._supports_attention_backend:
        return
    AttentionInterface.register(NAME, attend)
    # Without a kind of mask of its own, an attention gets none, and nobody says so.
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in the form that transformers asks for.

    Parameters
    ----------
    module : Module
        The layer.
    query : Tensor, shape (n_rows, n_heads, n_new, size)
    key, value : Tensor, shape (n_rows, n_shared_heads, n_tokens, size)
    attention_mask : Tensor or None, shape (n_rows, 1 or n_heads, n_new, n_tokens)
    dropout, scaling
        As in `scaled_dot_product_attention`.
    **options
        What else transformers passes on.

    Returns
    -------
    (Tensor, None)
        (n_rows, n_new, n_heads, size).
    """
    n_rows, n_heads, n_new, size = query.shape
    n_shared = key.shape[1]
    plain = all(options.get(name) is None for name in ("position_bias", "cache"))
    if n_new > 1 or attention_mask is None or attention_mask.shape[1] > 1 or dropout or not plain:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    # Heads that share keys stand side by side, in the order in which transformers would repeat the keys.
    queries = query.reshape(n_rows, n_shared, n_heads // n_shared, size)
    found = scaled_dot_product_attention(queries, key, value, attn_mask=attention_mask, scale=scaling)
    return found.reshape(n_rows, n_heads, 1, -1).transpose(1, 2).contiguous(), None
