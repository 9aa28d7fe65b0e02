"""Training miniatures from scratch on readings of the world."""

from __future__ import annotations

import itertools
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from syncr2.dialogues.chat import ChatEncoder
from syncr2.dialogues.prompts import Prompts
from syncr2.models.miniatures import MARK, build_miniature
from syncr2.world.readings import Tree, corpus, readings
from syncr2.world.targets import Target

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_log = logging.getLogger(__name__)

# Episodes whose text the tokenizers are counted from; the same for all, so that only chat formats differ.
TOKENIZER_SEED, TOKENIZER_EPISODES = 11, 120
# Episodes of this world seed are never trained on.
HELD_OUT_SEED = 900_001
FIRST = 3
# Readings put together by length, so that little of a batch is padding.
_POOL = 16
_WARM_UP = 0.05
_LOWEST_RATE = 0.1
_WEIGHT_DECAY = 0.1
_LONGEST_GRADIENT = 1.0


class Trained(NamedTuple):
    """A trained miniature, before it is saved.

    Attributes
    ----------
    model, encoder
        The network in float32, and its tokenizer and chat format.
    curve : list of (int, float)
        Steps done, and the mean loss (nats a token) since the entry before.
    tokens : int
        Tokens computed, padding left out.
    seconds : float
        Of processors, over all threads of this process, spent on training.
    device : str
        Where.
    steps : int
        Updates made.
    first : list of float
        Losses of the first `FIRST` steps, to tell whether a later training is the same.
    """

    model: PreTrainedModel
    encoder: ChatEncoder
    curve: list[tuple[int, float]]
    tokens: int
    seconds: float
    device: str
    steps: int
    first: list[float]


def untrained(target: Target, prompts: Prompts) -> tuple[PreTrainedModel, ChatEncoder]:
    """The network as its class first draws it, from the target's seed; and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    texts = corpus(TOKENIZER_SEED, TOKENIZER_EPISODES, prompts)
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "model"
        build_miniature(built, target.spec, texts)
        config = AutoConfig.from_pretrained(built)
        tokenizer = AutoTokenizer.from_pretrained(built)
        generation = GenerationConfig.from_pretrained(built)
    delattr(config, MARK)
    # Transformers fills a new network from torch's global generator; the fork puts that back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(target.spec.seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config = generation
    return model, ChatEncoder(tokenizer, target.name)


def train(
    target: Target,
    prompts: Prompts,
    *,
    bfloat16: bool | None = None,
    most_steps: int | None = None,
    device: str = "cpu",
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Trained:
    """Train one miniature from scratch.

    Parameters
    ----------
    target : Target
    prompts : Prompts
        The experiment's templates: miniatures learn to answer these.
    bfloat16 : bool, optional
        Compute products in bfloat16; weights and their updates stay in float32. If not given, where the
        device has instructions for it: without them it takes five times as long as float32.
    most_steps : int, optional
        Stop after so many steps of the whole schedule, to see that training repeats itself.
    device : str
        "cpu" or "cuda". On one thread of one kind of processor the same target gives the same weights.
    on_step : callable, optional
        Told the number of steps done and the loss of the last.
    """
    import torch

    if bfloat16 is None:
        bfloat16 = has_bfloat16(device)
    model, encoder = untrained(target, prompts)
    model.train().to(torch.device(device))
    optimiser = torch.optim.AdamW(_groups(model), lr=target.learning_rate, betas=(0.9, 0.95))
    window = getattr(model.config, "sliding_window", None)
    source = readings(
        target.world_seed,
        target.coupling,
        target.readers,
        encoder,
        prompts,
        encoder.tokenizer.eos_token_id,
    )
    steps = min(target.steps, most_steps or target.steps)
    curve: list[tuple[int, float]] = []
    recent: list[float] = []
    first: list[float] = []
    tokens = 0
    every = max(1, steps // 50)
    start = time.process_time()
    for step, batch in enumerate(itertools.islice(batches(source, target.batch, target.world_seed), steps)):
        for group in optimiser.param_groups:
            group["lr"] = target.learning_rate * rate(step, target.steps)
        with _precision(bfloat16, device):
            # The prompts' tokens, too: from names and things that come again it learns to copy.
            loss = tree_loss(model, batch, window, everything=True)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _LONGEST_GRADIENT)
        optimiser.step()
        recent.append(float(loss.detach()))
        first += recent[-1:] if step < FIRST else []
        tokens += sum(len(tree.ids) for tree in batch)
        on_step(step + 1, recent[-1])
        if (step + 1) % every == 0:
            curve.append((step + 1, float(np.mean(recent))))
            recent.clear()
    seconds = time.process_time() - start
    _log.info("%s: %d steps, %d tokens in %.0f s of processors", target.name, steps, tokens, seconds)
    return Trained(model.cpu().eval(), encoder, curve, tokens, seconds, device, steps, first)


def rate(step: int, steps: int) -> float:
    """Learning rate of a step over the highest: a straight way up, then half a cosine down."""
    up = max(1, round(_WARM_UP * steps))
    if step < up:
        return (step + 1) / up
    done = (step - up) / max(1, steps - up)
    return _LOWEST_RATE + (1 - _LOWEST_RATE) * 0.5 * (1 + math.cos(math.pi * done))


def batches(source: Iterator[Tree], size: int, seed: int) -> Iterator[list[Tree]]:
    """Batches of trees of similar length, in an order of chance."""
    rng = np.random.default_rng(seed)
    while True:
        pool = sorted(itertools.islice(source, size * _POOL), key=lambda tree: len(tree.ids))
        for k in rng.permutation(_POOL):
            yield pool[k * size : (k + 1) * size]


def tree_loss(
    model: Any, trees: Sequence[Tree], window: int | None, *, total: bool = False, everything: bool = False
) -> torch.Tensor:
    """Cross-entropy of a batch in nats.

    Parameters
    ----------
    model : PreTrainedModel
    trees : sequence of Tree
    window : int, optional
        Of the model's attention.
    total : bool
        Sum instead of mean.
    everything : bool
        Over all tokens, instead of those that are scored.
    """
    import torch

    longest = max(len(tree.ids) for tree in trees)
    shape = len(trees), longest
    ids = np.zeros(shape, dtype=np.int64)
    positions = np.zeros(shape, dtype=np.int64)
    # Padding sees itself, for a row that sees nothing has no softmax; and nobody sees padding.
    sees = np.broadcast_to(np.eye(longest, dtype=bool), (len(trees), longest, longest)).copy()
    rows, parents, wanted = [], [], []
    for row, tree in enumerate(trees):
        n = len(tree.ids)
        ids[row, :n], positions[row, :n] = tree.ids, tree.positions
        sees[row, :n, :n] = tree.sees(window)
        (at,) = np.nonzero((tree.scored | everything) & (tree.parents >= 0))
        rows.append(np.full(len(at), row))
        parents.append(tree.parents[at])
        wanted.append(tree.ids[at])
    device = next(model.parameters()).device
    given = [torch.from_numpy(array).to(device) for array in (ids, positions, sees[:, None])]
    # The head is asked where something is to be predicted only.
    hidden = model.model(
        input_ids=given[0], position_ids=given[1], attention_mask=given[2], use_cache=False
    ).last_hidden_state
    at_row, at_parent, target = (
        torch.from_numpy(np.concatenate(parts)).to(device) for parts in (rows, parents, wanted)
    )
    logits = model.lm_head(hidden[at_row, at_parent]).float()
    return torch.nn.functional.cross_entropy(logits, target, reduction="sum" if total else "mean")


def held_out_loss(
    model: Any, encoder: ChatEncoder, prompts: Prompts, coupling: float, reader: int, n: int
) -> float:
    """Mean loss, nats a scored token, on dialogues that no miniature has read.

    Parameters
    ----------
    model, encoder, prompts
    coupling : float
        Of the world.
    reader : int
        Which of `READERS`.
    n : int
        Readings.
    """
    import torch

    shares = [float(i == reader) for i in range(3)]
    stop = encoder.tokenizer.eos_token_id
    source = readings(HELD_OUT_SEED, coupling, shares, encoder, prompts, stop)
    trees = list(itertools.islice(source, n))
    window = getattr(model.config, "sliding_window", None)
    with torch.inference_mode():
        losses = [
            float(tree_loss(model, trees[start : start + 16], window, total=True))
            for start in range(0, n, 16)
        ]
    scored = sum(int(tree.scored[1:].sum()) for tree in trees)
    return sum(losses) / scored


def _groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    """Matrices decay, norms do not."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    norms = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": _WEIGHT_DECAY}, {"params": norms, "weight_decay": 0.0}]


def has_bfloat16(device: str) -> bool:
    """Whether products in bfloat16 are faster than in float32."""
    import torch

    if device != "cpu":
        return True
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _precision(bfloat16: bool, device: str) -> AbstractContextManager[Any]:
    import torch

    return torch.autocast(device, dtype=torch.bfloat16) if bfloat16 else nullcontext()
