"""What a schema cannot say of labellers and probes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from syncr2.config.names import _items, _known, _named, _twice
from syncr2.config.schema import Candidate, Problem
from syncr2.config.words import nearest
from syncr2.errors import SyncR2Error
from syncr2.labellers.base import READ_LABELS, LabellerSettings


def check(candidate: Candidate) -> list[Problem]:
    """Everything wrong with labellers and probes that the schema could not see."""
    return [problem for each in (_labellers, _probes) for problem in each(candidate)]


def _labellers(candidate: Candidate) -> Iterator[Problem]:
    yield from _twice("labels", _named(candidate, "labels"))
    for i, labeller in enumerate(_items(candidate, "labels")):
        at = candidate.where("labels", i)
        right = {key: value for key, value in labeller.items() if candidate.sound(("labels", i, key))}
        file = right.get("file")
        if right.get("engine") == "table" and file and not Path(file).expanduser().is_file():
            yield Problem(
                ("labels", i), f"{at}.file: found {file!r}, which is no file; allowed: a table of labels."
            )
        if candidate.sound(("labels", i)):
            try:
                LabellerSettings.from_dict(_known(right, LabellerSettings))
            except SyncR2Error as error:
                yield Problem(("labels", i), f"{at}: {str(error).partition(': ')[2]}")


def _probes(candidate: Candidate) -> Iterator[Problem]:
    """A label to be probed must be one that somebody gives."""
    if not candidate.sound(("labels",), ("probes",)):
        return
    labellers, wanted = candidate.raw["labels"], candidate.raw["probes"]
    given: dict[str, None] = {}
    for i, labeller in enumerate(labellers):
        if labeller["engine"] != "table":
            given |= dict.fromkeys(READ_LABELS)
            continue
        if not wanted or not labeller["file"] or not Path(labeller["file"]).expanduser().is_file():
            continue
        from syncr2.labellers.table import names_in

        try:
            given |= dict.fromkeys(names_in(labeller["file"]))
        except SyncR2Error as error:
            yield Problem(("labels", i), f"{candidate.where('labels', i)}.file: {error}")
            return
    for i, name in enumerate(wanted):
        if name not in given:
            hint = nearest(name, list(given)) or f" They give {', '.join(given) or 'none'}."
            yield Problem(
                ("probes", i),
                f"{candidate.where('probes', i)}: found `{name}`, which is a label of nobody under "
                f"`labels`.{hint}",
            )
