"""The form of a model's labels of a whole dialogue, and the one way in."""

from __future__ import annotations

from typing import Any

from syncr2.judges.answers import MalformedAnswerError, closed_object, parse_json
from syncr2.labellers.base import ACTION, ACTIONS, EMOTION, EMOTIONS

# Part of what labels depend on: raise it when the schema or the check below changes.
SCHEMA_VERSION = "syncr2/label-answer/1"

WHOLE = 100
# Seven rounded percentages may miss 100 by a few; more is an error that the model has to mend.
SLACK = 5


def turn_key(turn: int) -> str:
    """Key of a turn in an answer."""
    return f"turn_{turn}"


def answer_schema(n_turns: int) -> dict[str, Any]:
    """Return the JSON schema of an answer: one closed object a turn, each turn required."""
    percent = {"type": "integer", "minimum": 0, "maximum": WHOLE}
    turn = closed_object(
        {
            EMOTION: closed_object({emotion.name: percent for emotion in EMOTIONS}),
            ACTION: {"type": "string", "enum": [action.name for action in ACTIONS]},
        }
    )
    # The form of a turn stands there once: a grammar of 16 copies takes a server long to compile.
    every = closed_object({turn_key(i): {"$ref": "#/$defs/turn"} for i in range(n_turns)})
    return {**every, "$defs": {"turn": turn}}


def parse_answer(text: str, n_turns: int) -> dict[str, list[Any]]:
    """Parse and check one answer.

    Returns
    -------
    dict
        `emotion`, a distribution a turn (class to probability, summing to 1), and `action`, a class a turn.

    Raises
    ------
    MalformedAnswerError
        As `syncr2.judges.answers.parse_json` does, and if percentages of a turn do not add up to 100.
    """
    value = parse_json(text, answer_schema(n_turns), "Give nothing but the labels.")
    turns = [value[turn_key(i)] for i in range(n_turns)]
    totals = [sum(turn[EMOTION].values()) for turn in turns]
    bad = [f"{turn_key(i)}: {total}" for i, total in enumerate(totals) if not abs(total - WHOLE) <= SLACK]
    if bad:
        raise MalformedAnswerError(
            f"The percentages of the emotions of a turn have to add up to {WHOLE}. They add up to: "
            f"{', '.join(bad[:5])}{' …' if len(bad) > 5 else ''}."
        )
    emotions = [
        {emotion.name: turn[EMOTION][emotion.name] / total for emotion in EMOTIONS}
        for turn, total in zip(turns, totals, strict=True)
    ]
    return {EMOTION: emotions, ACTION: [turn[ACTION] for turn in turns]}
