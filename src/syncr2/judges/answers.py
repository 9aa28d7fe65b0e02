"""The form of a model's answer, and the one way in: parsed strictly, checked against the schema, or refused.

Servers promise to keep to a JSON schema and do not always do so, therefore every answer is validated again.
An answer is never repaired: cutting JSON out of prose would also accept a draft that the model then took
back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from syncr2.judges.base import AGENTS
from syncr2.judges.dimensions import DIMENSIONS

# Part of what a judgement depends on: raise it when the schema below changes.
SCHEMA_VERSION = "syncr2/judge-answer/1"

_MOST_ERRORS = 5
_LONGEST_ERROR = 240
# Fourteen scores with two sentences each are some 5,000 characters.
LONGEST_ANSWER = 200_000


class MalformedAnswerError(Exception):
    """The answer is not what the schema asks for; the message says why, in words fit for the model that gave
    it.
    """


@dataclass(frozen=True)
class Answer:
    """A valid answer: agent to dimension to score, and agent to dimension to reason."""

    scores: Mapping[str, Mapping[str, int]]
    reasoning: Mapping[str, Mapping[str, str]]


def answer_schema() -> dict[str, Any]:
    """Return the JSON schema of an answer.

    An object with agent1 and agent2, each with one object a dimension: first the reasoning, then the score.
    The order matters, because a model writes in the order of the schema and the score should follow from the
    reasons. Every property is required and nothing else is allowed, as strict mode of the endpoints demands.
    """
    dimensions = {
        dimension.name: closed_object(
            {
                "reasoning": {"type": "string"},
                "score": {"type": "integer", "minimum": dimension.low, "maximum": dimension.high},
            }
        )
        for dimension in DIMENSIONS
    }
    return closed_object({agent: closed_object(dimensions) for agent in AGENTS})


def parse_answer(text: str) -> Answer:
    """Parse and check one answer.

    Parameters
    ----------
    text : str
        Nothing but the JSON object; white space around it is taken.

    Raises
    ------
    MalformedAnswerError
        If it is not JSON (prose or a code fence around it included), holds a key twice, NaN or an infinity,
        is longer than any judgement, or does not match `answer_schema`.
    """
    value = parse_json(text, answer_schema(), "Give one or two sentences of reasoning for each score.")
    return Answer(
        scores={agent: {d.name: int(value[agent][d.name]["score"]) for d in DIMENSIONS} for agent in AGENTS},
        reasoning={
            agent: {d.name: value[agent][d.name]["reasoning"] for d in DIMENSIONS} for agent in AGENTS
        },
    )


def parse_json(text: str, schema: Mapping[str, Any], briefly: str) -> Any:
    """Parse an answer strictly and check it against its schema.

    Parameters
    ----------
    text : str
    schema : mapping
    briefly : str
        What to do about an answer that is too long.

    Raises
    ------
    MalformedAnswerError
        As `parse_answer` does.
    """
    from jsonschema import Draft202012Validator

    if len(text) > LONGEST_ANSWER:
        raise MalformedAnswerError(
            f"The answer has {len(text)} characters; at most {LONGEST_ANSWER} are read. {briefly}"
        )
    try:
        # strict=False takes raw line ends inside strings, which some grammars of servers let through. It
        # touches the reasoning only.
        value = json.loads(
            text, strict=False, object_pairs_hook=_without_doubles, parse_constant=_no_constant
        )
    except RecursionError:
        raise MalformedAnswerError("The answer is nested too deeply.") from None
    except ValueError as error:
        raise MalformedAnswerError(
            f"The answer is not one JSON object and nothing else: {_shortened(str(error))}"
        ) from None
    errors = sorted(Draft202012Validator(schema).iter_errors(value), key=lambda error: error.json_path)
    if errors:
        listed = "; ".join(
            f"{error.json_path}: {_shortened(error.message)}" for error in errors[:_MOST_ERRORS]
        )
        more = f"; and {len(errors) - _MOST_ERRORS} more" if len(errors) > _MOST_ERRORS else ""
        raise MalformedAnswerError(f"The answer does not match the JSON schema: {listed}{more}")
    return value


def closed_object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json.loads keeps the last of two equal keys; which of the two scores was meant cannot be known.
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} stands there twice")
        result[key] = value
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"
