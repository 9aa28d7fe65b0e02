"""What a forecast takes as known: sizes of models, speeds of devices, how much is said.

Speeds are assumptions, good to a factor of two or three, until finished jobs of the same run replace them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from syncr2.config import Experiment, Model


class Size(NamedTuple):
    """Size of a model: blocks, width of the residual stream, weights, and where that is known from."""

    layers: int
    width: int
    parameters: float
    vocabulary: int
    source: str


# config.json and the list of weights on each model's page at the hub, read in 2026.
PUBLISHED = {
    "mistralai/Mistral-7B-Instruct-v0.1": (32, 4096, 7.24e9, 32_000),
    "mistralai/Mistral-7B-Instruct-v0.2": (32, 4096, 7.24e9, 32_000),
    "mistralai/Mistral-7B-Instruct-v0.3": (32, 4096, 7.25e9, 32_768),
    "meta-llama/Llama-2-7b-chat-hf": (32, 4096, 6.74e9, 32_000),
    "meta-llama/Meta-Llama-3-8B-Instruct": (32, 4096, 8.03e9, 128_256),
    "meta-llama/Llama-3.2-3B-Instruct": (28, 3072, 3.21e9, 128_256),
}
_GUESS = Size(32, 4096, 7e9, 32_000, "a guess: a model of 7 billion weights")


class Device(NamedTuple):
    """Assumed speed of one GPU on transformers in process.

    Attributes
    ----------
    flops : float
        Operations a second when a prompt is read (a share of what its maker states).
    bandwidth : float
        Bytes of weights a second when answers are written.
    step : float
        Seconds that one token takes at least, whatever the model's size.
    """

    flops: float
    bandwidth: float
    step: float


# 40 % of the stated dense bfloat16 rate, 50 % of the stated memory bandwidth.
GPUS = {
    "H200": Device(400e12, 2.4e12, 0.025),
    "H100": Device(400e12, 1.7e12, 0.025),
    "A100": Device(125e12, 1.0e12, 0.025),
    "L40S": Device(145e12, 0.43e12, 0.025),
}
# One thread of a server's processor; measured with float64 products, benchmarks/results/layer_r2_full.md.
CPU_FLOPS = 28e9
CPU_STEP = 0.0048  # seconds a block and token of a batch, small models of the demo
LOAD_BYTES = 1e9  # weights read a second
GPU_FLOAT64 = 20e12  # on the tensor cores of an H100, a third of what is stated
SERVER_START = 60.0  # seconds until servers answer, beside reading the weights
REQUEST = 6.0  # seconds until a judge or labeller answers
# Models with fewer tokens than this were made for a toy world.
_TOY_VOCABULARY = 5_000
# The kind of GPU that seconds are given for.
REFERENCE = "H100"


class Speech(NamedTuple):
    """How much is said, in tokens.

    Attributes
    ----------
    first_prompt : float
        Tokens of a dialogue's first prompt.
    answer : float
        Tokens of an answer.
    around : float
        Tokens that each turn adds to later prompts beside its words (number, name).
    turns : float
        Turns of a dialogue.
    source : str
        `assumed`, or what it was counted from.
    """

    first_prompt: float
    answer: float
    around: float
    turns: float
    source: str


def size_of(model: Model, results: Path) -> Size | None:
    """A model's size; None for one that is known by its endpoint alone."""
    spec = model.miniature
    if spec is not None:
        per_block = 4 * spec.hidden_size**2 + 3 * spec.hidden_size * spec.intermediate_size
        weights = spec.layers * per_block + 2 * spec.vocabulary * spec.hidden_size
        return Size(spec.layers, spec.hidden_size, weights, spec.vocabulary, "its specification")
    if not model.path:
        return None
    for folder in _folders(model, results):
        if found := _of_folder(folder):
            return found
    if model.path in PUBLISHED:
        return Size(*PUBLISHED[model.path], "the hub's page of the model")
    return _GUESS


def _folders(model: Model, results: Path) -> list[Path]:
    folders = [Path(model.path or "")]
    record = results / "models" / f"{model.name}.json"
    if record.is_file():
        found = json.loads(record.read_text(encoding="utf-8"))
        folders += [Path(found[key]) for key in ("folder", "path") if isinstance(found.get(key), str)]
    return folders


def _of_folder(folder: Path) -> Size | None:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    config = config.get("text_config", config)
    try:
        layers, width = int(config["num_hidden_layers"]), int(config["hidden_size"])
    except (KeyError, TypeError, ValueError):
        return None
    bytes_a_weight = 4 if str(config.get("torch_dtype", config.get("dtype"))) == "float32" else 2
    stored = sum(each.stat().st_size for each in folder.glob("*.safetensors")) / bytes_a_weight
    inner = int(config.get("intermediate_size") or 4 * width)
    vocabulary = int(config.get("vocab_size") or 32_000)
    weights = stored or layers * (4 * width**2 + 3 * width * inner) + 2 * vocabulary * width
    return Size(layers, width, weights, vocabulary, str(folder / "config.json"))


def speech_of(experiment: Experiment) -> Speech:
    """What is assumed of a dialogue before any is there."""
    dialogue, models = experiment.dialogue, experiment.models.values()
    if all(model.miniature is not None for model in models):
        # Untrained models hardly ever end a line, and a vocabulary of a thousand tokens cuts words into more.
        return Speech(540, 0.96 * dialogue.max_new_tokens, 15, dialogue.max_turns, "assumed")
    sizes = [size for model in models if (size := size_of(model, experiment.results))]
    if all(size.vocabulary < _TOY_VOCABULARY for size in sizes):
        # Short sentences about few things: the demo's dialogues, counted.
        answer = min(dialogue.max_new_tokens, 13.5)
        return Speech(180, answer, 5, dialogue.max_turns, "assumed, as in the toy world")
    # Models of the hub say a sentence or two.
    answer = min(dialogue.max_new_tokens, 45)
    return Speech(700, answer, 10, dialogue.max_turns, "assumed")
