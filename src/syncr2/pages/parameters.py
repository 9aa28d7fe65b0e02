"""The page "Parameters": the whole checked configuration, with its meaning, and the prompt templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncr2.config import Experiment
from syncr2.pages.layout import Column, Head, Table, counted, plain, render

# Large or of another kind than a single value: they have tables of their own.
_OWN_TABLE = ("models", "judges")
_ENTRY_COLUMNS = (
    Column("key", "code"),
    Column("value", "value"),
    Column("published"),
    Column("meaning", "prose"),
)


@dataclass(frozen=True)
class Section:
    """A part of the configuration."""

    title: str
    meaning: str
    table: Table


@dataclass(frozen=True)
class Template:
    """A prompt template as it was used."""

    name: str
    reader: str
    sha256: str
    text: str


def parameters_page(
    head: Head,
    experiment: Experiment,
    raw: Mapping[str, Any],
    schema: Mapping[str, Any],
    templates: Sequence[Template],
) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    experiment : Experiment
        The configuration, checked: numbers that follow from it.
    raw : mapping
        The same as the YAML files say it.
    schema : mapping
        Its JSON Schema: the meaning of each key, its unit, its published value.
    templates : sequence of Template
    """
    return render(
        "parameters.html",
        head,
        extent=_extent(experiment),
        sections=[*_sections(raw, schema), *_lists(raw, schema)],
        templates=templates,
    )


def _extent(experiment: Experiment) -> Table:
    """What the configuration comes to."""
    n_orders, n_episodes, n_seeds = (
        len(experiment.ordered_pairs),
        experiment.scenarios.episodes,
        len(experiment.seeds),
    )
    conditions = "; ".join(
        f"{c.name} (source: {c.source_reading}{', of another seed' if c.dialogue == 'other' else ''}, "
        f"{counted(c.lag, 'turn')} before its target)"
        for c in experiment.synchrony.conditions
    )
    rows = (
        ("models", counted(len(experiment.models), "model")),
        ("pairs", f"{counted(len(experiment.pairs), 'pair')}, {n_orders} with the speaking order"),
        ("episodes", f"{n_episodes:,}, from {experiment.scenarios.source} scenarios"),
        (
            "dialogues",
            f"{n_orders * n_episodes * n_seeds:,} = {n_orders} ordered pairs × {n_episodes:,} episodes × "
            f"{counted(n_seeds, 'seed')}",
        ),
        ("conditions", conditions),
    )
    return Table((Column("what"), Column("how much")), rows)


def _sections(raw: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Section]:
    properties = schema["properties"]
    single = [key for key, rule in properties.items() if "properties" not in rule and key not in _OWN_TABLE]
    rows = tuple(_row(key, raw[key], properties[key]) for key in single)
    yield Section("General", "", Table(_ENTRY_COLUMNS, rows))
    for key, rule in properties.items():
        if "properties" in rule:
            yield Section(
                key, rule.get("description", ""), Table(_ENTRY_COLUMNS, tuple(_entries("", raw[key], rule)))
            )


def _entries(prefix: str, values: Mapping[str, Any], rule: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, sub in rule["properties"].items():
        if "properties" in sub and isinstance(values.get(key), Mapping):
            yield from _entries(f"{prefix}{key}.", values[key], sub)
        else:
            yield _row(f"{prefix}{key}", values.get(key, sub.get("default")), sub)


def _row(key: str, value: Any, rule: Mapping[str, Any]) -> tuple[str, ...]:
    unit = f" {rule['x-unit']}" if "x-unit" in rule and isinstance(value, int | float) else ""
    published = plain(rule["x-published"]) if "x-published" in rule else ""
    return key, plain(value) + unit, published, rule.get("description", "")


def _lists(raw: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Section]:
    for key in _OWN_TABLE:
        rule = schema["properties"][key]
        yield Section(key, rule["description"], _items(raw[key], rule["items"]["properties"]))
    shapes = [
        {"name": model["name"], **model["miniature"]} for model in raw["models"] if model.get("miniature")
    ]
    if shapes:
        rule = schema["properties"]["models"]["items"]["properties"]["miniature"]
        table = _items(shapes, {"name": {}, **rule["properties"]})
        yield Section("miniatures", rule["description"], table)


def _items(items: Sequence[Mapping[str, Any]], properties: Mapping[str, Any]) -> Table:
    """A row an item; columns that no item fills are left out."""
    filled = [{key: item.get(key, rule.get("default")) for key, rule in properties.items()} for item in items]
    keys = [
        key
        for key in properties
        if key != "miniature" and any(item[key] not in (None, {}) for item in filled)
    ]
    rows = tuple(tuple(plain(item[key]) for key in keys) for item in filled)
    units = [properties[key].get("x-unit", "") for key in keys]
    columns = tuple(Column(key.replace("_", " "), note=unit) for key, unit in zip(keys, units, strict=True))
    return Table(columns, rows)
