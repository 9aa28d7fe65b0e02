"""Probes: what a state tells about the partner's utterances, by multinomial logistic regression.

Folds are those of the corrected protocol, grouped by environment. For every outer fold the penalty is chosen
on inner folds by log loss, and the model is fitted again on all but the outer fold. Features are standardised
on the training folds and divided by the root of their number, so that penalties mean the same for any width.
What a state is held against: the majority class, TF-IDF of the utterance heard last through the same
procedure, and states with shuffled labels through the same procedure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.maps.backends import Array, Backend
from syncr2.maps.ridge import Layers
from syncr2.maps.softmax import Models, Rotated, fit, probabilities, rotate
from syncr2.probing.targets import Target

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
# Draws of shuffled labels.
DRAWS = 3
# Penalties are chosen among models that are less exact than those that predict, and in single precision.
ROUGHLY = 1e-7
MEASURES = ("accuracy", "balanced_accuracy", "log_loss", "explained_deviance")
# Terms of the text baseline at most, the most frequent ones.
MOST_TERMS = 2000
# Words of one letter count: "I" and "a" are much of a dialogue.
_WORD = r"(?u)\b\w+\b"
# A class that no training row had would cost an infinite loss.
_FLOOR = 1e-6

Matrix = NDArray[np.float64]
# Features of training and of test rows, from their numbers.
Features = Callable[[NDArray[np.intp], NDArray[np.intp]], tuple[Array, Array]]


class Places(NamedTuple):
    """Where each row belongs.

    Attributes
    ----------
    fold, environment : ndarray of int, shape (n_rows,)
        Environments are numbered in the order of `names`.
    names : tuple of str
        All environments of the experiment.
    """

    fold: NDArray[np.intp]
    environment: NDArray[np.intp]
    names: tuple[str, ...]


class Scores(NamedTuple):
    """Measures of held-out predictions, in the order of `MEASURES`.

    Attributes
    ----------
    value : ndarray, shape (4,)
    influence : ndarray, shape (n_environments, 4)
        As in `syncr2.maps.intervals`, with the predictions held fixed.
    """

    value: Matrix
    influence: Matrix


class Probe(NamedTuple):
    """Scores of one target: a probe of every layer, and what it is held against.

    Attributes
    ----------
    layers, shuffled : Scores
        (n_layers, 4) and (n_environments, n_layers, 4); of shuffled labels the mean over draws.
    text, majority : Scores
    penalties : ndarray, shape (n_layers, n_folds)
        Those that were chosen.
    """

    layers: Scores
    shuffled: Scores
    text: Scores
    majority: Scores
    penalties: Matrix


def probe(
    on: Backend,
    stack: Layers,
    texts: Sequence[str],
    targets: Mapping[str, tuple[Target, Matrix]],
    places: Places,
) -> dict[str, Probe]:
    """Probe every layer for every target.

    Parameters
    ----------
    on : Backend
    stack : Layers, (n_layers, n_rows, d)
    texts : sequence of str
        The utterance heard last, a row each.
    targets : mapping
        Targets with something to predict, by name, each with its shuffled labels.
    places : Places

    Returns
    -------
    dict
        A `Probe` by the name of its target.
    """
    drawn = {
        name: (np.concatenate([target.values[None], draws]), target.kept)
        for name, (target, draws) in targets.items()
    }
    real = {name: (target.values[None], target.kept) for name, (target, _) in targets.items()}
    n_folds = int(places.fold.max()) + 1
    by_text = nested(on, tfidf(texts), real, places.fold)
    made: dict[str, list[tuple[list[Scores], Matrix]]] = {name: [] for name in targets}
    for layer in range(len(stack)):
        values = np.asarray(stack[layer], dtype=np.float64)
        for name, found in nested(on, standardised(on, values), drawn, places.fold).items():
            scores = [
                score(predicted, base, labels, drawn[name][1], places)
                for predicted, base, labels in zip(found.predicted, found.base, drawn[name][0], strict=True)
            ]
            made[name].append((scores, found.penalty[0]))
    result = {}
    for name, (target, _) in targets.items():
        (said,), (base,) = by_text[name].predicted, by_text[name].base
        own = target.values
        layers = [scores[0] for scores, _ in made[name]]
        draws = [_mean(scores[1:]) for scores, _ in made[name]]
        result[name] = Probe(
            _stacked(layers),
            _stacked(draws),
            score(said, base, own, target.kept, places),
            score(base, base, own, target.kept, places),
            np.array([penalty for _, penalty in made[name]]).reshape(len(stack), n_folds),
        )
    return result


def _mean(scores: Sequence[Scores]) -> Scores:
    return Scores(*(np.mean(each, axis=0) for each in zip(*scores, strict=True)))


def _stacked(scores: Sequence[Scores]) -> Scores:
    value, influence = zip(*scores, strict=True)
    return Scores(np.stack(value), np.stack(influence, axis=1))


def standardised(on: Backend, values: Matrix) -> Features:
    """Features with mean 0 and mean square 1 / d over the training rows; constant ones are 0."""

    def features(train: NDArray[np.intp], test: NDArray[np.intp]) -> tuple[Array, Array]:
        mean, spread = values[train].mean(axis=0), values[train].std(axis=0)
        varies = ~(values[train] == values[train][0]).all(axis=0)
        scale = varies / ((spread + ~varies) * np.sqrt(values.shape[1]))
        made = (on.array((values[rows] - mean) * scale, "float64") for rows in (train, test))
        return next(made), next(made)

    return features


def tfidf(texts: Sequence[str]) -> Features:
    """TF-IDF of single words, fitted on the training rows; rows have length 1, or 0 without a known word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    def features(train: NDArray[np.intp], test: NDArray[np.intp]) -> tuple[Matrix, Matrix]:
        weigh = TfidfVectorizer(token_pattern=_WORD, max_features=MOST_TERMS)
        try:
            known = weigh.fit_transform([texts[i] for i in train]).toarray()
        except ValueError:  # not a single word in any of them
            return np.zeros((len(train), 1)), np.zeros((len(test), 1))
        return known, weigh.transform([texts[i] for i in test]).toarray()

    return features


class Nested(NamedTuple):
    """Held-out predictions of one target and its shuffled labels.

    Attributes
    ----------
    predicted, base : ndarray, shape (n_draws, n_rows, n_classes)
        Predictions, and the shares of the classes among training rows.
    penalty : ndarray, shape (n_draws, n_folds)
    """

    predicted: Matrix
    base: Matrix
    penalty: Matrix


def nested(
    on: Backend,
    features: Features,
    targets: Mapping[str, tuple[Matrix, NDArray[np.bool_]]],
    fold: NDArray[np.intp],
    penalties: Sequence[float] = PENALTIES,
) -> dict[str, Nested]:
    """Predict every row by models that never saw its fold, penalties chosen on inner folds.

    Parameters
    ----------
    on : Backend
    features : callable
    targets : mapping
        By name (n_draws, n_rows, n_classes) and the rows that count.
    fold : ndarray of int, shape (n_rows,)
    penalties : sequence of float

    Returns
    -------
    dict
        `Nested` by name.
    """
    n_folds = int(fold.max()) + 1
    made = {
        name: Nested(np.zeros_like(values), np.zeros_like(values), np.zeros((len(values), n_folds)))
        for name, (values, _) in targets.items()
    }
    for outer in range(n_folds):
        train, test = np.flatnonzero(fold != outer), np.flatnonzero(fold == outer)
        data = rotate(on, *(on.array(each, "float64") for each in features(train, test)))
        for name, (values, kept) in targets.items():
            own, counts = values[:, train], kept[train]
            chosen = _chosen(on, data, own, counts, fold[train], penalties)
            n_draws = len(values)
            everywhere = Models(own, np.arange(n_draws), np.repeat(counts[None], n_draws, axis=0), chosen)
            predicted = on.numpy(probabilities(on, data.test, fit(on, data, everywhere)))
            into = made[name]
            into.predicted[:, test] = predicted.transpose(1, 0, 2)
            # Half a row more of each class, so that none is impossible.
            shares = own[:, counts].sum(axis=1) + 0.5
            into.base[:, test] = (shares / shares.sum(axis=1, keepdims=True))[:, None]
            into.penalty[:, outer] = chosen
    return made


def _chosen(
    on: Backend,
    data: Rotated,
    values: Matrix,
    counts: NDArray[np.bool_],
    fold: NDArray[np.intp],
    penalties: Sequence[float],
) -> Matrix:
    """The penalty of the smallest log loss over inner folds, (n_draws,)."""
    if len(penalties) == 1:
        return np.full(len(values), float(penalties[0]))
    inner = np.unique(fold)
    grid = [(q, i, p) for q in range(len(values)) for i in inner for p in penalties]
    target = np.array([q for q, _, _ in grid])
    held_out = np.array([fold == i for _, i, _ in grid])
    models = Models(values, target, counts & ~held_out, np.array([p for _, _, p in grid]))
    predicted = on.numpy(probabilities(on, data.train, fit(on, data, models, ROUGHLY, "float32")))
    scored = (counts & held_out).T
    losses = -(values[target].transpose(1, 0, 2) * np.log(np.maximum(predicted, _FLOOR))).sum(axis=2)
    total = (losses * scored).sum(axis=0).reshape(len(values), len(inner), len(penalties)).sum(axis=1)
    return np.asarray(penalties, dtype=np.float64)[total.argmin(axis=1)]


def score(predicted: Matrix, base: Matrix, values: Matrix, kept: NDArray[np.bool_], places: Places) -> Scores:
    """Measures of predictions over all rows that count, and what each environment contributes.

    Accuracy is of the likeliest class against the likeliest; balanced accuracy its mean over the classes that
    occur; log loss that of the prediction under the labelled distribution, in nats; explained deviance 1 less
    the prediction's deviance over that of the training shares, where deviance is log loss less the entropy of
    the labels.

    Parameters
    ----------
    predicted, base, values : ndarray, shape (n_rows, n_classes)
    kept : ndarray of bool, shape (n_rows,)
    places : Places
    """
    predicted, base, values = predicted[kept], base[kept], values[kept]
    true = values.argmax(axis=1)
    right = predicted.argmax(axis=1) == true
    classes = np.eye(values.shape[1])[true]
    rows = np.column_stack(
        [np.ones(len(true)), right, *(_losses(values, each) for each in (predicted, base, values))]
    )
    rows = np.hstack([rows, classes, classes * right[:, None]])
    present, where = np.unique(places.environment[kept], return_inverse=True)
    member = (np.arange(len(present))[:, None] == where).astype(np.float64)
    sums = member @ rows
    value = _measures(np.ones((1, len(present))) @ sums)[0]
    influence = np.zeros((len(places.names), len(MEASURES)))
    n = len(present)
    if n > 1:
        without = _measures((1 - np.eye(n)) @ sums)
        influence[present] = np.sqrt((n - 1) / n) * (without.mean(axis=0) - without)
    return Scores(value, influence)


def _losses(values: Matrix, predicted: Matrix) -> NDArray[np.float64]:
    return -(values * np.log(np.maximum(predicted, _FLOOR))).sum(axis=1)


def _measures(sums: Matrix) -> Matrix:
    """All measures from sums over rows, (n, 4)."""
    n, right, loss, base, entropy = sums[:, :5].T
    there, found = np.split(sums[:, 5:], 2, axis=1)
    occurs = there > 0
    recall = np.divide(found, there, out=np.zeros_like(found), where=occurs)
    null = base - entropy
    share = np.divide(loss - entropy, null, out=np.full_like(loss, np.nan), where=null > 0)
    return np.column_stack([right / n, recall.sum(axis=1) / occurs.sum(axis=1), loss / n, 1 - share])
