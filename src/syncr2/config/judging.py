"""What a schema cannot say of judges, labellers and probes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from syncr2.config.names import path_problems
from syncr2.config.schema import Candidate, Problem
from syncr2.config.sections import known_keys, named_twice, sections, sound_sections
from syncr2.config.words import nearest
from syncr2.errors import SyncR2Error
from syncr2.judges.base import JudgeSettings
from syncr2.labellers.base import LabellerSettings, labels_of_engine


def check(candidate: Candidate) -> list[Problem]:
    """Everything wrong with judges, labellers and probes that the schema could not see."""
    return [
        *_askers(candidate, "judges", JudgeSettings, "a table of scores"),
        *_askers(candidate, "labels", LabellerSettings, "a table of labels"),
        *_probes(candidate),
    ]


def _askers(candidate: Candidate, section: str, kind: type[JudgeSettings], table: str) -> Iterator[Problem]:
    yield from named_twice(candidate, section)
    both = zip(sections(candidate, section), sound_sections(candidate, section), strict=True)
    for i, (given, right) in enumerate(both):
        at = candidate.where(section, i)
        # Of a name or engine that is not right, the schema has said so.
        said = {"name", "engine", *given} - set(right)
        for problem in kind.problems_of(known_keys(right, kind), said):
            yield Problem((section, i), f"{at}: {problem}")
        file, model, engine = (right.get(key) for key in ("file", "model", "engine"))
        if engine == "table" and file and not Path(file).expanduser().is_file():
            yield Problem((section, i), f"{at}.file: found {file!r}, which is no file; allowed: {table}.")
        if engine == "vllm" and model:
            yield from (Problem((section, i), f"{at}.model: {text}") for text in path_problems(model))


def _probes(candidate: Candidate) -> Iterator[Problem]:
    """A label to be probed must be one that somebody gives."""
    if not candidate.sound(("labels",), ("probes",)):
        return
    labellers, wanted = candidate.raw["labels"], candidate.raw["probes"]
    given: dict[str, None] = {}
    for i, labeller in enumerate(labellers):
        if labeller["engine"] != "table":
            given |= dict.fromkeys(labels_of_engine(labeller["engine"]))
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
