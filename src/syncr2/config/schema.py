"""The configuration's JSON Schema: what it finds wrong, and its defaults."""

from __future__ import annotations

import copy
import functools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from syncr2.config.words import Place, explain, inner_errors, where
from syncr2.files import read_yaml

REPOSITORY = Path(__file__).resolve().parents[3]
SCHEMA = REPOSITORY / "workflow" / "schemas" / "config.schema.yaml"


class Problem(NamedTuple):
    """One thing wrong with a configuration: where it stands, and a sentence that names the place too."""

    place: Place
    text: str


@dataclass(frozen=True)
class Candidate:
    """A configuration under check, with the schema's defaults filled in.

    Attributes
    ----------
    raw : mapping
        The configuration. Values at the places in `broken` may be of any type.
    broken : frozenset of Place
        Where a value is missing or not as the schema wants it.
    """

    raw: Any
    broken: frozenset[Place]

    def sound(self, *places: Place) -> bool:
        """Whether the values at all these places are there, and right in all their parts."""
        return not any(
            place[: len(broken)] == broken[: len(place)] for place in places for broken in self.broken
        )

    def where(self, *place: str | int) -> str:
        """A place as people read it."""
        return where(self.raw, place)

    def sound_items(self, *place: str) -> list[tuple[int, Any]]:
        """Positions and values of a list's items that are right in all their parts."""
        value: Any = self.raw
        for key in place:
            value = value.get(key) if isinstance(value, Mapping) else None
        items = enumerate(value) if isinstance(value, list) else ()
        return [(i, item) for i, item in items if self.sound((*place, i))]


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a configuration."""
    return read_yaml(SCHEMA)


def examine(raw: Any) -> tuple[Candidate, list[Problem]]:
    """Hold a configuration against the schema; everything wrong is listed, and nothing is raised."""
    rules = schema()
    found: list[Problem] = []
    broken: set[Place] = set()
    for error in _validator()(rules).iter_errors(raw):
        found += (Problem(*explained) for explained in explain(raw, error, rules))
        broken.update(_broken(error))
    # A value may break several words of its rule; the text is the same for each.
    problems = list(dict.fromkeys(found))
    return Candidate(_with_defaults(raw, rules), frozenset(broken)), problems


def _broken(error: ValidationError) -> Iterator[Place]:
    place = tuple(error.absolute_path)
    rule: Any = error.schema
    found: Any = error.instance
    if error.validator == "required":
        yield from ((*place, key) for key in rule["required"] if key not in found)
    elif inner := inner_errors(error):
        for each in inner:
            yield from _broken(each)
    elif error.validator not in ("additionalProperties", "uniqueItems"):
        # An unknown key beside good ones leaves those good, and what stands there twice is good once.
        yield place


@functools.cache
def _validator() -> Any:
    """JSON Schema as people expect it of a configuration.

    16.0 is no whole number (Python could not count with it), NaN and infinity are no numbers, and a text with
    a line end does not match a pattern (`$` would let one pass).
    """
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_whole, "number": _is_finite})
    return extend(Draft202012Validator, validators={"pattern": _pattern}, type_checker=checker)


def _is_whole(_checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(_checker: Any, value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _pattern(validator: Any, pattern: str, value: Any, _rule: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "string") and ("\n" in value or not re.search(pattern, value)):
        yield ValidationError("pattern")


def _with_defaults(value: Any, rule: Mapping[str, Any]) -> Any:
    """Fill in the schema's defaults (only list items have any; config.yaml holds the others)."""
    if isinstance(value, Mapping) and "properties" in rule:
        filled = {key: _with_defaults(item, rule["properties"].get(key, {})) for key, item in value.items()}
        for key, inner in rule["properties"].items():
            if "default" in inner:
                filled.setdefault(key, copy.deepcopy(inner["default"]))
        return filled
    if isinstance(value, list) and "items" in rule:
        return [_with_defaults(item, rule["items"]) for item in value]
    return value
