"""Every published number beside this run's, and what one says of the other.

The rule, in this order:

not comparable      the models are not the published ones, or no judge judged what rests on one
not tested          the run has no such value
inside the interval the published number lies within the run's 95 % interval, up to its last printed digit
same sign           it does not, or there is no interval, but both have the same sign
other sign          neither

What was said without a number has a sign only. Where no gain was found (sign 0), "inside the interval" means
that the run's interval does not lie above 0, and "outside the interval" that it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from syncr2.published import Published
from syncr2.statistics.attenuation import pair_performance
from syncr2.statistics.simple import correlations, pair_covariates, partial_correlations

INSIDE, OUTSIDE = "inside the interval", "outside the interval"
SAME_SIGN, OTHER_SIGN = "same sign", "other sign"
NOT_TESTED, NOT_COMPARABLE = "not tested", "not comparable"
VERDICTS = (INSIDE, SAME_SIGN, OUTSIDE, OTHER_SIGN, NOT_TESTED, NOT_COMPARABLE)
CORRELATION, PARTIAL, CLAIM = "correlation", "partial_correlation", "claim"
SYNC, PERFORMANCE = "sync_r2", "social_performance"
COLUMNS = [
    *("quantity", "family", "model_1", "model_2", "covariate", "claim", "published", "from_published_pairs"),
    *("this_run", "low", "high", "interval_over", "n", "verdict", "why"),
]
_STAND_IN = "no judge of this run judges: its scores are a rule-based stand-in's"

Pair = frozenset[str]


class Found(NamedTuple):
    """What a run has for a published number; NaN where it has nothing."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    over: str = ""
    n: float = np.nan


@dataclass(frozen=True)
class Run:
    """A run's tables, and what they are of.

    Attributes
    ----------
    published_as : mapping
        Published name of those of its models that are published ones.
    judged : bool
        Whether any of its judges is one.
    pairs, correlations, partial, dialogues : DataFrame
        pairs.tsv, correlations.tsv and partial_correlations.tsv under statistics/; dialogues.tsv.
    protocols : DataFrame or None
        controls/protocols.tsv.
    claims : mapping
        What the run has for each claim of the study, by its name; a claim that is not there was not tested.
    """

    published_as: Mapping[str, str]
    judged: bool
    pairs: pd.DataFrame
    correlations: pd.DataFrame
    partial: pd.DataFrame
    dialogues: pd.DataFrame
    protocols: pd.DataFrame | None
    claims: Mapping[str, Found]


def verdict(published: float, found: Found, slack: float = 0.0) -> str:
    """What a run's value says of a published number; see the top of this module.

    Parameters
    ----------
    published : float
    found : Found
    slack : float
        How far the published number may be off.
    """
    if not np.isfinite(found.value):
        return NOT_TESTED
    if found.low - slack <= published <= found.high + slack:
        return INSIDE
    return SAME_SIGN if np.sign(published) == np.sign(found.value) else OTHER_SIGN


def claim_verdict(sign: int, found: Found) -> str:
    """What a run's value says of a claim that a quantity is above 0 (sign 1), or that it is not (0)."""
    if not np.isfinite(found.value):
        return NOT_TESTED
    if sign:
        return SAME_SIGN if found.value > 0 else OTHER_SIGN
    start = found.low if np.isfinite(found.low) else found.value
    return INSIDE if start <= 0 else OUTSIDE


def paper_comparison(published: Published, run: Run) -> pd.DataFrame:
    """A row a published number, and a row a family of the run that has no published counterpart.

    Parameters
    ----------
    published : Published
    run : Run

    Returns
    -------
    DataFrame
        `COLUMNS`; docs/formats.md describes them.
    """
    rows = [*_correlations(published, run), *_pairs(published, run), *_claims(published, run)]
    return pd.DataFrame(rows, columns=COLUMNS)


# ---------------------------------------------------------------- correlations


def _correlations(published: Published, run: Run) -> Iterator[dict[str, Any]]:
    again = _from_published_pairs(published)
    kin = {
        family: _counterpart(published, run, family) for family in dict.fromkeys(published.pairs["family"])
    }
    for each in published.correlations:
        family, why = kin[each.family]
        found = _found_correlation(run, family, each.covariate)
        why = why or ("" if run.judged else _STAND_IN)
        yield _row(
            PARTIAL if each.covariate else CORRELATION,
            found,
            NOT_COMPARABLE if why else verdict(each.r, found, published.reading_error),
            why,
            family=each.family,
            covariate=each.covariate,
            published=each.r,
            from_published_pairs=again[each.family, each.covariate],
        )
    named = {family for family, _ in kin.values()}
    for family in run.correlations["family"]:
        if family not in named:
            found = _found_correlation(run, family, "")
            yield _row(CORRELATION, found, NOT_COMPARABLE, "not published", family=family)


def _from_published_pairs(published: Published) -> dict[tuple[str, str], float]:
    """What this code makes of the published pairs, by family and covariate."""
    table = pair_covariates(published.pairs, published.covariates_by_model, published.covariates)
    plain = correlations(table).assign(covariate="")
    rows = pd.concat([plain, partial_correlations(table, published.covariates)])
    return {(row["family"], row["covariate"]): row["r"] for row in rows.to_dict("records")}


def _counterpart(published: Published, run: Run, family: str) -> tuple[str, str]:
    """The run's family of pairs that a published one is to be compared with, and why it cannot be."""
    ours = published.pairs[published.pairs["family"] == family]
    wanted = {frozenset(pair) for pair in zip(ours["model_1"], ours["model_2"], strict=True)}
    for name, known, n_others in _run_families(run):
        shared = wanted & known
        if not shared:
            continue
        missing = [f"{len(shared)} of its {len(wanted)} pairs"] if len(shared) < len(wanted) else []
        others = [f"{n_others} pairs of other models"] if n_others else []
        others += [f"{len(known - wanted)} pairs of other families"] if known - wanted else []
        return name, f"this run has {' and '.join([*missing, *others])}" if missing or others else ""
    there = family in set(run.correlations["family"])
    return family if there else "", "other models" if there else "none of its models is in this run"


def _run_families(run: Run) -> Iterator[tuple[str, set[Pair], int]]:
    """By family of the run: its pairs of published models, by their published names, and how many others."""
    for family, rows in run.pairs.groupby("family", sort=False):
        names = [
            [run.published_as.get(model) for model in pair]
            for pair in zip(rows["model_1"], rows["model_2"], strict=True)
        ]
        known = {frozenset(filter(None, pair)) for pair in names if None not in pair}
        yield str(family), known, sum(None in pair for pair in names)


def _found_correlation(run: Run, family: str, covariate: str) -> Found:
    table = run.partial if covariate else run.correlations
    rows = table[table["family"] == family]
    if covariate:
        rows = rows[rows["covariate"] == covariate]
    if rows.empty:
        return Found()
    row = rows.iloc[0]
    # Of the two, the one over models holds the true value about as often as it says (docs/methods.md).
    for over in ("models", "pairs"):
        low, high = row[f"{over}_low"], row[f"{over}_high"]
        if np.isfinite([low, high]).all():
            return Found(row["r"], low, high, over, row["n"])
    return Found(row["r"], n=row["n"])


# ---------------------------------------------------------------- pairs


def _pairs(published: Published, run: Run) -> Iterator[dict[str, Any]]:
    run_name = {theirs: ours for ours, theirs in run.published_as.items()}
    run_pairs = {frozenset((row["model_1"], row["model_2"])): row for row in run.pairs.to_dict("records")}
    for quantity in (SYNC, PERFORMANCE):
        for row in published.pairs.to_dict("records"):
            members = row["model_1"], row["model_2"]
            missing = [model for model in dict.fromkeys(members) if model not in run_name]
            own = run_pairs.get(frozenset(run_name.get(model, "") for model in members))
            why = f"without {' and '.join(missing)}" if missing else ""
            if not why and own is None:
                why = "this run has no SyncR² of this pair"
            if not why and quantity == PERFORMANCE and not run.judged:
                why = _STAND_IN
            found = Found()
            if own is not None and not missing:
                found = _found_sync(run, own) if quantity == SYNC else _found_performance(run, own)
            result = NOT_COMPARABLE if why else verdict(row[quantity], found, published.reading_error)
            keys = {key: row[key] for key in ("family", "model_1", "model_2")}
            yield _row(quantity, found, result, why, **keys, published=row[quantity])


def _found_sync(run: Run, pair: Mapping[Any, Any]) -> Found:
    """SyncR² as published; its interval has the width of the corrected protocol's, which has one."""
    value = float(pair["sync_r2"])
    table = run.protocols
    if table is not None:
        rows = table[
            (table["model_1"] == pair["model_1"])
            & (table["model_2"] == pair["model_2"])
            & (table["protocol"] == "corrected")
            & (table["states"] == "plain")
            & (table["condition"] == "interaction")
        ]
        if len(rows):
            row = rows.iloc[0]
            shift = value - float(row["sync_r2"])
            return Found(value, row["low"] + shift, row["high"] + shift, "environments", 1)
    return Found(value, n=1)


def _found_performance(run: Run, pair: Mapping[Any, Any]) -> Found:
    names = tuple(sorted(run.dialogues["environment_id"].astype(str).unique()))
    estimate = pair_performance(
        run.dialogues.astype({"environment_id": str}), (pair["model_1"], pair["model_2"]), names
    )
    low, high = estimate.interval()
    # Judges count the same in the table of pairs, and by what they judged in that of dialogues.
    value = float(pair["social_performance"])
    shift = value - float(estimate.value[0])
    return Found(value, float(low[0]) + shift, float(high[0]) + shift, "environments", 1)


# ---------------------------------------------------------------- claims


def _claims(published: Published, run: Run) -> Iterator[dict[str, Any]]:
    wanted = {
        frozenset(pair) for pair in zip(published.pairs["model_1"], published.pairs["model_2"], strict=True)
    }
    there: set[Pair] = set().union(*(known for _, known, _ in _run_families(run)))
    n_others = sum(n for _, _, n in _run_families(run))
    why = ""
    if there != wanted or n_others:
        why = "other models" if not there else f"this run has {len(there)} of the {len(wanted)} pairs"
        why += f" and {n_others} of other models" if there and n_others else ""
    for claim in published.claims:
        found = run.claims.get(claim.name, Found())
        result = NOT_COMPARABLE if why else claim_verdict(claim.sign, found)
        yield _row(CLAIM, found, result, why, family="all", claim=claim.name)


def _row(quantity: str, found: Found, result: str, why: str, **keys: Any) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    missing = dict.fromkeys(("published", "from_published_pairs"), np.nan)
    return {
        **empty,
        **missing,
        "quantity": quantity,
        **keys,
        "this_run": found.value,
        "low": found.low,
        "high": found.high,
        "interval_over": found.over,
        "n": found.n,
        "verdict": result,
        "why": why,
    }
