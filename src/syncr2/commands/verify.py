"""Are results whole, and made from what is there? Every file against the record of its job."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from syncr2.commands import manifest, whole
from syncr2.commands.manifest import Output
from syncr2.embedded import embedded
from syncr2.errors import SyncR2Error
from syncr2.files import sha256_file
from syncr2.ids import JOB_RECORDS
from syncr2.pages.layout import counted
from syncr2.provenance import sha256_of

_AGAIN = "Delete it and run again: only its job is repeated."
_FRESH = "Run the workflow again: only what rests on it is repeated."
# Large, and needed by nothing once the maps are fitted: who deletes them keeps the results.
_MAY_GO = ("states/",)
# Folders and files that no job's record names, and that rest on nothing.
_ASIDE = ("logs", "benchmarks", "provenance")
_CACHE = "cache"  # in the name of a folder of answers, which jobs share
_REPORT = "report.html"
_SHOWN_NOTES = 20


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be with one file: what, and what to do."""

    path: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Verdict:
    """What `verify` found.

    Attributes
    ----------
    wrong : list of Finding
        Files that are damaged, missing, or not made from what is there.
    notes : list of Finding
        Nothing wrong, but worth knowing.
    n_files, n_bytes, seconds
        How much was read, in what time.
    """

    wrong: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    n_files: int = 0
    n_bytes: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"ok": not self.wrong, **asdict(self)}

    def lines(self) -> list[str]:
        """For a terminal."""
        found = [f"WRONG  {each.path}: {each.reason} {each.remedy}" for each in self.wrong]
        found += [
            f"note   {each.path}: {each.reason} {each.remedy}".rstrip() for each in self.notes[:_SHOWN_NOTES]
        ]
        if len(self.notes) > _SHOWN_NOTES:
            found.append(f"note   and {len(self.notes) - _SHOWN_NOTES} more such notes (--json has them all)")
        n_wrong = len({each.path for each in self.wrong})
        head = f"{counted(n_wrong, 'file')} not in order" if n_wrong else "all whole, made from what is there"
        read = f"{counted(self.n_files, 'file')}, {self.n_bytes / 1e6:,.1f} MB, in {self.seconds:.1f} s"
        return [*found, f"{read}: {head}."]


def verify(paths: Sequence[str | Path], workers: int | None = None) -> Verdict:
    """Hold results against the records of the jobs that made them.

    Parameters
    ----------
    paths : sequence of paths
        A results folder, or files and folders in one.
    workers : int, optional
        Files that are read at once; the processors by default.

    Raises
    ------
    SyncR2Error
        If a path is in no results folder with records.
    """
    begin = time.monotonic()
    results, wanted = _results_of(paths)
    made = manifest.outputs(results)
    chosen = {path: output for path, output in made.items() if _within(path, wanted)}
    names = {*chosen, *(path for output in chosen.values() for path in output.inputs)}
    places = {name: results / name if name in made else _place(results, name) for name in names}
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        shas = dict(zip(places, pool.map(_sha256, places.values()), strict=True))
        found = list(
            pool.map(lambda each: _look(results / each[0], each[0], each[1], made, shas), chosen.items())
        )
    wrong = [finding for part in found for finding in part[0]]
    notes = _unique(finding for part in found for finding in part[1])
    wrong += _against_manifest(results, chosen)
    strays, left = _unknown(results, made, wanted)
    n_bytes = sum(_size(place) for name, place in places.items() if shas[name] is not None)
    return Verdict(wrong + strays, notes + left, len(chosen), n_bytes, round(time.monotonic() - begin, 3))


def _results_of(paths: Sequence[str | Path]) -> tuple[Path, list[str]]:
    """The one results folder of all paths, and the paths relative to it."""
    roots, wanted = set(), []
    for path in map(Path, paths):
        for folder in (path, *path.absolute().parents):
            if (folder / JOB_RECORDS).is_dir():
                roots.add(folder.resolve())
                wanted.append(path.resolve().relative_to(folder.resolve()).as_posix())
                break
        else:
            raise SyncR2Error(
                f"{path}: found in no results folder with {JOB_RECORDS}/. Give the results "
                "folder of a run, such as results/demo, or files in it."
            )
    if len(roots) != 1:
        raise SyncR2Error(f"Found {len(roots)} results folders; give paths of one at a time.")
    root = roots.pop()
    here = Path.cwd()
    return (root.relative_to(here) if root.is_relative_to(here) else root), wanted


def _within(path: str, wanted: Iterable[str]) -> bool:
    return any(each == "." or path == each or path.startswith(f"{each}/") for each in wanted)


def _place(results: Path, name: str) -> Path:
    """Where a file that no job made is: below the results, or as the workflow was told."""
    inside = results / name
    return inside if inside.exists() else Path(name)


def _sha256(place: Path) -> str | None:
    """SHA-256 of what is there now, read anew."""
    if place.is_dir():
        return sha256_of(place)
    return sha256_file(place) if place.is_file() else None


def _size(place: Path) -> int:
    files = [each for each in place.rglob("*") if each.is_file()] if place.is_dir() else [place]
    return sum(each.stat().st_size for each in files)


def _look(
    place: Path, path: str, output: Output, made: Mapping[str, Output], shas: Mapping[str, str | None]
) -> tuple[list[Finding], list[Finding]]:
    """What is wrong with one output, and what is worth a note."""
    wrong: list[Finding] = []
    notes: list[Finding] = []
    if shas[path] is None:
        gone = Finding(path, "is no longer there.", "Run the workflow again to have it.")
        (notes if path.startswith(_MAY_GO) else wrong).append(gone)
        return wrong, notes
    # Bytes that are those that the job wrote need not be held against the checksums among them.
    broken = whole.problem(place) if shas[path] != output.sha256 or not path.startswith(_MAY_GO) else None
    if broken:
        wrong.append(Finding(path, f"not whole: {broken.rstrip('.')}.", _AGAIN))
    if shas[path] != output.sha256:
        wrong.append(Finding(path, "its bytes have changed since its job wrote it.", _AGAIN))
    elif not broken:
        record = embedded(place)
        if record and output.revision is not None and record.get("revision") != output.revision:
            reason = f"made by revision {record.get('revision')}, its job's record says {output.revision}."
            wrong.append(Finding(path, reason, _AGAIN))
    for read, sha in output.inputs.items():
        if shas[read] is None:
            # An output that is gone has its own line.
            if read not in made:
                notes.append(Finding(read, f"is no longer there; {output.rule} read it.", ""))
        elif shas[read] != sha:
            reason = f"made from another {read} than the one that is there."
            wrong.append(Finding(path, reason, _FRESH))
    return wrong, notes


def _against_manifest(results: Path, chosen: Mapping[str, Output]) -> list[Finding]:
    """Jobs that ran after the manifest was written, or records that were changed."""
    known = manifest.read_manifest(results)
    if known is None:
        return []
    name = manifest.MANIFEST.as_posix()
    return [
        Finding(
            path,
            f"{name} and the record of its job name other bytes.",
            "Run the workflow to its end: the manifest is written last.",
        )
        for path, output in chosen.items()
        if path in known["files"] and known["files"][path]["sha256"] != output.sha256
    ]


def _unknown(
    results: Path, made: Mapping[str, Output], wanted: Sequence[str]
) -> tuple[list[Finding], list[Finding]]:
    """Files of which no record tells who made them; those that a killed job left behind are a note."""
    wrong, notes = [], []
    folders = {path for path in made if (results / path).is_dir()}
    for place in sorted(results.rglob("*")):
        path = place.relative_to(results).as_posix()
        if not place.is_file() or not _within(path, wanted) or path in made or path == _REPORT:
            continue
        top = path.split("/", 1)[0]
        if top in _ASIDE or _CACHE in top or any(path.startswith(f"{folder}/") for folder in folders):
            continue
        if place.name.startswith("."):
            if not place.name.startswith(".snakemake"):
                notes.append(Finding(path, "left by a job that was killed.", "The job clears it up itself."))
        else:
            wrong.append(Finding(path, "no record says what made it.", _AGAIN))
    return wrong, notes


def _unique(findings: Iterable[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))
