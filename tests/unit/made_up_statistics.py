"""Tables of statistics as the workflow writes them, made by its own functions from planted values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd
from made_up_measures import measured

from syncr2.ids import speaking_orders
from syncr2.published import Published, read_published
from syncr2.sotopia.scenarios import RELATIONSHIPS
from syncr2.statistics import Resampling, dyadic_tables, pair_covariates, robustness_table
from syncr2.statistics.attenuation import attenuation_table
from syncr2.statistics.depth import depth_tables
from syncr2.statistics.dialogues import within_pairs
from syncr2.statistics.relationships import relationship_tables

HOW = Resampling(draws=200, relabellings=200)
ENVIRONMENTS = [f"e{i:02}" for i in range(36)]


@cache
def study() -> Published:
    return read_published()


def families(names: Mapping[str, str] | None = None) -> dict[str, str]:
    """Family by model of the published models, some of them by another name."""
    return {
        (names or {}).get(row["model"], row["model"]): row["family"]
        for row in study().models.to_dict("records")
    }


def run_pairs(names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """pairs.tsv of a run whose values are the published ones, with their covariates."""
    table = pair_covariates(study().pairs, study().covariates_by_model)
    renamed = table.replace({"model_1": dict(names or {}), "model_2": dict(names or {})})
    return renamed[["model_1", "model_2", "family", "sync_r2", "social_performance", "ifeval", "musr"]]


def dialogues(pairs: pd.DataFrame, slope: float = 0.0, trend: float = 0.0) -> pd.DataFrame:
    """One dialogue a speaking order and environment, around its pair's values.

    `slope` is what synchrony adds to performance within pairs, `trend` what a step of the relationship adds
    to synchrony.
    """
    rng = np.random.default_rng(11)
    rows = []
    for row in pairs.to_dict("records"):
        for order in speaking_orders(row["model_1"], row["model_2"]):
            for i, environment in enumerate(ENVIRONMENTS):
                step = i % len(RELATIONSHIPS)
                here = 0.1 * rng.standard_normal()
                sync = row["sync_r2"] + here + trend * (step - 2.5)
                rows.append(
                    {
                        "agent1": order.agent1,
                        "agent2": order.agent2,
                        "seed": 0,
                        "episode_id": f"episode-{i}",
                        "environment_id": environment,
                        "relationship": RELATIONSHIPS[step],
                        "sync_r2": sync,
                        "n_turns": 8 + i % 3,
                        "n_new_tokens": 100 + i,
                        "social_performance": row["social_performance"]
                        + slope * here
                        + 0.05 * rng.standard_normal(),
                    }
                )
    return pd.DataFrame(rows)


def performance(pairs: pd.DataFrame, judges: tuple[str, ...] = ("first", "second")) -> pd.DataFrame:
    """Judges' columns that `robustness_table` takes; the second judge turns the first round."""
    rows = []
    for judge in ("all judges", *judges):
        sign = -1.0 if judge == judges[-1] and len(judges) > 1 else 1.0
        rows.append(
            pairs[["model_1", "model_2"]].assign(
                judge=judge,
                social_performance=sign * pairs["social_performance"],
                social_performance_standardised=sign * pairs["social_performance"] / 3,
            )
        )
    return pd.concat(rows, ignore_index=True)


def statistics(
    names: Mapping[str, str] | None = None, slope: float = 0.0, trend: float = 0.0
) -> dict[str, pd.DataFrame]:
    """All tables below statistics/, by their names (`partial` for partial_correlations.tsv)."""
    pairs, family = run_pairs(names), families(names)
    found = dyadic_tables(pairs, family, ["ifeval", "musr"], HOW)
    sync = {"published": pairs[["model_1", "model_2", "family", "sync_r2"]]}
    found["robustness"] = robustness_table(sync, performance(pairs), family, HOW)
    talk = dialogues(pairs, slope, trend)
    found["within_pairs"] = within_pairs(talk, family)
    unordered = list(zip(pairs["model_1"], pairs["model_2"], strict=True))
    found |= relationship_tables(talk, unordered, family, RELATIONSHIPS, HOW)
    rng = np.random.default_rng(3)
    depth = np.linspace(0, 1, 9)
    values = {
        pair: level + 0.3 - abs(depth - 0.5) + 0.05 * rng.standard_normal((len(ENVIRONMENTS), 9))
        for pair, level in zip(unordered, pairs["sync_r2"], strict=True)
    }
    corrected = measured(values, ENVIRONMENTS)
    found |= depth_tables(corrected, unordered, family, 200)
    found["attenuation"] = attenuation_table(corrected, talk, unordered, family)
    return found


def synchrony(pairs: pd.DataFrame) -> pd.DataFrame:
    """synchrony.tsv: the interaction, and a passive reader 0.1 below it."""
    keys = ["model_1", "model_2", "family"]
    return pd.concat(
        pairs[[*keys, "sync_r2"]].assign(condition=name, sync_r2=pairs["sync_r2"] - less)
        for name, less in (("interaction", 0.0), ("passive", 0.1))
    )


def judged(pairs: pd.DataFrame, lost: int = 0) -> pd.DataFrame:
    """performance.tsv of two judges; of the first pair `lost` dialogues of 40 were refused by the second."""
    rows = []
    for judge in ("first", "second"):
        for i, row in enumerate(pairs.to_dict("records")):
            refused = lost if judge == "second" and i == 0 else 0
            rows.append(
                {
                    **{"judge": judge, "model_1": row["model_1"], "model_2": row["model_2"]},
                    **{"family": row["family"], "social_performance": row["social_performance"]},
                    **{"n_dialogues": 40, "n_judged": 40 - refused, "failure_rate": refused / 40},
                    **{"order_effect": 0.25 if judge == "first" else np.nan},
                    **{"order_change": 0.5 if judge == "first" else np.nan},
                    **{"n_failed": 0, "n_refused": refused, "n_truncated": 0},
                }
            )
    return pd.DataFrame(rows)
