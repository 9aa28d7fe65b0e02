"""States that are read from their files once, where memory allows."""

from __future__ import annotations

from numpy.typing import NDArray

from syncr2.store import StackedStates


def held(stack: StackedStates, memory: float) -> StackedStates | Held:
    """States in memory where they need no more than so many bytes there, else as they are on disk."""
    n_layers, n_rows, width = stack.shape
    return Held(stack) if 4 * n_layers * n_rows * width <= memory else stack


class Held:
    """Layers that are read once."""

    def __init__(self, stack: StackedStates) -> None:
        self.states = stack
        self._layers: dict[int, NDArray] = {}

    def __len__(self) -> int:
        return len(self.states)

    def __getitem__(self, layer: int) -> NDArray:
        if layer not in self._layers:
            self._layers[layer] = self.states[layer]
        return self._layers[layer]
