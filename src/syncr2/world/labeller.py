"""The engine "world": labels of the toy world's dialogues, read back from what was said.

No model is asked and nothing is guessed: sentences of the world are read without loss
(`syncr2.world.hearing`), so these labels are what a turn really showed. A turn that is no sentence of the
world has none but the trust of both and that it is not well formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syncr2.judges.base import Case
from syncr2.labellers.base import WORLD_LABELS, Labelled
from syncr2.world.hearing import heard_labels
from syncr2.world.oracle import heard_case

# Part of what labels depend on: raise it when reading changes a label.
RULES_VERSION = "world-labels/1"


class WorldLabeller:
    """Label dialogues of the world; a dialogue of any other episode has failed."""

    def label(self, cases: Sequence[Case]) -> list[Labelled]:
        """Label each case."""
        return [_label_one(case) for case in cases]

    def provenance(self) -> dict[str, Any]:
        """Say what made the labels."""
        return {"engine": "world", "rules": RULES_VERSION}


def _label_one(case: Case) -> Labelled:
    found = heard_case(case)
    if found is None:
        error = "The engine world labels episodes of the toy world only, and this is none (docs/world.md)."
        return Labelled("failed", None, 0, error, None, {})
    turns = heard_labels(found[1])
    labels = {name: [turn.get(name) for turn in turns] for name in WORLD_LABELS}
    return Labelled("ok", labels, 1, None, None, {})
