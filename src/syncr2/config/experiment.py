"""A checked configuration, as frozen dataclasses; the schema and docs/configuration.md explain each key."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from syncr2 import ids
from syncr2.judges.base import JudgeSettings
from syncr2.miniature_spec import MiniatureSpec


@dataclass(frozen=True)
class Model:
    """One language model as configured. `path` is None for a miniature, whose folder the workflow names."""

    name: str
    family: str
    path: str | None
    revision: str | None
    dtype: str
    context: int | None
    chat_template: str | None
    gpus: int
    memory_gb: float
    covariates: dict[str, float]
    miniature: MiniatureSpec | None


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
    device: str
    max_turns: int
    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    stale_after: int
    batch_size: int
    shard_size: int


@dataclass(frozen=True)
class States:
    """How prompts are replayed; see the schema for each key."""

    device: str
    precision: str
    batch_tokens: int
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
    seeds: tuple[int, ...]
    prompts: Path
    dialogue: Dialogue
    states: States
    synchrony: Synchrony
    judges: dict[str, JudgeSettings]
    covariates: tuple[str, ...]
    max_failure_rate: float
    resampling: Resampling
    resources: Resources
    title: str
    notice: str | None

    @property
    def ordered_pairs(self) -> list[ids.OrderedPair]:
        """Every pair in both speaking orders."""
        return [order for pair in self.pairs for order in ids.speaking_orders(*pair)]

    @property
    def family(self) -> dict[str, str]:
        """Family by model name."""
        return {name: model.family for name, model in self.models.items()}

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
