"""Every job that a configuration comes to, with what it writes, computes and asks for.

The formulas stand in the docstrings; where a number in them was measured, it was on the demo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from syncr2.config import Experiment
from syncr2.forecast.facts import CPU_FLOPS, CPU_STEP, GPUS, LOAD_BYTES, Size, Speech, size_of
from syncr2.forecast.planned import VALUES, Planned, last_jobs
from syncr2.ids import OrderedPair

_REFERENCE = "H100"


@dataclass(frozen=True)
class Plan:
    """All jobs of an experiment, as far as they follow from its configuration."""

    experiment: Experiment
    speech: Speech
    sizes: Mapping[str, Size]

    @classmethod
    def of(cls, experiment: Experiment, speech: Speech) -> Plan:
        """The plan of an experiment, in which as much is said as `speech` tells."""
        found = {name: size_of(model, experiment.results) for name, model in experiment.models.items()}
        return cls(experiment, speech, {name: size for name, size in found.items() if size})

    @property
    def readings(self) -> list[str]:
        """Readings that states are made of."""
        conditions = self.experiment.synchrony.conditions
        return sorted({r for c in conditions for r in (c.source_reading, c.target_reading)})

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

    def jobs(self) -> Iterator[Planned]:
        """Every job."""
        yield from self._first()
        for pair in self.experiment.ordered_pairs:
            for seed, shard in product(self.experiment.seeds, range(self.experiment.n_shards)):
                yield from self._shard(pair, seed, shard)
        for pair in self.experiment.pairs_with_states:
            yield from self._pair(pair)
        yield from last_jobs(self.experiment, self.sizes)

    def _first(self) -> Iterator[Planned]:
        episodes = self.experiment.scenarios.episodes
        if self.experiment.scenarios.folder is None:
            yield Planned("fetch_scenarios", "fetch_scenarios", (), "scenarios", 3e6, 10, 1000)
        yield Planned(
            "prepare_scenarios",
            "prepare_scenarios",
            ("scenarios.json",),
            "scenarios",
            2_000 + 670 * episodes,
            0.3,
            1000,
        )
        for name, model in self.experiment.models.items():
            if model.miniature:
                size = self.sizes[name]
                yield Planned(
                    "build_miniature",
                    f"build_miniature/{name}",
                    (f"models/{name}",),
                    "models",
                    4 * size.parameters + 100 * size.vocabulary,
                    2.6,
                    2000,
                )
            elif model.path:
                local = Path(model.path).is_dir()
                rule = "record_model" if local else "fetch_model"
                seconds = self._weights(name) / (LOAD_BYTES if local else 1e8)
                yield Planned(
                    rule, f"{rule}/{name}", (f"models/{name}.json",), "models", 2_000, seconds, 2000
                )

    def _weights(self, name: str) -> float:
        size, model = self.sizes.get(name), self.experiment.models[name]
        return size.parameters * (4 if model.dtype == "float32" else 2) if size else 0.0

    def _shard(self, pair: OrderedPair, seed: int, shard: int) -> Iterator[Planned]:
        experiment, episodes = self.experiment, self.experiment.shard_episodes(shard)
        where = f"{pair.id}/seed-{seed}/shard-{shard}"
        names = list(dict.fromkeys(pair))
        models = [experiment.models[name] for name in names]
        yield Planned(
            "play_dialogues",
            f"play_dialogues/{where}",
            (f"dialogues/{where}.jsonl",),
            "dialogues",
            episodes * self.dialogue_bytes(pair),
            *self._timed(self._playing(pair, episodes), names),
            1000 * sum(model.memory_gb for model in models),
            experiment.resources.threads,
            sum(model.gpus for model in models),
        )
        for name, judge in experiment.judges.items():
            orders = 2 if judge.both_orders else 1
            asked = judge.engine not in ("surface", "table", "oracle")
            each = orders * (5_000 if asked else 1_300) + 900
            seconds = episodes * orders * 6 / judge.concurrency if asked else 0.3
            yield Planned(
                "judge_dialogues",
                f"judge_dialogues/{name}/{where}",
                (f"judgements/{name}/{where}.jsonl",),
                "judgements",
                episodes * each,
                seconds,
                2000,
            )
            if asked:
                cache = Planned("", "", (), "judge_cache", episodes * orders * 14_000, 0, 0)
                yield cache
        for name, labeller in getattr(experiment, "labellers", {}).items():
            asked = labeller.engine not in ("surface", "table")
            yield Planned(
                "label_utterances",
                f"label_utterances/{name}/{where}",
                (f"labels/{name}/{where}.jsonl",),
                "labels",
                episodes * (1_000 + self.speech.turns * (200 if asked else 90)),
                episodes * 6 / labeller.concurrency if asked else 0.3,
                2000,
            )
        if pair in experiment.pairs_with_states:
            for reading in self.readings:
                place = f"{pair.id}/{reading}/seed-{seed}/shard-{shard}"
                yield Planned(
                    "replay_states",
                    f"replay_states/{place}",
                    (f"states/{place}.h5",),
                    "states",
                    self.states_bytes(pair, episodes),
                    *self._timed(self._replaying(pair, episodes), names),
                    1000 * max(model.memory_gb for model in models),
                    experiment.resources.threads,
                    max(model.gpus for model in models),
                )

    def _timed(self, work: tuple[float, float, float], names: list[str]) -> tuple[float]:
        """Seconds of tokens read, answers' steps and weights to load: on a GPU where one is asked for."""
        operations, steps, loaded = work
        device = GPUS[_REFERENCE]
        if any(self.experiment.models[name].gpus for name in names):
            heaviest = max(map(self._weights, names))
            return (operations / device.flops + steps * (heaviest / device.bandwidth + device.step) + loaded,)
        depth = sum(self.sizes[name].layers for name in names if name in self.sizes) / len(names)
        threads = self.experiment.resources.threads
        return (0.8 + operations / (CPU_FLOPS * threads) + steps * depth * CPU_STEP + loaded,)

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

    def _playing(self, pair: OrderedPair, episodes: int) -> tuple[float, float, float]:
        """2 × weights × tokens read; steps: batches × turns × the longest answer of a batch."""
        names = list(pair)
        weights = [self.sizes[name].parameters for name in names if name in self.sizes]
        operations = sum(2 * each * episodes * self.read_tokens() for each in weights)
        dialogue = self.experiment.dialogue
        longest = min(1.6 * self.speech.answer, dialogue.max_new_tokens)
        at_once = dialogue.batch_size if dialogue.engine == "transformers" else dialogue.concurrency
        steps = -(-episodes // at_once) * self.speech.turns * longest
        return operations, steps, sum(map(self._weights, dict.fromkeys(names))) / LOAD_BYTES

    def _replaying(self, pair: OrderedPair, episodes: int) -> tuple[float, float, float]:
        operations, _, loaded = self._playing(pair, episodes)
        return operations, 2 * self.speech.turns, loaded

    def dialogue_bytes(self, pair: OrderedPair) -> float:
        """A dialogue's line: 2,000 + turns × (280 + 8 × answer) + bytes of an id × ids kept.

        Ids kept: both agents' first prompts, and of each later prompt what was said since.
        """
        speech = self.speech
        large = any(self.sizes[name].vocabulary > 5000 for name in pair if name in self.sizes)
        kept = 2 * speech.first_prompt + max(speech.turns - 2, 0) * 2 * (speech.answer + speech.around + 5)
        return 2_000 + speech.turns * (280 + 8 * speech.answer) + (6.6 if large else 4.8) * kept

    def states_bytes(self, pair: OrderedPair, episodes: int) -> float:
        """Rows × (layers × width × bytes of a number + 155) for both agents, and 10,000."""
        item = 2 if self.experiment.states.precision == "float16" else 4
        each = [self.sizes[name].layers * self.sizes[name].width * item + 155 for name in pair]
        return self.rows(episodes) * sum(each) + 10_000

    def _maps(self, pair: OrderedPair, samples: float) -> float:
        """Operations of all maps of both directions on one split: kernels of every layer, one solve a source.

        2 × ((L₁ w₁ + L₂ w₂) n² + (L₁ + L₂) / 2 × (0.8 n)³ / 3)
        """
        both = [self.sizes[name] for name in pair]
        kernels = sum(size.layers * size.width for size in both) * samples**2
        return 2 * (kernels + sum(size.layers for size in both) / 2 * (0.8 * samples) ** 3 / 3)

    def _pair(self, pair: OrderedPair) -> Iterator[Planned]:
        experiment, maps = self.experiment, self.experiment.synchrony
        threads = experiment.resources.threads
        rate, gpus = CPU_FLOPS * threads, int(maps.device == "cuda")
        if gpus:
            rate = 20e12  # float64 on the tensor cores of an H100, a third of what is stated
        memory = 1000 * (maps.memory_gb + 4)
        first, second = (self.sizes[name].layers for name in pair)
        whole = self.samples()
        groups = VALUES * len(maps.group_by)

        def job(rule: str, place: str, size: float, seconds: float, fixed: float) -> Planned:
            stage = place.split("/", 1)[0]
            name = f"{rule}/{pair.id}"
            return Planned(rule, name, (place,), stage, size, fixed + seconds, memory, threads, gpus)

        for condition in maps.conditions:
            n = min(maps.samples or whole, self.samples(condition.lag))
            splits = len(maps.split_seeds)
            size = 2 * splits * first * second * 8 + groups * (splits * (first + second) * 8 + 6_000) + 7_000
            made = job(
                "fit_layer_maps",
                f"r2/{pair.id}/{condition.name}.h5",
                size,
                splits * self._maps(pair, n) / rate,
                0.6,
            )
            yield made._replace(name=f"fit_layer_maps/{pair.id}/{condition.name}")
        if "corrected" not in maps.protocols:
            return
        depth = (first + second) / 2
        measure = 7_400 + depth * 8 * (3 * maps.folds + self.n_environments) + 40 * self.n_environments
        plain = maps.folds * self._maps(pair, whole) / rate
        conditions = len(maps.conditions)
        # Seven times the plain estimate with five penalties: benchmarks/results/controls.md.
        nested = conditions * plain * (1 + 6 * len(maps.penalties) / 5)
        n_measures = 4 * (conditions + groups)
        yield job("fit_nested_maps", f"controls/corrected/{pair.id}.h5", n_measures * measure, nested, 1.4)
        if maps.null_draws:
            size = 12 * (8 * maps.null_draws + 8 * first * second + 400) + 5_000
            draws = maps.null_draws * 27 * first * second * whole**2 / rate
            yield job("permute_partners", f"controls/nulls/{pair.id}.h5", size, plain + draws, 2.0)
        if maps.baselines:
            of_both = 2 * (12 + len(maps.profile_lags)) * measure
            place = f"controls/baselines/{pair.id}.h5"
            yield job("fit_baselines", place, of_both, 3 * nested / conditions, 4.5)
        per_dialogue = 110 * experiment.scenarios.episodes * len(experiment.seeds)
        table = f"statistics/dialogue_scores/{pair.id}.tsv"
        yield job("score_dialogues", table, 2 * per_dialogue, 2 * plain, 0.5)
