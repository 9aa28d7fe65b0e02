"""What all pages share: their head, tables, numbers as text, and the Jinja environment."""

from __future__ import annotations

import base64
import functools
import json
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from syncr2.config import REPOSITORY
from syncr2.errors import SyncR2Error

TEMPLATES = REPOSITORY / "resources" / "report"
UNDEFINED = "–"
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Head:
    """What stands at the top of every page.

    Attributes
    ----------
    title : str
        Title of the report.
    notice : str or None
        The configuration's warning; it comes first on every page.
    stand_ins : tuple of str
        Names of the judges that are no judges: the rule-based `surface` engine.
    """

    title: str
    notice: str | None
    stand_ins: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `note` is a second, smaller line of its heading. A cell of kind `value` may be broken anywhere (an
    address); one of kind `prose` shows words in backticks as code.
    """

    title: str
    kind: Literal["text", "number", "code", "value", "prose"] = "text"
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of texts, ready to be shown. Rows whose number is in `strong` stand out (totals)."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Download:
    """A file that a page carries with it, as a data URI."""

    name: str
    meaning: str
    uri: str


def download(path: str | Path, meaning: str) -> Download:
    """Embed a table's file, so that the numbers can be taken out of the report again."""
    text = base64.b64encode(Path(path).read_bytes()).decode("ascii")
    return Download(Path(path).name, meaning, f"data:text/tab-separated-values;charset=utf-8;base64,{text}")


@functools.cache
def _environment() -> Environment:
    # Escaping is on whatever a template's file is called.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["backticks"] = backticks
    return environment


def backticks(text: str) -> Markup:
    """The text, escaped, with what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one backtick has no partner
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
    )


def render(template: str, head: Head, **context: Any) -> str:
    """One page as HTML.

    Parameters
    ----------
    template : str
        File name in resources/report.
    head : Head
    **context
        What the template asks for by name.
    """
    return _environment().get_template(template).render(head=head, **context)


def signed(page: str, made_by: Mapping[str, Any] | None) -> str:
    """The page with the record of what made it in its head; as it is without one."""
    if made_by is None:
        return page
    meta = Markup('<meta name="made_by" content="{}">\n').format(json.dumps(made_by, ensure_ascii=False))
    # The first one: a text on the page can hold no tag, for it is escaped.
    return page.replace("</head>", f"{meta}</head>", 1)


def need_columns(columns: Iterable[str], needed: Iterable[str], table: str) -> None:
    """Refuse a table that lacks a column that a page shows.

    Raises
    ------
    SyncR2Error
        With the columns that are missing and those that are there.
    """
    there = [str(column) for column in columns]
    missing = [column for column in needed if column not in there]
    if missing:
        raise SyncR2Error(
            f"The table {table} has no column {', no '.join(missing)} (found: {', '.join(there) or 'none'}). "
            "It was made by another version of syncr2: delete it and run again."
        )


def is_number(value: object) -> bool:
    """Whether there is a finite number to show."""
    return isinstance(value, numbers.Real) and math.isfinite(value)


def fixed(value: float, digits: int = 3, signed: bool = False) -> str:
    """A number with a fixed number of decimals; an en dash where there is none."""
    if not is_number(value):
        return UNDEFINED
    rounded = round(float(value), digits) + 0.0  # a rounded negative zero is a zero
    return f"{rounded:{'+' if signed and rounded else ''}.{digits}f}".replace("-", _MINUS)


def p_value(value: float) -> str:
    """A p value with three decimals, `< 0.001` below that."""
    if not is_number(value):
        return UNDEFINED
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: float) -> str:
    """A share, as a percentage with one decimal."""
    return UNDEFINED if not is_number(value) else f"{100 * value:.1f} %"


def whole(value: float) -> str:
    """A count, thousands set off by commas."""
    return UNDEFINED if not is_number(value) else f"{int(value):,}"


def plain(value: Any) -> str:
    """A value of the configuration as a person would write it."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ", ".join(f"{key}: {plain(item)}" for key, item in value.items()) or "none"
        case list() | tuple():
            inner = [f"[{plain(item)}]" if isinstance(item, list | tuple) else plain(item) for item in value]
            return ", ".join(inner) or "none"
        case _:
            return str(value)


def moment(written: str) -> str:
    """A time as records hold it, for readers."""
    return written.replace("T", " ").replace("+00:00", " UTC")


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
