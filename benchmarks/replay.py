"""Replay of the prompts of growing dialogues beside other ways: `make bench-replay`.

Writes benchmarks/results/replay.{json,md}. Random models of some 30 million weights read made-up dialogues of
real length on the CPU, each way in a process of its own: ours, keys and values kept from prompt to prompt
(one dialogue at a time, and a left-padded batch), one prompt at a time, and `output_hidden_states`. States
are compared with one prompt at a time; memory is measured again with shorter and longer dialogues, several
times each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from demo import RESULTS
from layer_r2.machine import machine_record, threads_here
from replay_ways import MODELS, WAYS, Task

from syncr2.provenance import code_version, library_versions

TURNS = 16
# Dialogues whose memory is looked at, by number of turns; there are so many that all turns come to the last.
LENGTHS = (8, 16, 32, 64)
N_TURNS = 192
REPEATS = 3
NAMES = {
    "ours": "ours: dialogues side by side in one row, each token once",
    "kept": "keys and values kept, a dialogue at a time",
    "kept, batch": "keys and values kept, a left-padded batch",
    "alone": "one prompt at a time, hooks",
    "output_hidden_states": "one prompt at a time, `output_hidden_states`",
}


def run(task: Task, folder: Path) -> tuple[dict[str, Any], Path]:
    """Measure one task in a process of its own; give its record and the file of its states."""
    answer, states = folder / "answer.json", folder / f"{task.way}.npy"
    command = [sys.executable, str(Path(__file__).with_name("replay_ways.py"))]
    subprocess.run([*command, json.dumps(task._asdict()), str(answer), str(states)], check=True)
    return task._asdict() | json.loads(answer.read_text()), states


def differences(found: Path, reference: Path) -> dict[str, float]:
    """Largest difference of a number, and of a state relative to its size, below the last layer and in it.

    `output_hidden_states` gives the last layer behind the final norm, which is another thing.
    """
    ours, theirs = np.load(found), np.load(reference)
    difference = np.abs(ours - theirs)
    relative = np.linalg.norm(ours - theirs, axis=-1) / np.linalg.norm(theirs, axis=-1)
    return {
        "largest": float(difference[:-1].max()),
        "relative": float(relative[:-1].max()),
        "last_layer": float(difference[-1].max()),
    }


def speeds(models: list[str], dialogues: int, threads: int, folder: Path) -> list[dict[str, Any]]:
    """Every way with every model."""
    found = []
    for model in models:
        done = {way: run(Task(way, model, dialogues, TURNS, threads), folder) for way in WAYS}
        for record, states in done.values():
            found.append(record | differences(states, done["alone"][1]))
    return found


def memory(models: list[str], threads: int, folder: Path) -> list[dict[str, Any]]:
    """Peaks by length of the dialogues: of ours, and of `output_hidden_states` at the longest prompt."""
    found = []
    for model in models:
        for turns in LENGTHS:
            tasks = [
                Task("ours", model, N_TURNS // turns, turns, threads),
                Task("output_hidden_states", model, 1, turns, threads, last=1),
            ]
            for task in tasks:
                runs = [run(task, folder)[0] for _ in range(REPEATS)]
                added = sorted(each["added_gb"] for each in runs)
                found.append(runs[0] | {"added_gb": statistics.median(added), "added_gb_all": added})
    return found


def table(record: dict[str, Any]) -> str:
    """The result as Markdown."""
    cpu = record["machine"]
    speeds = record["speeds"]
    first = speeds[0]
    lines = [
        "# Replay of growing prompts",
        "",
        f"{first['dialogues']} made-up dialogues of {TURNS} turns: {first['prompts']} prompts of one agent, "
        f"of {first['shortest']:,} to {first['longest']:,} tokens, {first['tokens']:,} in all. Random "
        f"weights, float32, {cpu['threads']} threads of {cpu['processor']} ({cpu['system']}); load before "
        f"the run {cpu['load']:.1f}.",
    ]
    if cpu["load"] > 0.5:
        lines += ["", "Other work was under way: compare the CPU seconds, not the wall time."]
    for model in dict.fromkeys(entry["model"] for entry in speeds):
        entries = {entry["way"]: entry for entry in speeds if entry["model"] == model}
        alone = entries["alone"]
        lines += [
            "",
            f"## {model}, {alone['parameters'] / 1e6:.0f} M weights",
            "",
            "| way | seconds | CPU seconds | states a second | times one at a time (CPU) "
            "| largest difference | memory added, MB |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for way, entry in entries.items():
            difference = "reference" if way == "alone" else f"{entry['largest']:.0e}"
            lines.append(
                f"| {NAMES[way]} | {entry['seconds']:.1f} | {entry['cpu_seconds']:.1f} "
                f"| {entry['prompts'] / entry['seconds']:.1f} "
                f"| {alone['seconds'] / entry['seconds']:.1f} "
                f"({alone['cpu_seconds'] / entry['cpu_seconds']:.1f}) "
                f"| {difference} | {1000 * entry['added_gb']:.0f} |"
            )
    lines += [
        "",
        "A state is what all blocks give for one prompt. Differences leave out the last layer, which "
        "`output_hidden_states` gives behind the final norm (there it differs by "
        f"{next(e['last_layer'] for e in speeds if e['way'] == 'output_hidden_states'):.1f}; ours by no more "
        "than elsewhere). Memory is what a process adds, at its peak, to what it holds with the model "
        "loaded.",
        "",
        "## Memory by length of the dialogue",
        "",
        "Ours reads as many dialogues at once as fit a number of tokens, 16,384 here and by default on a "
        "GPU, so its memory has a bound that does not depend on the length of a dialogue. (A dialogue that "
        "has more by itself is read alone and takes memory in proportion.) "
        f"{N_TURNS} turns in all, {REPEATS} runs each, in processes of their own: the median, and least to "
        "most; narrow models, whose weights take next to nothing.",
        "",
        "| model | turns | dialogues | longest prompt | ours, MB | `output_hidden_states`, longest, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    by_place = {(entry["model"], entry["turns"], entry["way"]): entry for entry in record["memory"]}
    for model, turns, way in by_place:
        if way != "ours":
            continue
        ours, other = by_place[model, turns, way], by_place[model, turns, "output_hidden_states"]
        lines.append(
            f"| {model} | {turns} | {ours['dialogues']} | {ours['longest']:,} | {_megabytes(ours)} "
            f"| {_megabytes(other)} |"
        )
    return "\n".join([*lines, ""])


def _megabytes(entry: dict[str, Any]) -> str:
    low, *_, high = entry["added_gb_all"]
    return f"{1000 * entry['added_gb']:.0f} ({1000 * low:.0f} to {1000 * high:.0f})"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--dialogues", type=int, default=3)
    parser.add_argument("--threads", type=int, default=threads_here())
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to see that all runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    wide = [name for name in MODELS if name.startswith(("llama", "mistral"))]
    models = ["tiny"] if given.tiny else wide
    narrow = ["tiny"] if given.tiny else [name for name in MODELS if name.startswith("narrow")]
    machine = machine_record(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        record = {
            "machine": machine,
            "code": code_version(),
            "libraries": library_versions(),
            "speeds": speeds(models, given.dialogues, given.threads, Path(folder)),
            "memory": memory(narrow, given.threads, Path(folder)),
        }
    text = table(record)
    print(text)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "replay.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    (given.out / "replay.md").write_text(text)


if __name__ == "__main__":
    main()
