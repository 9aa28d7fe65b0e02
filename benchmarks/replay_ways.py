"""Models, made-up dialogues and the ways to replay them, for `replay.py` and `replay_gpu.py`."""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from layer_r2.machine import memory_gb, peak_memory_gb
from numpy.typing import NDArray

from syncr2.models.loading import find_blocks
from syncr2.replay.growing import Reader
from syncr2.replay.states import Dialogue, replay, states_alone, states_at

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Tokens of a first prompt; of what two agents say from one prompt to the next; of what closes a prompt and is
# not repeated in the next. With 8 prompts: from about 700 to about 2,000 tokens.
OPENING, ROUND, CLOSING = (600, 800), (120, 250), 6
BATCH_TOKENS = 16384

COMMON = {
    "vocab_size": 4096,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 16384,
}
TINY = {"vocab_size": 300, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
# So narrow that as many tokens are read at once on a CPU as on a GPU: the 16,384 of config.yaml.
NARROW = {"hidden_size": 128, "intermediate_size": 384, "num_attention_heads": 4, "num_key_value_heads": 2}
# name: class of the configuration, what it adds to COMMON
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "mistral, window 512": ("MistralConfig", {"sliding_window": 512}),
    "narrow llama": ("LlamaConfig", NARROW),
    "narrow mistral, window 512": ("MistralConfig", NARROW | {"sliding_window": 512}),
    "tiny": ("MistralConfig", TINY | {"sliding_window": 512}),
}


class Task(NamedTuple):
    """What one process is to measure.

    Attributes
    ----------
    way : str
        A key of `WAYS`.
    model : str
        A key of `MODELS`.
    dialogues, turns : int
        Dialogues, and turns of each; an agent has every second one.
    threads : int
        Threads of torch.
    last : int
        Prompts of each dialogue that are read, from its end; 0 for all.
    """

    way: str
    model: str
    dialogues: int
    turns: int
    threads: int
    last: int = 0


def random_model(config_class: str, **shape: Any) -> PreTrainedModel:
    """A causal model with random weights in float32, the same each time."""
    import transformers

    config = getattr(transformers, config_class)(**shape, bos_token_id=None, eos_token_id=None)
    torch.manual_seed(0)
    model: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model.eval()


def made_up_dialogues(n: int, turns: int, vocabulary: int, seed: int = 0) -> list[list[list[int]]]:
    """Prompts of one agent in n dialogues: each repeats the one before it but for its closing tokens."""
    rng = np.random.default_rng(seed)
    dialogues = []
    for _ in range(n):
        history, prompts = rng.integers(0, vocabulary, rng.integers(*OPENING)).tolist(), []
        for _ in range(turns // 2):
            prompts.append([*history, *range(CLOSING)])
            history += rng.integers(0, vocabulary, rng.integers(*ROUND)).tolist()
        dialogues.append(prompts)
    return dialogues


def ours(model: PreTrainedModel, dialogues: Sequence[Dialogue]) -> NDArray[np.float32]:
    """All prompts of some dialogues in one row, each token once."""
    return np.concatenate([batch.values() for batch in replay(model, dialogues, BATCH_TOKENS)], axis=1)


def kept(model: PreTrainedModel, dialogues: Sequence[Dialogue]) -> NDArray[np.float32]:
    """Prompt after prompt of one dialogue, from the keys and values of the one before."""
    found = []
    for prompts in dialogues:
        reader = Reader(cast("PreTrainedModel", model.base_model))
        with states_at(find_blocks(model)) as parts:
            for prompt in prompts:
                reader.read([0], [prompt])
        found.append(torch.stack([torch.cat(part) for part in parts]).numpy())
    return np.concatenate(found, axis=1)


def kept_batch(model: PreTrainedModel, dialogues: Sequence[Dialogue]) -> NDArray[np.float32]:
    """The same for a left-padded batch of dialogues, a prompt of each at a time."""
    found = np.empty((len(dialogues), len(dialogues[0]), *states_shape(model)), dtype=np.float32)
    names = list(range(len(dialogues)))
    reader = Reader(cast("PreTrainedModel", model.base_model))
    for step in range(len(dialogues[0])):
        with states_at(find_blocks(model)) as parts:
            reader.read(names, [prompts[step] for prompts in dialogues])
        found[:, step] = torch.stack([part[0] for part in parts], dim=1).numpy()
    return found.reshape(-1, *found.shape[2:]).swapaxes(0, 1)


def alone(model: PreTrainedModel, dialogues: Sequence[Dialogue]) -> NDArray[np.float32]:
    """Each prompt by itself, its last token's states taken by hooks, no logits."""
    return np.stack([states_alone(model, prompt) for prompts in dialogues for prompt in prompts], axis=1)


@torch.inference_mode()
def output_hidden_states(model: PreTrainedModel, dialogues: Sequence[Dialogue]) -> NDArray[np.float32]:
    """Each prompt by itself through the whole model, the states of all its tokens given back."""
    found = []
    for prompts in dialogues:
        for prompt in prompts:
            output = model(input_ids=torch.tensor([prompt]), output_hidden_states=True)
            found.append(torch.stack([hidden[0, -1] for hidden in output.hidden_states[1:]]).numpy())
    return np.stack(found, axis=1)


def states_shape(model: PreTrainedModel) -> tuple[int, int]:
    """(n_layers, hidden_size)."""
    return model.config.num_hidden_layers, model.config.hidden_size


WAYS: dict[str, Callable[[PreTrainedModel, Sequence[Dialogue]], NDArray[np.float32]]] = {
    "ours": ours,
    "kept": kept,
    "kept, batch": kept_batch,
    "alone": alone,
    "output_hidden_states": output_hidden_states,
}


def measure(task: Task, states: Path) -> dict[str, Any]:
    """Time and memory of one way, as a record for JSON; its states go to a file."""
    torch.set_num_threads(task.threads)
    config_class, changes = MODELS[task.model]
    model = random_model(config_class, **COMMON | changes)
    whole = made_up_dialogues(task.dialogues, task.turns, model.config.vocab_size)
    dialogues = [prompts[-task.last :] for prompts in whole]
    # Once before the clock runs, for imports and threads to start.
    WAYS[task.way](model, made_up_dialogues(1, 4, model.config.vocab_size, seed=1))
    before_gb, before_cpu, begin = _settled_gb(), _cpu_seconds(), time.perf_counter()
    found = WAYS[task.way](model, dialogues)
    seconds, cpu_seconds = time.perf_counter() - begin, _cpu_seconds() - before_cpu
    np.save(states, found)
    peak = peak_memory_gb()
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "prompts": found.shape[1],
        "tokens": sum(len(prompt) for prompts in dialogues for prompt in prompts),
        "longest": max(len(prompt) for prompts in dialogues for prompt in prompts),
        "shortest": min(len(prompt) for prompts in dialogues for prompt in prompts),
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "peak_gb": peak,
        # Beyond what the process held when the model had read something short.
        "added_gb": None if peak is None or before_gb is None else peak - before_gb,
    }


def _settled_gb() -> float | None:
    """Memory that the process holds, after it gave back what it can and its peak was forgotten (Linux)."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        # The peak would else be that of making the weights.
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return memory_gb()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    given, answer, where = sys.argv[1:]
    Path(answer).write_text(json.dumps(measure(Task(**json.loads(given)), Path(where))))
