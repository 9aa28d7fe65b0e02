"""Which test of a correlation over pairs of models can be believed: `python benchmarks/pair_statistics.py`.

Writes benchmarks/results/pair_statistics.{json,md,png}. Every model has two traits; a pair's value is the sum
of its models' traits and noise of its own, and a share of its variance is the models'. With unrelated traits
a test at 5 % should reject in 5 % of data sets, and an interval should hold the true value in 95 %. With
related traits, how often does the permutation of labels see it?
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from demo import RESULTS
from layer_r2.machine import machine_record, threads_here
from matplotlib.figure import Figure

from syncr2 import ids
from syncr2.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, STYLE, VERMILLION
from syncr2.provenance import code_version, library_versions
from syncr2.statistics.correlation import correlation
from syncr2.statistics.dyads import Dyads, dyads_by_family
from syncr2.statistics.mixed import pair_model
from syncr2.statistics.relabelling import MOST_EXACT, Relabellings, relabelling_test, relabellings
from syncr2.statistics.resampling import bootstrap, model_weights, pair_weights

LEVEL = 0.05
SHARES = (0.5, 0.8, 0.95)
TRUE_R = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
MODELS = (6, 8, 10)
# The share of models' effects at which power is shown.
POWER_SHARE = 0.8
DRAWN = 999
FAMILIES = ("all", "cross", "one")
BOOTSTRAP_DRAWS = 400


class Experiment:
    """The pairs of made-up experiments with so many models, half of them in one family, half in the other.

    Attributes
    ----------
    changed : dict
        Relabellings by family (`one`, `other`, `cross` and `all`); they depend on which pairs there are, not
        on values.
    """

    def __init__(self, n_models: int, rng: np.random.Generator) -> None:
        names = [f"model {i}" for i in range(n_models)]
        families = {name: "one" if i < n_models // 2 else "other" for i, name in enumerate(names)}
        pairs = ids.unordered_pairs(names)
        self.n_models, self._rng = n_models, rng
        self._first, self._second = np.array([[names.index(name) for name in pair] for pair in pairs]).T
        table = pd.DataFrame(pairs, columns=["model_1", "model_2"])
        table["family"] = [ids.pair_family(*pair, families) for pair in pairs]
        empty = table.assign(sync_r2=0.0, social_performance=0.0)
        self._dyads = {dyads.name: dyads for dyads in dyads_by_family(empty, families)}
        self._rows = {name: (table["family"] == name).to_numpy() for name in self._dyads}
        self._rows["all"] = np.ones(len(pairs), dtype=bool)
        self.changed = {name: relabellings(dyads, DRAWN, rng) for name, dyads in self._dyads.items()}

    def draw(self, share: float, r: float) -> dict[str, Dyads]:
        """One data set, by family.

        Parameters
        ----------
        share : float
            Of the variance of a pair of two models, what their traits make; the rest is the pair's own,
            unrelated on both sides.
        r : float
            Correlation of the two traits; 0 for unrelated ones.
        """
        one, other = self._rng.standard_normal((2, self.n_models))
        traits = np.stack([one, r * one + np.sqrt(1 - r**2) * other])
        noise = self._rng.standard_normal((2, len(self._first)))
        x, y = (
            np.sqrt(share / 2) * (traits[:, self._first] + traits[:, self._second])
            + np.sqrt(1 - share) * noise
        )
        return {
            name: replace(dyads, x=x[self._rows[name]], y=y[self._rows[name]])
            for name, dyads in self._dyads.items()
        }

    def expected_r(self, family: str, share: float, r: float) -> float:
        """Correlation over the pairs of a family of infinitely many such experiments."""
        rows = self._rows[family]
        models = np.where(self._first[rows] == self._second[rows], 2.0, 1.0).mean() * share
        return float(r * models / (models + 1 - share))


def naive(dyads: Dyads, _: Relabellings) -> float:
    """p that takes pairs for independent."""
    return correlation(dyads.x, dyads.y).p


def qap(dyads: Dyads, changed: Relabellings) -> float:
    """p of the permutation of labels."""
    return relabelling_test(dyads, changed).p


def mixed(dyads: Dyads, _: Relabellings) -> float:
    """p of the slope with an effect of every model; 1 where there is none."""
    p = pair_model(dyads).p
    return 1.0 if np.isnan(p) else p


TESTS: dict[str, Callable[[Dyads, Relabellings], float]] = {"naive": naive, "qap": qap, "mixed": mixed}
INTERVALS = {"pairs": pair_weights, "models": model_weights}


def rejection_rates(
    n_models: int,
    share: float,
    r: float,
    n_data: int,
    tests: Sequence[str] = ("naive", "qap"),
    families: Sequence[str] = FAMILIES,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Share of simulated data sets in which each test rejects at 5 %, by family and test."""
    made = Experiment(n_models, _rng(seed, n_models, share, r))
    rejected = {family: dict.fromkeys(tests, 0) for family in families}
    for _ in range(n_data):
        data = made.draw(share, r)
        for family in families:
            for test in tests:
                rejected[family][test] += TESTS[test](data[family], made.changed[family]) <= LEVEL
    return {
        family: {test: count / n_data for test, count in counts.items()}
        for family, counts in rejected.items()
    }


def coverage(
    n_models: int, share: float, r: float, n_data: int, families: Sequence[str] = FAMILIES, seed: int = 0
) -> dict[str, dict[str, float | None]]:
    """Share of simulated data sets whose interval holds the expected r; None where there is no interval."""
    rng = _rng(seed, n_models, share, r)
    made = Experiment(n_models, rng)
    held: dict[str, dict[str, list[bool]]] = {f: {w: [] for w in INTERVALS} for f in families}
    for _ in range(n_data):
        data = made.draw(share, r)
        for family in families:
            expected, dyads = made.expected_r(family, share, r), data[family]
            value = correlation(dyads.x, dyads.y).r
            for name, weights in INTERVALS.items():
                found = bootstrap(dyads, value, weights, BOOTSTRAP_DRAWS, rng)
                inside = found.low <= expected <= found.high
                if np.isfinite(found.low):
                    held[family][name].append(inside)
    return {
        family: {name: float(np.mean(each)) if each else None for name, each in found.items()}
        for family, found in held.items()
    }


def _rng(seed: int, n_models: int, share: float, r: float) -> np.random.Generator:
    return np.random.default_rng([seed, n_models, round(100 * share), round(100 * r)])


def measure(n_data: int) -> dict[str, Any]:
    """False alarms and coverage with 6 models, and power with more."""
    return {
        "false_alarms": {
            str(share): _joined(
                rejection_rates(6, share, 0.0, n_data),
                rejection_rates(6, share, 0.0, n_data // 5, ["mixed"]),
            )
            for share in SHARES
        },
        "coverage": {
            f"{share}, r {r}": coverage(6, share, r, n_data // 10) for share in SHARES for r in (0.0, 0.8)
        },
        "power": {
            str(n_models): {str(r): rejection_rates(n_models, POWER_SHARE, r, n_data // 5) for r in TRUE_R}
            for n_models in MODELS
        },
        "relabellings": {
            str(n_models): {
                family: len(changed.pairs)
                for family, changed in Experiment(n_models, _rng(0, n_models, 0, 0)).changed.items()
            }
            for n_models in MODELS
        },
        "n_data": n_data,
    }


def _joined(one: dict[str, dict[str, float]], other: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {family: one[family] | other[family] for family in one}


def drawn(measured: dict[str, Any]) -> Figure:
    """False alarms of three tests, and the power of the permutation of labels."""
    looks = {
        "naive": (VERMILLION, "o", "pairs taken for independent"),
        "mixed": (GREY, "D", "mixed model"),
        "qap": (BLUE, "s", "models' labels permuted"),
    }
    with STYLE.context():
        figure = Figure(figsize=(STYLE.width, 2.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        for test, (colour, marker, words) in looks.items():
            rates = [measured["false_alarms"][str(share)]["all"][test] for share in SHARES]
            left.plot(
                [100 * s for s in SHARES], [100 * r for r in rates], marker=marker, color=colour, label=words
            )
        left.axhline(100 * LEVEL, color=BLACK, linewidth=0.6, linestyle="--")
        left.set(ylim=(0, None), xlabel="variance of pairs that is their models', %", ylabel="rejected, %")
        left.set_title("Unrelated traits, 6 models: false alarms at 5 %")
        for (n_models, by_r), marker, colour in zip(
            measured["power"].items(), "sD^", (BLUE, GREEN, PURPLE), strict=True
        ):
            for family, line in (("all", "-"), ("cross", ":")):
                words = f"{n_models} models, {'all' if family == 'all' else 'cross-family'} pairs"
                right.plot(
                    TRUE_R, [100 * by_r[str(r)][family]["qap"] for r in TRUE_R],
                    marker=marker, color=colour, linestyle=line, label=words,
                )  # fmt: skip
        right.axhline(80, color=BLACK, linewidth=0.6, linestyle="--")
        right.set(ylim=(0, 100), xlabel="correlation of the models' traits", ylabel="found, %")
        right.set_title("Related traits: power of permuting labels")
        for axes in (left, right):
            # Lines pass below it.
            axes.legend(loc="upper left", frameon=True, facecolor="white", framealpha=1, edgecolor="none")
    return figure


def written(measured: dict[str, Any]) -> str:
    """The results as Markdown."""

    def rate(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f}"

    words = {"all": "all 21 pairs", "cross": "9 cross-family pairs", "one": "6 pairs of one family"}
    alarms = [
        f"| {100 * share:.0f} % | {words[family]} | " + " | ".join(rate(of[test]) for test in TESTS) + " |"
        for share in SHARES
        for family, of in measured["false_alarms"][str(share)].items()
    ]
    covered = [
        f"| {100 * share:.0f} % | {r} | {words[family]} | {rate(of['pairs'])} | {rate(of['models'])} |"
        for share in SHARES
        for r in (0.0, 0.8)
        for family, of in measured["coverage"][f"{share}, r {r}"].items()
    ]
    power = [
        f"| {n_models} | {words_of} | {measured['relabellings'][n_models][family]:,} | "
        + " | ".join(rate(by_r[str(r)][family]["qap"]) for r in TRUE_R)
        + " |"
        for n_models, by_r in measured["power"].items()
        for family, words_of in (("all", "all"), ("cross", "cross-family"), ("one", "one family"))
    ]
    n = measured["n_data"]
    return "\n".join(
        [
            "# Tests of a correlation over pairs of models, on simulated data",
            "",
            "`python benchmarks/pair_statistics.py`. Each model has two traits; a pair's value is the sum of "
            "its models' traits and noise of its own. Six models are two families of three, as in the "
            "published experiment. A model with itself is a pair.",
            "",
            f"## False alarms: unrelated traits ({n:,} data sets a row, {n // 5:,} for the mixed model)",
            "",
            "Data sets in which the test rejects at the 5 % level, in %.",
            "",
            "| variance that is the models' | pairs | naive Pearson | QAP | mixed model |",
            "| --- | --- | ---: | ---: | ---: |",
            *alarms,
            "",
            f"## Intervals ({n // 10:,} data sets a row)",
            "",
            "Data sets whose 95 % interval holds the expected correlation, in %. Three models are too few to "
            "resample.",
            "",
            "| variance that is the models' | correlation of traits | pairs | bootstrap over pairs | "
            "over models |",
            "| --- | ---: | --- | ---: | ---: |",
            *covered,
            "",
            f"## Power of QAP ({n // 5:,} data sets a cell; {100 * POWER_SHARE:.0f} % of the variance is the "
            "models')",
            "",
            "Data sets in which QAP rejects at the 5 % level, in %, by the correlation of the two traits. "
            f"Above {MOST_EXACT:,} relabellings, {DRAWN} are drawn. A family of three has 6 relabellings, so "
            "its p is never below 1/6.",
            "",
            "| models | pairs | relabellings | " + " | ".join(f"r = {r:g}" for r in TRUE_R) + " |",
            "| ---: | --- | ---: |" + " ---: |" * len(TRUE_R),
            *power,
            "",
            "![False alarms and power](pair_statistics.png)",
            "",
        ]
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--data-sets", type=int, default=10_000, help="for false alarms; fewer for the rest")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    measured = measure(given.data_sets)
    text = written(measured)
    print(text)
    record = measured | {
        "code": code_version(),
        "libraries": library_versions(),
        "machine": machine_record(threads_here()),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "pair_statistics.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    (given.out / "pair_statistics.md").write_text(text)
    drawn(measured).savefig(given.out / "pair_statistics.png", dpi=STYLE.dpi)


if __name__ == "__main__":
    main()
