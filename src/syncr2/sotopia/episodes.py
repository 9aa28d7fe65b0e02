"""What an episode is: an environment, two profiles, and the columns that they give to result tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from syncr2.sotopia.records import Scalar

RELATIONSHIPS = ("stranger", "know_by_name", "acquaintance", "friend", "romantic", "family")

# Columns of the tables with one row a dialogue, and keys of the records behind them. An environment's field
# of the same name becomes `environment_…`, an episode's `episode_…`.
RESERVED_COLUMNS = frozenset(
    (
        *(
            "episode_id",
            "environment_id",
            "relationship",
            "index",
            "id",
            "format",
            "columns",
            "agents",
            "made_by",
        ),
        *("pair", "seed", "agent1", "agent2", "model_1", "model_2", "family"),
        *("turns", "turn", "n_turns", "n_tokens", "stop_reason", "sampling"),
        *("judge", "engine", "status", "attempts", "error", "raw", "scores", "reasoning"),
        *("n_judged", "failure_rate", "social_performance", "believability", "knowledge", "secret"),
        *("social_rules", "financial_and_material_benefits", "goal"),
    )
)
# With the agent's prefix before them: the first three are always there, the others are the workflow's.
AGENT_COLUMNS = ("age", "gender", "occupation", "id", "name")
_AGENT_PREFIXES = ("agent1_", "agent2_")


@dataclass(frozen=True)
class Environment:
    """A situation. Its texts may hold tags (see `syncr2.sotopia.markup`), which count agents from 1.

    Attributes
    ----------
    goals : tuple of str
        The private goal of agent 1 and of agent 2.
    relationship : int
        Position in `RELATIONSHIPS`.
    fields : dict
        Every field that the format has no use for, under the name of its column.
    """

    id: str
    scenario: str
    goals: tuple[str, str]
    relationship: int
    fields: dict[str, Scalar] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Profile:
    """A person. None means "not said"; `fields` holds every field that the format does not know."""

    id: str
    first_name: str
    last_name: str | None = None
    age: int | None = None
    gender: str | None = None
    pronouns: str | None = None
    occupation: str | None = None
    public_info: str | None = None
    personality: str | None = None
    secret: str | None = None
    fields: dict[str, Scalar] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """First and last name, as shown in dialogues."""
        return f"{self.first_name} {self.last_name or ''}".strip()


@dataclass(frozen=True)
class Episode:
    """One environment with one pair of profiles; `index` is its place in the list of episodes, from 0."""

    id: str
    index: int
    environment: Environment
    agents: tuple[Profile, Profile]
    fields: dict[str, Scalar] = field(default_factory=dict, hash=False)

    def columns(self) -> dict[str, Scalar]:
        """What every result table says of an episode.

        The environment's id, the relationship in a word, the environment's and the episode's own fields by
        name, and of each agent (`agent1_…`, `agent2_…`) age, gender, occupation and the fields that the
        format does not know. Goals, secrets and descriptions stay out: they are texts, not groups.
        """
        columns: dict[str, Scalar] = {
            "environment_id": self.environment.id,
            "relationship": RELATIONSHIPS[self.environment.relationship],
            **self.environment.fields,
            **self.fields,
        }
        for prefix, agent in zip(_AGENT_PREFIXES, self.agents, strict=True):
            own = {"age": agent.age, "gender": agent.gender, "occupation": agent.occupation, **agent.fields}
            columns.update({f"{prefix}{name}": value for name, value in own.items()})
        return columns


@dataclass(frozen=True)
class ScenarioSet:
    """Episodes in the order of their list, with where they come from and the SHA-256 of each file."""

    episodes: tuple[Episode, ...]
    origin: str
    sha256: dict[str, str] = field(hash=False)

    @property
    def environments(self) -> dict[str, str]:
        """Id of the environment by id of the episode."""
        return {episode.id: episode.environment.id for episode in self.episodes}

    def shard(self, shard: int, shard_size: int) -> tuple[Episode, ...]:
        """The episodes that one job plays and one file holds."""
        return self.episodes[shard * shard_size : (shard + 1) * shard_size]


def rectangular(records: Iterable[Mapping[str, Scalar]], names: Mapping[str, str]) -> list[dict[str, Scalar]]:
    """Give all records the same fields, under the names of their columns.

    A field without a value in any record is dropped; a record that lacks a field gets None.

    Parameters
    ----------
    records : iterable of mapping
        Fields of each record.
    names : mapping
        From `column_names`.
    """
    listed = list(records)
    kept = [name for name in names if any(record.get(name) is not None for record in listed)]
    return [{names[name]: record.get(name) for name in kept} for record in listed]


def column_names(
    records: Iterable[Mapping[str, Scalar]], prefix: str, clashes: Callable[[str], bool]
) -> dict[str, str]:
    """Choose a column for each field, in order of first appearance.

    A field keeps its name unless that clashes; then `prefix` and an underscore go before it, as often as it
    takes.
    """
    fields = dict.fromkeys(name for record in records for name in record)
    used = {name for name in fields if not clashes(name)}
    columns = {}
    for name in fields:
        column = name
        if clashes(name):
            while clashes(column) or column in used:
                column = f"{prefix}_{column}"
            used.add(column)
        columns[name] = column
    return columns


def is_reserved(column: str) -> bool:
    """Whether a column belongs to the workflow, or looks like an agent's."""
    return column in RESERVED_COLUMNS or column.startswith(_AGENT_PREFIXES)
