"""What probes look for: labels of the partner's utterances at the rows of the source's states.

A row is a state of the source at turn t, when it is about to speak and has heard turns 0 to t − 1. Its
`current` target is the label of turn t − 1, the utterance heard last, its `next` one that of turn t + 1, the
partner's reply. Rows before which nothing was said are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.maps.samples import Row

TARGETS = {"current": -1, "next": 1}
OTHER = "other"
# Numbers with more different values are amounts, not classes.
MOST_CLASSES = 20

# Labels of every turn of a dialogue, by (episode, seed).
LabelsOf = Mapping[tuple[str, int], Sequence[Any]]


class Target(NamedTuple):
    """One label at some of the rows.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_classes)
        Distribution over the classes; one class where the label is a word. Zero where a row is left out.
    kept : ndarray of bool, shape (n_rows,)
        Rows that have a label of one of the classes.
    classes : tuple of str
    reason : str
        Why there is nothing to predict; empty where there is.
    """

    values: NDArray[np.float64]
    kept: NDArray[np.bool_]
    classes: tuple[str, ...]
    reason: str


def labels_of(records: Iterable[Mapping[str, Any]], name: str) -> dict[tuple[str, int], Sequence[Any]]:
    """One label of every dialogue that was labelled, from records of format syncr2/labels/1."""
    return {
        (record["episode_id"], record["seed"]): record["labels"][name]
        for record in records
        if record["status"] == "ok" and name in record["labels"]
    }


def target_of(
    rows: Sequence[Row], labels: LabelsOf, offset: int, environment: NDArray[np.intp], least: int
) -> Target:
    """Put the label `offset` turns from each row beside it.

    A class that is the likeliest in fewer than `least` environments cannot be learnt on one part of them and
    tested on another. Such classes are pooled into one, `other`; where that has too few environments, too,
    their rows are left out.

    Parameters
    ----------
    rows : sequence of Row
    labels : mapping
    offset : int
    environment : ndarray of int, shape (n_rows,)
    least : int

    Raises
    ------
    SyncR2Error
        If a label is a number of more than `MOST_CLASSES` values.
    """
    found = [_value(labels.get((row.episode_id, row.seed)), row.turn + offset) for row in rows]
    names = sorted({name for value in found for name in value})
    if len(names) > MOST_CLASSES:
        raise SyncR2Error(
            f"A label to be probed has {len(names)} different values ({', '.join(names[:4])}, …); a probe "
            f"tells classes apart, at most {MOST_CLASSES}. Take it off `probes`, or give the table a column "
            "with classes."
        )
    values = np.array([[value.get(name, 0.0) for name in names] for value in found])
    values = values.reshape(len(rows), len(names))
    kept = values.sum(axis=1) > 0
    values, names = _pooled(values, names, kept, environment, least)
    kept &= values.sum(axis=1) > 0
    values[~kept] = 0.0
    values[kept] /= values[kept].sum(axis=1, keepdims=True)
    reason = ""
    if not kept.any():
        reason = "no row has a label"
    elif len(names) < 2:
        reason = f"never other than {names[0]}" if names else f"no class in {least} environments"
    return Target(values, kept, tuple(names), reason)


def _value(labels: Sequence[Any] | None, turn: int) -> Mapping[str, float]:
    """A label as a distribution; empty where there is none."""
    value = labels[turn] if labels is not None and 0 <= turn < len(labels) else None
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    return {f"{value:g}" if isinstance(value, float | int) else str(value): 1.0}


def _pooled(
    values: NDArray[np.float64],
    names: list[str],
    kept: NDArray[np.bool_],
    environment: NDArray[np.intp],
    least: int,
) -> tuple[NDArray[np.float64], list[str]]:
    if not kept.any():
        return values, []
    likeliest = values.argmax(axis=1)

    def environments(classes: Sequence[int]) -> int:
        return len(np.unique(environment[kept & np.isin(likeliest, classes)]))

    common = [k for k in range(len(names)) if environments([k]) >= least]
    rare = [k for k in range(len(names)) if k not in common]
    columns, found = [values[:, k] for k in common], [names[k] for k in common]
    if environments(rare) >= least:
        columns, found = [*columns, values[:, rare].sum(axis=1)], [*found, OTHER]
    elif common:
        # A row whose likeliest class is gone says little by what is left of it.
        columns = [np.where(np.isin(likeliest, rare), 0.0, column) for column in columns]
    return np.array(columns).T.reshape(len(values), len(found)), found


def shuffled(
    target: Target,
    rows: Sequence[Row],
    fold: NDArray[np.intp],
    n_draws: int,
    seed: int,
) -> NDArray[np.float64]:
    """Labels given to other dialogues of the same fold, whole dialogues at a time, in their order.

    A dialogue with more rows than the one whose labels it gets starts over with them.

    Returns
    -------
    ndarray, shape (n_draws, n_rows, n_classes)
    """
    generator = np.random.default_rng(seed)
    places: dict[tuple[int, str, int], list[int]] = {}
    for i in np.flatnonzero(target.kept).tolist():
        places.setdefault((int(fold[i]), rows[i].episode_id, rows[i].seed), []).append(i)
    found = np.repeat(target.values[None], n_draws, axis=0)
    for draw in range(n_draws):
        for each in range(int(fold.max()) + 1):
            own = [places[key] for key in sorted(places) if key[0] == each]
            for to, taken in zip(own, generator.permutation(len(own)), strict=True):
                source = own[int(taken)]
                found[draw, to] = target.values[[source[i % len(source)] for i in range(len(to))]]
    return found
