"""What a schema cannot say of models, judges and pairs: names that must differ or match, folders of models.

As in `checks`, only values that the schema found right are looked at.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from syncr2 import ids
from syncr2.addresses import is_address, without_secrets
from syncr2.config.schema import Candidate, Problem
from syncr2.config.words import Place, nearest
from syncr2.errors import SyncR2Error
from syncr2.judges.base import JudgeSettings
from syncr2.miniature_spec import MiniatureSpec

# Where a model may come from.
_SOURCES = ("path", "miniature", "endpoint")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# Columns that the table of pairs has anyway (results/statistics/pairs.tsv).
_PAIR_COLUMNS = ("model_1", "model_2", "family", "sync_r2", "social_performance", "label")


def check(candidate: Candidate) -> list[Problem]:
    """Everything wrong with models, judges and pairs that the schema could not see."""
    checks = (_models, _endpoints, _covariates, _pairs, _pairs_with_states, _judges)
    return [problem for each in checks for problem in each(candidate)]


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


def _models(candidate: Candidate) -> Iterator[Problem]:
    yield from _twice("models", _named(candidate, "models"))
    for i, model in enumerate(_items(candidate, "models")):
        at = candidate.where("models", i)
        right = {key: value for key, value in model.items() if candidate.sound(("models", i, key))}
        for key, text in _model(right):
            yield Problem(("models", i), f"{at}{key}: {text}")


def _model(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Problems of one model, each with its key. A key whose value the schema refused is not in `model`."""
    path, miniature, endpoint = (model.get(key) for key in _SOURCES)
    if str(model.get("family")).lower() == ids.CROSS_FAMILY:
        found = model["family"]
        yield ".family", f"found `{found}`, which is kept for pairs of two families; allowed: another name."
    if path and miniature is not None:
        yield "", "found both `path` and `miniature`; allowed: one of them."
    elif path:
        yield from ((".path", text) for text in _path(path))
    elif miniature is None and endpoint is None and set(_SOURCES) <= set(model):
        yield (
            "",
            "found none of `path`, `miniature` and `endpoint`; allowed: `path` or `miniature`, or `endpoint` "
            "alone (docs/configuration.md).",
        )
    if miniature is not None:
        try:
            MiniatureSpec.from_dict(_known(miniature, MiniatureSpec))
        except SyncR2Error as error:
            yield ".miniature", str(error).removeprefix("miniature: ")
    revision, template = model.get("revision"), model.get("chat_template")
    if revision and (miniature is not None or (path and Path(path).expanduser().is_dir())):
        yield ".revision", f"found `{revision}`, but only a Hugging Face id has revisions; leave it out."
    if template and not Path(template).expanduser().is_file():
        yield ".chat_template", f"found {template!r}, which is no file; allowed: a Jinja file, or null."
    if endpoint is not None:
        yield from _endpoint(endpoint, alone=not path and miniature is None, model=model)


def _endpoint(
    endpoint: Mapping[str, Any], alone: bool, model: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    if not is_address(endpoint["base_url"]):
        yield (
            ".endpoint.base_url",
            f"found {without_secrets(endpoint['base_url'])!r}; allowed: an address such as "
            "http://localhost:8000/v1, without user name, password or query (a key comes from the "
            "environment variable that `api_key_env` names).",
        )
    # What is only a name on a server brings its own format, and nobody here loads it.
    unset = {"chat_template": None, "thinking": None, "revision": None, "trust_remote_code": False}
    for key, value in unset.items():
        if alone and model.get(key, value) is not value:
            yield (
                f".{key}",
                "found beside `endpoint` alone; it means something with `path` only. Leave it out.",
            )


def _path(path: str) -> Iterator[str]:
    local = Path(path).expanduser()
    if local.is_dir():
        if not (local / "config.json").is_file():
            yield f"found the folder {path!r} without config.json; allowed: one that save_pretrained wrote."
    elif local.is_file():
        yield f"found {path!r}, which is a file; allowed: the model's folder, or a Hugging Face id."
    elif path.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(path):
        beside = (
            [each.name for each in local.parent.iterdir() if each.is_dir()] if local.parent.is_dir() else []
        )
        yield (
            f"found {path!r}, which does not exist; allowed: a folder that does, or a Hugging Face id "
            f"`owner/name`.{nearest(local.name, beside)}"
        )


def _endpoints(candidate: Candidate) -> Iterator[Problem]:
    """With the engine `openai` every model is spoken for by a server that runs already."""
    if not candidate.sound(("dialogue", "engine")) or candidate.raw["dialogue"]["engine"] != "openai":
        return
    for i, model in enumerate(_items(candidate, "models")):
        if candidate.sound(("models", i, "endpoint")) and model["endpoint"] is None:
            yield Problem(
                ("models", i, "endpoint"),
                f"{candidate.where('models', i)}.endpoint: found none, but dialogue.engine is `openai`, "
                "which starts no server; allowed: the address of one that runs, or another engine.",
            )


def _speaks_only(candidate: Candidate, index: int, model: Mapping[str, Any]) -> bool:
    """Whether a model is known by its endpoint alone, so that it has no states."""
    sound = candidate.sound(*(("models", index, key) for key in _SOURCES))
    return sound and bool(model.get("endpoint")) and not model.get("path") and model.get("miniature") is None


def _covariates(candidate: Candidate) -> Iterator[Problem]:
    """Each one asked for must be a number of every model."""
    of_model = {
        i: model["covariates"]
        for i, model in enumerate(_items(candidate, "models"))
        if candidate.sound(("models", i, "covariates"))
    }
    known = list(dict.fromkeys(name for covariates in of_model.values() for name in covariates))
    for i, name in candidate.sound_items("statistics", "covariates"):
        place: Place = ("statistics", "covariates", i)
        at = candidate.where(*place)
        if name in _PAIR_COLUMNS:
            yield Problem(
                place,
                f"{at}: found `{name}`, which is a column of the pairs anyway; allowed: another name, here "
                "and in the models.",
            )
        elif of_model and name not in known:
            hint = nearest(name, known) or f" They have {', '.join(known) or 'none'}."
            yield Problem(place, f"{at}: found `{name}`, which is a covariate of no model.{hint}")
        else:
            for k, covariates in of_model.items():
                if name not in covariates:
                    place = ("models", k, "covariates")
                    there = ", ".join(f"`{key}`" for key in covariates) or "none"
                    yield Problem(
                        place,
                        f"{candidate.where(*place)}: found {there}, but statistics.covariates asks for "
                        f"`{name}`. Give its value here, or take it off that list.",
                    )


def _pairs(candidate: Candidate) -> Iterator[Problem]:
    names = [name for _, name in _named(candidate, "models")]
    # A model whose own name is wrong may be the one that a pair means.
    all_known = 0 < len(names) == len(_items(candidate, "models"))
    first: dict[frozenset[str], int] = {}
    for i, pair in candidate.sound_items("pairs"):
        at = candidate.where("pairs", i)
        for name in dict.fromkeys(pair):
            if all_known and name not in names:
                hint = nearest(name, names) or f" Allowed: {', '.join(names)}."
                yield Problem(("pairs", i), f"{at}: found `{name}`, which is not among the models.{hint}")
        before = first.setdefault(frozenset(pair), i)
        if before != i:
            yield Problem(
                ("pairs", i),
                f"{at}: found {' and '.join(pair)}, which pairs[{before}] has already; allowed: each pair "
                "once, for both speaking orders are played.",
            )


def _pairs_with_states(candidate: Candidate) -> Iterator[Problem]:
    """SyncR² needs at least one pair of models that both have states."""
    if not candidate.sound(("pairs",), ("models",)):
        return
    models = _items(candidate, "models")
    without = {model["name"] for i, model in enumerate(models) if _speaks_only(candidate, i, model)}
    pairs = candidate.raw["pairs"]
    if pairs == "all":
        pairs = ids.unordered_pairs([model["name"] for model in models])
    if without and all(without & set(pair) for pair in pairs):
        yield Problem(
            ("pairs",),
            "pairs: found none of which both models have hidden states, and SyncR² needs them; allowed: at "
            "least one pair of models with `path` or `miniature`. Known by their `endpoint` alone: "
            f"{', '.join(sorted(without))}.",
        )


def _judges(candidate: Candidate) -> Iterator[Problem]:
    yield from _twice("judges", _named(candidate, "judges"))
    for i, judge in enumerate(_items(candidate, "judges")):
        at = candidate.where("judges", i)
        right = {key: value for key, value in judge.items() if candidate.sound(("judges", i, key))}
        if right.get("engine") == "openai":
            missing = [key for key in ("model", "base_url") if key in right and not right[key]]
            if missing:
                found = "neither `model` nor `base_url`" if len(missing) == 2 else f"no `{missing[0]}`"
                yield Problem(("judges", i), f"{at}: found {found}; the engine `openai` needs both.")
        if right.get("engine") == "vllm" and "model" in right and not right["model"]:
            yield Problem(("judges", i), f"{at}: found no `model`; the engine `vllm` needs one.")
        if right.get("engine") == "table" and "file" in right:
            file = right["file"]
            if not file:
                yield Problem(("judges", i), f"{at}: found no `file`; the engine `table` needs one.")
            elif not Path(file).expanduser().is_file():
                yield Problem(
                    ("judges", i), f"{at}.file: found {file!r}, which is no file; allowed: a table of scores."
                )
        try:
            # Any name, and the engine that needs nothing: what these two must be was said before.
            JudgeSettings.from_dict(_known({**right, "name": "?", "engine": "surface"}, JudgeSettings))
        except SyncR2Error as error:
            yield Problem(("judges", i), f"{at}: {str(error).removeprefix('Judge ?: ')}")


def _items(candidate: Candidate, key: str) -> list[Mapping[str, Any]]:
    """The sections of a list; one that is no section counts as empty, so that positions stay."""
    items = candidate.raw.get(key) if isinstance(candidate.raw, Mapping) else None
    return [item if isinstance(item, Mapping) else {} for item in items] if isinstance(items, list) else []


def _named(candidate: Candidate, key: str) -> list[tuple[int, str]]:
    """Positions and names of a list's sections, where the name is right."""
    items = enumerate(_items(candidate, key))
    return [(i, item["name"]) for i, item in items if candidate.sound((key, i, "name"))]


def _known(values: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Without the keys that the schema does not know, for it has named them already."""
    fields = {field.name for field in dataclasses.fields(kind)}
    return {key: value for key, value in values.items() if key in fields}
