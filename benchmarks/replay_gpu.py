"""Replay on a GPU at the size of an 8B model: `python benchmarks/replay_gpu.py`.

Writes benchmarks/results/replay_gpu.{json,md}. A model with the shape of Llama 3.1 8B and random weights in
bfloat16, made on the device, reads made-up dialogues of 16 turns: prefill tokens a second with reuse (every
token once) and without (one prompt at a time), model FLOP utilisation, states a second, and from these the
GPU hours of the full experiment. States are streamed to a file as in a job.

Model FLOP utilisation is what the network must compute, over time and the peak rate of the device's matrix
units. For each token that is computed, at position p of its prompt: two operations for each weight of the
blocks (embedding and head take no part), and for causal attention 4 p times the width of all query heads, in
each block: p the number of tokens that it sees, 2 for the scores and 2 for the sum of the values.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from demo import RESULTS
from layer_r2.machine import machine_record, synchronise, threads_here, timed
from replay_ways import TINY, made_up_dialogues

from syncr2.models.loading import find_blocks
from syncr2.provenance import code_version, library_versions
from syncr2.replay.bundles import bundles
from syncr2.replay.rounding import TOLERANCES
from syncr2.replay.self_check import SelfCheck
from syncr2.replay.state_writer import streaming
from syncr2.replay.states import Dialogue, replay, states_alone
from syncr2.store import StateRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TURNS = 16
BATCH_TOKENS = 16384
# Dialogues of the published experiment (config.yaml), each read by both agents in two readings.
DIALOGUES, READINGS, AGENTS = 48_600, 2, 2
LLAMA_8B = {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
}
# Dense bfloat16 rates by the makers' data sheets, TFLOP/s; first name that fits.
PEAKS = {"H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "A10": 125, "4090": 165}


def random_model(shape: dict[str, Any], device: str) -> PreTrainedModel:
    """Random weights in bfloat16, made where they stay."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(**shape, bos_token_id=None, eos_token_id=None)
    torch.manual_seed(0)
    with torch.device(device):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return model.eval()


def flops(model: PreTrainedModel, lengths: Sequence[tuple[int, int]]) -> float:
    """Operations of the blocks for tokens `first` to `end` of prompts; see the module's docstring.

    Parameters
    ----------
    model : PreTrainedModel
    lengths : sequence of (int, int)
        For each run of tokens the positions of its first one and of the one after its last.
    """
    config = model.config
    weights = sum(weight.numel() for block in find_blocks(model) for weight in block.parameters())
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = config.num_attention_heads * head_size
    total = 0.0
    for first, end in lengths:
        seen = (end * (end + 1) - first * (first + 1)) / 2
        total += 2 * weights * (end - first) + 4 * seen * heads * config.num_hidden_layers
    return total


def runs_of(dialogues: Sequence[Dialogue], reuse: bool) -> list[tuple[int, int]]:
    """Runs of tokens that are computed: trunks and branches, or every prompt whole."""
    if not reuse:
        return [(0, len(prompt)) for prompts in dialogues for prompt in prompts]
    return [
        run
        for prompts in dialogues
        for bundle in bundles(prompts)
        for run in [
            (0, len(bundle.trunk)),
            *((branch.kept, branch.kept + len(branch.ids)) for branch in bundle.branches),
        ]
    ]


def measure(
    model: PreTrainedModel,
    dialogues: Sequence[Dialogue],
    reuse: bool,
    compute: Callable[[], Any],
    peak: float | None,
) -> dict[str, float | None]:
    """Time of one way, best of two, as tokens, states and operations a second."""
    device = model.device.type
    compute()
    seconds = min(timed(compute, device)[1] for _ in range(2))
    runs = runs_of(dialogues, reuse)
    work = flops(model, runs)
    return {
        "seconds": seconds,
        "tokens": sum(end - first for first, end in runs),
        "tokens_a_second": sum(end - first for first, end in runs) / seconds,
        "prompt_tokens_a_second": sum(len(prompt) for prompts in dialogues for prompt in prompts) / seconds,
        "states_a_second": sum(map(len, dialogues)) / seconds,
        "tflops": work / seconds / 1e12,
        "utilisation": None if peak is None else work / seconds / (peak * 1e12),
    }


def streamed(model: PreTrainedModel, dialogues: Sequence[Dialogue], batch_tokens: int, folder: Path) -> None:
    """Replay into a file, as a job does."""
    n = sum(map(len, dialogues))
    rows = [StateRow("episode", "environment", 0, turn, 0, 0) for turn in range(n)]
    with streaming(folder / "states.h5", "float16", {}) as writer:
        for agent, (own, read) in {"agent1": (rows, dialogues), "agent2": ([], [])}.items():
            writer.begin(agent, own, model.config.num_hidden_layers, model.config.hidden_size)
            for batch in replay(model, read, batch_tokens):
                writer.put(agent, batch.begin, batch.values)


def one_at_a_time(model: PreTrainedModel, dialogues: Sequence[Dialogue]) -> None:
    """Every prompt by itself."""
    for prompts in dialogues:
        for prompt in prompts:
            states_alone(model, prompt)


def checked(model: PreTrainedModel, dialogues: Sequence[Dialogue], batch_tokens: int) -> dict[str, float]:
    """The self-check of a job, on all prompts of the first dialogue."""
    first = dialogues[:1]
    rows = [StateRow("episode", "environment", 0, turn, 0, 0) for turn in range(len(first[0]))]
    check = SelfCheck(model, first, rows, len(rows), 0)
    for batch in replay(model, first, batch_tokens):
        check.look(batch)
    return check.result._asdict()


def table(record: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [
        "# Replay on a GPU",
        "",
        f"{record['device']}, {record['parameters'] / 1e9:.2f} G random weights in bfloat16, "
        f"{record['dialogues']} made-up dialogues of {TURNS} turns, prompts of {record['shortest']:,} to "
        f"{record['longest']:,} tokens, {record['batch_tokens']:,} tokens at once.",
        "",
        "| way | seconds | tokens computed a second | states a second | TFLOP/s | of the peak "
        f"({record['peak_tflops'] or 'not known'} TFLOP/s) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    names = {"reuse": "ours, streamed to a file", "alone": "one prompt at a time"}
    for way, name in names.items():
        entry = record[way]
        share = "–" if entry["utilisation"] is None else f"{entry['utilisation']:.0%}"
        lines.append(
            f"| {name} | {entry['seconds']:.2f} | {entry['tokens_a_second']:,.0f} "
            f"| {entry['states_a_second']:.1f} | {entry['tflops']:.3g} | {share} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            "Operations: two a weight of the blocks and token, and 4 p times the width of the query heads a "
            "block for a token at position p.",
            "",
            f"The full experiment ({DIALOGUES:,} dialogues, {AGENTS} agents, {READINGS} readings, all models "
            f"of this size): {record['hours']['reuse']:,.1f} GPU hours, one prompt at a time "
            f"{record['hours']['alone']:,.1f}. Largest relative difference of the two: "
            f"{record['self_check']['largest_relative_difference']:.2g} (tolerance "
            f"{TOLERANCES['bfloat16']:g}). Peak GPU memory: "
            + ("–" if record["peak_gb"] is None else f"{record['peak_gb']:.1f} GB")
            + f", of which the weights are {record['weights_gb']:.1f} GB.",
            "",
        ]
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--dialogues", type=int, default=64)
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS)
    parser.add_argument("--peak", type=float, help="peak bfloat16 rate of the device, TFLOP/s")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape, to see that all runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not given.tiny:
        parser.error("there is no GPU here; with --tiny the script can be tried on the CPU")
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    peak = given.peak or next((rate for part, rate in PEAKS.items() if part in name), None)
    model = random_model(
        {**LLAMA_8B, **(TINY | {"num_attention_heads": 2, "num_key_value_heads": 1} if given.tiny else {})},
        device,
    )
    dialogues = made_up_dialogues(given.dialogues, TURNS, model.config.vocab_size)
    # One at a time is slow and even: a part of the dialogues says as much.
    part = dialogues[: max(1, len(dialogues) // 16)]
    with tempfile.TemporaryDirectory() as folder:
        ours = measure(
            model, dialogues, True, lambda: streamed(model, dialogues, given.batch_tokens, Path(folder)), peak
        )
    alone = measure(model, part, False, lambda: one_at_a_time(model, part), peak)
    lengths = [len(prompt) for prompts in dialogues for prompt in prompts]
    states = DIALOGUES * AGENTS * READINGS * statistics.mean(map(len, dialogues))
    synchronise(device)
    record = {
        "device": name,
        "machine": machine_record(threads_here()),
        "code": code_version(),
        "libraries": library_versions(),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "weights_gb": sum(weight.numel() * weight.element_size() for weight in model.parameters()) / 1e9,
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None,
        "peak_tflops": peak,
        "dialogues": len(dialogues),
        "batch_tokens": given.batch_tokens,
        "shortest": min(lengths),
        "longest": max(lengths),
        "reuse": ours,
        "alone": alone,
        "self_check": checked(model, dialogues, given.batch_tokens),
        "hours": {
            way: states / float(entry["states_a_second"] or 1) / 3600
            for way, entry in (("reuse", ours), ("alone", alone))
        },
    }
    text = table(record)
    print(text)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "replay_gpu.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    (given.out / "replay_gpu.md").write_text(text)


if __name__ == "__main__":
    main()
