"""What an estimator is given: states as layers, and rows in splits, checked and in one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, KFold, check_cv
from sklearn.utils.validation import check_array

from syncr2.errors import SyncR2Error
from syncr2.maps.folds import LEAST_FOLDS
from syncr2.maps.ridge import Layers
from syncr2.maps.samples import max_samples, paper_split
from syncr2.store import StackedStates

# Seeds of the published random splits.
SPLIT_SEEDS = (0, 1, 2)

Rows = NDArray[np.intp]
Splits = list[tuple[Rows, Rows]]


class StatesError(SyncR2Error, ValueError):
    """Input that cannot be fitted; also a ValueError, which scikit-learn's tools expect of an estimator."""


def is_stack(states: Any) -> bool:
    """Whether states are a sequence of layers rather than one."""
    if hasattr(states, "shape"):
        return len(states.shape) == 3
    if hasattr(states, "__array__") or isinstance(states, str | Mapping):
        return False
    is_sequence = hasattr(states, "__len__") and hasattr(states, "__getitem__")
    return is_sequence and len(states) > 0 and np.ndim(states[0]) == 2


def is_flat(states: Any) -> bool:
    """Whether one layer is given as one dimension, (n_samples,)."""
    return np.asarray(states).ndim == 1


def as_layers(states: Any, name: str, least_rows: int) -> Layers:
    """States as layers, each (n_samples, d).

    Parameters
    ----------
    states : array_like or sequence of array_like
        See `SyncR2`, Notes; what is 1-D is one layer of one dimension.
    name : str
        In messages.
    least_rows : int

    Raises
    ------
    StatesError
        If a layer is not numeric, finite and two-dimensional, or layers differ in their samples.
    """
    if not is_stack(states):
        one = checked(partial(check_array, ensure_2d=False), states, name, least_rows)
        return [one.reshape(len(one), -1)]
    if hasattr(states, "shape"):
        n_layers, n_samples, _ = states.shape
        if n_layers == 0 or n_samples < least_rows:
            raise StatesError(
                f"{name} is {tuple(states.shape)}; at least 1 layer and {least_rows} samples are needed."
            )
        if not isinstance(states, np.ndarray):
            # On disk or a device: read a layer at a time, which is when its values are checked.
            return states
    layers = [checked(check_array, states[i], f"{name}[{i}]", least_rows) for i in range(len(states))]
    sizes = [len(layer) for layer in layers]
    if len(set(sizes)) > 1:
        raise StatesError(f"Layers of {name} must have the same samples; found {sizes} samples.")
    return layers


def check_layers_first(states: Any, name: str) -> None:
    """Refuse an array of more layers than samples: scikit-learn's habit is to put samples first.

    Raises
    ------
    StatesError
        If so; a list of layers says that it is meant.
    """
    if not is_stack(states) or not hasattr(states, "shape") or isinstance(states, StackedStates):
        return
    n_layers, n_samples, _ = states.shape
    if n_layers > n_samples:
        raise StatesError(
            f"{name} is {tuple(states.shape)}: {n_layers} layers of {n_samples} samples. Layers come first; "
            f"are they second here? Swap the axes, or pass list({name}) if this is meant."
        )


def make_splits(cv: Any, n_samples: int, groups: ArrayLike | None) -> Splits:
    """Training and test rows of every split.

    Parameters
    ----------
    cv
        See `SyncR2`.
    n_samples : int
    groups : array_like, shape (n_samples,), optional

    Raises
    ------
    StatesError
        If groups do not fit the samples, a group or a sample is on both sides, a side has fewer than two
        rows, or there are no splits.
    """
    labels = None if groups is None else np.asarray(groups)
    if labels is not None and labels.shape != (n_samples,):
        raise StatesError(f"groups must be ({n_samples},), one a sample; found shape {labels.shape}.")
    splits = _published_splits(n_samples, labels) if cv is None else _splits_of(cv, n_samples, labels)
    for i, sides in enumerate(splits):
        if min(map(len, sides)) < 2:
            raise StatesError(
                f"Split {i} has {len(sides[0])} training and {len(sides[1])} test rows of {n_samples} "
                "samples; at least 2 each are needed. Bring more samples, or set `cv` to fewer folds."
            )
        what, of = ("sample", np.arange(n_samples)) if labels is None else ("group", labels)
        both = set(of[sides[0]].tolist()) & set(of[sides[1]].tolist())
        if both:
            raise StatesError(
                f"Split {i} of cv={cv!r} has {what} {min(both)!r} in training and test. Set `cv` to a number "
                "of folds or to a splitter by group, such as GroupKFold."
            )
    return splits


def _published_splits(n_samples: int, labels: NDArray | None) -> Splits:
    group = np.arange(n_samples)
    if labels is not None:
        _, first, which = np.unique(labels, return_index=True, return_inverse=True)
        group = first.argsort().argsort()[which]
    counts = np.bincount(group)
    if len(counts) < 2:
        raise StatesError("All samples are of one group; a split needs at least two groups.")
    drawn = [paper_split(counts, max_samples(counts), seed) for seed in SPLIT_SEEDS]
    return [(_rows_of(group, split.train), _rows_of(group, split.test)) for split in drawn]


def _rows_of(group: Rows, chosen: Rows) -> Rows:
    return np.flatnonzero(np.isin(group, chosen))


def _splits_of(cv: Any, n_samples: int, labels: NDArray | None) -> Splits:
    try:
        if isinstance(cv, Integral):
            cv = KFold(cv) if labels is None else GroupKFold(cv)
        splits = check_cv(cv).split(np.zeros((n_samples, 1)), groups=labels)
        every = np.arange(n_samples)
        found = [(every[train], every[test]) for train, test in splits]
    except (ValueError, IndexError) as error:
        have = "no groups" if labels is None else f"{len(set(labels))} groups"
        raise StatesError(f"cv={cv!r} cannot split {n_samples} samples of {have}: {error}") from None
    if not found:
        raise StatesError(f"cv={cv!r} gives no splits. An iterator gives its splits once; pass a list.")
    return found


def fold_of_rows(splits: Splits) -> Rows:
    """The fold of every row, from splits that test each row once and train on all others.

    Raises
    ------
    StatesError
        If they do not.
    """
    tested = np.concatenate([test for _, test in splits])
    every = np.arange(len(tested))
    whole = all(np.array_equal(np.sort(np.concatenate(sides)), every) for sides in splits)
    if len(splits) < LEAST_FOLDS or not whole or not np.array_equal(np.sort(tested), every):
        raise StatesError(
            "Choosing penalty or target layer on inner folds needs a `cv` that tests every row once and "
            f"trains on all others, in at least {LEAST_FOLDS} folds. Set cv=5 or, with groups in fit, "
            "cv=GroupKFold(5); the published random split (None) does not do. Or choose nothing: one penalty "
            "and target_layer='max'."
        )
    fold = np.empty(len(tested), dtype=np.intp)
    for i, (_, test) in enumerate(splits):
        fold[test] = i
    return fold


def checked(check: Callable[..., NDArray], states: Any, name: str, least_rows: int) -> NDArray:
    """A layer by scikit-learn's own checks, its number format kept."""
    try:
        return check(states, ensure_min_samples=least_rows)
    except ValueError as error:
        raise StatesError(f"In {name}: {error}") from None


def same_rows(source: Layers, target: Layers) -> int:
    """The number of samples of both; `StatesError` where they differ."""
    n_source, n_target = (_n_samples(layers) for layers in (source, target))
    if n_source != n_target:
        raise StatesError(
            f"X and y must have the same samples, row i of y for row i of X; found {n_source} and {n_target}."
        )
    return n_source


def _n_samples(layers: Layers) -> int:
    return len(layers[0]) if isinstance(layers, list) else layers.shape[1]  # type: ignore[attr-defined]


def same_layers(found: int, fitted: int, name: str) -> None:
    """`StatesError` where there are not as many layers as were fitted."""
    if found != fitted:
        raise StatesError(
            f"{name} has {found} layer{'s' * (found != 1)}, but SyncR2 was fitted with {fitted}. Give all "
            "layers, in the same order."
        )
