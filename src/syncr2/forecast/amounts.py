"""What jobs read, write and compute: closed forms in how much is said and how large the models are.

The formulas stand in the docstrings; where a number in them was measured, it was on the demo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncr2.config import Experiment
from syncr2.forecast.facts import (
    CPU_FLOPS,
    CPU_STEP,
    GPU_FLOAT64,
    GPUS,
    LOAD_BYTES,
    REFERENCE,
    SERVER_START,
    Size,
    Speech,
)
from syncr2.ids import OrderedPair
from syncr2.labellers.base import ACTION, ACTIONS, EMOTION, EMOTIONS
from syncr2.probing.probes import DRAWS, PENALTIES

# Values of a column that episodes are grouped by; relationship has five.
VALUES = 5
# Steps of the probes' descent until a model is done, as they add up in the demo.
_PROBE_STEPS = 50
# Operations that a probe's exponentials and sums come to, for one row, model and class.
_SOFTMAX = 500
# Classes of a label from a table, which the forecast does not read.
_CLASSES = 4


@dataclass(frozen=True)
class Amounts:
    """Numbers of everything in an experiment in which as much is said as `speech` tells."""

    experiment: Experiment
    speech: Speech
    sizes: Mapping[str, Size]

    @property
    def n_environments(self) -> int:
        """Environments of the episodes: five episodes each at the published set, three at the bundled one."""
        scenarios = self.experiment.scenarios
        return max(1, scenarios.episodes // (3 if scenarios.source == "bundled" else 5))

    def rows(self, episodes: int) -> float:
        """States of one agent in as many dialogues: its own turns."""
        return episodes * self.speech.turns / 2

    def samples(self, lag: int = 1) -> float:
        """Samples of one direction: a state and a target `lag` turns later, in all episodes and seeds."""
        turns = max(self.speech.turns - abs(lag), 0) / 2
        return self.experiment.scenarios.episodes * len(self.experiment.seeds) * turns

    def weight_bytes(self, name: str) -> float:
        """A model's weights as they are loaded."""
        size, model = self.sizes.get(name), self.experiment.models[name]
        return size.parameters * (4 if model.dtype == "float32" else 2) if size else 0.0

    def read_tokens(self) -> float:
        """Tokens of a dialogue that one agent reads, each once: its first prompt and all that is said after.

        first prompt + (turns − 1) × (answer + around)
        """
        speech = self.speech
        return speech.first_prompt + (speech.turns - 1) * (speech.answer + speech.around)

    def prompt_tokens(self) -> float:
        """Tokens of all prompts of a dialogue as they stand: each holds the ones before."""
        speech = self.speech
        mean = speech.first_prompt + (speech.turns - 1) / 2 * (speech.answer + speech.around)
        return speech.turns * mean

    def playing(self, pair: OrderedPair, episodes: int) -> float:
        """Seconds of playing as many dialogues.

        Operations are 2 × weights × tokens read; steps batches × turns × the longest answer of a batch.
        """
        dialogue = self.experiment.dialogue
        longest = min(1.6 * self.speech.answer, dialogue.max_new_tokens)
        at_once = dialogue.batch_size if dialogue.engine == "transformers" else dialogue.concurrency
        steps = -(-episodes // at_once) * self.speech.turns * longest
        start = SERVER_START if dialogue.engine == "vllm" else 0.0
        return start + self._by_models(pair, self._reading(pair, episodes), steps)

    def replaying(self, pair: OrderedPair, episodes: int) -> float:
        """Seconds of replaying as many dialogues: every token read, none written."""
        return self._by_models(pair, self._reading(pair, episodes), 2 * self.speech.turns)

    def _reading(self, pair: OrderedPair, episodes: int) -> float:
        weights = [self.sizes[name].parameters for name in pair if name in self.sizes]
        return sum(2 * each * episodes * self.read_tokens() for each in weights)

    def _by_models(self, pair: OrderedPair, operations: float, steps: float) -> float:
        """Seconds of operations, steps and weights to load: on a GPU where one is asked for."""
        names = list(dict.fromkeys(pair))
        loading = sum(map(self.weight_bytes, names)) / LOAD_BYTES
        device = GPUS[REFERENCE]
        if any(self.experiment.models[name].gpus for name in names):
            heaviest = max(map(self.weight_bytes, names))
            return operations / device.flops + steps * (heaviest / device.bandwidth + device.step) + loading
        depth = sum(self.sizes[name].layers for name in names if name in self.sizes) / len(names)
        threads = self.experiment.resources.threads
        return 0.6 + operations / (CPU_FLOPS * threads) + steps * depth * CPU_STEP + loading

    def dialogue_bytes(self, pair: OrderedPair) -> float:
        """A dialogue's line: 2,500 + turns × (280 + 8 × answer) + bytes of an id × ids kept.

        Ids kept: both agents' first prompts, and of each later prompt what was said since.
        """
        speech = self.speech
        large = any(self.sizes[name].vocabulary > 5000 for name in pair if name in self.sizes)
        kept = 2 * speech.first_prompt + max(speech.turns - 2, 0) * 2 * (speech.answer + speech.around + 5)
        return 2_500 + speech.turns * (280 + 8 * speech.answer) + (6.6 if large else 4.8) * kept

    def states_bytes(self, pair: OrderedPair, episodes: int) -> float:
        """Rows × (layers × width × bytes of a number + 155) for both agents, and 20,000."""
        item = 2 if self.experiment.states.precision == "float16" else 4
        each = [self.sizes[name].layers * self.sizes[name].width * item + 155 for name in pair]
        return self.rows(episodes) * sum(each) + 20_000

    @property
    def maps_rate(self) -> float:
        """Operations a second of jobs that fit maps and probes, in float64."""
        if self.experiment.synchrony.device == "cuda":
            return GPU_FLOAT64
        return CPU_FLOPS * self.experiment.resources.threads

    def maps(self, pair: OrderedPair, samples: float) -> float:
        """Operations of all maps of both directions on one split: kernels of every layer, one solve a source.

        2 × ((L₁ w₁ + L₂ w₂) n² + (L₁ + L₂) / 2 × (0.8 n)³ / 3)
        """
        both = [self.sizes[name] for name in pair]
        kernels = sum(size.layers * size.width for size in both) * samples**2
        return 2 * (kernels + sum(size.layers for size in both) / 2 * (0.8 * samples) ** 3 / 3)

    def probing(self, pair: OrderedPair, labels: Sequence[str]) -> float:
        """Operations of the probes of both agents' states.

        On each of f folds, for a layer of width w, with n rows to learn from and m the smaller of n and w:
        4 n w m + 10 m³ to rotate, and (4 m + 500) n × 50 steps for each class of 8 (f − 1) × 5 models a label
        (targets before and after, the labels and three shuffles of them, inner folds, penalties).
        """
        folds = self.experiment.synchrony.folds
        whole = self.experiment.scenarios.episodes * len(self.experiment.seeds)
        n = (1 - 1 / folds) * self.rows(whole)
        known = {EMOTION: len(EMOTIONS), ACTION: len(ACTIONS)}
        n_classes = sum(known.get(label, _CLASSES) for label in labels)
        models = 2 * (1 + DRAWS) * (folds - 1) * len(PENALTIES) * n_classes
        operations = 0.0
        for size in (self.sizes[name] for name in pair):
            m = min(n, size.width)
            rotating = 4 * n * size.width * m + 10 * m**3
            operations += size.layers * folds * (rotating + models * (4 * m + _SOFTMAX) * n * _PROBE_STEPS)
        return operations

    def probes_bytes(self, pair: OrderedPair, n_labels: int) -> float:
        """Four measures with an influence of every environment, of states and shuffled labels by layer.

        2 labels' targets × (64 (L₁ + L₂ + 2) (1 + environments) + 8 (L₁ + L₂) folds + 8,200)
        """
        layers = sum(self.sizes[name].layers for name in pair)
        scores = 64 * (layers + 2) * (1 + self.n_environments)
        return 2 * n_labels * (scores + 8 * layers * self.experiment.synchrony.folds + 8_200)
