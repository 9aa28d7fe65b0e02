"""Words that figures and pages share, so that a thing has one name all over the report."""

from __future__ import annotations

_CONDITIONS = {
    "interaction": "interaction",
    "passive": "passive reader",
    "untrained": "untrained twins",
    "pseudo": "pseudo pairs",
}


def condition_words(name: str, lag: int | None) -> str:
    """A condition as readers know it: `interaction`, `passive reader`, `lag 3`."""
    return _CONDITIONS.get(name, f"lag {lag}")
