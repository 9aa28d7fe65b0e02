"""The GPU's code on a machine without one."""

from __future__ import annotations

from typing import Any

import numpy as np

from syncr2.maps.backends import Cuda


class TorchHere(Cuda):
    """The GPU's code on this machine's CPU."""

    def __init__(self) -> None:
        import torch

        self._torch = torch

    def array(self, values: Any, dtype: str) -> Any:
        return self._torch.as_tensor(np.ascontiguousarray(values)).to(getattr(self._torch, dtype), copy=True)

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Any:
        return self._torch.zeros(shape, dtype=getattr(self._torch, dtype))
