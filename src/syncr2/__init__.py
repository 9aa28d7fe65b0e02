"""Neural synchrony between interacting language models.

What other tools call::

    syncr2.SyncR2(cv=5).fit(X, y, groups)                      SyncR² of any states, in scikit-learn's manner
    syncr2.layer_r2(source, target, train, test, penalty=0.1)  R² of the ridge map between all pairs of layers
    syncr2.directed_sync(r2)                                   SyncR² of one direction
    syncr2.paper_split(samples_per_episode, n_samples, seed)   the published split by episode
    syncr2.open_states(paths)                                  states of a run, read a layer at a time
    syncr2.statistics.correlations(pairs)                      SyncR² with social performance, by family
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncr2 import statistics
    from syncr2.estimator import SyncR2
    from syncr2.maps.ridge import layer_r2
    from syncr2.maps.samples import paper_split
    from syncr2.protocols.synchrony import directed_sync
    from syncr2.store import open_states

__all__ = ["SyncR2", "directed_sync", "layer_r2", "open_states", "paper_split", "statistics"]

_HOME = {
    "SyncR2": "syncr2.estimator",
    "layer_r2": "syncr2.maps.ridge",
    "paper_split": "syncr2.maps.samples",
    "open_states": "syncr2.store",
    "directed_sync": "syncr2.protocols.synchrony",
}


def __getattr__(name: str) -> Any:
    # On first use only: Snakemake imports this package to plan, and planning needs no numerics.
    if name == "statistics":
        return importlib.import_module("syncr2.statistics")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'syncr2' has no attribute {name!r}")
