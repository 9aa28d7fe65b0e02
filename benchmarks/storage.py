"""States on disk: our files beside one `.npy` a turn: `make bench-storage`.

Writes benchmarks/results/storage.{json,md}. The states of both agents of one job (450 dialogues of 16 turns,
a part of the layers of an 8B model) are written both ways, flushed to the disk, put out of the system's
cache, and read back a layer at a time, as the maps read them. Beside it stands what the disk gives to one
plain file of the same size. Bytes and files of the full experiment are counted, not measured.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from demo import RESULTS
from layer_r2.machine import machine_record, threads_here
from numpy.typing import NDArray

from syncr2 import open_states
from syncr2.hdf5 import row_checksums
from syncr2.provenance import code_version, library_versions
from syncr2.replay.state_writer import streaming
from syncr2.store import AGENTS, StateRow

PROMPTS = 8  # of one agent in a dialogue
BATCH = 8  # dialogues that a replay gives at once
FULL = {"dialogues": 48_600, "prompts": 16, "readings": 2, "layers": 32, "width": 4096}
PIECE = 2**24


def states(dialogue: int, layers: int, width: int) -> NDArray[np.float32]:
    """Made-up states of one dialogue and agent, (n_layers, n_prompts, width)."""
    rng = np.random.default_rng(dialogue)
    return rng.standard_normal((layers, PROMPTS, width), dtype=np.float32)


def write_ours(folder: Path, dialogues: int, layers: int, width: int) -> None:
    """One file, streamed in batches as by a job."""
    rows = [
        StateRow(f"episode-{i // PROMPTS}", "environment", 0, i % PROMPTS, 0, 0)
        for i in range(dialogues * PROMPTS)
    ]
    with streaming(folder / "states.h5", "float16", {}) as writer:
        for agent in AGENTS:
            writer.begin(agent, rows, layers, width)
            for first in range(0, dialogues, BATCH):
                group = range(first, min(first + BATCH, dialogues))
                values = np.concatenate([states(i, layers, width) for i in group], axis=1)
                writer.put(agent, first * PROMPTS, functools.partial(np.asarray, values))


def write_published(folder: Path, dialogues: int, layers: int, width: int) -> None:
    """One float32 `.npy` a turn, all layers in it."""
    for agent in AGENTS:
        for i in range(dialogues):
            for turn, values in enumerate(states(i, layers, width).swapaxes(0, 1)):
                np.save(folder / f"{agent}-episode-{i}-turn-{turn}.npy", values)


def reader_of_ours(folder: Path) -> Callable[[int], int]:
    """What reads one layer of both agents and gives the bytes of states; the tables of rows are read once."""
    opened = open_states(folder / "states.h5")
    return lambda layer: sum(opened[agent][layer].nbytes for agent in AGENTS)


def reader_of_published(folder: Path) -> Callable[[int], int]:
    """The same; of each file only the layer's part is asked for."""
    paths = [sorted(folder.glob(f"{agent}-*.npy")) for agent in AGENTS]
    return lambda layer: sum(
        np.stack([np.load(path, mmap_mode="r")[layer] for path in own]).nbytes for own in paths
    )


def flush(folder: Path) -> None:
    """Bring files to the disk and out of the system's cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sequential(folder: Path, n_bytes: int) -> dict[str, float]:
    """MB/s of one plain file, written and read from beginning to end."""
    path = folder / "plain"
    piece = np.random.default_rng(0).bytes(PIECE)
    begin = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(max(1, n_bytes // PIECE)):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    written = time.perf_counter() - begin
    flush(folder)
    begin = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(PIECE):
            pass
    read = time.perf_counter() - begin
    size = path.stat().st_size / 1e6
    path.unlink()
    return {"write": size / written, "read": size / read}


def measure(
    folder: Path,
    write: Callable[[Path, int, int, int], None],
    reader: Callable[[Path], Callable[[int], int]],
    shape: tuple[int, int, int],
) -> dict[str, Any]:
    """Bytes, files, and times of writing all and of reading single layers, from the disk and the cache."""
    begin = time.perf_counter()
    write(folder, *shape)
    flush(folder)
    seconds = time.perf_counter() - begin
    read = reader(folder)
    cold: list[float] = []
    warm: list[float] = []
    for layer in sorted({0, shape[1] // 2, shape[1] - 1}):
        for found, cached in ((cold, False), (warm, True)):
            if not cached:
                flush(folder)
            begin = time.perf_counter()
            n_bytes = read(layer)
            found.append(n_bytes / 1e6 / (time.perf_counter() - begin))
    files = list(folder.iterdir())
    return {
        "bytes": sum(path.stat().st_blocks * 512 for path in files),
        "files": len(files),
        "write_seconds": seconds,
        "layer_mb": n_bytes / 1e6,
        "layer_mb_s": float(np.median(cold)),
        "layer_mb_s_cached": float(np.median(warm)),
    }


def checksum_rate(dialogues: int, width: int, tries: int = 5) -> float:
    """MB of states whose checksums are computed in a second of processor time."""
    values = states(0, 1, width).repeat(dialogues, axis=1).astype(np.float16)
    seconds = []
    for _ in range(tries):
        begin = time.process_time()
        row_checksums(values)
        seconds.append(time.process_time() - begin)
    return values.nbytes / 1e6 / min(seconds)


def full_experiment() -> dict[str, dict[str, float]]:
    """Bytes of states and number of files of 48,600 dialogues in two readings, all models 8B-shaped."""
    numbers = FULL["dialogues"] * FULL["prompts"] * FULL["readings"] * FULL["layers"] * FULL["width"]
    jobs = FULL["dialogues"] // 450 * FULL["readings"]
    turns = FULL["dialogues"] * FULL["prompts"] * FULL["readings"]
    return {
        "ours": {"bytes": 2.0 * numbers, "files": jobs},
        "published": {"bytes": 4.0 * numbers, "files": turns},
    }


def checksums(rate: float) -> str:
    """What they cost, in words."""
    return (
        "Ours include a checksum of every state, computed when it is written and when it is read: "
        f"{rate:,.0f} MB in a second of one processor's time."
    )


def table(record: dict[str, Any]) -> str:
    """The result as Markdown."""
    dialogues, layers, width = record["shape"]
    disk, cpu = record["sequential"], record["machine"]
    lines = [
        "# States on disk",
        "",
        f"One job: {dialogues} dialogues of {2 * PROMPTS} turns, both agents, {layers} layers of width "
        f"{width:,}. {cpu['processor']} ({cpu['system']}), load before the run {cpu['load']:.1f}. One plain "
        f"file of the size of ours: {disk['write']:,.0f} MB/s written, {disk['read']:,.0f} MB/s read.",
        "",
        "| layout | files | GB on disk | written in, s | one layer of the pair, from the disk | MB/s "
        "| of the plain file | from the cache, MB/s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, title in (("ours", "ours: HDF5, float16"), ("published", "a `.npy` a turn, float32")):
        entry = record[name]
        rate = entry["layer_mb_s"]
        lines.append(
            f"| {title} | {entry['files']:,} | {entry['bytes'] / 1e9:.2f} | {entry['write_seconds']:.1f} "
            f"| {entry['layer_mb']:.0f} MB in {entry['layer_mb'] / rate:.2f} s | {rate:,.0f} "
            f"| {rate / disk['read']:.0%} | {entry['layer_mb_s_cached']:,.0f} |"
        )
    full = record["full"]
    return "\n".join(
        [
            *lines,
            "",
            *([record["note"], ""] if "note" in record else []),
            "Writing includes making up the numbers, which both do alike.",
            "",
            *([checksums(record["checksum_mb_s"]), ""] if "checksum_mb_s" in record else []),
            f"The full experiment ({FULL['dialogues']:,} dialogues, {FULL['readings']} readings, "
            f"{FULL['layers']} layers of width {FULL['width']:,}), counted: ours "
            f"{full['ours']['bytes'] / 1e12:.2f} TB in {full['ours']['files']:,} files, a `.npy` a turn "
            f"{full['published']['bytes'] / 1e12:.2f} TB in {full['published']['files']:,} files.",
            "",
        ]
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--dialogues", type=int, default=450)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument(
        "--folder", type=Path, help="on the disk to measure; default: that of temporary files"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    shape = (given.dialogues, given.layers, given.width)
    record: dict[str, Any] = {
        "shape": shape,
        "machine": machine_record(threads_here()),
        "code": code_version(),
        "libraries": library_versions(),
    }
    for name, write, reader in (
        ("ours", write_ours, reader_of_ours),
        ("published", write_published, reader_of_published),
    ):
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            record[name] = measure(Path(folder), write, reader, shape)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        record["sequential"] = sequential(Path(folder), record["ours"]["bytes"])
    record["checksum_mb_s"] = checksum_rate(given.dialogues, given.width)
    record["full"] = full_experiment()
    if record["machine"]["load"] > 0.5:
        record["note"] = "Other work was under way, on the disk too: times are not to be trusted."
    text = table(record)
    print(text)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "storage.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    (given.out / "storage.md").write_text(text)


if __name__ == "__main__":
    main()
