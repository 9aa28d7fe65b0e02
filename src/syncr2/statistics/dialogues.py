"""Within pairs: does a dialogue with higher synchrony go better?

A mixed model over dialogues. SyncR² of a dialogue counts less the mean of its ordered pair, so what differs
between pairs of models has no part in the slope; length is held fixed; ordered pair, environment and episode
are random effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.ids import pair_family
from syncr2.statistics.correlation import Vector, standardised
from syncr2.statistics.dyadic import corrected
from syncr2.statistics.dyads import ALL
from syncr2.statistics.mixed import TOO_FEW, UNDEFINED, MixedFit
from syncr2.statistics.reml import fit_reml

KEYS = ["agent1", "agent2", "seed", "episode_id"]
# What length is; logarithms, since a dialogue twice as long is so anywhere.
LENGTHS = ("n_turns", "n_new_tokens")
# Environments that an interval over them needs.
LEAST_ENVIRONMENTS = 5
_NOTHING = 1e-12
TOO_FEW_ENVIRONMENTS = TOO_FEW.replace("models", "environments")


@dataclass(frozen=True)
class WithinPairs:
    """Slope of performance on SyncR² within pairs, in standard deviations of each within pairs.

    Attributes
    ----------
    n_dialogues, n_pairs, n_environments : int
        Ordered pairs.
    held : str
        Lengths held fixed, those that vary.
    status : str
    slope, low, high, p : float
        Student's t with one degree of freedom less than there are environments.
    share_pair, share_environment, share_episode : float
        Of the variance of performance beside the fixed effects; NaN for one that is no effect of its own.
    """

    n_dialogues: int
    n_pairs: int
    n_environments: int
    held: str
    status: str
    slope: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    share_pair: float = np.nan
    share_environment: float = np.nan
    share_episode: float = np.nan


def join_scores(scores: pd.DataFrame, dialogues: pd.DataFrame) -> pd.DataFrame:
    """One row a dialogue: its SyncR², the mean over directions, beside what the table of dialogues has.

    Parameters
    ----------
    scores : DataFrame
        From `dialogue_scores`, of all pairs.
    dialogues : DataFrame
        dialogues.tsv.

    Raises
    ------
    SyncR2Error
        If a scored dialogue is not in the table.
    """
    by_dialogue = scores.groupby(KEYS, sort=False, as_index=False).agg(
        sync_r2=("sync_r2", "mean"), n_directions=("direction", "size"), n_samples=("n_samples", "sum")
    )
    joined = by_dialogue.merge(dialogues, on=KEYS, how="left", validate="one_to_one", indicator=True)
    alone = joined[joined["_merge"] != "both"]
    if len(alone):
        first = alone.iloc[0]
        raise SyncR2Error(
            f"{len(alone)} scored dialogue(s) are not in the table of dialogues, such as {first['agent1']} "
            f"with {first['agent2']}, seed {first['seed']}, episode {first['episode_id']}. Both must come "
            "from one run: run the workflow again."
        )
    return joined.drop(columns="_merge")


def within_pairs(dialogues: pd.DataFrame, families: Mapping[str, str]) -> pd.DataFrame:
    """The slope within pairs, by family and over all dialogues.

    Parameters
    ----------
    dialogues : DataFrame
        `agent1`, `agent2`, `episode_id`, `environment_id`, `sync_r2`, `social_performance` (NaN where a
        dialogue was not judged: it is left out), `n_turns`, `n_new_tokens`.
    families : mapping
        Family by model.

    Returns
    -------
    DataFrame
        `family` and the fields of `WithinPairs`, with `p_holm` and `corrected_over`.
    """
    judged = dialogues[dialogues["social_performance"].notna() & dialogues["sync_r2"].notna()]
    agents = zip(judged["agent1"].astype(str), judged["agent2"].astype(str), strict=True)
    family = np.array([pair_family(one, other, families) for one, other in agents], dtype=object)
    rows: list[dict[str, Any]] = [
        {"family": name, **asdict(_within(judged[family == name]))} for name in dict.fromkeys(family.tolist())
    ]
    rows.append({"family": ALL, **asdict(_within(judged))})
    return corrected(rows, ps=("p",))


def _within(table: pd.DataFrame) -> WithinPairs:
    levels = {
        "pair": (table["agent1"].astype(str) + "\t" + table["agent2"].astype(str)).to_numpy(),
        "environment": table["environment_id"].astype(str).to_numpy(),
        "episode": table["episode_id"].astype(str).to_numpy(),
    }
    n_levels = {name: len(set(each)) for name, each in levels.items()}
    lengths = {name: np.log1p(table[name].to_numpy(dtype=np.float64)) for name in LENGTHS}
    held = {name: standardised(each) for name, each in lengths.items() if np.ptp(each) > 0}
    none = WithinPairs(
        len(table), n_levels["pair"], n_levels["environment"], ", ".join(held), TOO_FEW_ENVIRONMENTS
    )
    if none.n_environments < LEAST_ENVIRONMENTS:
        return none
    x, y = (table[name].to_numpy(dtype=np.float64) for name in ("sync_r2", "social_performance"))
    x, spread = x - _group_means(x, levels["pair"]), float((y - _group_means(y, levels["pair"])).std())
    if min(x.std(), spread) < _NOTHING:
        return replace(none, status=UNDEFINED)
    # What has one level, or stands for the same dialogues as another, is no effect of its own.
    same = n_levels["episode"] == n_levels["environment"]
    names = ["pair", "environment", *([] if same else ["episode"])]
    effects = {name: levels[name] for name in names if 1 < n_levels[name] < len(table)}
    design = np.column_stack([np.ones(len(x)), standardised(x), *held.values()])
    return _tested(none, fit_reml(y / spread, design, effects))


def _tested(none: WithinPairs, fit: MixedFit) -> WithinPairs:
    from scipy import stats

    if not fit.fitted:
        return replace(none, status=fit.status)
    slope, error = float(fit.estimates[1]), float(fit.errors[1])
    df = none.n_environments - 1
    reach = float(stats.t.ppf(0.975, df)) * error
    total = sum(fit.variances.values())
    return replace(
        none,
        status=fit.status,
        slope=slope,
        low=slope - reach,
        high=slope + reach,
        p=float(2 * stats.t.sf(abs(slope) / error, df)),
        share_pair=fit.variances.get("pair", np.nan) / total,
        share_environment=fit.variances.get("environment", np.nan) / total,
        share_episode=fit.variances.get("episode", np.nan) / total,
    )


def _group_means(values: Vector, group: NDArray) -> Vector:
    _, where = np.unique(group, return_inverse=True)
    return (np.bincount(where, values) / np.bincount(where))[where]
