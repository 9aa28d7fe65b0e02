"""The checked configuration, as frozen dataclasses.

`load` checks everything that can be known before anything runs and reports all problems at once. What may stand in a
configuration is in workflow/schemas/config.schema.yaml; the checks here are those that a schema cannot say.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from syncr2 import ids
from syncr2.errors import SyncR2Error
from syncr2.judges import JudgeSettings
from syncr2.miniatures import MiniatureSpec
from syncr2.prompts import TEMPLATES
from syncr2.scenarios import FILES as SCENARIO_FILES
from syncr2.scenarios import count_episodes

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMA = REPOSITORY / "workflow" / "schemas" / "config.schema.yaml"
BUNDLED_SCENARIOS = REPOSITORY / "resources" / "scenarios"
BUNDLED_PROMPTS = REPOSITORY / "resources" / "prompts"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


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
    """Where the episodes come from. `folder` is where the three files are read, or None for the public home."""

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
    """Ridge maps and SyncR². `samples` is None for as many as every condition of a pair has."""

    samples: int | None
    penalty: float
    split_seeds: tuple[int, ...]
    conditions: tuple[ids.Condition, ...]
    group_by: tuple[str, ...]


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


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a configuration."""
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


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
    problems = list(_schema_problems(raw))
    if not problems:
        filled = _with_defaults(raw, schema())
        problems = list(_semantic_problems(filled))
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise SyncR2Error(f"The configuration has {count}:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return _experiment(filled)


def _nearest(word: str, allowed: Iterable[str]) -> str:
    allowed = list(allowed)
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return f"did you mean `{close[0]}`?" if close else f"allowed: {', '.join(allowed)}."


def _schema_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    errors = Draft202012Validator(schema()).iter_errors(raw)
    for error in sorted(errors, key=lambda e: [str(part) for part in e.absolute_path]):
        yield from _explain(error)


def _where(error: ValidationError) -> str:
    path = ""
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".") or "top level"


def _explain(error: ValidationError) -> Iterator[str]:
    where, found, rule = _where(error), error.instance, error.schema
    match error.validator:
        case "additionalProperties":
            known = rule.get("properties", {})
            for key in found:
                if key not in known:
                    yield f"{where}: unknown key `{key}`; {_nearest(key, known)}"
        case "required":
            missing = [key for key in error.validator_value if key not in found]
            # jsonschema reports each missing key on its own.
            key = next(key for key in missing if f"'{key}'" in error.message)
            yield f"{where}: the key `{key}` is missing."
        case "type":
            allowed = error.validator_value
            names = allowed if isinstance(allowed, str) else " or ".join(allowed)
            yield f"{where}: found {found!r} ({type(found).__name__}); it must be of type {names}."
        case "enum":
            nearest = _nearest(str(found), map(str, error.validator_value))
            yield f"{where}: found {found!r}; {nearest} Allowed: {', '.join(map(str, error.validator_value))}."
        case "uniqueItems":
            repeated = sorted({str(item) for item in found if found.count(item) > 1})
            yield f"{where}: {', '.join(repeated)} stands there more than once; each may stand once."
        case "oneOf":
            yield f"{where}: found {found!r}; allowed: {_alternatives(rule)}."
        case "pattern":
            yield f"{where}: found {found!r}; it must match {error.validator_value}."
        case _:
            yield f"{where}: {error.message}."


def _alternatives(rule: Mapping[str, Any]) -> str:
    words = []
    for option in rule["oneOf"]:
        if "const" in option:
            words.append(f"`{option['const']}`")
        else:
            least = f" of at least {option['minimum']}" if "minimum" in option else ""
            words.append(f"{option['type']}{least}")
    return " or ".join(words)


def _with_defaults(value: Any, rule: Mapping[str, Any]) -> Any:
    """Fill in the schema's defaults (only list items have any; config.yaml holds the others)."""
    if isinstance(value, Mapping) and "properties" in rule:
        filled = {key: _with_defaults(item, rule["properties"].get(key, {})) for key, item in value.items()}
        for key, sub in rule["properties"].items():
            if "default" in sub:
                filled.setdefault(key, sub["default"])
        return filled
    if isinstance(value, list) and "items" in rule:
        return [_with_defaults(item, rule["items"]) for item in value]
    return value


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]


def _semantic_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    yield from _model_problems(raw)
    yield from _pair_problems(raw)
    yield from _scenario_problems(raw)
    yield from _prompt_problems(raw)
    yield from _synchrony_problems(raw)
    for name in _repeated(judge["name"] for judge in raw["judges"]):
        yield f"judges: the name `{name}` stands there more than once; names must differ."
    for judge in raw["judges"]:
        if judge["engine"] == "openai":
            for key in ("model", "base_url"):
                if not judge.get(key):
                    yield f"judges, `{judge['name']}`: the openai engine needs `{key}`."


def _model_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    for name in _repeated(model["name"] for model in raw["models"]):
        yield f"models: the name `{name}` stands there more than once; names must differ."
    for model in raw["models"]:
        where = f"models, `{model['name']}`"
        if model["family"] == ids.CROSS_FAMILY:
            yield f"{where}: the family name `{ids.CROSS_FAMILY}` is kept for pairs of two families; choose another."
        if model["miniature"] is not None:
            if model.get("path"):
                yield f"{where}: has both `path` and `miniature`; give one of them."
            try:
                MiniatureSpec.from_dict(model["miniature"])
            except SyncR2Error as error:
                yield f"{where}: {error}"
        else:
            yield from _path_problems(where, model.get("path"))
        if model["chat_template"] and not Path(model["chat_template"]).is_file():
            yield f"{where}: chat_template {model['chat_template']} is not a file."
        for covariate in raw["statistics"]["covariates"]:
            if covariate not in model["covariates"]:
                yield (
                    f"{where}: has no covariate `{covariate}`, which statistics.covariates asks for; "
                    "add it there or take it off the list."
                )


def _path_problems(where: str, path: str | None) -> Iterator[str]:
    if not path:
        yield f"{where}: needs `path` (a Hugging Face id or a local folder) or `miniature`."
        return
    folder = Path(path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            yield f"{where}: the folder {path} holds no config.json, so it is no saved model."
    elif path.startswith((".", "/", "~")) or not HUB_ID.fullmatch(path):
        yield f"{where}: the path {path} does not exist. Give a folder that does, or a Hugging Face id `owner/name`."


def _pair_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    if raw["pairs"] == "all":
        return
    names = [model["name"] for model in raw["models"]]
    for pair in raw["pairs"]:
        for name in pair:
            if name not in names:
                yield f"pairs: {pair} names `{name}`, which is not among the models; {_nearest(name, names)}"
    for pair in _repeated(" and ".join(sorted(pair)) for pair in raw["pairs"]):
        yield f"pairs: {pair} stands there more than once; both speaking orders are always played."


def _scenario_folder(raw: Mapping[str, Any]) -> Path | None:
    source, folder = raw["scenarios"]["source"], raw["scenarios"]["folder"]
    if source == "bundled":
        return BUNDLED_SCENARIOS
    return Path(folder).expanduser() if source == "local" and folder else None


def _scenario_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    settings = raw["scenarios"]
    folder = _scenario_folder(raw)
    if settings["source"] == "public":
        if settings["episodes"] == "all":
            yield "scenarios.episodes: `all` is not known before the files are fetched; give a number, such as 450."
        return
    if folder is None:
        yield f"scenarios.folder: source `local` needs a folder with {', '.join(SCENARIO_FILES)}."
        return
    missing = [name for name in SCENARIO_FILES if not (folder / name).is_file()]
    if missing:
        yield f"scenarios.folder: {folder} has no {', no '.join(missing)}; it must hold {', '.join(SCENARIO_FILES)}."
        return
    try:
        n_there = count_episodes(folder)
    except SyncR2Error as error:
        yield f"scenarios: {error}"
        return
    if settings["episodes"] != "all" and settings["episodes"] > n_there:
        yield f"scenarios.episodes: {settings['episodes']} asked for, {n_there} in {folder}."


def _prompt_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    folder = Path(raw["prompts"])
    missing = [f"{name}.jinja" for name in TEMPLATES if not (folder / f"{name}.jinja").is_file()]
    if missing:
        yield f"prompts: {folder} has no {', no '.join(missing)}. Copy resources/prompts and change the copy."


def _n_episodes(raw: Mapping[str, Any]) -> int | None:
    wanted = raw["scenarios"]["episodes"]
    if wanted != "all":
        return int(wanted)
    folder = _scenario_folder(raw)
    try:
        return count_episodes(folder) if folder else None
    except SyncR2Error:
        return None  # reported by _scenario_problems


def _synchrony_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    max_turns, settings = raw["dialogue"]["max_turns"], raw["synchrony"]
    longest = max_turns - 2  # agent 2 speaks first at turn 1, and its target must come before max_turns
    usable = [1]
    for lag in settings["lags"]:
        if lag % 2 == 0:
            yield f"synchrony.lags: {lag} is even, but the partner speaks at odd distances only; take {lag - 1} or {lag + 1}."
        elif lag == 1:
            yield "synchrony.lags: 1 is the interaction itself and always computed; list only longer lags."
        elif lag > longest:
            yield (
                f"synchrony.lags: {lag} is longer than {max_turns} turns allow (dialogue.max_turns); "
                f"the longest possible is {longest - (longest + 1) % 2}."
            )
        else:
            usable.append(lag)
    if max_turns < 3:
        yield f"dialogue.max_turns: {max_turns} leaves no turn after agent 2's first; at least 3 are needed."
        return
    n_episodes = _n_episodes(raw)
    if settings["samples"] != "auto" and n_episodes:
        lag = max(usable)
        sources = len(range(1, max_turns - lag, 2))
        possible = n_episodes * len(raw["seeds"]) * sources
        if settings["samples"] > possible:
            yield (
                f"synchrony.samples: {settings['samples']} asked for, but {n_episodes} episodes × {len(raw['seeds'])} seeds × "
                f"{sources} turns at lag {lag} give {possible} at most; lower it or set `auto`."
            )


def _experiment(raw: Mapping[str, Any]) -> Experiment:
    models = {}
    for entry in raw["models"]:
        spec = MiniatureSpec.from_dict(entry["miniature"]) if entry["miniature"] else None
        models[entry["name"]] = Model(**{"path": None, "revision": None, **entry, "miniature": spec})
    pairs = ids.unordered_pairs(list(models)) if raw["pairs"] == "all" else [tuple(pair) for pair in raw["pairs"]]
    scenarios, synchrony = raw["scenarios"], raw["synchrony"]
    return Experiment(
        results=Path(raw["results"]),
        scenarios=Scenarios(
            source=scenarios["source"],
            folder=_scenario_folder(raw),
            url=scenarios["public"]["url"],
            sha256=dict(scenarios["public"]["sha256"]),
            episodes=_n_episodes(raw) or 0,
        ),
        models=models,
        pairs=tuple(pairs),
        seeds=tuple(raw["seeds"]),
        prompts=Path(raw["prompts"]),
        dialogue=Dialogue(**raw["dialogue"]),
        states=States(**raw["states"]),
        synchrony=Synchrony(
            samples=None if synchrony["samples"] == "auto" else synchrony["samples"],
            penalty=float(synchrony["penalty"]),
            split_seeds=tuple(synchrony["split_seeds"]),
            conditions=ids.conditions(synchrony["passive"], synchrony["lags"]),
            group_by=tuple(synchrony["group_by"]),
        ),
        judges={entry["name"]: JudgeSettings.from_dict(entry) for entry in raw["judges"]},
        covariates=tuple(raw["statistics"]["covariates"]),
        max_failure_rate=raw["statistics"]["max_failure_rate"],
        resources=Resources(**raw["resources"]),
        title=raw["report"]["title"],
        notice=raw["report"]["notice"],
    )


def slice_of(settings: Any, *leave_out: str) -> dict[str, Any]:
    """A dataclass as a plain dict for a rule's params, without keys that cannot change a result."""
    return {key: value for key, value in asdict(settings).items() if key not in leave_out}
