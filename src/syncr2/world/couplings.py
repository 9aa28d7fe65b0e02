"""Which worlds trained miniatures come from: the coupling on their cards, and pairs from one world."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

Pair = tuple[str, str]


def couplings(folders: Mapping[str, str | Path | None]) -> dict[str, float]:
    """Coupling of the world that each model comes from, 0..1; models without a card of training are left out.

    Parameters
    ----------
    folders : mapping
        Folder by model name; None, or what is no folder, for models from elsewhere.
    """
    found = {}
    for name, folder in folders.items():
        try:
            card = json.loads((Path(folder or "") / "card.json").read_text(encoding="utf-8"))
            found[name] = float(card["target"]["coupling"])
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found


def pairs_within(pairs: Iterable[Pair], coupling: Mapping[str, float]) -> dict[float, list[Pair]]:
    """Pairs of models that come from worlds of one coupling, by that coupling, the smallest first."""
    found: dict[float, list[Pair]] = {}
    for first, second in pairs:
        if first in coupling and coupling[first] == coupling.get(second):
            found.setdefault(coupling[first], []).append((first, second))
    return dict(sorted(found.items()))
