"""Pairs of models as what they are: dyads that share their members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.statistics.correlation import Matrix, Vector
from syncr2.statistics.simple import checked, require_columns

ALL = "all"


@dataclass(frozen=True)
class Dyads:
    """The pairs of one family, or of all, and the models that they join.

    Attributes
    ----------
    name : str
        The family, or `all`.
    models : tuple of str
        Models that stand in any of the pairs.
    block : ndarray of int, shape (n_models,)
        Models of the same block may take each other's place.
    first, second : ndarray of int, shape (n_pairs,)
        Positions of each pair's models; the same for a model with itself.
    x, y : ndarray, shape (n_pairs,)
        SyncR² and social performance.
    covariates : ndarray, shape (n_pairs, k)
    """

    name: str
    models: tuple[str, ...]
    block: NDArray[np.intp]
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    x: Vector
    y: Vector
    covariates: Matrix

    def __len__(self) -> int:
        return len(self.x)

    def membership(self) -> Matrix:
        """How many of a pair's two agents each model is, (n_pairs, n_models)."""
        models = np.arange(len(self.models))
        return (self.first[:, None] == models).astype(np.float64) + (self.second[:, None] == models)

    def without(self, model: int) -> Dyads:
        """The pairs that one model has no part in."""
        kept = (self.first != model) & (self.second != model)
        return Dyads(
            self.name,
            self.models,
            self.block,
            self.first[kept],
            self.second[kept],
            self.x[kept],
            self.y[kept],
            self.covariates[kept],
        )


def dyads_by_family(
    pairs: pd.DataFrame, families: Mapping[str, str], covariates: Sequence[str] = ()
) -> list[Dyads]:
    """The pairs of each family, in order of first appearance, and all of them.

    Parameters
    ----------
    pairs : DataFrame
        Columns `model_1`, `model_2`, `family`, `sync_r2`, `social_performance` and the covariates.
    families : mapping
        Family by model. Within pairs of two families, models may only take the place of their own kin;
        among all pairs, any model's.
    covariates : sequence of str

    Raises
    ------
    SyncR2Error
        If a column or a model's family is missing, a value is no finite number, or a pair stands twice.
    """
    require_columns(pairs, ["model_1", "model_2"])
    table = checked(pairs, covariates)
    names = pairs[["model_1", "model_2"]].astype(str)
    nameless = sorted({*names["model_1"], *names["model_2"]} - set(families))
    if nameless:
        raise SyncR2Error(
            f"No family is known of {', '.join(nameless)}. Families: {', '.join(families) or 'none'}."
        )
    unordered = [frozenset(pair) for pair in zip(names["model_1"], names["model_2"], strict=True)]
    if len(set(unordered)) < len(unordered):
        twice = next(pair for i, pair in enumerate(unordered) if pair in unordered[:i])
        raise SyncR2Error(
            f"The table of pairs has {' and '.join(sorted(twice))} twice, in either order. "
            "Keep one row a pair."
        )
    found = []
    for family in dict.fromkeys(table["family"]):
        rows = (table["family"] == family).to_numpy()
        found.append(_dyads(str(family), names[rows], table[rows], covariates, families))
    return [*found, _dyads(ALL, names, table, covariates, dict.fromkeys(families, ""))]


def _dyads(
    name: str,
    names: pd.DataFrame,
    table: pd.DataFrame,
    covariates: Sequence[str],
    families: Mapping[str, str],
) -> Dyads:
    there = {*names["model_1"], *names["model_2"]}
    models = tuple(model for model in families if model in there)
    position = {model: i for i, model in enumerate(models)}
    kinds = list(dict.fromkeys(families[model] for model in models))
    return Dyads(
        name,
        models,
        np.array([kinds.index(families[model]) for model in models], dtype=np.intp),
        np.array([position[model] for model in names["model_1"]], dtype=np.intp),
        np.array([position[model] for model in names["model_2"]], dtype=np.intp),
        table["sync_r2"].to_numpy(dtype=np.float64),
        table["social_performance"].to_numpy(dtype=np.float64),
        table[list(covariates)].to_numpy(dtype=np.float64),
    )
