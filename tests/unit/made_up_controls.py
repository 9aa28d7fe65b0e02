"""Tables of the controls, made up: as the workflow writes them, for any models, with what may be missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from syncr2.ids import pair_family, unordered_pairs

MODELS = {
    **{f"mini-mistral-v0.{i}": "mistral" for i in (1, 2, 3)},
    **{f"mini-llama-{version}": "llama" for version in ("2", "3", "3.2")},
}
CONTROLS = ("passive", "lag3", "lag5", "untrained", "pseudo")
RELATIONSHIPS = ("stranger", "know_by_name", "acquaintance", "friend", "romantic", "family")
GAINS = {
    **{"own_past_gain": 0.03, "context_gain": 0.3, "text_gain": 0.12},
    **{"kernel_ridge_gain": 0.004, "mlp_gain": -0.02},
}
LEVELS = {
    **{"own_past": 0.5, "own_past_and_source": 0.53, "context": 0.12, "context_and_source": 0.42},
    **{"text": 0.3, "text_and_source": 0.42, "ceiling": 0.6, "affine": 0.45, "kernel_ridge": 0.454},
    "mlp": 0.43,
}


class MadeUp:
    """Writes the tables from planted values, which rise a little from pair to pair."""

    def __init__(
        self,
        models: Mapping[str, str] = MODELS,
        *,
        controls: Sequence[str] = CONTROLS,
        seeds: int = 2,
        groups: Mapping[str, Sequence[str]] | None = None,
        seed: int = 5,
    ) -> None:
        self.family = dict(models)
        self.pairs = unordered_pairs(list(models))
        self.controls = controls if seeds > 1 else [name for name in controls if name != "pseudo"]
        self.seeds = seeds
        self.groups = {"relationship": RELATIONSHIPS} if groups is None else groups
        self._rng = np.random.default_rng(seed)

    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables, by the names of their files."""
        made = {
            "protocols": pd.DataFrame(self._protocols()),
            "contrasts": pd.DataFrame(
                self._contrasts(),
                columns=["model_1", "model_2", "family", "states", "minus", "difference", "low", "high"],
            ),
            "nulls": self._nulls(),
            "baselines": pd.DataFrame(self._baselines()),
            "lag_profile": pd.DataFrame(self._lags()),
            "groups": pd.DataFrame(self._groups()),
        }
        corrected = made["protocols"].query("protocol == 'corrected'")
        ends = corrected.drop(columns=["low", "high"]).rename(columns={"raw_low": "low", "raw_high": "high"})
        made["protocols_overall"] = _overall(ends, ["states", "condition"], "sync_r2_raw").rename(
            columns={"low": "raw_low", "high": "raw_high"}
        )
        made["contrasts_overall"] = _overall(made["contrasts"], ["states", "minus"], "difference")
        made["baselines_overall"] = _overall(made["baselines"], ["measure"], "value")
        made["lag_profile_overall"] = _overall(made["lag_profile"], ["agent", "lag"], "sync_r2_raw")
        return made

    def _each(self) -> Iterator[tuple[dict[str, Any], float]]:
        for i, (first, second) in enumerate(self.pairs):
            who = {"model_1": first, "model_2": second, "family": pair_family(first, second, self.family)}
            yield who, 0.8 + 0.4 * i / len(self.pairs)

    def _interval(self, value: float, names: Sequence[str], width: float = 0.03) -> dict[str, float]:
        value += self._rng.normal(0, width / 2)
        return dict(zip(names, (value, value - width, value + width), strict=True))

    def _protocols(self) -> Iterator[dict[str, Any]]:
        level = {
            "interaction": 0.45,
            "passive": 0.3,
            "lag3": 0.2,
            "lag5": 0.1,
            "untrained": 0.17,
            "pseudo": 0.15,
        }
        conditions = ["interaction", *self.controls]
        for who, rise in self._each():
            for condition in conditions:
                value = level[condition] * rise
                yield who | {
                    **{"protocol": "paper", "states": "plain", "condition": condition},
                    **{"sync_r2": value + 0.08, "sync_r2_raw": value + 0.075, "n_samples": 1300},
                }
            for states, shift in (("plain", 0.0), ("centred", -0.09)):
                for condition in conditions:
                    value = level[condition] * rise + shift
                    yield who | {
                        **{"protocol": "corrected", "states": states, "condition": condition},
                        **self._interval(value + 0.01, ["sync_r2", "low", "high"]),
                        **self._interval(value, ["sync_r2_raw", "raw_low", "raw_high"]),
                        **{"n_samples": 6000, "n_environments": 90},
                    }

    def _contrasts(self) -> Iterator[dict[str, Any]]:
        for who, rise in self._each():
            for states in ("plain", "centred"):
                for i, control in enumerate(self.controls):
                    value = (0.05 + 0.06 * i) * rise * (1 if states == "plain" else 0.5)
                    yield who | {
                        **{"states": states, "minus": control},
                        **self._interval(value, ["difference", "low", "high"]),
                    }

    def _nulls(self) -> pd.DataFrame:
        rows = []
        for i, (who, rise) in enumerate(self._each()):
            for null in ("permutation", "pseudo"):
                for index, observed in (("sync_r2", 0.46), ("cka", 0.3), ("cca", 0.22)):
                    tested = null == "permutation" or self.seeds > 1
                    p = 0.001 if null == "permutation" else (i + 1) / 40
                    mean = (0.12 if null == "permutation" else 0.4) * rise * observed / 0.46
                    rows.append(
                        who
                        | {
                            **{"index": index, "null": null, "observed": observed * rise, "null_mean": mean},
                            **{"null_high": mean + 0.06, "p": p if tested else np.nan},
                            **{
                                "p_holm": min(1, 21 * p if null == "permutation" else 4 * p)
                                if tested
                                else np.nan
                            },
                            **{"n_draws": 1000, "movable_share": 0.8 if tested else 0.0},
                        }
                    )
        return pd.DataFrame(rows)

    def _baselines(self) -> Iterator[dict[str, Any]]:
        for who, rise in self._each():
            for name, value in (GAINS | LEVELS).items():
                if name != "ceiling" or self.seeds > 1:
                    width = 0.012 if name in GAINS else 0.03
                    yield who | {
                        "measure": name,
                        **self._interval(value * rise, ["value", "low", "high"], width),
                    }
            if self.seeds > 1:
                yield who | {"measure": "share_of_ceiling", **self._interval(0.75, ["value", "low", "high"])}

    def _lags(self) -> Iterator[dict[str, Any]]:
        names = ["sync_r2_raw", "low", "high"]
        for who, rise in self._each():
            for lag in (1, 3, 5, 7, -1):
                value = 0.4 * rise if lag < 0 else 0.5 * rise / lag**0.5
                yield who | {"agent": "partner", "lag": lag, **self._interval(value, names)}
            for lag in (2, 4, 6):
                yield who | {"agent": "self", "lag": lag, **self._interval(0.7 * rise / lag**0.4, names)}

    def _groups(self) -> Iterator[dict[str, Any]]:
        names = ["sync_r2_raw", "low", "high"]
        for who, rise in self._each():
            for fit, shift, width in (("one", 0.0, 0.04), ("separate", -0.08, 0.07)):
                for column, values in self.groups.items():
                    for i, value in enumerate(values):
                        yield who | {
                            **{"fit": fit, "column": column, "value": value, "versus": ""},
                            **self._interval((0.3 + 0.03 * i) * rise + shift, names, width),
                            **{"n_samples": 900, "n_environments": 15},
                        }
                    for i, value in enumerate(values[:8]):
                        for j in range(i + 1, len(values[:8])):
                            yield who | {
                                **{"fit": fit, "column": column, "value": value, "versus": values[j]},
                                **self._interval(0.03 * (i - j) * rise, names, width),
                            }


def _overall(table: pd.DataFrame, keys: list[str], value: str) -> pd.DataFrame:
    """Means over pairs, with intervals that are narrower than a pair's."""
    grouped = table.groupby(keys, sort=False)
    found = grouped[value].mean().reset_index()
    found["low"], found["high"] = found[value] - 0.008, found[value] + 0.008
    return found.assign(n_pairs=grouped.size().to_numpy())
