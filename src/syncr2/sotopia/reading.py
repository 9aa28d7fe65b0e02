"""Sotopia's three files to a checked set of episodes.

The files are `envs.json`, `agents.json` and `env_agent_combos.json`. An environment needs pk, scenario,
agent_goals and relationship; a profile needs pk and first_name; an episode needs pk, env_id and agent_ids.
Every other field is optional. Fields that the format does not know become columns of the result tables (see
`Episode.columns`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from syncr2.errors import SyncR2Error
from syncr2.files import sha256_file
from syncr2.sotopia import markup
from syncr2.sotopia.episodes import (
    AGENT_COLUMNS,
    RELATIONSHIPS,
    Environment,
    Episode,
    Profile,
    ScenarioSet,
    column_names,
    is_reserved,
    rectangular,
)
from syncr2.sotopia.records import Problems, Record, load

ENVIRONMENTS, PROFILES, EPISODES = FILES = ("envs.json", "agents.json", "env_agent_combos.json")

# Of a profile: shown to no model, and no use as a column.
_UNUSED = (
    "big_five",
    "moral_values",
    "schwartz_personal_values",
    "mbti",
    "decision_making_style",
    "model_id",
)
_ENVIRONMENT_FIELDS = ("pk", "scenario", "agent_goals", "relationship")
_PROFILE_FIELDS = (
    *("pk", "first_name", "last_name", "age", "gender", "gender_pronoun", "occupation"),
    *("public_info", "personality_and_values", "secret"),
)
_EPISODE_FIELDS = ("pk", "env_id", "agent_ids")


def read_folder(folder: str | Path, limit: int | None = None) -> ScenarioSet:
    """Read and check the three files.

    Everything is checked, also what `limit` leaves out, so that a small trial says whether the whole will
    run.

    Parameters
    ----------
    folder : str or Path
        Holds `envs.json`, `agents.json`, `env_agent_combos.json`.
    limit : int, optional
        Keep only the first episodes of the list.

    Raises
    ------
    SyncR2Error
        All problems at once, each with file, record and field.
    """
    _require_files(folder)
    problems = Problems()
    environments = {pk: _environment(pk, record) for pk, record in load(folder, ENVIRONMENTS, problems)}
    profiles = {pk: _profile(pk, record) for pk, record in load(folder, PROFILES, problems)}
    from_zero = _counted_from_zero(environments.values(), problems)
    records = load(folder, EPISODES, problems)
    if not (environments and profiles and records):
        # Beside a file without records, every id of the others would be reported as well.
        problems.add(str(folder), None, None, f"each of {', '.join(FILES)} must hold at least one record.")
        problems.raise_if_any(folder)
    found = [
        _episode(pk, index, record, environments, profiles) for index, (pk, record) in enumerate(records)
    ]
    if limit is not None and not 1 <= limit <= len(records):
        problems.add(
            EPISODES, None, None, f"{limit} episodes are asked for, but 1 to {len(records)} are possible."
        )
    problems.raise_if_any(folder)
    episodes = _with_columns([episode for episode in found if episode is not None])
    if from_zero:
        episodes = _renumbered(episodes)
    return ScenarioSet(
        tuple(episodes[:limit]), str(folder), {name: sha256_file(Path(folder) / name) for name in FILES}
    )


def count_episodes(folder: str | Path) -> int:
    """How many episodes a folder lists. For planning: only the list is read, and not what it says."""
    _require_files(folder)
    problems = Problems()
    records = load(folder, EPISODES, problems)
    problems.raise_if_any(folder)
    return len(records)


def _require_files(folder: str | Path) -> None:
    missing = [name for name in FILES if not (Path(folder) / name).is_file()]
    if missing:
        raise SyncR2Error(
            f"{folder}: no {', no '.join(missing)}. A folder of episodes holds {', '.join(FILES)}."
        )


def _environment(pk: str, record: Record) -> Environment | None:
    scenario = record.marked_text("scenario")
    goals = record.goals("agent_goals")
    relationship = record.integer("relationship", len(RELATIONSHIPS) - 1)
    fields = record.others(_ENVIRONMENT_FIELDS)
    if scenario is None or goals is None or relationship is None:
        return None
    if not markup.visible(scenario, None):
        record.wrong(
            "scenario", "all of it is for one reader only, or it is empty; both agents need some of it."
        )
    for number, goal in enumerate(goals, start=1):
        if not markup.visible(goal, markup.ENVIRONMENT):
            record.wrong(f"agent_goals[{number}]", "holds tags but no text.")
    return Environment(pk, scenario, goals, relationship, fields)


def _profile(pk: str, record: Record) -> Profile | None:
    first_name = record.text("first_name", required=True, one_line=True)
    profile = Profile(
        id=pk,
        first_name=first_name or "",
        last_name=record.text("last_name", one_line=True),
        age=record.age("age"),
        gender=record.untagged_text("gender"),
        pronouns=record.untagged_text("gender_pronoun"),
        occupation=record.untagged_text("occupation"),
        public_info=record.untagged_text("public_info"),
        personality=record.untagged_text("personality_and_values"),
        secret=record.untagged_text("secret"),
        fields=record.others((*_PROFILE_FIELDS, *_UNUSED)),
    )
    return profile if first_name else None


def _episode(
    pk: str,
    index: int,
    record: Record,
    environments: Mapping[str, Environment | None],
    profiles: Mapping[str, Profile | None],
) -> Episode | None:
    environment = record.reference("env_id", record.values.get("env_id"), environments, ENVIRONMENTS)
    fields = record.others(_EPISODE_FIELDS)
    agent_ids = record.values.get("agent_ids")
    if not isinstance(agent_ids, list) or len(agent_ids) != 2:
        record.wrong("agent_ids", f"found {agent_ids!r}; a list of exactly two ids of {PROFILES} is needed.")
        return None
    if agent_ids[0] == agent_ids[1]:
        record.wrong(
            "agent_ids", f"{agent_ids[0]!r} is paired with itself; two different profiles are needed."
        )
        return None
    first, second = (record.reference("agent_ids", agent_id, profiles, PROFILES) for agent_id in agent_ids)
    if first and second and first.name == second.name:
        record.wrong("agent_ids", f"both agents are shown as {first.name!r}; nobody could tell who speaks.")
    # What is None was reported already, here or with its own record.
    return (
        Episode(pk, index, environment, (first, second), fields) if environment and first and second else None
    )


def _counted_from_zero(environments: Iterable[Environment | None], problems: Problems) -> bool:
    """Whether the tags count agents from 0, as Sotopia does.

    Where that is open, a problem is noted: a guess could show a text to the wrong agent.
    """
    named_in: dict[str, str] = {}
    for environment in environments:
        if environment:
            for text in (environment.scenario, *environment.goals):
                named_in.update(dict.fromkeys(markup.viewers(text), environment.id))
    agents = sorted(set(named_in) - {markup.ENVIRONMENT})
    if agents == ["agent_1"] or {"agent_0", "agent_2"} <= set(agents):
        problems.add(
            ENVIRONMENTS,
            f'record "{named_in[agents[-1]]}"',
            "scenario or agent_goals",
            f"the tags of this file name {', '.join(agents)}, which leaves open whether agents are counted "
            "from 0 (as in Sotopia: agent_0 and agent_1) or from 1 (agent_1 and agent_2). Use both names of "
            "one way of counting somewhere in the file, or move what is for one agent into its goal.",
        )
    return "agent_0" in agents


def _renumbered(episodes: Iterable[Episode]) -> list[Episode]:
    def from_one(environment: Environment) -> Environment:
        first, second = environment.goals
        goals = markup.renumbered(first), markup.renumbered(second)
        return replace(environment, scenario=markup.renumbered(environment.scenario), goals=goals)

    return [replace(episode, environment=from_one(episode.environment)) for episode in episodes]


def _with_columns(episodes: list[Episode]) -> list[Episode]:
    """Name and fill the fields so that the columns of all episodes are the same and clash with nothing."""
    of_environments = [episode.environment.fields for episode in episodes]
    of_episodes = [episode.fields for episode in episodes]
    of_agents = [agent.fields for episode in episodes for agent in episode.agents]
    environment_names = column_names(of_environments, "environment", is_reserved)
    taken = set(environment_names.values())
    episode_names = column_names(of_episodes, "episode", lambda name: is_reserved(name) or name in taken)
    # The prefix agent1_ or agent2_ comes before these, so they clash only with what every agent has.
    agent_names = column_names(of_agents, "profile", lambda name: name in AGENT_COLUMNS)
    environments = rectangular(of_environments, environment_names)
    own = rectangular(of_episodes, episode_names)
    agents = rectangular(of_agents, agent_names)
    whole = []
    for i, episode in enumerate(episodes):
        environment = replace(episode.environment, fields=environments[i])
        first, second = (replace(episode.agents[k], fields=agents[2 * i + k]) for k in (0, 1))
        whole.append(replace(episode, environment=environment, agents=(first, second), fields=own[i]))
    return whole
