"""Configurations for the tests: the project's own, changes laid over them, and what is found wrong."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from syncr2.config import load
from syncr2.errors import SyncR2Error

REPOSITORY = Path(__file__).resolve().parents[2]
MINIATURE = {
    **{"seed": 1, "architecture": "mistral", "layers": 2, "hidden_size": 32, "intermediate_size": 64},
    **{"heads": 4, "kv_heads": 2, "vocabulary": 512, "context": 512, "chat_format": "mistral"},
}
LLAMA = {"family": "llama", "path": "owner/name", "covariates": {"ifeval": 0.5, "musr": 0.1}}
ENDPOINT = {"engine": "openai", "model": "some/model", "base_url": "http://localhost:8000/v1"}


@functools.cache
def _parsed(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))


def read_yaml(name: str) -> Any:
    """One of the configurations at the root of the repository, for the caller to change."""
    return copy.deepcopy(_parsed(name))


def merged(base: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Sections merge key by key; anything else replaces."""
    result = copy.deepcopy(dict(base)) if isinstance(base, Mapping) else {}
    for key, value in changes.items():
        result[key] = merged(result.get(key), value) if isinstance(value, Mapping) else copy.deepcopy(value)
    return result


def problems(changes: str | dict[str, Any]) -> list[str]:
    """The problems of a configuration with changes, one a line of the message."""
    over = yaml.safe_load(changes) if isinstance(changes, str) else changes
    with pytest.raises(SyncR2Error) as raised:
        load(merged(read_yaml("config.yaml"), over))
    head, *found = str(raised.value).split("\n  - ")
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    assert head == f"The configuration has {count}:"
    found[-1], _, tail = found[-1].rpartition("\n")
    assert "docs/configuration.md" in tail
    # A problem of several lines is indented as one.
    assert all(line.startswith("    ") for each in found for line in each.split("\n")[1:])
    return found


def of_models(*models: dict[str, Any]) -> list[str]:
    """The problems of a list of models, each given only in what matters."""
    return problems({"models": [{**LLAMA, "name": f"model-{i}", **model} for i, model in enumerate(models)]})


def of_judge(**values: Any) -> list[str]:
    return problems({"judges": [{"name": "gpt", **ENDPOINT, **values}]})


def cases(text: str) -> list[tuple[str, str]]:
    """Cases parted by empty lines: what is given on the first line, the problem expected on the others."""
    parts = (part.split("\n", 1) for part in text.strip().split("\n\n"))
    return [(given, " ".join(expected.split("\n"))) for given, expected in parts]
