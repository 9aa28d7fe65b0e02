"""Nested cross-validation of layer maps: penalty and target layer are chosen where they are not tested.

For every outer fold o, each other fold i is predicted from maps fitted on the folds that are neither; the
penalty and the target layer of a source layer are those of the largest R² averaged over i. The map is then
fitted again on all folds but o and scored on o. A target layer's kernels for a test fold, and a source
layer's products of rows, are made once and serve all these fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.maps.backends import Array, Backend, backend
from syncr2.maps.intervals import FoldSums
from syncr2.maps.kernels import Layout, TargetKernels, bounds, unexplained, write_weights
from syncr2.maps.ridge import Layers, blocks, check_penalties, product_type, read_layer
from syncr2.maps.smoothers import SourceLayer


@dataclass(frozen=True)
class Computing:
    """Where and how maps are computed; see `ridge.layer_r2`."""

    device: str = "cpu"
    precision: str = "float64"
    memory_gb: float = 10.0

    @property
    def on(self) -> Backend:
        """The device's linear algebra."""
        return backend(self.device)

    @property
    def dtype(self) -> str:
        """Number format of products over rows."""
        return product_type(self.precision)


class Selection(NamedTuple):
    """What was chosen on inner folds, (n_folds, n_source_layers) each.

    Attributes
    ----------
    penalty : ndarray of float
    target_layer : ndarray of int
    """

    penalty: NDArray[np.float64]
    target_layer: NDArray[np.intp]


class Folded(NamedTuple):
    """Rows sorted by fold.

    Attributes
    ----------
    order : ndarray of int, shape (n_samples,)
        Row numbers, fold after fold.
    ranges : list of (int, int)
        First and last (excluded) place of every fold in `order`.
    """

    order: NDArray[np.intp]
    ranges: list[tuple[int, int]]

    @classmethod
    def of(cls, fold: NDArray[np.intp]) -> Folded:
        """From the fold of every row, 0 to n_folds − 1."""
        return cls(np.argsort(fold, kind="stable"), bounds(np.bincount(fold).tolist()))

    def rows(self, fold: int) -> NDArray[np.intp]:
        """Row numbers of one fold."""
        return self.order[slice(*self.ranges[fold])]

    def without(self, *left_out: int) -> list[int]:
        """The other folds."""
        return [fold for fold in range(len(self.ranges)) if fold not in left_out]


def inner_r2(
    sources: Mapping[str, Layers],
    target: Layers,
    fold: NDArray[np.intp],
    penalties: Sequence[float],
    computing: Computing,
) -> dict[str, NDArray[np.float64]]:
    """R² on inner folds for every outer fold, penalty and pair of layers.

    Parameters
    ----------
    sources : mapping
        Stacks of source layers by name, each (n_source_layers, n_samples, d). They share the target, whose
        kernels are made once for all.
    target : Layers, (n_target_layers, n_samples, d)
    fold : ndarray of int, shape (n_samples,)
    penalties : sequence of float
    computing : Computing

    Returns
    -------
    dict
        For each source (n_folds, n_penalties, n_source_layers, n_target_layers): the mean over inner folds of
        the maps that saw neither the inner nor the outer fold.
    """
    penalties = check_penalties(penalties)
    folded = Folded.of(fold)
    n_folds = len(folded.ranges)
    total = {
        name: np.zeros((n_folds, len(penalties), len(source), len(target)))
        for name, source in sources.items()
    }
    for test in range(n_folds):
        for some, kernels in _kernel_blocks(target, folded, test, computing):
            for name, source in sources.items():
                for layer in range(len(source)):
                    maps = source_layer(source, layer, folded, computing)
                    for outer in folded.without(test):
                        train = folded.without(test, outer)
                        found = _scores(maps, train, test, folded, kernels, penalties, computing)
                        total[name][outer, :, layer, some.start : some.stop] += found
    return {name: values / (n_folds - 1) for name, values in total.items()}


def _kernel_blocks(
    target: Layers, folded: Folded, test: int, computing: Computing
) -> Iterator[tuple[range, TargetKernels]]:
    """Kernels of target layers for one test fold, as many at once as half of the memory holds."""
    on, dtype = computing.on, computing.dtype
    sizes = {fold: folded.ranges[fold][1] - folded.ranges[fold][0] for fold in folded.without(test)}
    layout = Layout(sizes, folded.ranges[test][1] - folded.ranges[test][0])
    at_once = max(1, int(computing.memory_gb * 1e9 / 2 / (np.dtype(dtype).itemsize * layout.size)))
    for some in blocks(len(target), at_once):
        kernels = TargetKernels(on, folded.ranges, test, len(some), dtype)
        for m in some:
            kernels.add(on.array(read_layer(target, m, folded.order, "target"), "float64"))
        yield some, kernels


def source_layer(source: Layers, layer: int, folded: Folded, computing: Computing) -> SourceLayer:
    on = computing.on
    values = on.array(read_layer(source, layer, folded.order, "source"), "float64")
    return SourceLayer(on, values, folded.ranges, computing.dtype)


def _scores(
    maps: SourceLayer,
    train: Sequence[int],
    test: int,
    folded: Folded,
    kernels: TargetKernels,
    penalties: Sequence[float],
    computing: Computing,
) -> NDArray[np.float64]:
    """R² for each penalty and target layer, (n_penalties, n_target_layers)."""
    on, dtype = computing.on, computing.dtype
    sizes = {fold: folded.ranges[fold][1] - folded.ranges[fold][0] for fold in train}
    layout = Layout(sizes, kernels.layout.n_test)
    weights = on.zeros((len(penalties), layout.size), dtype)
    for i, smoother in enumerate(maps.smoothers(train, test, penalties)):
        write_weights(on, layout, smoother, dtype, weights[i])
    return kernels.varying - unexplained(on, layout, weights, kernels)


def select(inner: NDArray[np.float64], penalties: Sequence[float]) -> Selection:
    """The penalty and target layer of the largest inner R², for each outer fold and source layer.

    Parameters
    ----------
    inner : ndarray, shape (n_folds, n_penalties, n_source_layers, n_target_layers)
    penalties : sequence of float
    """
    n_folds, _, n_source, n_target = inner.shape
    best = inner.swapaxes(1, 2).reshape(n_folds, n_source, -1).argmax(axis=2)
    which, layer = np.divmod(best, n_target)
    return Selection(np.asarray(penalties, dtype=np.float64)[which], layer)


def select_penalty(
    inner: NDArray[np.float64], penalties: Sequence[float], target_layer: NDArray[np.intp]
) -> Selection:
    """The penalty of the largest inner R² where target layers are given, (n_folds, n_source_layers)."""
    fold, layer = np.indices(target_layer.shape)
    source = np.minimum(layer, inner.shape[2] - 1)
    which = inner[fold, :, source, target_layer].argmax(axis=2)
    return Selection(np.asarray(penalties, dtype=np.float64)[which], target_layer)


class Score(NamedTuple):
    """R² of chosen maps on outer folds.

    Attributes
    ----------
    r2 : ndarray, shape (n_folds, n_source_layers)
        NaN for a fold with fewer than two rows that count.
    influence : ndarray, shape (n_environments, n_source_layers)
        What each environment contributes to the mean over folds (see `syncr2.maps.intervals`).
    """

    r2: NDArray[np.float64]
    influence: NDArray[np.float64]


class Clusters(NamedTuple):
    """Which environment each row belongs to.

    Attributes
    ----------
    environment : ndarray of int, shape (n_samples,)
        Position of each row's environment among `names`.
    names : tuple of str
    """

    environment: NDArray[np.intp]
    names: tuple[str, ...]


def score(
    source: Layers,
    target: Layers,
    fold: NDArray[np.intp],
    chosen: Selection,
    clusters: Clusters,
    computing: Computing,
    subsets: Sequence[NDArray[np.bool_]] | None = None,
) -> list[Score]:
    """Fit the chosen maps on all folds but one and score them on that one.

    Parameters
    ----------
    source, target, fold, computing
        As for `inner_r2`.
    chosen : Selection
        Penalty and target layer of every fold and source layer.
    clusters : Clusters
    subsets : sequence of bool arrays, each (n_samples,), optional
        Which test rows count, for several scores of the same maps; default all.

    Returns
    -------
    list of Score
        One a subset.
    """
    folded = Folded.of(fold)
    masks = [np.ones(len(fold), dtype=bool)] if subsets is None else list(subsets)
    scorer = Scorer(folded, chosen.penalty.shape, clusters, masks)
    targets = TargetRows(target, folded, computing)
    for layer in range(chosen.penalty.shape[1]):
        maps = source_layer(source, layer, folded, computing)
        for test in range(len(folded.ranges)):
            train, m = folded.without(test), int(chosen.target_layer[test, layer])
            (smoother,) = maps.smoothers(train, test, [float(chosen.penalty[test, layer])])
            scorer.add(test, layer, *targets.predicted(m, smoother, test))
    return scorer.scores()


class TargetRows:
    """Target layers on the device, centred, fold after fold; the last few are kept."""

    KEPT = 4

    def __init__(self, target: Layers, folded: Folded, computing: Computing) -> None:
        self._target, self._folded, self._on = target, folded, computing.on
        self._held: dict[int, Array] = {}

    def layer(self, m: int) -> Array:
        """All rows of one layer, float64."""
        if m not in self._held:
            while len(self._held) >= self.KEPT:
                self._held.pop(next(iter(self._held)))
            values = self._on.array(read_layer(self._target, m, self._folded.order, "target"), "float64")
            self._held[m] = values - values.mean(0)
        return self._held[m]

    def predicted(
        self, m: int, smoother: Mapping[int, Array], test: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows of the test fold, and what is left of them after the prediction."""
        y = self.layer(m)
        seen = y[slice(*self._folded.ranges[test])]
        made = sum(
            self._on.cast(columns, "float64") @ y[slice(*self._folded.ranges[part])]
            for part, columns in smoother.items()
        )
        return self._on.numpy(seen), self._on.numpy(seen - made)


class Scorer:
    """Gathers residuals of outer folds into scores of subsets of rows."""

    def __init__(
        self,
        folded: Folded,
        shape: tuple[int, ...],
        clusters: Clusters,
        subsets: Sequence[NDArray[np.bool_]],
    ) -> None:
        self._folded, self._clusters, self._subsets = folded, clusters, subsets
        self._r2 = np.full((len(subsets), *shape), np.nan)
        self._influence = np.zeros((len(subsets), shape[0], len(clusters.names), shape[1]))

    def add(self, test: int, layer: int, values: NDArray, residual: NDArray) -> None:
        """Take in one map's test fold."""
        rows = self._folded.rows(test)
        for i, subset in enumerate(self._subsets):
            counts = subset[rows]
            if counts.sum() < 2:
                continue
            environment = self._clusters.environment[rows[counts]]
            sums = FoldSums.of(values[counts], residual[counts], environment)
            self._r2[i, test, layer] = sums.r2()[0]
            self._influence[i, test, sums.environments, layer] = sums.influence()

    def scores(self) -> list[Score]:
        """One `Score` a subset, influences averaged over the folds that could be scored."""
        found = []
        for r2, influence in zip(self._r2, self._influence, strict=True):
            n_scored = max(1, int((~np.isnan(r2).any(axis=1)).sum()))
            found.append(Score(r2, influence.sum(axis=0) / n_scored))
        return found
