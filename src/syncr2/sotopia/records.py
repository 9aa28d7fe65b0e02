"""Records of Sotopia's files, one by one: read, checked, cleaned. Problems are noted, and none ends it."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from syncr2.errors import SyncR2Error
from syncr2.sotopia import markup

Scalar = str | int | float | bool | None
T = TypeVar("T")

_MOST_SHOWN = 20
# How missing values look in files that were once a table.
_NOTHING = ("", "nan", "NaN")


@dataclass
class Problems:
    """What is wrong so far; reported together, since files are better corrected in one go."""

    lines: list[str] = field(default_factory=list)

    def add(self, file: str, record: str | None, field_name: str | None, text: str) -> None:
        """Note one problem with its place."""
        self.lines.append(", ".join(part for part in (file, record, field_name) if part) + f": {text}")

    def raise_if_any(self, where: str | Path) -> None:
        """Raise one SyncR2Error with the first problems and the number of those left out."""
        if not self.lines:
            return
        shown = [f"  {line}" for line in self.lines[:_MOST_SHOWN]]
        left = len(self.lines) - len(shown)
        if left:
            shown.append(f"  … and {left} more")
        count = "1 problem" if len(self.lines) == 1 else f"{len(self.lines)} problems"
        raise SyncR2Error(
            f"{where}: {count} in the episodes.\n" + "\n".join(shown) + "\nCorrect the files, then run again."
        )


@dataclass(frozen=True)
class Record:
    """One object of a file, with its place. Its methods give a clean value, or None and note a problem."""

    problems: Problems
    file: str
    label: str
    values: Mapping[str, Any]

    def wrong(self, name: str, text: str) -> None:
        """Note a problem with a field."""
        self.problems.add(self.file, self.label, name, text)

    def text(self, name: str, *, required: bool = False, one_line: bool = False) -> str | None:
        """A text without white space at its ends; "", "nan", NaN and null are no text."""
        value = self.values.get(name)
        if _is_nothing(value):
            if required:
                self.wrong(name, "missing or empty; a text is needed.")
            return None
        if not isinstance(value, str):
            self.wrong(name, f"found {_shown(value)}; a text is needed.")
            return None
        value = value.strip()
        if one_line and _has_controls(value):
            self.wrong(name, f"found {_shown(value)}; line ends and control characters are not allowed here.")
            return None
        if not _is_unicode(value):
            self.wrong(name, "holds half a character (a lone surrogate); save the file as UTF-8 again.")
            return None
        return value

    def untagged_text(self, name: str) -> str | None:
        """A text of a profile: tags have no meaning there, so they would be shown as they stand."""
        value = self.text(name)
        if value is not None and markup.has_tags(value):
            self.wrong(name, "holds a tag; tags are understood in scenarios and goals only.")
            return None
        return value

    def marked_text(self, name: str) -> str | None:
        """A required text whose tags must be known and balanced."""
        value = self.text(name, required=True)
        wrong = markup.problems(value or "")
        for text in wrong:
            self.wrong(name, f"{text}.")
        return None if wrong else value

    def goals(self, name: str) -> tuple[str, str] | None:
        """Exactly two marked texts."""
        value = self.values.get(name)
        if not isinstance(value, list) or len(value) != 2:
            found = f"a list of {len(value)}" if isinstance(value, list) else _shown(value)
            self.wrong(
                name, f"found {found}; a list of exactly two texts is needed, one goal for each agent."
            )
            return None
        reader = replace(
            self, values={f"{name}[{number}]": goal for number, goal in enumerate(value, start=1)}
        )
        first, second = (reader.marked_text(key) for key in reader.values)
        return (first, second) if first is not None and second is not None else None

    def integer(self, name: str, most: int) -> int | None:
        """An integer from 0 to `most`; true and false are none."""
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            self.wrong(name, f"found {_shown(value)}; an integer from 0 to {most} is needed.")
            return None
        return value

    def reference(self, name: str, value: Any, others: Mapping[str, T | None], file: str) -> T | None:
        """The record of another file that an id names; None also if that record is wrong in itself."""
        if not isinstance(value, str) or value not in others:
            self.wrong(name, f"found {_shown(value)}; {file} has no such record.")
            return None
        return others[value]

    def age(self, name: str) -> int | None:
        """Whole years, as a number or in digits."""
        value: Any = self.values.get(name)
        if _is_nothing(value):
            return None
        try:
            years = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            years = math.nan
        if not (0 <= years < math.inf and years == int(years)):
            self.wrong(name, f"found {_shown(value)}; a whole number of years, or null, is needed.")
            return None
        return int(years)

    def others(self, known: Collection[str]) -> dict[str, Scalar]:
        """The fields that are not in `known`, as scalars: a list or an object becomes compact JSON."""
        fields = {}
        for name, value in self.values.items():
            if not name.strip() or _has_controls(name) or not _is_unicode(name):
                self.wrong(
                    _shown(name), "the name of a field becomes a column's; it must be one line of text."
                )
            elif name not in known:
                fields[name] = self._scalar(name, value)
        return fields

    def _scalar(self, name: str, value: Any) -> Scalar:
        if isinstance(value, list | dict):
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            return text if _is_unicode(text) else json.dumps(value, separators=(",", ":"))
        if isinstance(value, str):
            return self.text(name)
        if isinstance(value, float) and not math.isfinite(value):
            if not math.isnan(value):
                self.wrong(name, f"found {value}; a number must be finite.")
            return None
        return value


def load(folder: str | Path, file: str, problems: Problems) -> list[tuple[str, Record]]:
    """Read one of the three files.

    Parameters
    ----------
    folder, file : str or Path, str
        The place. The file holds an object keyed by `pk`, or a list of objects each with its `pk`.
    problems : Problems
        Takes what is wrong: no JSON, an object that holds a key twice, a record without pk, one whose pk is
        not its key, a pk that stands in two records.

    Returns
    -------
    list of (str, Record)
        pk and record, in the order of the file.
    """
    content = _parse(Path(folder) / file, file, problems)
    if not isinstance(content, list | dict):
        problems.add(file, None, None, f"found {_shown(content)}; an object or a list is needed.")
        return []
    records, seen = [], set()
    for label, key, values in _places(content):
        if not isinstance(values, dict):
            problems.add(file, label, None, f"found {_shown(values)}; an object is needed.")
            continue
        record = Record(problems, file, label, values)
        pk = record.text("pk", required=True, one_line=True)
        if pk is None:
            continue
        if key is not None and pk != key:
            record.wrong(
                "pk", f"found {pk!r}, but the record stands under the key {key!r}; both must be the same."
            )
        if pk in seen:
            record.wrong("pk", f"{pk!r} stands in more than one record; each needs its own.")
            continue
        seen.add(pk)
        records.append((pk, Record(problems, file, f'record "{pk}"', values)))
    return records


def _places(content: list[Any] | dict[str, Any]) -> Iterator[tuple[str, str | None, Any]]:
    if isinstance(content, dict):
        yield from ((f'record "{key}"', key, values) for key, values in content.items())
    else:
        for position, values in enumerate(content):
            pk = values.get("pk") if isinstance(values, dict) else None
            name = f' ("{pk}")' if isinstance(pk, str) and pk else ""
            yield f"position {position}{name}", None, values


def _parse(path: Path, file: str, problems: Problems) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # json keeps the last of two equal keys without a word; which one was meant cannot be known.
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = ", ".join(sorted({repr(key) for key in keys if keys.count(key) > 1}))
            record = f'record "{values["pk"]}"' if "pk" in values else None
            problems.add(file, record, None, f"the key {twice} stands more than once in one object.")
        return values

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique)
    except OSError as error:
        problems.add(file, None, None, f"cannot be read ({error.strerror}).")
    except (ValueError, RecursionError) as error:
        problems.add(file, None, None, f"not valid JSON ({error}); was the file cut off?")
    return []


def _is_nothing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in _NOTHING
    return value is None or (isinstance(value, float) and math.isnan(value))


def _has_controls(value: str) -> bool:
    return len(value.splitlines()) > 1 or any(unicodedata.category(character) == "Cc" for character in value)


def _is_unicode(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=True)
    except ValueError:  # an integer of thousands of digits
        return f"a very long {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + "…"
