"""What accidents cost a run: `make bench-reliability` (root, for small and read-only disks; Linux).

Writes benchmarks/results/reliability.{json,md} and the table in docs/reliability.md. The experiment is that
of tests/workflow with labels and probes, so that every stage has its jobs: two miniatures, 8 episodes, all
rules. It runs undisturbed once. Then it runs again and is killed at a random moment, and again, until it
ends; and copies of the finished run are put through the other accidents, of which one pair's part is made
anew. What is lost is counted by content: every table, line of JSON and array that is not what the undisturbed
run gave.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mishaps
from accidents import Place, jobs_of, kill_again_and_again, moments
from demo import RESULTS
from layer_r2.machine import machine_record, threads_here

from syncr2.commands.compare import differences
from syncr2.commands.verify import verify
from syncr2.files import read_jsonl
from syncr2.provenance import REPOSITORY, code_version, library_versions
from syncr2.store import AGENTS, open_states, read_r2

sys.path.insert(0, str(REPOSITORY / "tests" / "workflow"))

from conftest import tiny_experiment, with_changes

DAY = 86_400.0
PAGE = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def experiment() -> dict[str, Any]:
    """The tiny experiment of the tests, with labels and probes."""
    labels = [{"name": "surface", "engine": "surface"}]
    return with_changes(tiny_experiment(), labels=labels, probes=["emotion", "action"])


def killed(folder: Path, finished: Path, n: int, seed: int) -> dict[str, Any]:
    """The run that is killed `n` times, each time at a random moment."""
    jobs = jobs_of(finished / "results")
    place = Place(folder, experiment())
    kills = kill_again_and_again(place, moments(jobs, n, seed), jobs)
    hit = Counter(stage for each in kills for stage in each.hit)
    return {
        "times": len(kills),
        "jobs": len(jobs),
        "stages": dict(sorted(hit.items())),
        "stages_of_the_run": sorted({job.stage for job in jobs}),
        "repeated": [name for each in kills for name in each.repeated],
        "lost": differences(place.results, finished / "results"),
        "wrong": [asdict(each) for each in verify([place.results]).wrong],
        "kills": [asdict(each) for each in kills],
    }


def read_states(path: Path) -> list[Any]:
    """All that a job takes from a file of states."""
    opened = open_states(path)
    rows = [opened[agent].rows for agent in AGENTS]
    return [
        *rows,
        *(opened[agent][layer].tobytes() for agent in AGENTS for layer in range(len(opened[agent]))),
    ]


def read_maps(path: Path) -> list[Any]:
    """All that a job takes from a file of R²."""
    return [
        (name, result.r2.tobytes(), result.n_train.tolist(), result.n_test.tolist(), result.n_available)
        for name, result in read_r2(path).items()
    ]


READERS: dict[str, Callable[[Path], object]] = {
    mishaps.STATES: read_states,
    mishaps.DIALOGUES: read_jsonl,
    mishaps.R2: read_maps,
}


def flipped(folder: Path, finished: Path, name: str, times: int, seed: int) -> dict[str, Any]:
    """One bit flipped, `times` times: what `verify` and what a reader makes of it."""
    shutil.copytree(finished / "results", folder / "results")
    path = folder / "results" / name
    content = path.read_bytes()
    counts = mishaps.noticed_by_readers(path, READERS[name], times, seed)
    found = 0
    for i in range(20):
        mishaps.flip(path, random.Random(seed + i))
        found += name in {each.path for each in verify([path]).wrong}
        path.write_bytes(content)
    return {"times": times, **counts, "verify": {"times": 20, "found": found}}


def outcomes(found: Iterable[mishaps.Outcome]) -> dict[str, Any]:
    """Several times the same accident, as one entry."""
    all_ = list(found)
    return {
        "times": len(all_),
        "noticed": sum(each.noticed for each in all_),
        "said": next((each.said for each in all_ if each.said), ""),
        "lost": [path for each in all_ for path in each.lost],
    }


class Rooms:
    """A fresh folder for every accident, gone when it is over."""

    def __init__(self, base: Path) -> None:
        self.base, self.n = base, 0

    def use(self, accident: Callable[[Place], Any]) -> Any:
        """The accident's outcome in a place of its own."""
        self.n += 1
        place = Place(self.base / f"room-{self.n}", experiment())
        try:
            return accident(place)
        finally:
            shutil.rmtree(place.folder)


def in_a_small_disk(place: Place, finished: Path) -> mishaps.Outcome:
    """`mishaps.disk_full` on a disk of its own."""
    with mishaps.small_disk(place.folder, 400) as there:
        if not there:
            sys.exit("A small disk cannot be mounted: root is needed.")
        return mishaps.disk_full(Place(place.folder, experiment()), finished)


def with_read_only_results(place: Place, finished: Path) -> mishaps.Outcome:
    """`mishaps.no_writing`, or an end with a word where nothing can be mounted."""
    return mishaps.no_writing(place, finished) or sys.exit("A folder cannot be mounted: root is needed.")


def clocks(rooms: Rooms, finished: Path) -> dict[str, Any]:
    """Dialogues from the future and from the past."""
    found = {}
    for name, seconds in (("ahead", DAY), ("behind", -30 * 365 * DAY)):
        outcome, repeated = rooms.use(lambda p, s=seconds: mishaps.clock_jumps(p, finished, s))
        found[name] = outcomes([outcome]) | {"repeated": repeated}
    return found


def accidents(base: Path, finished: Path, given: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """What is done, by name; each gives an entry of the record."""
    rooms = Rooms(base)

    def repeated(accident: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        return lambda: outcomes(
            rooms.use(lambda place: accident(place, finished, *arguments)) for _ in range(given.times)
        )

    found: dict[str, Callable[[], Any]] = {
        "killed": lambda: killed(base / "killed", finished, given.kills, given.seed),
        "driver killed alone": repeated(mishaps.driver_alone),
        "disk full": repeated(in_a_small_disk),
        "results read-only": repeated(with_read_only_results),
        "second driver": repeated(mishaps.second_driver),
        "files late, waited for": repeated(mishaps.late_files, 2.0, 30),
        "files late, not waited for": repeated(mishaps.late_files, 6.0, 1),
        "clock": lambda: clocks(rooms, finished),
    }
    for name in mishaps.READ_BY:
        one_bit = mishaps.flip if name == mishaps.DIALOGUES else mishaps.flip_number
        kind = name.partition("/")[0]
        found[f"bits of {kind}"] = lambda name=name: rooms.use(
            lambda p: flipped(p.folder, finished, name, given.flips, given.seed)
        )
        found[f"a bit of {kind}, in a run"] = repeated(mishaps.damaged, name, one_bit)
    for name in (mishaps.STATES, mishaps.R2):
        found[f"{name.partition('/')[0]} cut off"] = repeated(mishaps.damaged, name, mishaps.cut)
    return found


def rows(record: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """The table: what was done, how often, what became of it, what was lost."""
    done = record["accidents"]
    text = {
        "driver killed alone": ("SIGKILL to the driver alone, the command given again at once", "ends well"),
        "disk full": ("disk full (tmpfs), then room made", "the job fails, then ends well"),
        "results read-only": ("results folder read-only, then not", "the job fails, then ends well"),
        "second driver": ("a second driver in the same folder", "the second is refused, the first ends well"),
        "files late, waited for": (
            "an output seen 2 s late, `--latency-wait 30`",
            "the run goes on",
        ),
        "files late, not waited for": (
            "an output seen 6 s late, `--latency-wait 1`",
            "the run stops; called again, it ends well",
        ),
        "a bit of dialogues, in a run": (
            "one bit of a file of dialogues flipped, then the rule that reads it",
            "refused with the file's name; deleted, it is made again",
        ),
        "a bit of states, in a run": ("the same, states", "the same"),
        "a bit of r2, in a run": ("the same, R²", "the same"),
        "states cut off": ("a file of states cut off in the middle", "the same"),
        "r2 cut off": ("a file of R² cut off in the middle", "the same"),
    }
    found = []
    if "killed" in done:
        entry = done["killed"]
        what = f"SIGKILL to driver and jobs at random moments of one run, in {len(entry['stages'])} of "
        what += f"{len(entry['stages_of_the_run'])} stages"
        became = f"ends well; {len(entry['repeated'])} finished jobs repeated"
        found.append((what, str(entry["times"]), became, _nothing(entry["lost"] + entry["wrong"])))
    for name, (what, became) in text.items():
        if name in done:
            entry = done[name]
            well = entry["noticed"] == entry["times"]
            result = became if well else f"{became}: {entry['noticed']} of {entry['times']}"
            found.append((what, str(entry["times"]), result, _nothing(entry["lost"])))
    for kind, title in (("dialogues", "dialogues"), ("states", "states"), ("r2", "R²")):
        if entry := done.get(f"bits of {kind}"):
            what = f"one bit of a file of {title} flipped, anywhere; read as jobs read it"
            became = f"{entry['refused']} refused, {entry['same']} in bytes that say nothing"
            found.append((what, f"{entry['times']:,}", became, _nothing(["wrong"] * entry["wrong"])))
            seen = entry["verify"]
            became = f"{seen['found']} found"
            found.append((f"the same, then `verify` ({title})", str(seen["times"]), became, "nothing"))
    for name, entry in done.get("clock", {}).items():
        what = f"dialogues written with a clock {'a day' if name == 'ahead' else '30 years'} {name}"
        became = f"ends well; {entry['repeated']} finished jobs repeated"
        found.append((what, str(entry["times"]), became, _nothing(entry["lost"])))
    return found


def _nothing(lost: list[Any]) -> str:
    return f"{len(lost)} files" if lost else "nothing"


def table(record: dict[str, Any]) -> str:
    """The result as Markdown."""
    machine = record["machine"]
    lines = [
        f"The workflow on the tiny experiment of the tests ({record['jobs']} jobs). {machine['processor']} "
        f"({machine['system']}), commit {str(record['code']['commit'])[:10]}, seed {record['seed']}.",
        "",
        "| what was done | times | what became of it | lost |",
        "| --- | ---: | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows(record)),
        "",
    ]
    return "\n".join(lines)


def page(record: dict[str, Any]) -> str:
    """docs/reliability.md with the table of this record."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(record)}{END}{rest.partition(END)[2]}"


def write(record: dict[str, Any], folder: Path) -> None:
    """The record, the table and, if they are the committed ones, the page that shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False)
    (folder / "reliability.json").write_text(f"{text}\n", encoding="utf-8")
    (folder / "reliability.md").write_text(f"# Accidents\n\n{table(record)}", encoding="utf-8")
    if folder == RESULTS:
        PAGE.write_text(page(record), encoding="utf-8")


def main() -> None:
    """Do all of it, print, write; what was measured stays if the rest fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--times", type=int, default=3, help="how often each of the other accidents happens")
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="names of accidents; the others stay as they are on record")
    parser.add_argument("--finished", type=Path, help="folder of an undisturbed run, to be kept")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    path = given.out / "reliability.json"
    with tempfile.TemporaryDirectory(prefix="syncr2-reliability-", ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        undisturbed = Place(given.finished or base / "undisturbed", experiment())
        if undisturbed.run():
            sys.exit(f"The undisturbed run failed:\n{undisturbed.said()[-4000:]}")
        old = json.loads(path.read_text()) if given.only and path.is_file() else {}
        record: dict[str, Any] = {
            "machine": machine_record(threads_here()),
            "code": code_version(),
            "libraries": library_versions(),
            "seed": given.seed,
            "jobs": len(jobs_of(undisturbed.results)),
            "accidents": old.get("accidents", {}),
        }
        for name, accident in accidents(base, undisturbed.folder, given).items():
            if given.only is None or name in given.only:
                print(name, flush=True)
                record["accidents"][name] = accident()
                write(record, given.out)
    print(table(record))


if __name__ == "__main__":
    main()
