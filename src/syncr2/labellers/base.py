"""What every labeller has in common: what is labelled, its settings, what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from syncr2.judges.base import Case, JudgeSettings, Status


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
# What can be read from turns of the toy world, in the columns of `syncr2.world.tables`.
WORLD_LABELS = (
    *(EMOTION, "valence", "act", "intention", ACTION, "offer_level"),
    *("trust", "partner_trust", "well_formed"),
)


@dataclass(frozen=True)
class LabellerSettings(JudgeSettings):
    """One labeller of the config: a judge's settings, but there is one order of presenting.

    Attributes
    ----------
    max_failure_rate : float or None
        Largest part of a pair's dialogues that may be without labels, 0..1. None: the statistics' own.
    """

    KIND: ClassVar[str] = "Labeller"
    DONE: ClassVar[str] = "labelled"
    ENGINES: ClassVar[tuple[str, ...]] = ("openai", "vllm", "surface", "table", "world")

    both_orders: bool = False
    max_failure_rate: float | None = None


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


def labels_of_engine(engine: str) -> tuple[str, ...]:
    """Names of the labels that an engine gives; a table's are its columns (`labellers.table.names_in`)."""
    return WORLD_LABELS if engine == "world" else READ_LABELS


class LabellerEngine(Protocol):
    """A way to label."""

    def label(self, cases: Sequence[Case]) -> list[Labelled]:
        """Return one outcome a case, in the order of the cases, whatever happened to it."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Return what all labels depend on."""
        ...
