"""SyncR² in scikit-learn's conventions, for states from anywhere: fit(X, y, groups), predict, score.

One direction, from X to y. SyncR² of two agents is the mean of both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from syncr2.estimator_inputs import (
    Splits,
    StatesError,
    as_layers,
    check_layers_first,
    checked,
    fold_of_rows,
    is_flat,
    is_stack,
    make_splits,
    same_layers,
    same_rows,
)
from syncr2.maps.nested import Computing, inner_r2, select
from syncr2.maps.ridge import Layers, check_penalties, layer_r2, mean_r2

TARGET_LAYERS = ("max", "nested")

Matrix = NDArray[np.float64]
Rows = NDArray[np.intp]
float_array = partial(check_array, dtype=np.float64)


class SyncR2(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """How well the layers of one network are predicted, linearly, from the layers of another.

    For every source layer l of X and target layer m of y, a ridge regression with unpenalised intercept is
    fitted on training rows, and R²(l, m) is its coefficient of determination on test rows, averaged over
    target dimensions with equal weight. SyncR² is the mean over l of the R² at its target layer, negative
    ones set to 0.

    Parameters
    ----------
    penalty : float or sequence of float, default 0.1
        Ridge penalty λ in Σᵢ ‖yᵢ − W xᵢ − b‖² + λ ‖W‖². Of several, one is chosen on inner folds for each
        split and source layer.
    target_layer : {"max", "nested"}, default "max"
        How the target layer of a source layer is picked. `max`: the one of the largest R² on test rows, as
        published. `nested`: on inner folds, which the test rows are no part of. See Notes.
    cv : None, int, splitter or iterable, default None
        None: the published split, random, three times: whole groups (or samples, without groups) until 20 %
        are test and 80 % training; groups count in the order in which they first appear. An int: so many
        folds, by `GroupKFold` where there are groups, else by `KFold`. Or any splitter of scikit-learn, or an
        iterable of (training rows, test rows). Choices on inner folds need a `cv` that tests every row once
        and trains on all others, in at least three folds, such as `5` or `GroupKFold(5)`.
    device : {"cpu", "cuda", "auto"}, default "cpu"
    precision : {"float64", "mixed"}, default "float64"
    memory_gb : float, default 10
        Where and how R² is computed; see `syncr2.layer_r2`.

    Attributes
    ----------
    r2_ : ndarray, shape (n_splits, n_source_layers, n_target_layers)
        Test R² of every pair of layers; of several penalties, at the one in `split_penalty_`.
    r2_by_layer_ : ndarray, shape (n_splits, n_source_layers)
        Test R² at the target layer that was picked.
    sync_r2_, sync_r2_raw_ : float
        `r2_by_layer_` averaged over splits, then over source layers; with negative layers set to 0 first, as
        published, and as it is.
    split_target_layer_ : ndarray of int, shape (n_splits, n_source_layers)
        The target layer that was picked. With `max`, the same in all splits.
    split_penalty_ : ndarray, shape (n_splits, n_source_layers)
    best_layer_ : int
        Source layer of the largest `r2_by_layer_` averaged over splits: the one that `predict` reads. Its R²
        is that of the best of many, so it is too high to report alone.
    target_layer_, penalty_ : int, float
        Target layer that `predict` predicts, and the penalty of that map: those of the largest test R²
        averaged over splits. Only rows that `fit` has not seen can test it; see `score`.
    coef_, intercept_ : ndarray, shape (d_target, d_source), (d_target,)
        The map from `best_layer_` to `target_layer_`, fitted on all rows.
    n_splits_ : int
    n_features_in_ : int
        Width of the source layer `best_layer_`.
    feature_names_in_ : ndarray of str
        Only where X is one layer with names of columns.

    Notes
    -----
    X and y hold one row a sample; row i of y belongs to row i of X. A 2-D array (n_samples, d) is one layer.
    Anything else is a sequence of layers, each (n_samples, d), whose widths may differ: a list of arrays, an
    array (n_layers, n_samples, d), or states of `syncr2.open_states`, which are read a layer at a time.
    Tools of scikit-learn that split rows themselves (`cross_val_score`, `GridSearchCV`) take one layer only.

    The largest of many R² is larger than each would be on fresh rows: picking the target layer on the test
    rows (`max`) makes SyncR² too high, the more so the more target layers there are, the fewer the test rows,
    and the less there is to predict. Setting negative values to 0 pushes it up too. Without any relation,
    `sync_r2_` is therefore above 0, and only a comparison with a control of the same layers and rows says
    something. `nested` with `sync_r2_raw_` has no such bias: without a relation it is 0 or less on average.

    Rows of one dialogue, trial or sentence resemble each other. Name it in `groups`, or a map is tested on
    what it has, in effect, been trained on. A target dimension that is constant over test rows counts as 0,
    as in `syncr2.layer_r2`.

    Examples
    --------
    >>> import numpy as np
    >>> from syncr2 import SyncR2
    >>> rng = np.random.default_rng(0)
    >>> source = rng.standard_normal((2, 200, 5))
    >>> target = source[1] @ rng.standard_normal((5, 3))
    >>> found = SyncR2(cv=5).fit(source, target)
    >>> found.best_layer_, found.r2_.shape
    (1, (5, 2, 1))
    """

    r2_: Matrix
    r2_by_layer_: Matrix
    sync_r2_: float
    sync_r2_raw_: float
    split_target_layer_: Rows
    split_penalty_: Matrix
    best_layer_: int
    target_layer_: int
    penalty_: float
    coef_: Matrix
    intercept_: Matrix | float
    n_splits_: int
    n_features_in_: int

    def __init__(
        self,
        penalty: float | Sequence[float] = 0.1,
        target_layer: str = "max",
        cv: Any = None,
        device: str = "cpu",
        precision: str = "float64",
        memory_gb: float = 10.0,
    ) -> None:
        self.penalty = penalty
        self.target_layer = target_layer
        self.cv = cv
        self.device = device
        self.precision = precision
        self.memory_gb = memory_gb

    def fit(self, X: Any, y: Any, groups: ArrayLike | None = None) -> SyncR2:
        """Score the maps of all pairs of layers, then fit the best one on all rows.

        Parameters
        ----------
        X, y : array_like or sequence of array_like
            Source and target, see Notes. A 1-D y is a target of one dimension.
        groups : array_like, shape (n_samples,), optional
            Samples of equal entries are never on both sides of a split.

        Raises
        ------
        SyncR2Error
            If layers, samples, groups or splits do not fit together, a value is not finite or a parameter
            unknown. What concerns the input is a ValueError too.
        """
        penalties = check_penalties(self.penalty)
        if self.target_layer not in TARGET_LAYERS:
            raise StatesError(
                f"target_layer must be one of {', '.join(TARGET_LAYERS)}; found {self.target_layer!r}."
            )
        if y is None:
            raise StatesError(
                "SyncR2 requires y to be passed, but the target y is None. Give the states that are "
                "predicted as the second argument."
            )
        for states, name in ((X, "X"), (y, "y")):
            check_layers_first(states, name)
        source = self._source(X, least_rows=2, reset=True)
        target = as_layers(y, "y", least_rows=2)
        splits = make_splits(self.cv, same_rows(source, target), groups)
        self._measure(source, target, splits, penalties)
        self._fit_map(source[self.best_layer_], target[self.target_layer_], not is_stack(y) and is_flat(y))
        return self

    def predict(self, X: Any) -> Matrix:
        """Target layer `target_layer_` from source layer `best_layer_`.

        Parameters
        ----------
        X : array_like or sequence of array_like
            As many layers, of the same widths, as `fit` had.

        Returns
        -------
        ndarray, shape (n_samples, d_target); (n_samples,) where y was 1-D
        """
        check_is_fitted(self)
        layers = self._source(X, least_rows=1, reset=False)
        same_layers(len(layers), self.r2_.shape[1], "X")
        x = checked(float_array, layers[self.best_layer_], f"X[{self.best_layer_}]", 1)
        if x.shape[1] != self.n_features_in_:
            raise StatesError(
                f"X has {x.shape[1]} features in layer {self.best_layer_}, but SyncR2 is expecting "
                f"{self.n_features_in_}, as it was fitted with."
            )
        return x @ self.coef_.T + self.intercept_

    def score(self, X: Any, y: Any) -> float:
        """R² of `predict` on rows that `fit` has not seen: the uniform mean over target dimensions.

        It is scikit-learn's `r2_score`, but for a dimension that is constant in y, which counts as 0.

        Parameters
        ----------
        X, y : array_like or sequence of array_like
            As for `fit`, at least two samples.
        """
        predicted = self.predict(X)
        layers = as_layers(y, "y", least_rows=2)
        same_layers(len(layers), self.r2_.shape[2], "y")
        y = checked(float_array, layers[self.target_layer_], f"y[{self.target_layer_}]", 2)
        predicted = predicted.reshape(len(predicted), -1)
        if y.shape != predicted.shape:
            raise StatesError(
                f"Layer {self.target_layer_} of y is {y.shape}, but its prediction from X {predicted.shape}."
            )
        return mean_r2(y, y - predicted)

    def _source(self, X: Any, least_rows: int, reset: bool) -> Layers:
        """Layers of X; where there is one, scikit-learn keeps and compares its width and names of columns."""
        if is_stack(X):
            if reset and hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            return as_layers(X, "X", least_rows)
        if not reset:
            same_layers(1, self.r2_.shape[1], "X")
        check = partial(validate_data, self, reset=reset)
        return [checked(check, X, "X", least_rows)]

    def _measure(self, source: Layers, target: Layers, splits: Splits, penalties: list[float]) -> None:
        """R² on test rows, the choices that it rests on, and the best of all."""
        computing = Computing(self.device, self.precision, self.memory_gb)
        chosen = None
        if self.target_layer == "nested" or len(penalties) > 1:
            fold = fold_of_rows(splits)
            chosen = select(inner_r2({"X": source}, target, fold, penalties, computing)["X"], penalties)
        by_penalty = np.stack(
            [layer_r2(source, target, *rows, penalties, **asdict(computing)) for rows in splits]
        )
        shape = len(splits), len(source)
        split, layer = np.indices(shape)
        self.split_penalty_ = np.full(shape, penalties[0]) if chosen is None else chosen.penalty
        self.r2_ = by_penalty[split, np.vectorize(penalties.index)(self.split_penalty_), layer]
        if chosen is not None and self.target_layer == "nested":
            self.split_target_layer_ = chosen.target_layer
        else:
            self.split_target_layer_ = np.tile(self.r2_.mean(axis=0).argmax(axis=1), (len(splits), 1))
        self.r2_by_layer_ = self.r2_[split, layer, self.split_target_layer_]
        layers = self.r2_by_layer_.mean(axis=0)
        self.sync_r2_, self.sync_r2_raw_ = float(np.maximum(layers, 0).mean()), float(layers.mean())
        self.n_splits_, self.best_layer_ = len(splits), int(layers.argmax())
        overall = by_penalty.mean(axis=0)[:, self.best_layer_]
        best, self.target_layer_ = (int(i) for i in np.unravel_index(overall.argmax(), overall.shape))
        self.penalty_ = penalties[best]

    def _fit_map(self, x: NDArray, y: NDArray, flat: bool) -> None:
        x, y = float_array(x), float_array(y)
        fitted = Ridge(alpha=self.penalty_).fit(x, y[:, 0] if flat else y)
        # Of a target with one column, releases of scikit-learn differ in the shape of these.
        shape = () if flat else (y.shape[1],)
        self.n_features_in_ = x.shape[1]
        self.coef_ = fitted.coef_.reshape(*shape, x.shape[1])
        self.intercept_ = np.reshape(fitted.intercept_, shape)[()]
