"""docs/configuration.md, made from the schema and config.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from syncr2.config.schema import REPOSITORY, schema
from syncr2.config.words import allowed
from syncr2.files import read_yaml, write_text

PAGE = REPOSITORY / "docs" / "configuration.md"
CONFIG = REPOSITORY / "config.yaml"

_LONGEST_VALUE = 48

_INTRODUCTION = """\
# Configuration

<!-- Made by `make docs` from workflow/schemas/config.schema.yaml and config.yaml: change those, not this. -->

[config.yaml](../config.yaml) is the published experiment, and the workflow always reads it first. An
experiment of your own is a second file that holds only what differs, as [demo.yaml](../demo.yaml) does:

    snakemake --cores 8 --configfile mine.yaml

How the second file is laid over the first:

- **Sections merge key by key.** `dialogue: {max_turns: 8}` changes the number of turns and leaves the rest of
  `dialogue` as it was.
- **Lists replace.** `models:`, `judges:`, `seeds:`, `lags:` and every other list stand for the whole list; to
  add a seventh model, copy the six. What was finished for them is kept.
- **`null` is a value.** A section set to `null`, or left empty, is refused: leave its key out instead.
- Several files may follow `--configfile`; a later one is laid over an earlier one.

`--config key=value` changes one key for one run. Snakemake takes all that stands inside `{ }` or `[ ]` there
for text. So it reaches a key at the top level (`--config results=results/trial`, `--config pairs=all`) and
words inside a section (`--config scenarios="{source: bundled}"`), but no number, truth value or list of
numbers: those belong in a file.

Everything is checked before anything runs, and all problems are reported at once, each with its key, what was
found and what is allowed. Positions in a list are counted from 0, so `models[2]` is the third model. Unknown
keys are errors. Three habits of YAML that surprise: `1e-3` is a text (write `0.001` or `1.0e-3`); `yes`,
`no`, `on` and `off` are truth values; a name such as `3.2` is a number unless it stands in quotes.

Paths are relative to the folder in which `snakemake` is started. In the tables, *published* is the value of
the published study where it stated one, and a dash means that there is nothing to say.
"""


def page(rules: Mapping[str, Any] | None = None, config: Mapping[str, Any] | None = None) -> str:
    """The whole page, as Markdown.

    Parameters
    ----------
    rules : mapping, optional
        The schema; by default the project's own.
    config : mapping, optional
        The values shown as those of config.yaml; by default that file's.
    """
    rules = schema() if rules is None else rules
    config = read_yaml(CONFIG) if config is None else config
    sections = [_section(key, rule, config[key]) for key, rule in rules["properties"].items()]
    return "\n".join([_INTRODUCTION, *sections])


def write() -> None:
    """Write the page."""
    write_text(PAGE, page())


def is_current() -> bool:
    """Whether the page says what the schema and config.yaml say."""
    return PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()


def _section(key: str, rule: Mapping[str, Any], value: Any) -> str:
    lines = [f"## `{key}`", ""]
    if "properties" in rule or "properties" in rule.get("items", {}):
        lines += [rule["description"], ""]
    if "properties" in rule:
        lines += _table("In config.yaml", _rows(rule, value))
    elif "properties" in rule.get("items", {}):
        required = rule["items"]["required"]
        needed = " and ".join(f"`{name}`" for name in required)
        lines += [f"A list of sections. Each needs {needed}; a key that is left out takes its default.", ""]
        lines += _table("Default", _rows(rule["items"], None))
        for name, inner in rule["items"]["properties"].items():
            if "properties" in inner:
                lines += ["", f"### `{name}` of one of the {key}", "", inner["description"], ""]
                lines += _table("Default", _rows(inner, None))
    else:
        lines += _table("In config.yaml", [_row(key, rule, value)])
    return "\n".join(lines) + "\n"


def _table(value_column: str, rows: list[tuple[str, ...]]) -> list[str]:
    head = ("Key", "Meaning", "Allowed", value_column, "Unit", "Published")
    return [_line(head), _line(["---"] * len(head)), *(_line(row) for row in rows)]


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _rows(rule: Mapping[str, Any], values: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    """One row a key. Without `values` (keys of a list's items) the schema's default stands for the value."""
    return [
        _row(path, inner, _NEEDED if needed else value)
        for path, inner, needed, value in _leaves(rule, values)
    ]


_NEEDED = object()


def _leaves(
    rule: Mapping[str, Any], values: Mapping[str, Any] | None, before: str = ""
) -> Iterator[tuple[str, Mapping[str, Any], bool, Any]]:
    for key, inner in rule["properties"].items():
        if values is None:
            yield before + key, inner, key in rule["required"], inner.get("default")
        elif "properties" in inner:
            yield from _leaves(inner, values[key], f"{before}{key}.")
        else:
            yield before + key, inner, False, values[key]


def _row(key: str, rule: Mapping[str, Any], value: Any) -> tuple[str, ...]:
    kinds = rule.get("type", ())
    is_section = "properties" in rule
    may = (
        ("section of keys (see below)" + (" or null" if "null" in kinds else ""))
        if is_section
        else allowed(rule)
    )
    return (
        f"`{key}`",
        rule["description"],
        may,
        "(must be given)" if value is _NEEDED else _shown(value),
        rule.get("x-unit", "–"),
        _published(rule),
    )


def _published(rule: Mapping[str, Any]) -> str:
    value = rule.get("x-published", "–")
    return value if isinstance(value, str) and value not in rule.get("enum", ()) else _shown(value)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= _LONGEST_VALUE else f"`{text[:_LONGEST_VALUE]}…`"
