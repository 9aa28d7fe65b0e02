"""How far two computations of the same states may differ by rounding alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

# Largest relative difference by number format of the computation; docs/formats.md says where they are from.
TOLERANCES: Mapping[str, float] = MappingProxyType({"float32": 1e-3, "float16": 0.02, "bfloat16": 0.1})


def relative_difference(found: torch.Tensor, reference: torch.Tensor) -> float:
    """Largest |found - reference| / |reference| over states, with Euclidean norms over the hidden units.

    A norm, since single units of real models are a thousand times larger than the others, and others near 0.

    Parameters
    ----------
    found, reference : Tensor, shape (..., hidden_size)

    Returns
    -------
    float
        At least 0; nan or infinite where the states are.
    """
    found, reference = found.float(), reference.float()
    difference = (found - reference).norm(dim=-1)
    # Both all zeros: no difference.
    relative = difference / reference.norm(dim=-1).clamp(min=torch.finfo(torch.float32).tiny)
    return float(relative.max())
