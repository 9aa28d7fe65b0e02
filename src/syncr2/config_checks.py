"""What a schema cannot say of a configuration: names that must match, files that must exist, numbers that must fit.

Each check looks only at values that the schema found right, so that one problem never hides another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from syncr2 import ids
from syncr2.config_schema import REPOSITORY, Candidate, Problem
from syncr2.config_words import nearest
from syncr2.errors import SyncR2Error
from syncr2.judges.base import JudgeSettings
from syncr2.miniature_spec import MiniatureSpec
from syncr2.sotopia import FILES as SCENARIO_FILES
from syncr2.sotopia import count_episodes

BUNDLED_SCENARIOS = REPOSITORY / "resources" / "scenarios"

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# Columns that the table of pairs has anyway (results/statistics/pairs.tsv).
_PAIR_COLUMNS = ("model_1", "model_2", "family", "sync_r2", "social_performance", "label")


def check(candidate: Candidate) -> list[Problem]:
    """Everything wrong that the schema could not see."""
    checks = (_results, _scenarios, _models, _covariates, _pairs, _prompts, _lags, _samples, _judges)
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


def _twice(place: str, names: Iterable[tuple[int, str]]) -> Iterator[Problem]:
    """Names that stand for the same folder or row; on some machines a file's name does not know case."""
    first: dict[str, tuple[int, str]] = {}
    for index, name in names:
        before, like = first.setdefault(name.lower(), (index, name))
        if before != index:
            same = "" if like == name else f" (only case differs from `{like}`, and some disks ignore it)"
            yield Problem(
                (place, index, "name"),
                f"{place}[{index}].name: found `{name}`, which {place}[{before}] has already{same}; "
                "allowed: a name that no other has.",
            )


def _named(candidate: Candidate, key: str) -> list[tuple[int, str]]:
    items = candidate.raw.get(key) if isinstance(candidate.raw, Mapping) else None
    found = enumerate(items) if isinstance(items, list) else ()
    return [(i, item["name"]) for i, item in found if candidate.sound((key, i, "name"))]


def _results(candidate: Candidate) -> Iterator[Problem]:
    if candidate.sound(("results",)) and Path(candidate.raw["results"]).expanduser().is_file():
        found = candidate.raw["results"]
        yield Problem(("results",), f"results: found {found!r}, which is a file; allowed: a folder, or a new name.")


def _models(candidate: Candidate) -> Iterator[Problem]:
    yield from _twice("models", _named(candidate, "models"))
    for i, model in candidate.sound_items("models"):
        at = candidate.where("models", i)
        for key, text in _model(model):
            yield Problem(("models", i), f"{at}{key}: {text}")


def _model(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Problems of one model, each with the key that they stand at."""
    path, miniature = model.get("path"), model["miniature"]
    if model["family"].lower() == ids.CROSS_FAMILY:
        yield (
            ".family",
            f"found `{model['family']}`, which is kept for pairs of two families; allowed: another name.",
        )
    if miniature is not None and path:
        yield "", "found both `path` and `miniature`; allowed: one of them."
    elif miniature is None and not path:
        yield "", "found neither `path` nor `miniature`; allowed: one of them (docs/configuration.md)."
    elif path:
        yield from ((".path", text) for text in _path(path))
    if miniature is not None:
        try:
            MiniatureSpec.from_dict(miniature)
        except SyncR2Error as error:
            yield ".miniature", str(error).removeprefix("miniature: ")
    if model.get("revision") and (miniature is not None or (path and Path(path).expanduser().is_dir())):
        yield ".revision", f"found `{model['revision']}`, but only a Hugging Face id has revisions; leave it out."
    template = model["chat_template"]
    if template and not Path(template).expanduser().is_file():
        yield ".chat_template", f"found {template!r}, which is no file; allowed: a Jinja file, or null."


def _path(path: str) -> Iterator[str]:
    local = Path(path).expanduser()
    if local.is_dir():
        if not (local / "config.json").is_file():
            yield f"found the folder {path!r} without config.json; allowed: a folder that save_pretrained wrote."
    elif local.is_file():
        yield f"found {path!r}, which is a file; allowed: the model's folder, or a Hugging Face id `owner/name`."
    elif path.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(path):
        beside = [each.name for each in local.parent.iterdir() if each.is_dir()] if local.parent.is_dir() else []
        yield (
            f"found {path!r}, which does not exist; allowed: a folder that does, or a Hugging Face id "
            f"`owner/name`.{nearest(local.name, beside)}"
        )


def _covariates(candidate: Candidate) -> Iterator[Problem]:
    for i, name in candidate.sound_items("statistics", "covariates"):
        place: tuple[str | int, ...] = ("statistics", "covariates", i)
        if name in _PAIR_COLUMNS:
            yield Problem(
                place,
                f"{candidate.where(*place)}: found `{name}`, which is a column of the pairs anyway; "
                "allowed: another name, here and in the models.",
            )
            continue
        for k, _ in _named(candidate, "models"):
            if not candidate.sound(("models", k, "covariates")):
                continue
            known = candidate.raw["models"][k]["covariates"]
            if name not in known:
                there = ", ".join(f"`{key}`" for key in known) or "none"
                yield Problem(
                    ("models", k, "covariates"),
                    f"{candidate.where('models', k)}.covariates: found {there}, but statistics.covariates asks "
                    f"for `{name}`. Give its value here, or take it off that list.{nearest(name, known)}",
                )


def _pairs(candidate: Candidate) -> Iterator[Problem]:
    names = [name for _, name in _named(candidate, "models")]
    first: dict[frozenset[str], int] = {}
    for i, pair in candidate.sound_items("pairs"):
        at = candidate.where("pairs", i)
        for name in dict.fromkeys(pair):
            if candidate.sound(("models",)) and name not in names:
                hint = nearest(name, names) or f" Allowed: {', '.join(names)}."
                yield Problem(("pairs", i), f"{at}: found `{name}`, which is not among the models.{hint}")
        before = first.setdefault(frozenset(pair), i)
        if before != i:
            yield Problem(
                ("pairs", i),
                f"{at}: found {' and '.join(pair)}, which pairs[{before}] has already; allowed: each pair once, "
                "for both speaking orders are played.",
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
    from syncr2.prompts import TEMPLATES, Prompts

    folder = Path(candidate.raw["prompts"]).expanduser()
    names = [f"{name}.jinja" for name in TEMPLATES]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        yield Problem(
            ("prompts",),
            f"prompts: found {candidate.raw['prompts']!r} without {', '.join(missing)}; allowed: a folder with "
            f"{', '.join(names)}. Copy resources/prompts and change the copy.",
        )
        return
    try:
        Prompts(folder)
    except SyncR2Error as error:
        yield Problem(("prompts",), f"prompts: {error}")


def _usable_lags(max_turns: int) -> range:
    # Agent 2 first speaks at turn 1, and its target must come before max_turns.
    return range(3, max_turns - 1, 2)


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
            reason = "the partner speaks at odd distances only"
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
            f"synchrony.samples: found {wanted}; allowed: up to {possible}, or `auto`. At lag {lag}, {episodes} "
            f"episodes × {seeds} seeds × {turns} turns of agent 2 with a target give {episodes * seeds * turns}, "
            "and test and training set take whole episodes.",
        )


def _judges(candidate: Candidate) -> Iterator[Problem]:
    yield from _twice("judges", _named(candidate, "judges"))
    for i, judge in candidate.sound_items("judges"):
        at = candidate.where("judges", i)
        missing = [key for key in ("model", "base_url") if judge["engine"] == "openai" and not judge[key]]
        if missing:
            keys = " nor ".join(f"`{key}`" for key in missing)
            either = "neither " if len(missing) > 1 else "no "
            yield Problem(("judges", i), f"{at}: found {either}{keys}; the engine `openai` needs both to be given.")
            continue
        try:
            JudgeSettings.from_dict(judge)
        except SyncR2Error as error:
            yield Problem(("judges", i), f"{at}: {str(error).removeprefix(f'Judge {judge["name"]}: ')}")
