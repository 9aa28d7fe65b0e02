"""What a schema cannot say of models and pairs: names that must differ or match, folders of models.

As in `checks`, only values that the schema found right are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from syncr2 import ids
from syncr2.config.schema import Candidate, Problem
from syncr2.config.sections import known_keys, named_twice, names_of, sections, sound_sections
from syncr2.config.words import Place, nearest
from syncr2.models.miniature_spec import MiniatureSpec
from syncr2.serving.addresses import is_address, without_secrets

# Where a model may come from.
_SOURCES = ("path", "miniature", "endpoint")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# Columns that the table of pairs has anyway (results/statistics/pairs.tsv).
_PAIR_COLUMNS = ("model_1", "model_2", "family", "sync_r2", "social_performance", "label")


def check(candidate: Candidate) -> list[Problem]:
    """Everything wrong with models and pairs that the schema could not see."""
    checks = (_models, _endpoints, _published_format, _covariates, _pairs, _pairs_with_states)
    return [problem for each in checks for problem in each(candidate)]


def _models(candidate: Candidate) -> Iterator[Problem]:
    yield from named_twice(candidate, "models")
    for i, right in enumerate(sound_sections(candidate, "models")):
        at = candidate.where("models", i)
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
        yield from ((".path", text) for text in path_problems(path))
    elif miniature is None and endpoint is None and set(_SOURCES) <= set(model):
        yield (
            "",
            "found none of `path`, `miniature` and `endpoint`; allowed: `path` or `miniature`, or `endpoint` "
            "alone (docs/configuration.md).",
        )
    if miniature is not None:
        for problem in MiniatureSpec.problems_of(known_keys(miniature, MiniatureSpec)):
            yield ".miniature", problem
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


def path_problems(path: str) -> Iterator[str]:
    """What is wrong with a model's path: it is neither its folder nor a Hugging Face id."""
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
    for i, model in enumerate(sections(candidate, "models")):
        if candidate.sound(("models", i, "endpoint")) and model["endpoint"] is None:
            yield Problem(
                ("models", i, "endpoint"),
                f"{candidate.where('models', i)}.endpoint: found none, but dialogue.engine is `openai`, "
                "which starts no server; allowed: the address of one that runs, or another engine.",
            )


def _published_format(candidate: Candidate) -> Iterator[Problem]:
    """The published protocol writes chat formats by hand, so it needs the model's tokenizer."""
    if not candidate.sound(("dialogue", "protocol")) or candidate.raw["dialogue"]["protocol"] != "paper":
        return
    for i, model in enumerate(sections(candidate, "models")):
        if _speaks_only(candidate, i, model):
            yield Problem(
                ("models", i, "endpoint"),
                f"{candidate.where('models', i)}: found `endpoint` alone, but dialogue.protocol is `paper`, "
                "whose chat formats need the model's tokenizer; allowed: its `path` beside `endpoint`, or "
                "another protocol (`corrected`).",
            )


def _speaks_only(candidate: Candidate, index: int, model: Mapping[str, Any]) -> bool:
    """Whether a model is known by its endpoint alone, so that it has no states."""
    sound = candidate.sound(*(("models", index, key) for key in _SOURCES))
    return sound and bool(model.get("endpoint")) and not model.get("path") and model.get("miniature") is None


def _covariates(candidate: Candidate) -> Iterator[Problem]:
    """Each one asked for must be a number of every model."""
    of_model = {
        i: model["covariates"]
        for i, model in enumerate(sections(candidate, "models"))
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
    names = [name for _, name in names_of(candidate, "models")]
    # A model whose own name is wrong may be the one that a pair means.
    all_known = 0 < len(names) == len(sections(candidate, "models"))
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
                "once; `speaking_orders` says who opens.",
            )


def _pairs_with_states(candidate: Candidate) -> Iterator[Problem]:
    """SyncR² needs at least one pair of models that both have states."""
    if not candidate.sound(("pairs",), ("models",)):
        return
    models = sections(candidate, "models")
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
