"""What every labeller has in common: what is labelled, its settings, what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from syncr2.errors import SyncR2Error
from syncr2.judges.base import Case, JudgeSettings, Status

ENGINES = ("openai", "surface", "table")


class Class(NamedTuple):
    """One value of a label, and what is asked of the labeller."""

    name: str
    meaning: str


# Ekman's six (An argument for basic emotions, Cognition and Emotion 6, 1992) and neutral.
EMOTIONS = (
    Class("anger", "annoyance, reproach, rage"),
    Class("disgust", "aversion, contempt"),
    Class("fear", "worry, alarm, dread"),
    Class("joy", "pleasure, warmth, amusement, gratitude"),
    Class("sadness", "disappointment, regret, grief"),
    Class("surprise", "astonishment, disbelief"),
    Class("neutral", "none of these"),
)
# The kinds of turns of Sotopia's agents.
ACTIONS = (
    Class("speak", "says something"),
    Class("non-verbal", "a gesture, look or sound instead of words, such as a nod or a sigh"),
    Class("action", "does something physical, such as handing over an object"),
    Class("leave", "leaves the dialogue"),
    Class("none", "nothing at all: the line is empty or has no meaning"),
)
EMOTION, ACTION = "emotion", "action"
# What an engine that reads the dialogue labels; a table has labels of its own.
READ_LABELS = (EMOTION, ACTION)


@dataclass(frozen=True)
class LabellerSettings(JudgeSettings):
    """One labeller of the config: a judge's settings, but there is one order of presenting."""

    KIND: ClassVar[str] = "Labeller"
    DONE: ClassVar[str] = "labelled"

    both_orders: bool = False

    def _check(self, label: str) -> None:
        if self.engine not in ENGINES:
            raise SyncR2Error(f"{label}: engine is {self.engine!r}; allowed: {', '.join(ENGINES)}.")
        super()._check(label)


@dataclass(frozen=True)
class Labelled:
    """What a labeller made of one dialogue.

    Attributes
    ----------
    status : {"ok", "failed", "refused", "truncated"}
        Only "ok" comes with labels.
    labels : mapping or None
        For each label a list with one value a turn: a word, a number, a distribution (class to probability,
        summing to 1), or None where that turn has none.
    attempts, error, raw, made_by
        As in `syncr2.judges.base.Verdict`.
    """

    status: Status
    labels: Mapping[str, Sequence[Any]] | None
    attempts: int
    error: str | None
    raw: str | None
    made_by: Mapping[str, Any]


class LabellerEngine(Protocol):
    """A way to label."""

    def label(self, cases: Sequence[Case]) -> list[Labelled]:
        """Return one outcome a case, in the order of the cases, whatever happened to it."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Return what all labels depend on."""
        ...
