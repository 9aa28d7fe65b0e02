"""What checks need of the lists of named sections: models, judges, labellers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from syncr2.config.schema import Candidate, Problem


def sections(candidate: Candidate, key: str) -> list[Mapping[str, Any]]:
    """The sections of a list; one that is no section counts as empty, so that positions stay."""
    items = candidate.raw.get(key) if isinstance(candidate.raw, Mapping) else None
    return [item if isinstance(item, Mapping) else {} for item in items] if isinstance(items, list) else []


def sound_sections(candidate: Candidate, key: str) -> list[dict[str, Any]]:
    """The same, each with those of its keys whose values the schema found right."""
    return [
        {name: value for name, value in section.items() if candidate.sound((key, i, name))}
        for i, section in enumerate(sections(candidate, key))
    ]


def names_of(candidate: Candidate, key: str) -> list[tuple[int, str]]:
    """Positions and names of a list's sections, where the name is right."""
    items = enumerate(sections(candidate, key))
    return [(i, item["name"]) for i, item in items if candidate.sound((key, i, "name"))]


def named_twice(candidate: Candidate, key: str) -> Iterator[Problem]:
    """Names that stand for the same folder or row; on some machines a file's name does not know case."""
    first: dict[str, tuple[int, str]] = {}
    for index, name in names_of(candidate, key):
        before, like = first.setdefault(name.lower(), (index, name))
        if before != index:
            same = "" if like == name else f" (only case differs from `{like}`, and some disks ignore it)"
            yield Problem(
                (key, index, "name"),
                f"{key}[{index}].name: found `{name}`, which {key}[{before}] has already{same}; "
                "allowed: a name that no other has.",
            )


def known_keys(values: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Without the keys that the schema does not know, for it has named them already."""
    fields = {field.name for field in dataclasses.fields(kind)}
    return {key: value for key, value in values.items() if key in fields}
