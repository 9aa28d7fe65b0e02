r"""Multinomial logistic regression with a ridge penalty: many models of the same rows at once.

A model minimises, over weights W (d, n_classes) and an unpenalised intercept b,

    Σ_i −Σ_k q_ik log softmax(W^T x_i + b)_k  +  λ/2 ‖W‖²

where q_i is a class or a distribution over classes. It is what scikit-learn's LogisticRegression fits with
C = 1/λ. Models that differ in their training rows, penalty or targets are fitted side by side, so that the
work is products of large matrices, on the CPU or a GPU; scikit-learn fits them one after another
(`benchmarks/probes.py` has the times).

Rows are first rotated to the principal axes of the training rows, which changes no prediction: the penalty is
the same in all directions, and directions without rows get no weight. There the curvature of the loss has a
diagonal bound, ½ s² + λ with s² the sum of squares along an axis (Böhning 1992), also for any part of the
rows. Dividing the gradient by it makes steps that never overshoot, and Nesterov's momentum with restarts
(O'Donoghue and Candès 2015) makes few of them enough.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.maps.backends import Array, Backend

TOLERANCE = 1e-10
MOST_STEPS = 1000
# Models that are done are computed along with the others until fewer than this share are left: to take them
# out costs a copy of everything.
_WORTH_DROPPING = 0.75
# Axes with less of the largest sum of squares are rounding.
_RANK = 1e-11


class Rotated(NamedTuple):
    """Training and test rows on the principal axes of the training rows, with a column of ones first.

    Attributes
    ----------
    train, test : array, shape (n_rows, 1 + n_axes)
    squares : ndarray, shape (1 + n_axes,)
        Sum of squares of each column of `train`.
    """

    train: Array
    test: Array
    squares: NDArray[np.float64]


def rotate(on: Backend, train: Array, test: Array) -> Rotated:
    """Centre rows on the training mean and rotate them; exact, whether there are more rows or dimensions.

    Parameters
    ----------
    train, test : array, shape (n_rows, d), float64
    """
    mean = train.mean(0)
    train, test = train - mean, test - mean
    n, d = train.shape
    squares, vectors = on.eigh(train.T @ train if d <= n else train @ train.T)
    found = on.numpy(squares)
    first = int((found <= _RANK * max(found[-1], 0.0)).sum()) if found[-1] > 0 else len(found)
    squares = squares[first:]
    axes = vectors[:, first:] if d <= n else train.T @ (vectors[:, first:] / squares**0.5)
    parts = []
    for rows in (train, test):
        out = on.zeros((len(rows), 1 + len(found) - first), "float64")
        out[:, 0] = 1.0
        out[:, 1:] = rows @ axes
        parts.append(out)
    return Rotated(parts[0], parts[1], np.concatenate([[float(n)], found[first:]]))


class Models(NamedTuple):
    """Models to be fitted on the same rows.

    Attributes
    ----------
    targets : ndarray, shape (n_targets, n_rows, n_classes)
        Distributions over the classes.
    target : ndarray of int, shape (n_models,)
        Which of the targets each model has.
    rows : ndarray of bool, shape (n_models, n_rows)
        The rows that each model is fitted on.
    penalty : ndarray, shape (n_models,)
        Above 0.
    """

    targets: NDArray[np.float64]
    target: NDArray[np.intp]
    rows: NDArray[np.bool_]
    penalty: NDArray[np.float64]


def fit(
    on: Backend, data: Rotated, models: Models, tolerance: float = TOLERANCE, dtype: str = "float64"
) -> Array:
    """Fit all models.

    Parameters
    ----------
    on : Backend
    data : Rotated
    models : Models
    tolerance : float
        A model is done when a step would bring its loss down by less than this, in nats a row. 1e-10 is right
        to about 1e-4 in the predicted probabilities, 1e-7 to a few 1e-3.
    dtype : {"float64", "float32"}
        Of the computation; "float32" is for tolerances of 1e-7 and more.

    Returns
    -------
    array, shape (1 + n_axes, n_models, n_classes)
        Intercepts first, then weights.
    """
    n_models, n_classes = len(models.target), models.targets.shape[2]
    width, train = len(data.squares), on.cast(data.train, dtype)
    penalty = np.repeat(models.penalty[None], width, axis=0)
    penalty[0] = 0.0
    # Models come last: what is summed over the few classes is then summed over many models at once.
    steps = on.array(1 / (data.squares[:, None] / 2 + penalty), dtype)[:, None]
    shrink = on.array(penalty, dtype)[:, None]
    wanted = on.array(models.targets[models.target].transpose(1, 2, 0), dtype)
    counts = on.array(models.rows.T, dtype)[:, None]
    enough = tolerance * models.rows.sum(axis=1)
    weights = on.zeros((width, n_classes, n_models), dtype)
    # Of the models that are computed: their numbers, which are not done yet, weights, the point that momentum
    # has carried them to, and its strength.
    going, is_open = np.arange(n_models), np.ones(n_models, dtype=bool)
    here = ahead = weights[:]
    strength = np.ones(n_models)
    for _ in range(MOST_STEPS):
        logits = (train @ ahead.reshape(width, -1)).reshape(-1, n_classes, len(going))
        rest = (on.softmax(logits, axis=1) - wanted) * counts
        slope = (train.T @ rest.reshape(len(rest), -1)).reshape(ahead.shape) + shrink * ahead
        step = steps * slope
        new = ahead - step
        moved = new - here
        decrease = on.numpy((slope * step).sum((0, 1))) / 2
        uphill = on.numpy((slope * moved).sum((0, 1))) > 0
        strength[uphill] = 1.0
        following = (1 + np.sqrt(1 + 4 * strength**2)) / 2
        momentum = np.where(uphill, 0.0, (strength - 1) / following)
        ahead = new + on.array(momentum, dtype) * moved
        here, strength = new, following
        done = np.flatnonzero(is_open & (decrease <= enough))
        if len(done):
            weights[:, :, going[done].tolist()] = here[:, :, done.tolist()]
            is_open[done] = False
        if not is_open.any():
            break
        if is_open.mean() < _WORTH_DROPPING:
            kept = np.flatnonzero(is_open).tolist()
            going, strength, enough, is_open = going[kept], strength[kept], enough[kept], is_open[kept]
            here, ahead, steps, shrink = (each[:, :, kept] for each in (here, ahead, steps, shrink))
            wanted, counts = wanted[:, :, kept], counts[:, :, kept]
    left = np.flatnonzero(is_open)
    weights[:, :, going[left].tolist()] = here[:, :, left.tolist()]
    return weights.swapaxes(1, 2)


def probabilities(on: Backend, rows: Array, weights: Array) -> Array:
    """Predicted distributions, (n_rows, n_models, n_classes), of rows with a column of ones first."""
    width, n_models, n_classes = weights.shape
    logits = on.cast(rows, str(weights.dtype).removeprefix("torch.")) @ weights.swapaxes(1, 2).reshape(
        width, -1
    )
    return on.softmax(logits.reshape(len(rows), n_classes, n_models), axis=1).swapaxes(1, 2)
