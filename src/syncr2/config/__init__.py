"""The configuration: checked as a whole before anything runs, then given as frozen dataclasses.

What may stand in it is in workflow/schemas/config.schema.yaml (read by `schema`, put in words by `words`);
what a schema cannot say is in `checks`, `names` and `judging`, with `sections` for what these share; the
outcome is an `Experiment` (`experiment`); `docs` writes docs/configuration.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from syncr2 import ids
from syncr2.config import checks, judging, names
from syncr2.config.checks import BUNDLED_PROMPTS, BUNDLED_SCENARIOS
from syncr2.config.experiment import (
    Dialogue,
    Endpoint,
    Experiment,
    Model,
    Resampling,
    Resources,
    Scenarios,
    States,
    Synchrony,
    only,
    slice_of,
)
from syncr2.config.schema import REPOSITORY, SCHEMA, examine, schema
from syncr2.errors import SyncR2Error
from syncr2.judges.base import JudgeSettings
from syncr2.labellers.base import LabellerSettings
from syncr2.models.miniature_spec import MiniatureSpec
from syncr2.serving.launch import ServerSettings

__all__ = [
    "BUNDLED_PROMPTS",
    "BUNDLED_SCENARIOS",
    "REPOSITORY",
    "SCHEMA",
    "Dialogue",
    "Endpoint",
    "Experiment",
    "Model",
    "Resampling",
    "Resources",
    "Scenarios",
    "States",
    "Synchrony",
    "load",
    "only",
    "schema",
    "slice_of",
]


def load(raw: Mapping[str, Any]) -> Experiment:
    """Check a configuration and give it as dataclasses.

    Parameters
    ----------
    raw : mapping
        What the YAML files say, config.yaml and its overrides merged.

    Raises
    ------
    SyncR2Error
        With every problem found, one a line, each with its key, what was found and what is allowed.
    """
    candidate, problems = examine(raw)
    problems += checks.check(candidate) + names.check(candidate) + judging.check(candidate)
    if problems:
        order = {key: i for i, key in enumerate(schema()["properties"])}
        # By section; within one, the schema's findings come first.
        problems.sort(key=lambda problem: order[str(problem.place[0])] if problem.place else -1)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise SyncR2Error(
            f"The configuration has {count}:\n"
            + "\n".join(f"  - {problem.text}".replace("\n", "\n    ") for problem in problems)
            + "\nCorrect it, then run again; docs/configuration.md explains every key."
        )
    return _experiment(candidate.raw)


def _experiment(raw: Mapping[str, Any]) -> Experiment:
    models = {}
    for entry in raw["models"]:
        spec = MiniatureSpec.from_dict(entry["miniature"]) if entry["miniature"] else None
        paths = {key: _local(entry[key]) for key in ("path", "chat_template")}
        endpoint = Endpoint(**entry["endpoint"]) if entry["endpoint"] else None
        parts = {
            "miniature": spec,
            "endpoint": endpoint,
            "server_arguments": tuple(entry["server_arguments"]),
        }
        models[entry["name"]] = Model(**{**entry, **paths, **parts})
    everyone = ids.unordered_pairs(list(models))
    pairs = everyone if raw["pairs"] == "all" else [_in_order(pair, list(models)) for pair in raw["pairs"]]
    scenarios = raw["scenarios"]
    return Experiment(
        results=Path(raw["results"]).expanduser(),
        scenarios=Scenarios(
            source=scenarios["source"],
            folder=checks.scenario_folder(scenarios),
            url=scenarios["public"]["url"],
            sha256=dict(scenarios["public"]["sha256"]),
            episodes=checks.n_episodes(scenarios),
        ),
        models=models,
        pairs=tuple(pairs),
        speaking_orders=raw["speaking_orders"],
        seeds=tuple(raw["seeds"]),
        prompts=Path(raw["prompts"]).expanduser(),
        dialogue=Dialogue(**raw["dialogue"]),
        vllm=ServerSettings(
            tuple(raw["vllm"]["command"]),
            tuple(raw["vllm"]["arguments"]),
            float(raw["vllm"]["start_deadline"]),
        ),
        states=States(**raw["states"]),
        synchrony=_synchrony(raw["synchrony"], len(raw["seeds"])),
        judges={entry["name"]: JudgeSettings.from_dict(entry) for entry in raw["judges"]},
        labellers={entry["name"]: LabellerSettings.from_dict(entry) for entry in raw["labels"]},
        probes=tuple(raw["probes"]),
        covariates=tuple(raw["statistics"]["covariates"]),
        max_failure_rate=raw["statistics"]["max_failure_rate"],
        resampling=Resampling(**{key: raw["statistics"][key] for key in ("draws", "relabellings", "seed")}),
        resources=Resources(**raw["resources"]),
        title=raw["report"]["title"],
        notice=raw["report"]["notice"],
    )


def _synchrony(raw: Mapping[str, Any], n_seeds: int) -> Synchrony:
    # The others stand under the same name in both.
    single = (
        "folds",
        "fold_seed",
        "bootstrap_draws",
        "null_draws",
        "baselines",
        "nonlinear",
        "device",
        "precision",
    )
    return Synchrony(
        protocols=tuple(raw["protocols"]),
        samples=None if raw["samples"] == "auto" else raw["samples"],
        penalty=float(raw["penalty"]),
        split_seeds=tuple(raw["split_seeds"]),
        # Pseudo pairs take two seeds; a pilot with one goes without them, whatever the key says.
        conditions=ids.conditions(
            raw["passive"], raw["lags"], raw["untrained"], raw["pseudo"] and n_seeds > 1
        ),
        group_by=tuple(raw["group_by"]),
        penalties=tuple(float(penalty) for penalty in raw["penalties"]),
        profile_lags=tuple(raw["profile_lags"]),
        memory_gb=float(raw["memory_gb"]),
        **{key: raw[key] for key in single},
    )


def _in_order(pair: Sequence[str], models: Sequence[str]) -> tuple[str, str]:
    """A pair in the order of the models, as every table names it, however the configuration does."""
    first, second = sorted(pair, key=models.index)
    return first, second


def _local(path: str | None) -> str | None:
    """A path with `~` written out, for libraries that do not know it; a Hugging Face id stays as it is."""
    return str(Path(path).expanduser()) if path and path.startswith("~") else path
