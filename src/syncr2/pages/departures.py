"""Where a run is set up otherwise than the study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from syncr2.config import Experiment
from syncr2.pages.layout import counted, plain

_JUDGE = "gpt-oss-120b"
_SEEDS = 3
_LAGS = [3, 5]


def departures(
    experiment: Experiment, raw: Mapping[str, Any], schema: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Settings that are not the study's: the key, the value here, the published one.

    Parameters
    ----------
    experiment : Experiment
        The configuration, checked.
    raw : mapping
        The same as the YAML files say it.
    schema : mapping
        Its JSON Schema, which knows the published values. Models are compared elsewhere.
    """
    found = list(_single(raw, schema))
    for key, seeds in (
        ("seeds", experiment.seeds),
        ("synchrony.split_seeds", experiment.synchrony.split_seeds),
    ):
        if len(seeds) != _SEEDS:
            found.append((key, counted(len(seeds), "seed"), counted(_SEEDS, "seed")))
    lags = list(raw["synchrony"]["lags"])
    if lags != _LAGS:
        found.append(("synchrony.lags", plain(lags), plain(_LAGS)))
    if not all(_JUDGE in (judge.model or "") for judge in experiment.judges.values()):
        judges = (f"{name} ({judge.model or judge.engine})" for name, judge in experiment.judges.items())
        found.append(("judges", ", ".join(judges), _JUDGE))
    return found


def _single(raw: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Keys of the sections whose published value is a value that they could have, not a description."""
    for section, rule in schema["properties"].items():
        for key, sub in rule.get("properties", {}).items():
            published = sub.get("x-published")
            value = isinstance(published, bool | int | float)
            if value or (published is not None and published in sub.get("enum", ())):
                here = raw[section].get(key, sub.get("default"))
                if here != published:
                    yield f"{section}.{key}", plain(here), plain(published)
