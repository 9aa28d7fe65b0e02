"""Does a nonlinear map from source to target generalise better than the affine one?

For one source layer and one target layer: kernel ridge regression with a Gaussian kernel, a network with one
hidden layer, and the affine map, each scored on the same test folds. Whatever a map has to choose (penalty,
kernel width) is chosen by the same nested procedure: for an outer fold, every choice is fitted on all rows
but the outer and one inner fold and scored on the inner one; the choice with the best mean score is fitted
again on all rows but the outer fold and scored there. The outer fold's rows have no part in anything before
that score, units and principal components included. So the difference between two maps' scores, fold by
fold, is what the one gains over the other.

Scores are `ridge.mean_r2`: by target dimension, about the test mean, averaged with equal weight, and 0 for a
dimension that is constant over the test rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg
from scipy.spatial.distance import squareform
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

from syncr2.errors import SyncR2Error
from syncr2.maps.ridge import layer_r2, mean_r2

Matrix = NDArray[np.float64]
Rows = NDArray[np.intp]
# R² of every choice, fitted on the first rows and scored on the second; and what makes one for the rows of
# an outer fold's training, on which units and distances rest.
Score = Callable[[Rows, Rows, Sequence[Any]], Sequence[float]]
Prepare = Callable[[Rows], Score]

LEAST_FOLDS = 3
# Up to where a wide Gaussian kernel goes with its largest penalty, so that no gain is one of shrinkage.
AFFINE_PENALTIES = (1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, 1e5)
KERNEL_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
WEIGHT_DECAYS = (0.1, 1.0, 10.0)
# Components of less variance than this beside the first one are rounding.
ROUNDING = 1e-12


def affine_r2(
    x: ArrayLike,
    y: ArrayLike,
    folds: ArrayLike,
    penalties: Sequence[float] = AFFINE_PENALTIES,
    *,
    standardise: bool = True,
) -> Matrix:
    """Test R² of the affine map, ridge regression with an unpenalised intercept, in every fold.

    Parameters
    ----------
    x, y : array_like, shape (n_samples, d_source), (n_samples, d_target)
        States of one source and one target layer.
    folds : array_like of int, shape (n_samples,)
        The fold of each row; at least 3 folds of at least 2 rows. Rows of one environment belong in one fold.
    penalties : sequence of float
        λ, chosen on inner folds; see `ridge.layer_r2`.
    standardise : bool, default True
        Give every source dimension unit variance over the training rows first, as the nonlinear maps do, so
        that no gain of theirs is one of units. Without it the states are taken as they are, as in SyncR².

    Returns
    -------
    ndarray, shape (n_folds,)
        In the order of the folds' numbers.

    Raises
    ------
    SyncR2Error
        If the arrays or folds do not fit, or a penalty cannot be used.
    """
    source, target, labels = _checked(x, y, folds)

    def prepare(training: Rows) -> Score:
        values = _standardised(source, training) if standardise else source

        def score(train: Rows, test: Rows, choices: Sequence[float]) -> Sequence[float]:
            return layer_r2(values[None], target[None], train, test, list(choices)).ravel().tolist()

        return score

    return _nested(labels, prepare, _choices(penalties, "penalty"))


def kernel_ridge_r2(
    x: ArrayLike,
    y: ArrayLike,
    folds: ArrayLike,
    penalties: Sequence[float] = KERNEL_PENALTIES,
    widths: Sequence[float] = WIDTHS,
) -> Matrix:
    """Test R² of kernel ridge regression with a Gaussian kernel in every fold.

        ŷ(x) = ȳ + Σᵢ αᵢ K(xᵢ, x),    K(u, v) = exp(−‖u − v‖² / (2 (w m)²)),    α = (K + λ I)⁻¹ (Y − ȳ)

    where every source dimension has unit variance over the training rows and m is the median distance
    between two of them.

    Parameters
    ----------
    x, y, folds
        As for `affine_r2`.
    penalties : sequence of float
        λ, positive, as scikit-learn's KernelRidge takes it: added to the kernel, whose diagonal is 1 and
        whose eigenvalues add up to the number of training rows, and not multiplied by that number.
    widths : sequence of float
        w, positive, in median distances. Beyond 2 or so the map is nearly affine, so the affine map is among
        the choices, or close to them.

    Returns
    -------
    ndarray, shape (n_folds,)
        In the order of the folds' numbers.

    Raises
    ------
    SyncR2Error
        If the arrays or folds do not fit, a penalty or width is not positive, or a kernel is singular in
        float64.

    Notes
    -----
    Distances are computed once an outer fold, kernels once a width and inner fold. Time grows with the cube
    of the samples (one Cholesky factorisation a choice and inner fold), memory with their square.
    """
    source, target, labels = _checked(x, y, folds)
    widths, penalties = _choices(widths, "width"), _choices(penalties, "penalty")

    def prepare(training: Rows) -> Score:
        distances = euclidean_distances(_standardised(source, training), squared=True)
        unit = _median_distance(distances, training)

        def score(train: Rows, test: Rows, choices: Sequence[tuple[float, float]]) -> Sequence[float]:
            mean = target[train].mean(axis=0)
            known, wanted = target[train] - mean, target[test] - mean
            found = []
            for width in dict.fromkeys(width for width, _ in choices):
                within, across = (
                    np.exp(distances[np.ix_(rows, train)] / (-2 * (width * unit) ** 2))
                    for rows in (train, test)
                )
                for penalty in (penalty for chosen, penalty in choices if chosen == width):
                    weights = _kernel_smoother(within, across, penalty)
                    found.append(mean_r2(wanted, wanted - weights @ known))
            return found

        return score

    return _nested(labels, prepare, [(width, penalty) for width in widths for penalty in penalties])


def mlp_r2(
    x: ArrayLike,
    y: ArrayLike,
    folds: ArrayLike,
    hidden: int = 64,
    alphas: Sequence[float] = WEIGHT_DECAYS,
    n_components: int = 64,
    max_iter: int = 100,
    *,
    seed: int,
) -> Matrix:
    """Test R² of a network with one hidden layer of rectified units in every fold.

    Source and target dimensions get unit variance over the training rows and are reduced to principal
    components, which keeps a hidden size of 4,096 affordable; predictions are mapped back, and what the
    components miss of the target counts as unexplained.

    Parameters
    ----------
    x, y, folds
        As for `affine_r2`.
    hidden : int, default 64
        Hidden units.
    alphas : sequence of float
        Weights' penalties, positive: `alpha` of scikit-learn's MLPRegressor, with large source components of
        variance about 1 and target components of variance 1 on average.
    n_components : int, default 64
        Components of source and of target at most.
    max_iter : int, default 100
        Steps of L-BFGS at most. Stopping there is part of the method; no validation rows are set aside for
        it, since they would come from the same dialogues.
    seed : int
        Seed of the first weights and of the components' solver, the same in every fit: a fold's score
        depends on its rows alone.

    Returns
    -------
    ndarray, shape (n_folds,)
        In the order of the folds' numbers.

    Raises
    ------
    SyncR2Error
        If the arrays or folds do not fit, or an alpha is not positive.
    """
    source, target, labels = _checked(x, y, folds)

    def prepare(training: Rows) -> Score:
        inputs, _ = _components(_standardised(source, training), training, n_components, seed)
        # One unit for all components, so that large ones stay large and are preferred, as by a ridge map. The
        # mean variance, weighted by variance: it does not depend on how many small components come along.
        variances = (inputs[training] ** 2).mean(axis=0)
        inputs /= np.sqrt(variances @ variances / (variances.sum() or 1.0)) or 1.0
        outputs, loadings = _components(_standardised(target, training), training, n_components, seed)
        unit = np.sqrt((outputs[training] ** 2).mean()) or 1.0
        mean, spread = _moments(target[training])
        outputs, back = outputs / unit, unit * loadings * spread

        def score(train: Rows, test: Rows, choices: Sequence[float]) -> Sequence[float]:
            found = []
            wanted = outputs[train].ravel() if outputs.shape[1] == 1 else outputs[train]
            for alpha in choices:
                network = MLPRegressor(
                    hidden_layer_sizes=(hidden,),
                    solver="lbfgs",
                    alpha=alpha,
                    max_iter=max_iter,
                    random_state=seed,
                )
                # Its products are so small that threads waiting for each other cost ten times the work.
                with warnings.catch_warnings(), threadpool_limits(1, "blas"):
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    network.fit(inputs[train], wanted)
                predicted = mean + network.predict(inputs[test]).reshape(len(test), -1) @ back
                found.append(mean_r2(target[test], target[test] - predicted))
            return found

        return score

    return _nested(labels, prepare, _choices(alphas, "alpha"))


def _nested(folds: NDArray, prepare: Prepare, choices: Sequence[Any]) -> Matrix:
    """Outer test R² with the choice that is best on the mean of the inner folds, the first one of equals."""
    numbers = np.unique(folds)
    r2 = np.empty(len(numbers))
    for i, outer in enumerate(numbers):
        training, test = np.flatnonzero(folds != outer), np.flatnonzero(folds == outer)
        score = prepare(training)
        best = choices[0]
        if len(choices) > 1:
            inner = [
                score(training[folds[training] != held_out], training[folds[training] == held_out], choices)
                for held_out in numbers[numbers != outer]
            ]
            best = choices[int(np.mean(inner, axis=0).argmax())]
        r2[i] = score(training, test, [best])[0]
    return r2


def _kernel_smoother(train: Matrix, test: Matrix, penalty: float) -> Matrix:
    """The matrix, (n_test, n_train), that turns centred training targets into centred predictions."""
    system = train + penalty * np.eye(len(train))
    try:
        factor = linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError:
        raise SyncR2Error(
            f"The kernel of {len(train)} rows is singular in float64 at penalty {penalty}: take larger ones."
        ) from None
    return linalg.cho_solve(factor, test.T, check_finite=False).T


def _median_distance(squared: Matrix, rows: Rows) -> float:
    """Between two different rows; over those that are apart if most are not, and 1 if none are."""
    between = np.sqrt(squareform(squared[np.ix_(rows, rows)], checks=False))
    if not between.any():
        return 1.0
    return float(np.median(between) or np.median(between[between > 0]))


def _moments(values: Matrix) -> tuple[Matrix, Matrix]:
    """Mean and standard deviation by column, the latter exactly 0 for a constant one."""
    spread = values.std(axis=0)
    spread[(values == values[0]).all(axis=0)] = 0.0
    return values.mean(axis=0), spread


def _standardised(values: Matrix, training: Rows) -> Matrix:
    """All rows in units of the training rows; a dimension that is constant there is 0 everywhere."""
    mean, spread = _moments(values[training])
    return np.divide(values - mean, spread, out=np.zeros_like(values), where=spread > 0)


def _components(values: Matrix, training: Rows, n_components: int, seed: int) -> tuple[Matrix, Matrix]:
    """Scores of all rows on the training rows' components, and loadings: scores @ loadings ≈ values."""
    pca = PCA(min(n_components, len(training) - 1, values.shape[1]), random_state=seed)
    # Without any variance, the share that a component explains is 0/0; nobody asks for it.
    with np.errstate(invalid="ignore"):
        scores = pca.fit(values[training]).transform(values)
    # At least one is kept, so that a constant layer is a column of zeros.
    kept = max(1, int((pca.explained_variance_ > ROUNDING * pca.explained_variance_[0]).sum()))
    return scores[:, :kept], pca.components_[:kept]


def _choices(values: Iterable[float], name: str) -> list[float]:
    found = [float(value) for value in values]
    if not found or not all(0 < value < np.inf for value in found):
        raise SyncR2Error(f"There must be a {name} to choose, and each must be positive; found {found}.")
    return found


def _checked(x: ArrayLike, y: ArrayLike, folds: ArrayLike) -> tuple[Matrix, Matrix, NDArray]:
    source, target = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    labels = np.asarray(folds)
    shapes = [source.shape, target.shape, labels.shape]
    if [len(shape) for shape in shapes] != [2, 2, 1] or len({shape[0] for shape in shapes}) != 1:
        raise SyncR2Error(
            "Source and target must be (n_samples, d) and folds (n_samples,), of the same samples; found "
            f"{shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    for name, values in (("source", source), ("target", target)):
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise SyncR2Error(f"The {name} states hold a value that is not finite (row {row}).")
    if not np.issubdtype(labels.dtype, np.integer):
        raise SyncR2Error(f"Folds must be whole numbers, one a row; found {labels.dtype}.")
    numbers, sizes = np.unique(labels, return_counts=True)
    if len(numbers) < LEAST_FOLDS or sizes.min() < 2:
        found = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
        raise SyncR2Error(
            f"Nested selection needs at least {LEAST_FOLDS} folds of at least 2 rows; rows by fold: {found}."
        )
    return source, target, labels
