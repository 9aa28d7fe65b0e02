"""Dialogues a minute through vLLM, by transformers in process, and the published way.

`make bench-generation` writes benchmarks/results/generation.{json,md}. One random model talks to itself,
dialogues of 16 turns:

- vLLM: a server, every dialogue a coroutine, generation stops at the line's end (engine `vllm`);
- transformers: a left-padded group in lockstep that stops when all lines have ended (engine `transformers`);
- alone: the same, one dialogue at a time;
- published: `model.generate`, one prompt at a time, 300 new tokens of which the first line is kept.

A random model ends no lines of its own. So a share of its vocabulary are words with a line end behind them,
as likely as the same words without; the mean length of an answer comes out near that of a real one and stands
in the result. The published way does the same work whatever the length, so the ratios hang on it.

One at a time, dialogues do not depend on each other, and few are enough to measure. Ours needs as many as
are under way at once (`dialogue.concurrency`). CPU seconds are of this process and of the server; with
one thread they can be compared on a machine that has other work.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from demo import RESULTS
from layer_r2.machine import machine_record, threads_here
from transformers import AutoModelForCausalLM, AutoTokenizer

from syncr2.config import BUNDLED_PROMPTS, BUNDLED_SCENARIOS, REPOSITORY
from syncr2.dialogues.conventions import CORRECTED, PAPER, Convention
from syncr2.dialogues.dialogue import Listener, Match
from syncr2.dialogues.playing import play, play_freely
from syncr2.dialogues.prompts import Prompts
from syncr2.dialogues.turns import StoppingRule
from syncr2.ids import OrderedPair
from syncr2.models.loading import ModelSource, load_encoder, no_progress_bars
from syncr2.models.miniatures import MiniatureSpec, build_miniature, miniature_corpus
from syncr2.provenance import code_version, library_versions
from syncr2.serving.servers import ServedModel, ServerSettings, serve
from syncr2.sotopia.reading import read_folder
from syncr2.sotopia.scenarios import Episode
from syncr2.speakers import Answer, Prompt, Sampling, Speaker, token_ids
from syncr2.speakers.connection import Connection, Patience
from syncr2.speakers.lines import AnswerForm, closing_tokens
from syncr2.speakers.local import LocalSpeaker
from syncr2.speakers.server import ServerSpeaker

TURNS = 16
SAMPLING = Sampling(temperature=0.7, top_p=1.0, top_k=0, max_new_tokens=300)
CONTEXT = 8192
# Share of the words that have a twin with a line end.
LINE_ENDS = 0.04
CONCURRENCY = 64
GROUP = 32
FULL = MiniatureSpec(
    seed=1,
    architecture="llama",
    layers=8,
    hidden_size=384,
    intermediate_size=1536,
    heads=6,
    # Groups of query heads share keys and values, as in five of the six published models.
    kv_heads=2,
    vocabulary=4096,
    context=CONTEXT,
    chat_format="llama-3",
)
SMALL = MiniatureSpec(
    **{**FULL.__dict__, "layers": 2, "hidden_size": 64, "intermediate_size": 96, "heads": 2, "kv_heads": 2}
)
COMMAND = (str(REPOSITORY / ".venv-vllm/bin/python"), "-m", "vllm.entrypoints.openai.api_server")
ARGUMENTS = (
    "--enforce-eager",
    "--no-enable-chunked-prefill",
    f"--max-num-batched-tokens={CONTEXT}",
    f"--max-num-seqs={CONCURRENCY}",
)


def build(folder: Path, spec: MiniatureSpec) -> int:
    """A model whose answers have lines; the number of its parameters."""
    build_miniature(folder, spec, miniature_corpus(BUNDLED_SCENARIOS, BUNDLED_PROMPTS))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    texts = {token: tokenizer.decode([token]) for token in range(len(tokenizer))}
    words = [token for token, text in texts.items() if text.strip().isalpha() and len(text.strip()) > 1]
    chosen = np.random.default_rng(0).choice(words, int(LINE_ENDS * len(words)), replace=False).tolist()
    first = len(tokenizer)
    added = [f"{texts[token]}\n" for token in chosen]
    assert tokenizer.add_tokens(added) == len(added)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for matrix in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            matrix[first : first + len(chosen)] = matrix[chosen]
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def many_episodes(n: int) -> list[Episode]:
    """Episodes of which no two begin alike: the bundled ones, and again with other names."""
    found: list[Episode] = []
    bundled = read_folder(BUNDLED_SCENARIOS).episodes
    for i in range(n):
        again, place = divmod(i, len(bundled))
        episode = bundled[place]
        first, second = (
            replace(agent, first_name=f"{agent.first_name}{again or ''}") for agent in episode.agents
        )
        found.append(replace(episode, id=f"{episode.id}-{again}", agents=(first, second)))
    return found


class PublishedSpeaker:
    """`model.generate` for each prompt by itself, to the token limit."""

    def __init__(self, model: Any, form: AnswerForm) -> None:
        self._model = model
        self._form = form

    def join(self) -> PublishedSpeaker:
        """Nothing is remembered from one prompt to the next."""
        return self

    def answer(
        self, dialogues: Sequence[Hashable], prompts: Sequence[Prompt], seeds: Sequence[int]
    ) -> list[Answer]:
        """One prompt after the other."""
        answers = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            ids = torch.tensor([list(token_ids(prompt))])
            with torch.random.fork_rng(devices=[]), torch.inference_mode():
                torch.manual_seed(seed % 2**32)
                made = self._model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    do_sample=True,
                    temperature=SAMPLING.temperature,
                    top_k=0,
                    min_new_tokens=SAMPLING.max_new_tokens,
                    max_new_tokens=SAMPLING.max_new_tokens,
                )
            growing = self._form.open(ids[0].tolist())
            for token in made[0, ids.shape[1] :].tolist():
                growing.take(token)
            answers.append(growing.answer())
        return answers


def match(folder: Path, speaker: Speaker, convention: Convention = CORRECTED) -> Match:
    """The model against itself; nobody leaves early."""
    listener = Listener(load_encoder(ModelSource("model", str(folder))), CONTEXT)
    return Match(
        pair=OrderedPair("model", "model"),
        seed=0,
        listeners=(listener, listener),
        speakers=(speaker, speaker),
        prompts=Prompts(BUNDLED_PROMPTS),
        rule=StoppingRule(TURNS, 0, lambda text: False),
        sampling=(SAMPLING, SAMPLING),
        convention=convention,
    )


def cpu_seconds() -> float:
    """Of this process, and of all that came of it and runs."""
    own = psutil.Process()
    used = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(times.user + times.system for times in used)


def timed(make: Callable[[], list[dict[str, Any]]]) -> dict[str, float]:
    """Make dialogues; what was made in how much time."""
    cpu, begin = cpu_seconds(), time.perf_counter()
    records = make()
    seconds, cpu = time.perf_counter() - begin, cpu_seconds() - cpu
    turns = [turn for record in records for turn in record["turns"]]
    return {
        "dialogues": len(records),
        "turns": len(turns),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "dialogues_a_minute": len(turns) / TURNS / seconds * 60,
        "cpu_seconds_a_dialogue": cpu / len(turns) * TURNS,
        "tokens_a_turn": float(np.mean([turn["n_new_tokens"] for turn in turns])),
        "prompt_tokens": float(np.mean([turn["n_prompt_tokens"] for turn in turns])),
        "cut_off": float(np.mean(["cut_off" in turn["flags"] for turn in turns])),
    }


def from_cache(base_url: str) -> float:
    """Share of all prompt tokens that the server had read before."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/metrics") as answer:
        told = answer.read().decode()
    counted = r"^vllm:prefix_cache_{}_total{{.*}} (\S+)$"
    hits, asked = (
        sum(map(float, re.findall(counted.format(name), told, re.MULTILINE))) for name in ("hits", "queries")
    )
    return hits / asked


def through_vllm(folder: Path, episodes: Sequence[Episode]) -> dict[str, float]:
    """Every dialogue a coroutine; the start of the server is timed apart."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    form = AnswerForm(tokenizer, len(tokenizer), closing_tokens(None, tokenizer))
    served = ServedModel("model", str(folder), dtype="float32", context=CONTEXT, gpus=0)
    begin = time.perf_counter()
    with serve([served], ServerSettings(COMMAND, ARGUMENTS, 600), folder / "logs") as servers:
        start = time.perf_counter() - begin
        speaker = ServerSpeaker(Connection("model", servers["model"], Patience(2, 600)), form, SAMPLING)
        playing = match(folder, speaker)
        play_freely(playing, many_episodes(len(episodes) + 1)[-1:], 1, lambda record: None)  # warms up

        def make() -> list[dict[str, Any]]:
            records: list[dict[str, Any]] = []
            play_freely(playing, episodes, CONCURRENCY, records.append)
            return records

        found = timed(make) | {"start_seconds": start}
        return found | {"from_cache": from_cache(servers["model"].base_url)}


def in_process(folder: Path, episodes: Sequence[Episode], group: int) -> dict[str, float]:
    """As many dialogues at once as a group has."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    playing = match(folder, LocalSpeaker(model, AutoTokenizer.from_pretrained(folder), SAMPLING))
    return timed(lambda: [record for made in play(playing, episodes, group) for record in made])


def as_published(folder: Path, episodes: Sequence[Episode]) -> dict[str, float]:
    """One prompt at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    form = AnswerForm(tokenizer, len(tokenizer), frozenset(), whole=True)
    # The texts stay those of the other two, so that prompts grow alike.
    convention = PAPER._replace(utterance=CORRECTED.utterance)
    playing = match(folder, PublishedSpeaker(model, form), convention)
    return timed(lambda: [record for made in play(playing, episodes, 1) for record in made])


def table(record: dict[str, Any]) -> str:
    """The result as Markdown."""
    ways, machine = record["ways"], record["machine"]
    published = ways["published"]
    names = {
        "vllm": f"through vLLM, {min(CONCURRENCY, ways['vllm']['dialogues'])} at once",
        "transformers": f"transformers, groups of {min(GROUP, ways['transformers']['dialogues'])}",
        "alone": "transformers, one dialogue at a time",
        "published": "the published way",
    }
    rows = [
        f"| {names[name]} | {way['dialogues']} | {way['seconds']:.0f} | {way['dialogues_a_minute']:.2f} "
        f"| {way['dialogues_a_minute'] / published['dialogues_a_minute']:.1f} "
        f"| {way['cpu_seconds_a_dialogue']:.1f} "
        f"| {published['cpu_seconds_a_dialogue'] / way['cpu_seconds_a_dialogue']:.1f} "
        f"| {way['tokens_a_turn']:.0f} | {way['prompt_tokens']:.0f} |"
        for name, way in ways.items()
    ]
    lines = [
        "# Generation",
        "",
        f"`make bench-generation`: a random Llama of {record['parameters'] / 1e6:.0f} M parameters in "
        f"float32 talks to itself, {TURNS} turns a dialogue, on {machine['processor']}, "
        f"{machine['threads']} threads (load before the run {machine['load']:.1f}), vLLM on the CPU. "
        "How it comes to lines: `benchmarks/generation.py`.",
        "",
        "| way | dialogues | seconds | dialogues a minute | times the published way | CPU s a dialogue "
        "| times less CPU | tokens generated a turn | prompt tokens, mean |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        "The published way generates 300 tokens each time and keeps the first line. The server had read "
        f"{ways['vllm']['from_cache']:.0%} of all prompt tokens before. It took "
        f"{ways['vllm']['start_seconds']:.0f} s to start, which is not counted: a job starts it once for all "
        "its dialogues.",
        "",
    ]
    if machine["load"] > 0.5:
        lines += ["Other work was under way: compare the CPU seconds, not the wall time.", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--dialogues", type=int, default=48, help="through vLLM")
    parser.add_argument("--batch", type=int, default=24, help="by transformers, in groups")
    parser.add_argument("--single", type=int, default=1, help="one at a time, both ways")
    parser.add_argument("--threads", type=int, default=threads_here())
    parser.add_argument("--small", action="store_true", help="a tiny model, to see that all runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if not Path(COMMAND[0]).exists():
        sys.exit("vLLM is needed: make vllm")
    machine = machine_record(given.threads)
    torch.set_num_threads(given.threads)
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # for the server
    episodes = many_episodes(max(given.dialogues, given.batch, given.single))
    with tempfile.TemporaryDirectory() as temporary, no_progress_bars():
        folder = Path(temporary) / "model"
        parameters = build(folder, SMALL if given.small else FULL)
        ways = {
            "vllm": through_vllm(folder, episodes[: given.dialogues]),
            "transformers": in_process(folder, episodes[: given.batch], GROUP),
            "alone": in_process(folder, episodes[: given.single], 1),
            "published": as_published(folder, episodes[: given.single]),
        }
    record = {
        "machine": machine,
        "code": code_version(),
        "libraries": library_versions(),
        "parameters": parameters,
        "ways": ways,
    }
    text = table(record)
    print(text)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "generation.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (given.out / "generation.md").write_text(text)


if __name__ == "__main__":
    main()
