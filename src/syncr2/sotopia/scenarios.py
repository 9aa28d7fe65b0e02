"""Episodes, from any of their homes to one checked file and back.

This is the module that other stages import: it brings together what an episode is (`episodes`), how Sotopia's
three files are read (`sotopia`) and how they are fetched (`download`), and keeps a checked set as
`results/scenarios.json`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from syncr2.errors import SyncR2Error
from syncr2.files import read_json, write_json
from syncr2.sotopia.download import fetch
from syncr2.sotopia.episodes import (
    RELATIONSHIPS,
    RESERVED_COLUMNS,
    Environment,
    Episode,
    Profile,
    ScenarioSet,
)
from syncr2.sotopia.reading import FILES, count_episodes, read_folder

__all__ = [
    "FILES",
    "RELATIONSHIPS",
    "RESERVED_COLUMNS",
    "Environment",
    "Episode",
    "Profile",
    "ScenarioSet",
    "count_episodes",
    "fetch",
    "read_folder",
    "read_scenarios",
    "write_scenarios",
]

FORMAT = "syncr2/scenarios/1"


def write_scenarios(scenarios: ScenarioSet, path: str | Path) -> None:
    """Write a set as one JSON file, whole or not at all. Each environment and profile stands there once."""
    environments = {episode.environment.id: asdict(episode.environment) for episode in scenarios.episodes}
    profiles = {agent.id: asdict(agent) for episode in scenarios.episodes for agent in episode.agents}
    episodes = [
        {
            "id": episode.id,
            "index": episode.index,
            "environment": episode.environment.id,
            "agents": [agent.id for agent in episode.agents],
            "fields": episode.fields,
        }
        for episode in scenarios.episodes
    ]
    head = {"format": FORMAT, "origin": scenarios.origin, "sha256": scenarios.sha256}
    write_json(path, {**head, "environments": environments, "profiles": profiles, "episodes": episodes})


def read_scenarios(path: str | Path) -> ScenarioSet:
    """Read what `write_scenarios` wrote.

    Raises
    ------
    SyncR2Error
        If the file is missing, cut off, of another format, or was changed so that its parts no longer fit.
    """
    content = read_json(path)
    found = content.get("format") if isinstance(content, dict) else type(content).__name__
    if found != FORMAT:
        raise SyncR2Error(
            f"{path}: found format {found!r}, {FORMAT!r} is needed. Delete the file and run again."
        )
    try:
        environments = {
            pk: Environment(**{**values, "goals": tuple(values["goals"])})
            for pk, values in content["environments"].items()
        }
        profiles = {pk: Profile(**values) for pk, values in content["profiles"].items()}
        episodes = []
        for values in content["episodes"]:
            first, second = values["agents"]
            environment, agents = environments[values["environment"]], (profiles[first], profiles[second])
            episodes.append(Episode(values["id"], values["index"], environment, agents, values["fields"]))
        return ScenarioSet(tuple(episodes), content["origin"], content["sha256"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SyncR2Error(
            f"{path}: its parts do not fit together ({type(error).__name__}: {error}). "
            "Delete the file and run again."
        ) from None
