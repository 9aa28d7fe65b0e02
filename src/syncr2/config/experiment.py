"""A checked configuration, as frozen dataclasses; the schema and docs/configuration.md explain each key."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from syncr2 import ids
from syncr2.judges.base import JudgeSettings
from syncr2.labellers.base import LabellerSettings, labels_of_engine
from syncr2.models.miniature_spec import MiniatureSpec
from syncr2.serving.launch import ServedModel, ServerSettings


@dataclass(frozen=True)
class Endpoint:
    """A server that speaks for a model; `api_key_env` names the environment variable with its key."""

    base_url: str
    model: str
    api_key_env: str | None = None


@dataclass(frozen=True)
class Model:
    """One language model as configured.

    `path` is None for a miniature, whose folder the workflow names, and for a model that is known by its
    `endpoint` alone.
    """

    name: str
    family: str
    path: str | None
    revision: str | None
    dtype: str
    context: int | None
    chat_template: str | None
    thinking: bool | None
    trust_remote_code: bool
    endpoint: Endpoint | None
    gpus: int
    memory_gb: float
    memory_share: float
    quantization: str | None
    server_arguments: tuple[str, ...]
    covariates: dict[str, float]
    miniature: MiniatureSpec | None

    @property
    def has_states(self) -> bool:
        """Whether its weights are at hand, so that hidden states can be read."""
        return bool(self.path) or self.miniature is not None


@dataclass(frozen=True)
class Scenarios:
    """Where the episodes come from. `folder` is where the three files are, or None for the public home."""

    source: str
    folder: Path | None
    url: str
    sha256: dict[str, str]
    episodes: int


@dataclass(frozen=True)
class Dialogue:
    """How the two agents speak; see the schema for each key."""

    engine: str
    protocol: str
    device: str
    max_turns: int
    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    stale_after: int
    batch_size: int
    concurrency: int
    retries: int
    timeout: float
    shard_size: int


@dataclass(frozen=True)
class States:
    """How prompts are replayed; see the schema for each key."""

    device: str
    precision: str
    batch_tokens: int
    self_check: int
    bystander: str


@dataclass(frozen=True)
class Synchrony:
    """Ridge maps and SyncR²; see the schema for each key.

    `samples` is None for as many as every condition of a pair has. `conditions` are those that passive,
    lags, untrained and pseudo come to with the seeds that there are.
    """

    protocols: tuple[str, ...]
    samples: int | None
    penalty: float
    split_seeds: tuple[int, ...]
    conditions: tuple[ids.Condition, ...]
    group_by: tuple[str, ...]
    folds: int
    fold_seed: int
    penalties: tuple[float, ...]
    bootstrap_draws: int
    null_draws: int
    profile_lags: tuple[int, ...]
    baselines: bool
    nonlinear: bool
    device: str
    precision: str
    memory_gb: float


@dataclass(frozen=True)
class Resampling:
    """What is drawn for the statistics over pairs; see the schema's `statistics` for each key."""

    draws: int
    relabellings: int
    seed: int


@dataclass(frozen=True)
class Resources:
    """What jobs ask for."""

    threads: int
    runtime: int
    warm_start: bool


@dataclass(frozen=True)
class Experiment:
    """A whole configuration, checked."""

    results: Path
    scenarios: Scenarios
    models: dict[str, Model]
    pairs: tuple[tuple[str, str], ...]
    speaking_orders: str
    seeds: tuple[int, ...]
    prompts: Path
    dialogue: Dialogue
    vllm: ServerSettings
    states: States
    synchrony: Synchrony
    judges: dict[str, JudgeSettings]
    labellers: dict[str, LabellerSettings]
    probes: tuple[str, ...]
    covariates: tuple[str, ...]
    max_failure_rate: float
    resampling: Resampling
    resources: Resources
    title: str
    notice: str | None

    @property
    def ordered_pairs(self) -> list[ids.OrderedPair]:
        """Every pair in each of the speaking orders that are played."""
        return [order for pair in self.pairs for order in self._orders(pair)]

    @property
    def unordered_with_states(self) -> list[tuple[str, str]]:
        """Those of `pairs` of which both models have states: SyncR² needs a source and a target."""
        return [pair for pair in self.pairs if all(self.models[name].has_states for name in pair)]

    @property
    def pairs_with_states(self) -> list[ids.OrderedPair]:
        """The same in each of the speaking orders that are played."""
        return [order for pair in self.unordered_with_states for order in self._orders(pair)]

    def _orders(self, pair: tuple[str, str]) -> list[ids.OrderedPair]:
        orders = ids.speaking_orders(*pair)
        return orders if self.speaking_orders == "both" else orders[:1]

    @property
    def family(self) -> dict[str, str]:
        """Family by model name."""
        return {name: model.family for name, model in self.models.items()}

    @property
    def max_label_failures(self) -> dict[str, float]:
        """Largest share of a pair's dialogues that may be without labels, by labeller."""
        own = {name: labeller.max_failure_rate for name, labeller in self.labellers.items()}
        return {name: self.max_failure_rate if rate is None else rate for name, rate in own.items()}

    def probes_of(self, labeller: str) -> list[str]:
        """Which of the labels to be probed one labeller gives; a table has to be read for it."""
        settings = self.labellers[labeller]
        given = labels_of_engine(settings.engine)
        if settings.engine == "table":
            # It imports pandas, which no other part of planning needs.
            from syncr2.labellers.table import names_in

            given = tuple(names_in(settings.file or ""))
        return [name for name in self.probes if name in given]

    def served_model(self, name: str, path: str, revision: str | None, context: int | None) -> ServedModel:
        """A model for `serving.servers.serve`; where it lies and what it takes is found out by the job."""
        model = self.models[name]
        knobs = (model.gpus, model.memory_share, model.quantization, model.server_arguments)
        return ServedModel(name, path, revision, model.dtype, context, *knobs)

    @property
    def n_shards(self) -> int:
        """Shards of a pair and seed."""
        return -(-self.scenarios.episodes // self.dialogue.shard_size)

    def shard_episodes(self, shard: int) -> int:
        """Episodes in one shard."""
        start = shard * self.dialogue.shard_size
        return min(self.dialogue.shard_size, self.scenarios.episodes - start)


def slice_of(settings: Any, *leave_out: str) -> dict[str, Any]:
    """A dataclass as a plain dict for a rule's params, without keys that cannot change a result."""
    return {key: value for key, value in asdict(settings).items() if key not in leave_out}


def only(settings: Any, *keys: str) -> dict[str, Any]:
    """The opposite of `slice_of`: these keys alone, for a rule that few of a section's keys can change."""
    return {key: getattr(settings, key) for key in keys}
