"""Accidents that are no kills: full disks, damaged files, jumping clocks, a second driver, late files.

Each is done to a copy of a finished run, of which one pair's part is made anew, and gives an `Outcome`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
from accidents import Place, kill, wait_for

from syncr2.commands import whole
from syncr2.commands.compare import contents
from syncr2.commands.verify import verify
from syncr2.errors import SyncR2Error
from syncr2.ids import JOB_RECORDS

PAIR = "red--blue"
DIALOGUES = f"dialogues/{PAIR}/seed-0/shard-0.jsonl"
STATES = f"states/{PAIR}/engaged/seed-0/shard-0.h5"
R2 = f"r2/{PAIR}/interaction.h5"
TABLE = "synchrony_directed.tsv"
# What reads it, and so must refuse it.
READ_BY = {DIALOGUES: STATES, STATES: R2, R2: TABLE}
ROOM = 40_000  # bytes that are left on a disk that is full


@dataclass(frozen=True)
class Outcome:
    """How it went.

    Attributes
    ----------
    noticed : bool
        The run stopped (or, where it need not, went on) as it should.
    said : str
        The line in which it told of it.
    lost : list of str
        Files whose content differs at the end, or that are missing.
    """

    noticed: bool
    said: str
    lost: list[str]


def copied(finished: Path, place: Place) -> Place:
    """A place in which the run is as finished as there."""
    shutil.copytree(finished, place.folder, dirs_exist_ok=True)
    return place


def line_with(text: str, *words: str) -> str:
    """The first line in which all of the words stand."""
    return next((line.strip() for line in text.splitlines() if all(word in line for word in words)), "")


def lost(place: Place, finished: Path) -> list[str]:
    """Files of the finished run that say something else here, or are missing."""
    now = contents(place.results)
    return [path for path, sha in contents(finished / "results").items() if now.get(path) != sha]


def flip(path: Path, draw: random.Random) -> None:
    """Change one bit of a random byte."""
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def flip_number(path: Path, draw: random.Random) -> None:
    """Change one bit of a number of a file of states or R²; between its parts lies much that says nothing."""
    with h5py.File(path, "r", locking=False) as file:
        states = file.get("agent1/hidden")
        if states is not None:
            chunk = states.id.get_chunk_info(draw.randrange(states.id.get_num_chunks()))
            begin, size = chunk.byte_offset, chunk.size
        else:
            maps = file["agent1_to_agent2/r2"].id
            begin, size = maps.get_offset(), maps.get_storage_size()
    content = bytearray(path.read_bytes())
    content[begin + draw.randrange(size)] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def cut(path: Path, draw: random.Random) -> None:
    """Cut the file off somewhere in its middle half."""
    os.truncate(path, int(path.stat().st_size * draw.uniform(0.25, 0.75)))


def damaged(
    place: Place, finished: Path, name: str, damage: Callable[[Path, random.Random], None]
) -> Outcome:
    """Damage a file, run what reads it, delete the file as told, run again."""
    copied(finished, place)
    path, reader = place.results / name, f"results/{READ_BY[name]}"
    damage(path, random.Random(f"{name} {place.folder.name}"))
    found = name in {each.path for each in verify([path]).wrong}
    (place.folder / reader).unlink()
    stopped = place.run(reader) != 0 and not (place.folder / reader).exists()
    said = line_with(place.said(), path.name, "Delete")
    path.unlink()
    ended = place.run(reader) == 0
    return Outcome(found and stopped and bool(said) and ended, said, lost(place, finished))


def noticed_by_readers(path: Path, read: Callable[[Path], object], times: int, seed: int) -> dict[str, int]:
    """Flip single bits of a file, one after the other, and read it each time as the workflow does.

    Returns
    -------
    dict
        How often it was `refused`, read as the `same`, or read as something else (`wrong`).
    """
    sound, content = read(path), path.read_bytes()
    draw, counts = random.Random(seed), {"refused": 0, "same": 0, "wrong": 0}
    for _ in range(times):
        flip(path, draw)
        try:
            counts["same" if read(path) == sound else "wrong"] += 1
        except SyncR2Error as error:
            # A message that does not name the file helps nobody.
            counts["refused" if path.name in str(error) else "wrong"] += 1
        path.write_bytes(content)
    return counts


def mount(*arguments: str) -> bool:
    """Whether the mount succeeded: root is needed."""
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """A file system of its own at the folder, in memory; gives whether it could be had."""
    folder.mkdir(parents=True, exist_ok=True)
    there = mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[bool]:
    """The folder as a read-only file system, for root as well; gives whether it could be had."""
    there = mount("--bind", str(folder), str(folder))
    try:
        yield there and mount("-o", "remount,bind,ro", str(folder))
    finally:
        if there:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def forget_states(place: Place) -> str:
    """Remove a pair's states and what rests on them; gives what is to be made again."""
    for folder in ("states", "r2"):
        shutil.rmtree(place.results / folder / PAIR)
    return f"results/{R2}"


def disk_full(place: Place, finished: Path) -> Outcome:
    """Fill the disk on which everything lies but for a little, run, make room, run again."""
    copied(finished, place)
    target = forget_states(place)
    filler = place.folder / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(65536))
    os.truncate(filler, max(filler.stat().st_size - ROOM, 0))
    stopped = place.run(target) != 0
    broken = [path for path in place.results.rglob("[!.]*") if path.is_file() and whole.problem(path)]
    filler.unlink()
    said = line_with(place.said(), "No space left")
    ended = place.run(target) == 0
    wanted = contents(finished / "results")
    now = contents(place.results)
    return Outcome(stopped and ended, said, [str(path) for path in broken] + _other(now, wanted, target))


def _other(now: dict[str, str], wanted: dict[str, str], target: str) -> list[str]:
    """Files that differ, and the target if it is missing; what was not asked for may be."""
    missing = [target] if target.removeprefix("results/") not in now else []
    return missing + [path for path, sha in now.items() if wanted[path] != sha]


def no_writing(place: Place, finished: Path) -> Outcome | None:
    """Run with a results folder that cannot be written to, then with one that can; None without mounts."""
    copied(finished, place)
    target = forget_states(place)
    with read_only(place.results) as there:
        if not there:
            return None
        stopped = place.run(target) != 0
        said = line_with(place.said(), "Read-only file system")
    ended = place.run(target) == 0
    return Outcome(
        stopped and ended, said, _other(contents(place.results), contents(finished / "results"), target)
    )


def clock_jumps(place: Place, finished: Path, seconds: float) -> tuple[Outcome, int]:
    """Dialogues from another time, as if the clock had been wrong when they were played; then all again.

    Returns
    -------
    outcome, repeated
        The second is the number of jobs that were done again.
    """
    copied(finished, place)
    for path in (place.results / "dialogues").rglob("*.jsonl"):
        when = path.stat().st_mtime + seconds
        os.utime(path, (when, when))
    before = place.records()
    ended = place.run() == 0
    repeated = sum(before.get(name) != written for name, written in place.records().items())
    return Outcome(ended, "", lost(place, finished)), repeated


def second_driver(place: Place, finished: Path) -> Outcome:
    """Start the same command while the first is at work."""
    copied(finished, place)
    target = forget_states(place)
    first = place.start(target)
    try:
        assert wait_for(place.under_way, first)
        refused = place.run(target) != 0 and first.poll() is None
        said = line_with(place.said(), "cannot be locked") or line_with(place.said(), "Another run")
        ended = first.wait(600) == 0
    except BaseException:
        kill(first)
        raise
    return Outcome(
        refused and bool(said) and ended,
        said,
        _other(contents(place.results), contents(finished / "results"), target),
    )


def late_files(place: Place, finished: Path, delay: float, patience: int) -> Outcome:
    """Hide an output from the moment that its job ends, for a while: others see it late.

    It stands in for a network file system whose clients hear late of new files. With more patience
    (`--latency-wait`) than delay the run goes on; with less it stops, and the same command goes on.
    """
    copied(finished, place)
    target = forget_states(place)
    late = place.results / STATES
    record = place.results / JOB_RECORDS / "replay_states" / Path(STATES).relative_to("states")
    record = record.with_suffix(".json")
    record.unlink()
    hider = threading.Thread(target=_hide, args=(record, late, delay))
    hider.start()
    stopped = place.run(target, "--latency-wait", str(patience)) != 0
    said = line_with(place.said(), "latency") if stopped else ""
    hider.join()
    ended = place.run(target) == 0 if stopped else True
    expected = stopped == (patience < delay)
    return Outcome(
        expected and ended, said, _other(contents(place.results), contents(finished / "results"), target)
    )


def _hide(record: Path, output: Path, delay: float) -> None:
    hidden = output.with_name(f".{output.name}.late")
    while not record.exists():
        time.sleep(0.001)
    output.rename(hidden)
    time.sleep(delay)
    hidden.rename(output)


def driver_alone(place: Place, finished: Path) -> Outcome:
    """Kill the driver and nothing else while dialogues are played, and give the command again at once."""
    copied(finished, place)
    shutil.rmtree(place.results / "dialogues" / PAIR)
    target = f"results/{DIALOGUES}"
    driver = place.start(target)
    assert wait_for(place.under_way, driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    ended = place.run(target) == 0
    said = "" if ended else line_with(place.said(), "Error")
    return Outcome(ended, said, _other(contents(place.results), contents(finished / "results"), target))
