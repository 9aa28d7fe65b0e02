"""Drawing tokens from logits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from syncr2.speakers import Sampling


def draw_tokens(logits: torch.Tensor, uniform: NDArray[np.float64], sampling: Sampling) -> list[int]:
    """Draw one token a row by inverting the cumulative distribution at the row's own uniform number.

    Parameters
    ----------
    logits : Tensor, shape (n_rows, vocabulary)
    uniform : ndarray, shape (n_rows,)
        Numbers in [0, 1).
    sampling : Sampling
        `top_k` is applied before `top_p`; the token that crosses `top_p` stays, and so does whatever is as
        likely as the last one that stays: a draw must not hang on how a tie is sorted.

    Returns
    -------
    list of int
        A token id a row.
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
        weights = weights.masked_fill(weights < _least_likely(weights, sampling.top_p), 0)
    cumulative = weights.cumsum(dim=1)
    wanted = torch.as_tensor(uniform, dtype=exact, device=logits.device)[:, None] * cumulative[:, -1:]
    # right=True: a uniform of 0 must not pick a leading token of probability 0.
    found = torch.searchsorted(cumulative, wanted, right=True).squeeze(1)
    # Rounding may put the number at the very end, behind the last token that can be drawn.
    last = weights.shape[1] - 1 - (weights > 0).to(torch.int8).flip(1).argmax(dim=1)
    return torch.minimum(found, last).tolist()


def _least_likely(weights: torch.Tensor, top_p: float) -> torch.Tensor:
    """The weight, (n_rows, 1), of the token that makes those at least as likely hold `top_p` together."""
    ordered = _descending(weights)
    before = ordered.cumsum(dim=1) - ordered
    return ordered.masked_fill(before >= top_p, torch.inf).min(dim=1, keepdim=True).values


def _descending(weights: torch.Tensor) -> torch.Tensor:
    """The rows, sorted."""
    if weights.device.type == "cpu":
        # NumPy sorts numbers several times as fast as torch, which always carries their places along.
        return torch.from_numpy(np.sort(weights.numpy(), axis=1)).flip(1)
    return weights.sort(dim=1, descending=True).values
