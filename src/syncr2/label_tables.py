"""What labellers said, by pair of models; and labels of numbers as measures of what a pair does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from syncr2 import ids
from syncr2.labels import Labels
from syncr2.statistics import Resampling, robustness_table

_STATUSES = ("failed", "refused", "truncated")
_KEYS = ["labeller", "model_1", "model_2"]


def label_table(records: Iterable[Mapping[str, Any]], family: Mapping[str, str]) -> pd.DataFrame:
    """How often each class was given, or the mean of a number, by labeller and unordered pair.

    Parameters
    ----------
    records : iterable of mapping
        Format syncr2/labels/1.
    family : mapping
        Family of each model, in the order of the config.

    Returns
    -------
    DataFrame
        A row a labeller, pair, label and class (empty for a number): `value` (mean over labelled turns of a
        dialogue, then over dialogues), `n_dialogues`, `n_labelled`, `failure_rate` (0..1, whatever is not
        "ok"), and how many failed, were refused or cut off. A label that no dialogue of the pair has is
        not there; a pair without any labelled dialogue has one row without label.
    """
    place = {model: i for i, model in enumerate(family)}
    statuses: dict[tuple[str, str, str], list[str]] = {}
    values: dict[tuple[str, str, str], dict[tuple[str, str], list[float]]] = {}
    for record in records:
        first, second = sorted((record["agent1"], record["agent2"]), key=place.__getitem__)
        key = record["labeller"], first, second
        statuses.setdefault(key, []).append(record["status"])
        for name, turns in (record["labels"] or {}).items():
            for part, mean in _means(turns).items():
                values.setdefault(key, {}).setdefault((name, part), []).append(mean)
    rows = []
    for key, found in statuses.items():
        count = {
            "n_dialogues": len(found),
            "n_labelled": found.count("ok"),
            "failure_rate": 1 - found.count("ok") / len(found),
            **{f"n_{status}": found.count(status) for status in _STATUSES},
        }
        who = {**dict(zip(_KEYS, key, strict=True)), "family": ids.pair_family(key[1], key[2], family)}
        own = values.get(key, {})
        words = {name for name, part in own if part}
        for (name, part), means in sorted(own.items()) or [(("", ""), [np.nan])]:
            # A class that a dialogue lacks has the share 0 in it, if the dialogue has the label at all.
            n = (
                max(len(each) for (other, _), each in own.items() if other == name)
                if name in words
                else len(means)
            )
            rows.append({**who, "label": name, "class": part, "value": sum(means) / n, **count})
    columns = [*_KEYS, "family", "label", "class", "value", "n_dialogues", "n_labelled", "failure_rate"]
    return pd.DataFrame(rows, columns=[*columns, *(f"n_{status}" for status in _STATUSES)])


def _means(turns: Iterable[Any]) -> dict[str, float]:
    """Share of each class among the turns that have the label, or the mean of a number as class ``""``."""
    there = [value for value in turns if value is not None]
    total: dict[str, float] = {}
    for value in there:
        if isinstance(value, Mapping):
            parts: Mapping[str, float] = value
        else:
            parts = {"": float(value)} if isinstance(value, int | float) else {str(value): 1.0}
        for part, share in parts.items():
            total[part] = total.get(part, 0.0) + share
    return {part: value / len(there) for part, value in total.items()}


def label_correlations(
    measures: Mapping[str, pd.DataFrame],
    tables: Mapping[str, Labels],
    family: Mapping[str, str],
    how: Resampling,
) -> pd.DataFrame:
    """Correlate measures of synchrony with labels of numbers over pairs, as with social performance.

    Parameters
    ----------
    measures : mapping
        `model_1`, `model_2`, `family`, `sync_r2` by name of the measure.
    tables : mapping
        Tables of labels by labeller.
    family : mapping
    how : Resampling

    Returns
    -------
    DataFrame
        As `robustness_table` gives it, with `labeller` and `label` in place of judge and scale. Pairs of
        which nothing is labelled are not in a row's n.
    """
    parts = []
    for labeller, labels in tables.items():
        numbers = [name for name in labels.names if pd.api.types.is_float_dtype(labels.table[name])]
        for name in numbers:
            by_pair = labels.by_pair(name, family).drop(columns="n_judged")
            there = by_pair[["model_1", "model_2"]]
            own = {key: table.merge(there, on=["model_1", "model_2"]) for key, table in measures.items()}
            part = robustness_table(own, by_pair, family, how)
            part.insert(0, "labeller", labeller)
            parts.append(part.rename(columns={"judge": "label"}).drop(columns="scale", errors="ignore"))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["labeller", "label"])
