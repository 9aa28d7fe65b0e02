"""Every job that a configuration comes to, with what it writes, computes and asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from syncr2.config import Experiment
from syncr2.forecast.amounts import VALUES, Amounts
from syncr2.forecast.facts import LOAD_BYTES, REQUEST, SERVER_START, Speech, size_of
from syncr2.forecast.gathering import gathering_jobs, probed
from syncr2.forecast.planned import Planned
from syncr2.ids import OrderedPair
from syncr2.judges.base import JudgeSettings

# Rules without a cost: the target, which no job is run for.
COSTLESS = ("all",)


@dataclass(frozen=True)
class Plan:
    """All jobs of an experiment."""

    amounts: Amounts

    @classmethod
    def of(cls, experiment: Experiment, speech: Speech) -> Plan:
        """The plan of an experiment, in which as much is said as `speech` tells."""
        found = {name: size_of(model, experiment.results) for name, model in experiment.models.items()}
        return cls(Amounts(experiment, speech, {name: size for name, size in found.items() if size}))

    @property
    def experiment(self) -> Experiment:
        """The configuration."""
        return self.amounts.experiment

    @property
    def readings(self) -> list[str]:
        """Readings that states are made of."""
        conditions = self.experiment.synchrony.conditions
        return sorted({r for c in conditions for r in (c.source_reading, c.target_reading)})

    def jobs(self) -> Iterator[Planned]:
        """Every job."""
        yield from self._first()
        for pair in self.experiment.ordered_pairs:
            for seed, shard in product(self.experiment.seeds, range(self.experiment.n_shards)):
                yield from self._shard(pair, seed, shard)
        for pair in self.experiment.pairs_with_states:
            yield from self._pair(pair)
        yield from gathering_jobs(self.amounts)

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
        speaking = {name for pair in self.experiment.pairs for name in pair}
        for name, model in self.experiment.models.items():
            if name not in speaking:
                continue
            if model.miniature:
                size = self.amounts.sizes[name]
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
                seconds = self.amounts.weight_bytes(name) / (LOAD_BYTES if local else 1e8)
                outputs = (f"models/{name}.json",)
                yield Planned(rule, f"{rule}/{name}", outputs, "models", 2_000, seconds, 2000)
        yield from self._served()

    def _served(self) -> Iterator[Planned]:
        """Records of folders that judges and labellers have served, by the name of the first who has one."""
        names: dict[Path, str] = {}
        for kind, asked in (("judge", self.experiment.judges), ("labeller", self.experiment.labellers)):
            for name, settings in asked.items():
                if settings.served_folder:
                    names.setdefault(settings.served_folder, f"{kind}-{name}")
        for folder, name in names.items():
            weights = sum(each.stat().st_size for each in folder.glob("*.safetensors"))
            seconds = 0.3 + weights / LOAD_BYTES
            rule, outputs = "record_served_model", (f"served/{name}.json",)
            yield Planned(rule, f"{rule}/{name}", outputs, "models", 2_000, seconds, 2000)

    def _shard(self, pair: OrderedPair, seed: int, shard: int) -> Iterator[Planned]:
        experiment, amounts = self.experiment, self.amounts
        episodes = experiment.shard_episodes(shard)
        where = f"{pair.id}/seed-{seed}/shard-{shard}"
        models = [experiment.models[name] for name in dict.fromkeys(pair)]
        # Those behind an endpoint run on somebody else's machine.
        here = [model for model in models if model.endpoint is None]
        yield Planned(
            "play_dialogues",
            f"play_dialogues/{where}",
            (f"dialogues/{where}.jsonl",),
            "dialogues",
            episodes * amounts.dialogue_bytes(pair),
            amounts.playing(pair, episodes),
            1000 * max(sum(model.memory_gb for model in here), 2),
            experiment.resources.threads,
            sum(model.gpus for model in here),
        )
        yield from self._judged(where, episodes)
        yield from self._labelled(where, episodes)
        if pair not in experiment.pairs_with_states:
            return
        for reading in self.readings:
            place = f"{pair.id}/{reading}/seed-{seed}/shard-{shard}"
            yield Planned(
                "replay_states",
                f"replay_states/{place}",
                (f"states/{place}.h5",),
                "states",
                amounts.states_bytes(pair, episodes),
                amounts.replaying(pair, episodes),
                1000 * max(model.memory_gb for model in models),
                experiment.resources.threads,
                max(model.gpus for model in models),
            )

    def _judged(self, where: str, episodes: int) -> Iterator[Planned]:
        for name, judge in self.experiment.judges.items():
            orders = 2 if judge.both_orders else 1
            # What was answered in each order; what the dialogue was, and what made the line.
            size = orders * (5_000 if judge.asks_model else 1_800) + 2_600
            place = f"judgements/{name}/{where}.jsonl"
            yield _asking(
                Planned(
                    "judge_dialogues", f"judge_dialogues/{name}/{where}", (place,), "judgements", size, 0, 0
                ),
                judge,
                episodes,
                orders,
                self.experiment.resources.threads,
            )
            if judge.asks_model:
                yield Planned("", "", (), "judge_cache", episodes * orders * 14_000, 0, 0)

    def _labelled(self, where: str, episodes: int) -> Iterator[Planned]:
        for name, labeller in self.experiment.labellers.items():
            # Of the surface one, a turn has a probability of every emotion.
            size = 2_000 + self.amounts.speech.turns * (200 if labeller.asks_model else 175)
            place = f"labels/{name}/{where}.jsonl"
            yield _asking(
                Planned(
                    "label_utterances", f"label_utterances/{name}/{where}", (place,), "labels", size, 0, 0
                ),
                labeller,
                episodes,
                1,
                self.experiment.resources.threads,
            )

    def _pair(self, pair: OrderedPair) -> Iterator[Planned]:
        experiment, amounts, maps = self.experiment, self.amounts, self.experiment.synchrony
        threads, gpus = experiment.resources.threads, int(maps.device == "cuda")
        memory = 1000 * (maps.memory_gb + 4)
        whole = amounts.samples()
        first, second = (amounts.sizes[name].layers for name in pair)
        groups = VALUES * len(maps.group_by)

        def job(rule: str, place: str, size: float, operations: float, fixed: float) -> Planned:
            stage = place.split("/", 1)[0]
            name = f"{rule}/{pair.id}"
            seconds = fixed + operations / amounts.maps_rate
            return Planned(rule, name, (place,), stage, size, seconds, memory, threads, gpus)

        for condition in maps.conditions:
            n = min(maps.samples or whole, amounts.samples(condition.lag))
            splits = len(maps.split_seeds)
            size = 2 * splits * first * second * 8 + groups * (splits * (first + second) * 8 + 6_000) + 7_000
            place = f"r2/{pair.id}/{condition.name}.h5"
            made = job("fit_layer_maps", place, size, splits * amounts.maps(pair, n), 0.6)
            yield made._replace(name=f"fit_layer_maps/{pair.id}/{condition.name}")
        if "corrected" not in maps.protocols:
            return
        environments = amounts.n_environments
        measure = 7_400 + (first + second) / 2 * 8 * (3 * maps.folds + environments) + 40 * environments
        plain = maps.folds * amounts.maps(pair, whole)
        conditions = len(maps.conditions)
        # Seven times the plain estimate with five penalties: benchmarks/results/controls.md.
        nested = conditions * plain * (1 + 6 * len(maps.penalties) / 5)
        n_measures = 4 * (conditions + groups)
        yield job("fit_nested_maps", f"controls/corrected/{pair.id}.h5", n_measures * measure, nested, 1.4)
        if maps.null_draws:
            size = 12 * (8 * maps.null_draws + 8 * first * second + 400) + 5_000
            draws = maps.null_draws * 27 * first * second * whole**2
            yield job("permute_partners", f"controls/nulls/{pair.id}.h5", size, plain + draws, 2.0)
        if maps.baselines:
            of_both = 2 * (12 + len(maps.profile_lags)) * measure
            place = f"controls/baselines/{pair.id}.h5"
            fits = (3.0 if maps.nonlinear else 1.3) * nested / conditions
            yield job("fit_baselines", place, of_both, fits, 4.5)
        per_dialogue = 110 * experiment.scenarios.episodes * len(experiment.seeds)
        table = f"statistics/dialogue_scores/{pair.id}.tsv"
        yield job("score_dialogues", table, 2 * per_dialogue, 2 * plain, 0.5)
        for labeller, labels in probed(amounts).items():
            own, operations = amounts.probes_bytes(pair, len(labels)), amounts.probing(pair, labels)
            made = job("fit_probes", f"probes/{labeller}/{pair.id}.h5", own, operations, 1.5)
            yield made._replace(name=f"fit_probes/{labeller}/{pair.id}")


def _asking(job: Planned, settings: JudgeSettings, episodes: int, requests: int, threads: int) -> Planned:
    """A job of a judge or labeller: its bytes are those of a dialogue, its requests a dialogue's.

    `threads` are those of a job that starts a server.
    """
    served = settings.engine == "vllm"
    seconds = episodes * requests * REQUEST / settings.concurrency if settings.asks_model else 0.3
    return job._replace(
        bytes=episodes * job.bytes,
        seconds=seconds + (SERVER_START if served else 0.0),
        memory_mb=1000 * (settings.memory_gb if served else 2),
        threads=threads if served else 1,
        gpus=settings.gpus if served else 0,
    )
