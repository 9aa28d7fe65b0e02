"""What a schema cannot say of a configuration: folders that must hold certain files, numbers that must fit.

Each check looks only at values that the schema found right, so that one problem never hides another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from syncr2.config.schema import REPOSITORY, Candidate, Problem
from syncr2.dialogues.prompts import TEMPLATES, Prompts
from syncr2.errors import SyncR2Error
from syncr2.serving.launch import OWN_OPTIONS
from syncr2.sotopia.reading import EPISODES, count_episodes
from syncr2.sotopia.reading import FILES as SCENARIO_FILES
from syncr2.sotopia.records import Problems, load

BUNDLED_SCENARIOS = REPOSITORY / "resources" / "scenarios"
BUNDLED_PROMPTS = REPOSITORY / "resources" / "prompts"


def check(candidate: Candidate) -> list[Problem]:
    """Everything wrong that the schema could not see."""
    checks = (_results, _scenarios, _prompts, _lags, _samples, _folds, _profile_lags, _server_arguments)
    return [problem for each in checks for problem in each(candidate)]


def scenario_folder(scenarios: Mapping[str, Any]) -> Path | None:
    """Where the three files of the episodes are on this machine; None where they have to be fetched."""
    if scenarios["source"] == "bundled":
        return BUNDLED_SCENARIOS
    folder = scenarios["folder"]
    return Path(folder).expanduser() if scenarios["source"] == "local" and folder else None


def n_episodes(scenarios: Mapping[str, Any]) -> int:
    """How many episodes are to be played.

    Raises
    ------
    SyncR2Error
        If the folder has to be counted and cannot be.
    """
    if scenarios["episodes"] != "all":
        return scenarios["episodes"]
    folder = scenario_folder(scenarios)
    if folder is None:
        raise SyncR2Error("`all` is not known before the files are fetched; give a number, such as 450.")
    return count_episodes(folder)


def _n_environments(scenarios: Mapping[str, Any]) -> int | None:
    """Environments of the episodes to be played; None where the list is not on this machine, or not right."""
    folder = scenario_folder(scenarios)
    if folder is None:
        return None
    problems = Problems()
    try:
        records = load(folder, EPISODES, problems)
        problems.raise_if_any(folder)
        played = records[: n_episodes(scenarios)]
    except SyncR2Error:
        return None  # _scenarios says it
    return len({record.text("env_id") for _, record in played})


def max_samples(episodes: int, per_episode: int) -> int:
    """The largest number of samples for which the published split finds enough whole episodes.

    Parameters
    ----------
    episodes : int
        Episodes, all with the same number of samples.
    per_episode : int
        Samples of one episode, all seeds together.
    """

    def needed(samples: int) -> int:
        # Test and training set each end with the episode that reaches their share (samples.paper_split).
        return math.ceil(0.2 * samples / per_episode) + math.ceil(0.8 * samples / per_episode)

    return next(n for n in range(episodes * per_episode, -1, -1) if needed(n) <= episodes)


def _results(candidate: Candidate) -> Iterator[Problem]:
    if candidate.sound(("results",)) and Path(candidate.raw["results"]).expanduser().is_file():
        found = candidate.raw["results"]
        yield Problem(
            ("results",), f"results: found {found!r}, which is a file; allowed: a folder, or a new name."
        )


def _scenarios(candidate: Candidate) -> Iterator[Problem]:
    if not candidate.sound(("scenarios", "source"), ("scenarios", "folder")):
        return
    scenarios = candidate.raw["scenarios"]
    source, given = scenarios["source"], scenarios["folder"]
    if given and source != "local":
        yield Problem(
            ("scenarios", "folder"),
            f"scenarios.folder: found {given!r}, but scenarios.source is `{source}`; allowed: a folder with "
            "source `local`, or null.",
        )
    folder = scenario_folder(scenarios)
    if folder is None:
        if source == "local":
            yield Problem(
                ("scenarios", "folder"),
                "scenarios.folder: found nothing; allowed with source `local`: a folder with "
                f"{', '.join(SCENARIO_FILES)}.",
            )
        elif candidate.sound(("scenarios", "episodes")) and scenarios["episodes"] == "all":
            yield Problem(
                ("scenarios", "episodes"),
                "scenarios.episodes: found `all`, which is not known before the files are fetched (source "
                "`public`); allowed: a number, such as 450.",
            )
        return
    try:
        there = count_episodes(folder)
    except SyncR2Error as error:
        yield Problem(("scenarios", "folder"), f"scenarios.folder: {error}")
        return
    if candidate.sound(("scenarios", "episodes")) and n_episodes(scenarios) > there:
        yield Problem(
            ("scenarios", "episodes"),
            f"scenarios.episodes: found {scenarios['episodes']}; allowed: up to {there}, which is all that "
            f"{folder} has, or `all`.",
        )


def _prompts(candidate: Candidate) -> Iterator[Problem]:
    if not candidate.sound(("prompts",)):
        return
    folder = Path(candidate.raw["prompts"]).expanduser()
    names = [f"{name}.jinja" for name in TEMPLATES]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        yield Problem(
            ("prompts",),
            f"prompts: found {candidate.raw['prompts']!r} without {', '.join(missing)}; allowed: a folder "
            f"with {', '.join(names)}. Copy resources/prompts and change the copy.",
        )
        return
    if folder.resolve() == BUNDLED_PROMPTS:
        return  # tested with the project; compiling takes longer than all else here, and every job reads this
    try:
        Prompts(folder)
    except SyncR2Error as error:
        yield Problem(("prompts",), f"prompts: {error}")


def _usable_lags(max_turns: int) -> range:
    return range(3, _longest_lag(max_turns) + 1, 2)


def _longest_lag(max_turns: int) -> int:
    # Agent 2 first speaks at turn 1, and its target must come before max_turns.
    return max_turns - 2


def _lags(candidate: Candidate) -> Iterator[Problem]:
    if not candidate.sound(("dialogue", "max_turns")):
        return
    max_turns = candidate.raw["dialogue"]["max_turns"]
    usable = _usable_lags(max_turns)
    span = f"odd numbers from 3 to {usable[-1]}" if usable else "none"
    for i, lag in candidate.sound_items("synchrony", "lags"):
        if lag in usable:
            continue
        if lag == 1:
            reason = "1 is the interaction itself, which is always computed"
        elif lag % 2 == 0:
            reason = f"{lag} is even, and the partner speaks at odd distances only"
        else:
            reason = "no turn that far ahead is left for agent 2, who speaks first at turn 1"
        beside = [str(each) for each in (lag - 1, lag + 1) if each in usable]
        hint = f" Did you mean {' or '.join(beside)}?" if beside else ""
        yield Problem(
            ("synchrony", "lags", i),
            f"synchrony.lags[{i}]: found {lag}, but {reason}; allowed with dialogue.max_turns = {max_turns}: "
            f"{span}.{hint}",
        )


def _samples(candidate: Candidate) -> Iterator[Problem]:
    needs = (("synchrony", "samples"), ("dialogue", "max_turns"), ("seeds",), ("scenarios",))
    if not candidate.sound(*needs) or candidate.raw["synchrony"]["samples"] == "auto":
        return
    try:
        episodes = n_episodes(candidate.raw["scenarios"])
    except SyncR2Error:
        return  # _scenarios says it
    max_turns, wanted = candidate.raw["dialogue"]["max_turns"], candidate.raw["synchrony"]["samples"]
    usable = _usable_lags(max_turns)
    lag = max([lag for _, lag in candidate.sound_items("synchrony", "lags") if lag in usable], default=1)
    turns, seeds = len(range(1, max_turns - lag, 2)), len(set(candidate.raw["seeds"]))
    possible = max_samples(episodes, seeds * turns)
    if wanted > possible:
        yield Problem(
            ("synchrony", "samples"),
            f"synchrony.samples: found {wanted}; allowed: up to {possible}, or `auto`. At lag {lag}, "
            f"{episodes} episodes × {seeds} seeds × {turns} turns of agent 2 with a target give "
            f"{episodes * seeds * turns}, and test and training set take whole episodes.",
        )


def _corrected(candidate: Candidate) -> bool:
    """Whether the keys of the corrected protocol count at all."""
    return (
        candidate.sound(("synchrony", "protocols")) and "corrected" in candidate.raw["synchrony"]["protocols"]
    )


def _folds(candidate: Candidate) -> Iterator[Problem]:
    if not _corrected(candidate) or not candidate.sound(("synchrony", "folds"), ("scenarios",)):
        return
    folds, there = candidate.raw["synchrony"]["folds"], _n_environments(candidate.raw["scenarios"])
    if there is not None and folds > there:
        allowed = f"from 3 to {there}" if there >= 3 else "none"
        yield Problem(
            ("synchrony", "folds"),
            f"synchrony.folds: found {folds}, but the episodes to be played have {there} environments, and a "
            f"fold holds whole ones; allowed: {allowed}. Lower it, play more episodes, or take `corrected` "
            "off synchrony.protocols.",
        )


def _profile_lags(candidate: Candidate) -> Iterator[Problem]:
    if not _corrected(candidate) or not candidate.sound(("dialogue", "max_turns")):
        return
    max_turns = candidate.raw["dialogue"]["max_turns"]
    longest = _longest_lag(max_turns)
    beyond = [str(lag) for _, lag in candidate.sound_items("synchrony", "profile_lags") if lag > longest]
    if beyond:
        yield Problem(
            ("synchrony", "profile_lags"),
            f"synchrony.profile_lags: found {', '.join(beyond)}, but no turn that far ahead is left for "
            f"agent 2, who speaks first at turn 1; allowed with dialogue.max_turns = {max_turns}: 1 to "
            f"{longest}.",
        )


def _server_arguments(candidate: Candidate) -> Iterator[Problem]:
    """What the workflow tells servers itself: where they listen, what they serve and under which name."""
    places: list[tuple[str | int, ...]] = [("vllm", "arguments")]
    for section in ("models", "judges", "labels"):
        places += [(section, i, "server_arguments") for i, _ in candidate.sound_items(section)]
    for place in places:
        if not candidate.sound(place):
            continue
        found: Any = candidate.raw
        for key in place:
            found = found[key]
        for option in (each.partition("=")[0].replace("_", "-") for each in found):
            if option in OWN_OPTIONS:
                yield Problem(
                    place,
                    f"{candidate.where(*place)}: found {option}, which the workflow sets itself, so that it "
                    "finds the server and nobody beyond this machine does; allowed: any other of vLLM's.",
                )
