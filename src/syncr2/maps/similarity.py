"""How alike two representations of the same samples are: debiased linear CKA and CCA, ready for permutations.

Each index is an inner product of two (n, n) *operands*, one a representation,

    index(X, Y) = ⟨A(X), A(Y)⟩ = Σᵢⱼ A(X)ᵢⱼ A(Y)ᵢⱼ

so an operand is made once a layer, a pair of layers costs one inner product, and so does a draw of the
permutation null: with the samples of Y in another order its operand is P A(Y) Pᵀ, rows and columns in that
order.

Neither index is zero for unrelated data by itself. The debiased CKA has its bias taken off and averages to
exactly 0 over all orders of the samples; the CCA averages to exactly k/(n − 1), see `adjusted_cca`. Unlike
R², both are symmetric, fit nothing on one set of samples to test it on another, and do not say which
representation predicts which.

References
----------
Kornblith, Norouzi, Lee, Hinton (2019), Similarity of neural network representations revisited, ICML.
Song, Smola, Gretton, Bedo, Borgwardt (2012), Feature selection via dependence maximization, JMLR 13.
Székely, Rizzo (2014), Partial distance correlation with methods for dissimilarities, Annals of Statistics 42.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from syncr2.errors import SyncR2Error

Matrix = NDArray[np.float64]
Kind = Literal["cka", "cca"]

LEAST_SAMPLES = 4
# A U-centred kernel this small beside its kernel is rounding: all samples are the same, or equally far apart.
_ROUNDING = 1e-12


def cka_operand(values: ArrayLike) -> Matrix:
    """The operand of debiased linear CKA.

    With K = X Xᵀ and its diagonal set to 0, the U-centred kernel is, off the diagonal,

        K̃ᵢⱼ = Kᵢⱼ − Σₗ Kᵢₗ / (n − 2) − Σₗ Kₗⱼ / (n − 2) + Σₗₘ Kₗₘ / ((n − 1)(n − 2))

    and ⟨K̃, L̃⟩ / (n (n − 3)) is the unbiased estimator of HSIC. The operand is K̃ / ‖K̃‖, so that

        ⟨A(X), A(Y)⟩ = HSICᵤ(X, Y) / √(HSICᵤ(X, X) HSICᵤ(Y, Y))

    Parameters
    ----------
    values : array_like, shape (n_samples, d)
        One representation; at least 4 samples.

    Returns
    -------
    ndarray, shape (n_samples, n_samples), float64
        Symmetric, zero on the diagonal, of norm 1. HSICᵤ(X, X) is a square and never negative; where it is 0
        (all samples are the same, or all equally far from each other) the operand is all zeros, and so is
        every CKA with it.

    Raises
    ------
    SyncR2Error
        If the values are not a finite (n_samples, d) array of at least 4 samples.

    Notes
    -----
    −1 to 1, and 1 for a representation with itself, turned, reflected, moved or scaled by one factor. Values
    below 0 are estimates of an index that is not negative, as small as it can be told from 0; they are not
    clipped.
    """
    centred = _centred(_representation(values))
    n = len(centred)
    if n < LEAST_SAMPLES:
        raise SyncR2Error(
            f"Debiased CKA needs at least {LEAST_SAMPLES} samples, found {n}. "
            "Take more dialogues, or leave the similarity indices out."
        )
    kernel = centred @ centred.T
    size = linalg.norm(kernel, check_finite=False)
    np.fill_diagonal(kernel, 0.0)
    sums = kernel.sum(axis=1) / (n - 2)
    kernel -= sums[:, None]
    kernel -= sums
    kernel += sums.sum() / (n - 1)
    np.fill_diagonal(kernel, 0.0)
    norm = linalg.norm(kernel, check_finite=False)
    if norm <= _ROUNDING * size:
        return np.zeros_like(kernel)
    kernel /= norm
    return kernel


def cca_operand(values: ArrayLike, n_components: int) -> Matrix:
    """The operand of the mean squared canonical correlation of principal components.

    With U (n, k) an orthonormal basis of what the first k principal components of X span over the samples,
    the operand is U Uᵀ / √k, so that

        ⟨A(X), A(Y)⟩ = ‖U_Xᵀ U_Y‖² / k = (ρ₁² + … + ρₖ²) / k

    the squares of the canonical correlations between the first k components of X and the first k of Y.

    Parameters
    ----------
    values : array_like, shape (n_samples, d)
        One representation.
    n_components : int
        k, the same for both representations; at least 1, less than n_samples and at most d.

    Returns
    -------
    ndarray, shape (n_samples, n_samples), float64
        Symmetric, of norm 1; rows sum to 0. Where X varies in r < k directions only, U has r columns: a
        direction that is not there counts as one without correlation, and the CCA of X with itself is r/k.
        All zeros for a constant X.

    Raises
    ------
    SyncR2Error
        If the values are not a finite (n_samples, d) array, or k is out of range.

    Notes
    -----
    0 to 1. Unrelated representations give k/(n − 1) on average: see `adjusted_cca`. Any invertible map
    within the chosen components leaves it as it is.
    """
    array = _representation(values)
    n, width = array.shape
    most = min(n - 1, width)
    if not 1 <= n_components <= most:
        raise SyncR2Error(
            f"CCA of {n_components} components from {n} samples of width {width}: allowed are "
            f"1 to {most}, less than the samples and at most the width."
        )
    basis = _principal_basis(_centred(array), n_components)
    return basis @ (basis.T / np.sqrt(n_components))


def adjusted_cca(value: ArrayLike, n_components: int, n_samples: int) -> Matrix | np.float64:
    """CCA above what unrelated representations give: (value − b) / (1 − b), with b = k/(n − 1).

    b is the mean of the index over all orders of the samples of Y, whatever the two representations are (as
    long as both vary in k directions), though not over orders within strata. So the adjusted value is 0 on
    average without any relation and 1 for the same components.

    Parameters
    ----------
    value : array_like
        Mean squared canonical correlations, of any shape.
    n_components, n_samples : int
        k and n that they were computed with.

    Returns
    -------
    ndarray or float64
        Of the shape of `value`.

    Raises
    ------
    SyncR2Error
        If k is n − 1 or more: as many components as that are the same space for all data, and the index is 1.
    """
    if not 1 <= n_components < n_samples - 1:
        raise SyncR2Error(
            f"CCA of {n_components} components of {n_samples} samples cannot be adjusted: allowed are 1 to "
            f"{n_samples - 2}, else the index is 1 for all data. Take fewer components or more samples."
        )
    baseline = n_components / (n_samples - 1)
    return (np.asarray(value, dtype=np.float64) - baseline) / (1 - baseline)


def similarity(x: ArrayLike, y: ArrayLike, kind: Kind = "cka", n_components: int = 10) -> float:
    """The index of one pair of representations; for many pairs make each operand once.

    Parameters
    ----------
    x, y : array_like, shape (n_samples, d_x), (n_samples, d_y)
        Row i of both is the same sample.
    kind : {"cka", "cca"}
        Debiased linear CKA, or the mean squared canonical correlation, not adjusted.
    n_components : int, default 10
        Principal components for "cca"; "cka" needs none.

    Returns
    -------
    float

    Raises
    ------
    SyncR2Error
        If the rows do not match or the kind is unknown, and as the operands do.
    """
    first, second = _representation(x), _representation(y)
    if len(first) != len(second):
        raise SyncR2Error(
            f"Both representations must be of the same samples; found {len(first)} and {len(second)}."
        )
    if kind == "cka":
        return float(np.vdot(cka_operand(first), cka_operand(second)))
    if kind == "cca":
        return float(np.vdot(cca_operand(first, n_components), cca_operand(second, n_components)))
    raise SyncR2Error(f"There is no similarity index {kind!r}; allowed are 'cka' and 'cca'.")


def _representation(values: ArrayLike) -> Matrix:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise SyncR2Error(f"A representation must be (n_samples, d), found shape {array.shape}.")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise SyncR2Error(f"A representation holds a value that is not finite (row {row}).")
    return array


def _centred(values: Matrix) -> Matrix:
    """Columns about their means, in units of the largest deviation; a constant column is exactly 0.

    Both indices are blind to moves and to scale. Off the mean, kernels of states with large outlier
    dimensions lose their digits to a constant; without a unit, squares of squares can leave the range of
    float64.
    """
    centred = values - values.mean(axis=0)
    centred[:, (values == values[0]).all(axis=0)] = 0.0
    largest = np.abs(centred).max()
    return centred / largest if largest > 0 else centred


def _principal_basis(centred: Matrix, n_components: int) -> Matrix:
    """Orthonormal columns, (n, r), r <= k, that span the first k principal components over the samples.

    From the smaller of the two products of the states with themselves, whose k first eigenvectors cost a
    fraction of a singular value decomposition. Directions of less than rounding are left out.
    """
    n, width = centred.shape
    wide = n <= width
    product = centred @ centred.T if wide else centred.T @ centred
    size = len(product)
    values, vectors = linalg.eigh(
        product, subset_by_index=(size - n_components, size - 1), overwrite_a=True, check_finite=False
    )
    present = values > max(n, width) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    vectors = vectors[:, present]
    if wide:
        return vectors
    # Orthogonal up to rounding already, but unequal in length by the components' spread.
    return np.linalg.qr(centred @ vectors)[0]
