"""The engine "surface": rules over words, a stand-in for demonstrations, of no scientific meaning.

It counts words of seven short lists and looks for the marks of a turn without words. Every record that it
makes says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from syncr2.dialogues.turns import leaves
from syncr2.judges.base import Case
from syncr2.labellers.base import ACTION, EMOTION, EMOTIONS, Labelled

NOTE = "surface: rules over words for demonstrations, of no scientific meaning"
# Part of what labels depend on: raise it when a rule below changes a label.
RULES_VERSION = "surface-labels/1"

_WORD = re.compile(r"[^\W\d_]+")
_BRACKETED = re.compile(r"^[*(\[].*[*)\]][.!]?$")
_GESTURES = re.compile(
    r"nod|smil|sigh|shrug|laugh|frown|glanc|stare|wink|shake|cr(?:y|ies)|silen", re.IGNORECASE
)
# Words begin with these.
_STEMS = {
    "anger": "angr annoy blam fault hate judg quarrel rude shout signed unfair wrong",
    "disgust": "awful cheap dirty dislik gross horribl nasty shame tire trash wast",
    "fear": "afraid danger doubt fear help hide lock night panic risk scar worr",
    "joy": "agree fine friend glad good great happy love nice promis shar smil thank together welcome",
    "sadness": "alone dead gone hurt less los miss old past sad sorry tear unfortun",
    "surprise": "believ different new odd really strange sudden surpris wonder wow",
}
_LISTS = {emotion: tuple(stems.split()) for emotion, stems in _STEMS.items()}


class SurfaceLabeller:
    """Label turns by their words; deterministic, no model, no scientific meaning."""

    def label(self, cases: Sequence[Case]) -> list[Labelled]:
        """Label each dialogue; always "ok"."""
        return [
            Labelled(
                "ok",
                {
                    EMOTION: [emotion_of(line.text) for line in case.lines],
                    ACTION: [action_of(line.text) for line in case.lines],
                },
                attempts=1,
                error=None,
                raw=None,
                made_by={},
            )
            for case in cases
        ]

    def provenance(self) -> dict[str, Any]:
        """Say what made the labels, and what they are not."""
        return {"engine": "surface", "rules": RULES_VERSION, "note": NOTE}


def emotion_of(text: str) -> dict[str, float]:
    """Share of each emotion's words among those of all lists; one more counts as neutral, so it sums to 1."""
    words = [word.casefold() for word in _WORD.findall(text)]
    counts: dict[str, float] = {
        name: sum(word.startswith(stems) for word in words) for name, stems in _LISTS.items()
    }
    # Below a word: a single one decides, and nothing at all is neutral.
    counts["neutral"] = 0.9
    total = sum(counts.values())
    return {emotion.name: counts[emotion.name] / total for emotion in EMOTIONS}


def action_of(text: str) -> str:
    """The kind of a turn, by its form."""
    if leaves(text):
        return "leave"
    if not _WORD.search(text):
        return "none"
    if _BRACKETED.match(text):
        return "non-verbal" if _GESTURES.search(text) else "action"
    return "speak"
