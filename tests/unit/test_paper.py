"""Published numbers beside a run's: the rule, and a run whose values are the published ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_statistics import HOW, dialogues, families, run_pairs, study

from syncr2.statistics import dyadic_tables, paper
from syncr2.statistics.paper import Found, Run, claim_verdict, paper_comparison, verdict

NAN = float("nan")


@pytest.mark.parametrize(
    ("published", "found", "expected"),
    [
        (0.88, Found(0.5, 0.1, 0.9), paper.INSIDE),
        (0.88, Found(0.5, 0.1, 0.7), paper.SAME_SIGN),
        (0.88, Found(0.5), paper.SAME_SIGN),
        (0.88, Found(-0.5, -0.9, -0.1), paper.OTHER_SIGN),
        (0.88, Found(-0.5), paper.OTHER_SIGN),
        # The interval decides, not the sign of the value.
        (0.2, Found(-0.1, -0.5, 0.4), paper.INSIDE),
        (0.88, Found(), paper.NOT_TESTED),
        # Printed to two digits.
        (0.88, Found(0.5, 0.1, 0.876), paper.INSIDE),
    ],
)
def test_the_rule_for_numbers(published: float, found: Found, expected: str) -> None:
    assert verdict(published, found, 0.005) == expected


@pytest.mark.parametrize(
    ("sign", "found", "expected"),
    [
        (1, Found(0.1, -0.2, 0.4), paper.SAME_SIGN),
        (1, Found(-0.1, -0.2, 0.4), paper.OTHER_SIGN),
        (1, Found(), paper.NOT_TESTED),
        (0, Found(0.1, -0.2, 0.4), paper.INSIDE),
        (0, Found(-0.3, -0.4, -0.2), paper.INSIDE),
        (0, Found(0.3, 0.2, 0.4), paper.OUTSIDE),
        (0, Found(0.3), paper.OUTSIDE),
    ],
)
def test_the_rule_for_claims(sign: int, found: Found, expected: str) -> None:
    assert claim_verdict(sign, found) == expected


def made_run(names: dict[str, str] | None = None, **changes: Any) -> Run:
    """A run with the published values, its models by other names if need be."""
    pairs = run_pairs(names)
    tables = dyadic_tables(pairs, families(names), ["ifeval", "musr"], HOW)
    return replace(
        Run(
            published_as={(names or {}).get(model, model): model for model in families()},
            judged=True,
            pairs=pairs,
            correlations=tables["correlations"],
            partial=tables["partial"],
            dialogues=dialogues(pairs),
            protocols=None,
            claims={"passive": Found(0.1, 0.05, 0.15), "mlp": Found(0.02, 0.01, 0.03)},
        ),
        **changes,
    )


@pytest.fixture(scope="module")
def same() -> pd.DataFrame:
    return paper_comparison(study(), made_run())


def rows(table: pd.DataFrame, quantity: str) -> dict[tuple[str, str], dict[Any, Any]]:
    part = table[table["quantity"] == quantity].to_dict("records")
    if quantity in (paper.SYNC, paper.PERFORMANCE):
        return {(row["model_1"], row["model_2"]): row for row in part}
    return {(row["family"], row["covariate"] or row["claim"]): row for row in part}


def test_every_published_number_has_a_row(same: pd.DataFrame) -> None:
    counts = same["quantity"].value_counts().to_dict()
    # r over all pairs was not published.
    assert counts == {
        "sync_r2": 21,
        "social_performance": 21,
        "claim": 10,
        "partial_correlation": 6,
        "correlation": 4,
    }
    assert (same["verdict"] == paper.NOT_COMPARABLE).sum() == 1
    assert rows(same, paper.CORRELATION)["all", ""]["why"] == "not published"


def test_the_code_makes_of_the_published_pairs_what_it_must(same: pd.DataFrame) -> None:
    found = rows(same, paper.CORRELATION)
    for family, r, printed in (("mistral", 0.875, 0.88), ("cross", 0.889, 0.89), ("llama", 0.985, 0.99)):
        row = found[family, ""]
        assert row["published"] == printed
        assert round(row["from_published_pairs"], 3) == r
        # This run's values are the same ones.
        assert row["this_run"] == pytest.approx(row["from_published_pairs"])
    assert found["cross", ""]["verdict"] == paper.INSIDE
    assert found["cross", ""]["interval_over"] == "models"
    # Three models have no interval over models; pairs have one.
    assert found["llama", ""]["interval_over"] == "pairs"
    partial = rows(same, paper.PARTIAL)
    assert partial["llama", "ifeval"]["published"] == 0.27
    assert round(partial["llama", "ifeval"]["from_published_pairs"], 2) == 0.99
    assert partial["llama", "ifeval"]["this_run"] == pytest.approx(
        partial["llama", "ifeval"]["from_published_pairs"]
    )


def test_pairs_are_compared_one_by_one(same: pd.DataFrame) -> None:
    sync, social = rows(same, paper.SYNC), rows(same, paper.PERFORMANCE)
    pair = ("llama-2-7b", "llama-3-8b")
    assert sync[pair]["this_run"] == sync[pair]["published"] == 0.498
    # No corrected protocol, so no interval.
    assert np.isnan(sync[pair]["low"])
    assert sync[pair]["verdict"] == paper.SAME_SIGN
    assert social[pair]["verdict"] == paper.INSIDE
    assert social[pair]["interval_over"] == "environments"
    assert social[pair]["low"] < 2.425 < social[pair]["high"]


def test_synchrony_takes_the_width_of_the_corrected_interval() -> None:
    corrected = run_pairs().assign(
        protocol="corrected", states="plain", condition="interaction", sync_r2=0.3, low=0.25, high=0.37
    )
    table = paper_comparison(study(), made_run(protocols=corrected))
    row = rows(table, paper.SYNC)["llama-2-7b", "llama-3-8b"]
    assert (row["this_run"], row["low"], row["high"]) == pytest.approx((0.498, 0.448, 0.568))
    assert row["verdict"] == paper.INSIDE


def test_claims_have_a_verdict_where_they_were_tested(same: pd.DataFrame) -> None:
    found = {row["claim"]: row["verdict"] for row in rows(same, paper.CLAIM).values()}
    assert found["passive"] == paper.SAME_SIGN
    assert found["mlp"] == paper.OUTSIDE
    assert found["lag3"] == found["depth"] == paper.NOT_TESTED


def test_models_may_have_other_names_here() -> None:
    names = {"llama-2-7b": "chat-7b", "mistral-7b-v0.1": "aaa"}
    table = paper_comparison(study(), made_run(names))
    assert (table["verdict"] == paper.NOT_COMPARABLE).sum() == 1
    row = rows(table, paper.SYNC)["mistral-7b-v0.1", "llama-2-7b"]
    assert row["this_run"] == row["published"]


def test_with_other_models_nothing_is_comparable_and_families_keep_their_names() -> None:
    table = paper_comparison(study(), made_run(published_as={}))
    assert set(table["verdict"]) == {paper.NOT_COMPARABLE}
    row = rows(table, paper.CORRELATION)["mistral", ""]
    # The run's own value stands there for a family that is called alike; a pair's would be another pair's.
    assert row["why"] == "other models"
    assert np.isfinite(row["this_run"])
    assert table.loc[table["quantity"] == paper.SYNC, "this_run"].isna().all()


def test_a_family_that_the_study_does_not_know_is_listed() -> None:
    run = made_run(published_as={})
    warm = run.correlations.replace({"family": {"mistral": "warm"}})
    pairs = run.pairs.replace({"family": {"mistral": "warm"}})
    table = paper_comparison(study(), replace(run, correlations=warm, pairs=pairs))
    row = rows(table, paper.CORRELATION)["warm", ""]
    assert np.isnan(row["published"])
    assert row["why"] == "not published"
    assert rows(table, paper.CORRELATION)["mistral", ""]["why"] == "none of its models is in this run"


def test_one_other_model_spoils_its_families_and_no_more() -> None:
    known = {model: model for model in families() if model != "llama-2-7b"}
    table = paper_comparison(study(), made_run(published_as=known))
    found = rows(table, paper.CORRELATION)
    assert found["mistral", ""]["verdict"] != paper.NOT_COMPARABLE
    assert found["llama", ""]["why"] == "this run has 3 of its 6 pairs and 3 pairs of other models"
    assert rows(table, paper.SYNC)["llama-2-7b", "llama-3-8b"]["why"] == "without llama-2-7b"
    assert rows(table, paper.SYNC)["llama-3-8b", "llama-3-8b"]["verdict"] == paper.SAME_SIGN
    claims = {row["why"] for row in rows(table, paper.CLAIM).values()}
    assert claims == {"this run has 15 of the 21 pairs and 6 of other models"}


def test_a_stand_in_for_a_judge_makes_no_verdict_on_performance() -> None:
    table = paper_comparison(study(), made_run(judged=False))
    by_quantity = table[table["published"].notna()].groupby("quantity")["verdict"].agg(set)
    assert by_quantity["correlation"] == by_quantity["social_performance"] == {paper.NOT_COMPARABLE}
    assert paper.NOT_COMPARABLE not in by_quantity["sync_r2"]


def test_a_pair_that_was_not_run_is_said() -> None:
    run = made_run()
    gone = run.pairs[~((run.pairs["model_1"] == "llama-2-7b") & (run.pairs["model_2"] == "llama-3-8b"))]
    table = paper_comparison(study(), replace(run, pairs=gone))
    assert rows(table, paper.SYNC)["llama-2-7b", "llama-3-8b"]["why"] == "this run has no SyncR² of this pair"
    assert rows(table, paper.CORRELATION)["llama", ""]["why"] == "this run has 5 of its 6 pairs"
