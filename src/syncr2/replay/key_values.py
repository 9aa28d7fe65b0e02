"""A cache of keys and values that grows and can be rearranged without copying more than must be."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

# Free slots at the end of what is kept. While an answer is generated, a copy of all that was read is made
# once in so many tokens, not at every token.
ROOM = 32


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer, each (row, head, slot, size)."""

    def __init__(self) -> None:
        super().__init__()
        self._kept_keys = _Slots()
        self._kept_values = _Slots()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add slots; give all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys = self._kept_keys.add(key_states)
        self.values = self._kept_values.add(value_states)
        return self.keys, self.values

    def rearrange(self, rows: torch.Tensor, slots: torch.Tensor) -> None:
        """See `RoomyCache`."""
        self.keys = self._kept_keys.rearrange(rows, slots)
        self.values = self._kept_values.rearrange(rows, slots)

    def take(self, other: RoomyLayer, rows: torch.Tensor) -> None:
        """See `RoomyCache.of_rows`."""
        assert other.keys is not None
        assert other.values is not None
        rows = rows.to(other.keys.device)
        self.update(other.keys[rows], other.values[rows])


class RoomyCache(Cache):
    """Keys and values of a network whose layers all keep nothing else; empty at first.

    Layers with a sliding window keep everything as well: what the window has left behind is needed when a
    prompt is cut back to the part that stays.
    """

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=RoomyLayer)

    def rearrange(self, rows: torch.Tensor, slots: torch.Tensor) -> None:
        """Let slot j of row i be what is now in slot `slots[i, j]` of row `rows[i]`; drop the rest.

        Parameters
        ----------
        rows : Tensor of int, shape (n_rows,)
        slots : Tensor of int, shape (n_rows, n_slots)
        """
        for layer in self.layers:
            assert isinstance(layer, RoomyLayer)
            layer.rearrange(rows, slots)

    def of_rows(self, rows: torch.Tensor) -> RoomyCache:
        """A cache of its own that begins with copies of some rows."""
        chosen = RoomyCache()
        for layer in self.layers:
            copied = RoomyLayer()
            assert isinstance(layer, RoomyLayer)
            copied.take(layer, rows)
            chosen.layers.append(copied)
        return chosen


class _Slots:
    """A tensor (row, head, slot, size) with free slots behind those in use."""

    def __init__(self) -> None:
        self._store: torch.Tensor | None = None
        self._n = 0

    def add(self, new: torch.Tensor) -> torch.Tensor:
        begin, self._n = self._n, self._n + new.shape[2]
        if self._store is None or self._n > self._store.shape[2]:
            larger = new.new_empty(*new.shape[:2], self._n + ROOM, new.shape[3])
            if self._store is not None:
                larger[:, :, :begin] = self._store[:, :, :begin]
            self._store = larger
        self._store[:, :, begin : self._n] = new
        return self._store[:, :, : self._n]

    def rearrange(self, rows: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        assert self._store is not None
        device = self._store.device
        moved = self._store.transpose(1, 2)[rows[:, None].to(device), slots.to(device)]
        self._store, self._n = moved.transpose(1, 2), slots.shape[1]
        return self._store
