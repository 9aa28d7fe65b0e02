"""Other ways to get the test R² of ridge maps; each gives one value for every column of Y.

They are used as their users would: default options, the data in memory in their own number format. Their
imports are inside, so that each is measured without the others' libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Competitor:
    """One way to compute the R² matrix that is not ours.

    Attributes
    ----------
    title : str
        What it is called in the table.
    dtype : str
        Number format of its data.
    scores : callable
        (x_train, y_train, x_test, y_test, penalty) → R² of each column of Y, an array (n_columns,).
    stacked : bool
        Whether it takes all target layers in one fit, or one pair of layers at a time.
    torch : bool
        Whether it takes tensors, on the device of the run.
    package : str
        What must be installed.
    few_many : tuple of int
        Numbers of target layers stacked where all of them do not fit into memory.
    """

    title: str
    dtype: str
    scores: Callable[..., Any]
    stacked: bool = False
    torch: bool = False
    package: str = "sklearn"
    few_many: tuple[int, int] = (2, 8)

    def own(self, values: NDArray, device: str) -> Any:
        """The values as this competitor takes them."""
        values = np.ascontiguousarray(values, dtype=self.dtype)
        if not self.torch:
            return values
        import torch

        return torch.from_numpy(values).to(device)


def published(x_train: Any, y_train: Any, x_test: Any, y_test: Any, penalty: float) -> NDArray:
    """Centred normal equations in torch, (XᵀX + λI) W = XᵀY, solved anew for each pair of layers."""
    import torch

    x_mean, y_mean = x_train.mean(dim=0), y_train.mean(dim=0)
    x = x_train - x_mean
    system = x.T @ x
    system.diagonal().add_(penalty)
    weights = torch.linalg.solve(system, x.T @ (y_train - y_mean))
    residual = y_test - torch.addmm(y_mean, x_test - x_mean, weights)
    spread = ((y_test - y_test.mean(dim=0)) ** 2).sum(dim=0)
    return (1 - (residual**2).sum(dim=0) / spread).cpu().numpy()


def by_sklearn(
    x_train: NDArray, y_train: NDArray, x_test: NDArray, y_test: NDArray, penalty: float
) -> NDArray:
    """`sklearn.linear_model.Ridge` with its default solver, and `r2_score`."""
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    predicted = Ridge(alpha=penalty).fit(x_train, y_train).predict(x_test)
    return r2_score(y_test, predicted, multioutput="raw_values")


def by_himalaya(
    x_train: NDArray, y_train: NDArray, x_test: NDArray, y_test: NDArray, penalty: float
) -> NDArray:
    """`himalaya.ridge.Ridge` on its numpy backend."""
    from himalaya.backend import set_backend
    from himalaya.ridge import Ridge

    set_backend("numpy")
    return Ridge(alpha=penalty, fit_intercept=True).fit(x_train, y_train).score(x_test, y_test)


# The one whose R² all others are compared with.
REFERENCE = "sklearn-pairs"
COMPETITORS = {
    "published": Competitor("published: one torch solve a pair", "float32", published, False, True, "torch"),
    REFERENCE: Competitor("scikit-learn Ridge, a fit a pair", "float64", by_sklearn),
    "sklearn-stacked": Competitor("scikit-learn Ridge, targets stacked", "float64", by_sklearn, True),
    "sklearn-stacked-float32": Competitor("scikit-learn Ridge, targets stacked", "float32", by_sklearn, True),
    # Its time goes almost all by the column of Y, so it is given fewer of them.
    "himalaya": Competitor(
        "himalaya Ridge, targets stacked", "float64", by_himalaya, True, False, "himalaya", (1, 2)
    ),
}
# Name: (title, the precision of `syncr2.maps.ridge.layer_r2`).
OURS = {"ours": ("ours", "float64"), "ours-mixed": ("ours, mixed precision", "mixed")}
