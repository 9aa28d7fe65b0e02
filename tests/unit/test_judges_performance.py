"""Averages of judgements against sums by hand and a one-at-a-time reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from syncr2.errors import SyncR2Error
from syncr2.judges import DIMENSIONS
from syncr2.judges.performance import (
    ALL_JUDGES,
    dialogue_performance,
    performance_by_judge,
    performance_table,
    social_performance,
)
from syncr2.judges.reliability import agreement_table
from syncr2.judges.scores import read_scores

FAMILY = {"b": "mistral", "a": "mistral", "c": "llama"}
NAMES = [d.name for d in DIMENSIONS]


def judgement(
    agent1: str, agent2: str, goals: tuple[int, int] | None = (0, 0), episode: int = 0, **changes: Any
) -> dict[str, Any]:
    """A judgement whose scores are 0 but for the goals of the two agents; None: failed."""
    scores = goals and {
        key: {name: goal if name == "goal" else 0 for name in NAMES}
        for key, goal in zip(("agent1", "agent2"), goals, strict=True)
    }
    record = {"judge": "j", "agent1": agent1, "agent2": agent2, "seed": 0, "episode_id": f"e{episode}"}
    return {**record, "status": "ok" if scores else "failed", "scores": scores, **changes}


def row(table: pd.DataFrame, model_1: str, model_2: str, judge: str = "j") -> pd.Series:
    found = table[(table["model_1"] == model_1) & (table["model_2"] == model_2) & (table["judge"] == judge)]
    assert len(found) == 1
    return found.iloc[0]


def test_columns_and_order_are_those_of_the_config() -> None:
    pairs = [("c", "c"), ("a", "c"), ("a", "b"), ("c", "b"), ("b", "b"), ("a", "a")]
    table = performance_table([judgement(*pair) for pair in pairs], FAMILY)
    assert list(table.columns) == [
        *("judge", "model_1", "model_2", "family", "social_performance"),
        *("n_dialogues", "n_judged", "failure_rate"),
        *NAMES,
        *("social_performance_standardised", "order_effect", "order_change"),
        *("n_failed", "n_refused", "n_truncated"),
    ]
    found = list(zip(table["model_1"], table["model_2"], table["family"], strict=True))
    assert found == [
        ("b", "b", "mistral"),
        ("b", "a", "mistral"),
        ("b", "c", "cross"),
        ("a", "a", "mistral"),
        ("a", "c", "cross"),
        ("c", "c", "llama"),
    ]


def test_each_dialogue_counts_the_same_in_both_speaking_orders() -> None:
    records = [judgement("a", "b", (7, 7), i) for i in range(3)] + [judgement("b", "a", (0, 1), 0)]
    found = row(performance_table(records, FAMILY), "b", "a")
    assert found["goal"] == pytest.approx((3 * 7 + 0.5) / 4)
    assert found["social_performance"] == pytest.approx((3 * 7 + 0.5) / 4 / 7)
    assert (found["n_dialogues"], found["n_judged"], found["failure_rate"]) == (4, 4, 0.0)


def test_failures_are_counted_and_never_zero() -> None:
    records = [judgement("a", "a", (6, 8))]
    records += [
        judgement("a", "a", None, 1 + i, status=s) for i, s in enumerate(("failed", "refused", "truncated"))
    ]
    found = row(performance_table(records, FAMILY), "a", "a")
    assert found["goal"] == 7.0
    assert (found["n_dialogues"], found["n_judged"], found["failure_rate"]) == (4, 1, 0.75)
    assert [found[f"n_{status}"] for status in ("failed", "refused", "truncated")] == [1, 1, 1]


def test_a_pair_without_any_score_is_there_without_a_mean() -> None:
    found = row(performance_table([judgement("a", "a", None)], FAMILY), "a", "a")
    assert np.isnan(found["social_performance"])
    assert (found["n_dialogues"], found["n_judged"], found["failure_rate"]) == (1, 0, 1.0)


def test_agrees_with_one_judgement_at_a_time() -> None:
    rng = np.random.default_rng(0)
    records, sums = [], {}
    for judge in ("second", "first"):
        for agent1 in FAMILY:
            for agent2 in FAMILY:
                for number in range(6):
                    scores = {
                        key: {d.name: int(rng.integers(d.low, d.high + 1)) for d in DIMENSIONS}
                        for key in ("agent1", "agent2")
                    }
                    new = {
                        "judge": judge,
                        "seed": number % 2,
                        "episode_id": f"e{number // 2}",
                        "scores": scores,
                    }
                    records.append(judgement(agent1, agent2, **new))
                    key = (judge, frozenset((agent1, agent2)))
                    sums.setdefault(key, []).extend(sum(one.values()) / 7 for one in scores.values())
    shuffled = [records[i] for i in rng.permutation(len(records))]
    table = performance_table(shuffled, FAMILY)
    assert len(table) == len(sums) == 12
    for found in table.itertuples():
        expected = sums[found.judge, frozenset((found.model_1, found.model_2))]
        assert found.social_performance == pytest.approx(np.mean(expected))
        assert found.social_performance == pytest.approx(np.mean([getattr(found, name) for name in NAMES]))
        assert found.n_dialogues == (6 if found.model_1 == found.model_2 else 12)
    pooled = social_performance(table, 0.0)
    assert len(pooled) == 6
    both = [np.mean(sums[judge, frozenset(("a", "c"))]) for judge in ("first", "second")]
    chosen = pooled[(pooled["model_1"] == "a") & (pooled["model_2"] == "c")]
    assert chosen["social_performance"].item() == pytest.approx(np.mean(both))
    assert chosen["family"].item() == "cross"
    assert dialogue_performance(records[0]) == pytest.approx(np.mean(sums["second", frozenset("b")][:2]))


def test_one_dialogue() -> None:
    assert dialogue_performance(judgement("a", "a", (3, 4))) == pytest.approx(0.5)
    assert np.isnan(dialogue_performance(judgement("a", "a", None)))


def test_no_judgements_and_double_ones_are_refused() -> None:
    with pytest.raises(SyncR2Error, match="no judgement"):
        performance_table([], FAMILY)
    with pytest.raises(SyncR2Error, match=r"judged more than once .* judge j, a--b, seed 0, episode e0"):
        performance_table([judgement("a", "b"), judgement("b", "a"), judgement("a", "b")], FAMILY)


def test_a_model_that_the_config_lacks_is_refused() -> None:
    with pytest.raises(SyncR2Error, match="model 'z'"):
        performance_table([judgement("a", "z")], FAMILY)


ZEROS = dict.fromkeys(NAMES, 0)


@pytest.mark.parametrize(
    "scores",
    [
        None,
        {},
        {"agent1": ZEROS},
        {"agent1": ZEROS, "agent2": {**ZEROS, "goal": 11}},
        {"agent1": ZEROS, "agent2": {k: v for k, v in ZEROS.items() if k != "secret"}},
        {"agent1": ZEROS, "agent2": [0] * 7},
        {"agent1": ZEROS, "agent2": {**ZEROS, "goal": None}},
    ],
)
def test_ok_without_whole_scores_is_refused_with_its_place(scores: Any) -> None:
    with pytest.raises(SyncR2Error, match="a--b, seed 0, episode e4"):
        performance_table([judgement("a", "b", episode=4, scores=scores, status="ok")], FAMILY)


def with_failures(n_failed: int, judge: str = "j") -> list[dict[str, Any]]:
    good = [judgement("a", "b", (7, 7), i, judge=judge) for i in range(10 - n_failed)]
    return good + [judgement("a", "b", None, 10 + i, judge=judge) for i in range(n_failed)]


def test_too_many_failures_stop_the_mean_with_pair_judge_rate_and_limit() -> None:
    with pytest.raises(SyncR2Error) as caught:
        social_performance(performance_table(with_failures(3), FAMILY), 0.2)
    for text in ("b with a", "judge j", "0.300", "3 of 10", "0.2"):
        assert text in str(caught.value)


def test_failures_up_to_the_limit_are_taken() -> None:
    found = social_performance(performance_table(with_failures(2), FAMILY), 0.2)
    assert found["social_performance"].tolist() == [1.0]
    assert list(found.columns) == [
        *("model_1", "model_2", "family", "social_performance", "social_performance_standardised")
    ]


def test_nothing_judged_is_refused_whatever_the_limit() -> None:
    with pytest.raises(SyncR2Error, match="10 of 10"):
        social_performance(performance_table(with_failures(10), FAMILY), 1.0)


def test_one_bad_judge_of_two_is_named() -> None:
    records = with_failures(0, "fine") + with_failures(5, "bad")
    with pytest.raises(SyncR2Error, match="judge bad") as caught:
        social_performance(performance_table(records, FAMILY), 0.1)
    assert "judge fine" not in str(caught.value)


def test_judges_of_different_pairs_are_not_mixed() -> None:
    records = [judgement("a", "a"), judgement("b", "b"), judgement("a", "a", judge="second")]
    with pytest.raises(SyncR2Error, match="b with b has 1 of 2 judges"):
        social_performance(performance_table(records, FAMILY), 0.0)


def test_an_empty_table_is_refused() -> None:
    table = performance_table([judgement("a", "a")], FAMILY)
    with pytest.raises(SyncR2Error, match="no rows"):
        social_performance(table.iloc[:0], 0.0)


def drawn(
    rng: np.random.Generator,
    judge: str,
    episode: int,
    base: np.ndarray,
    bias: float = 0.0,
    noise: float = 0.0,
) -> dict[str, Any]:
    """A judgement in both orders: `base` of shape (2, 7) in 0..1 of each range, `bias` for the first."""
    orders = []
    for first in (0, 1):
        scores = {}
        for agent, key in enumerate(("agent1", "agent2")):
            share = base[agent] + rng.normal(size=7) * noise + (bias if agent == first else 0.0)
            scores[key] = {
                d.name: int(np.clip(round(d.low + (d.high - d.low) * x), d.low, d.high))
                for d, x in zip(DIMENSIONS, share, strict=True)
            }
        orders.append({"first": f"agent{first + 1}", "status": "ok", "scores": scores})
    mean = {
        key: {name: (orders[0]["scores"][key][name] + orders[1]["scores"][key][name]) / 2 for name in NAMES}
        for key in ("agent1", "agent2")
    }
    return judgement("a", "b", episode=episode, judge=judge, scores=mean, status="ok", orders=orders)


def test_a_judge_that_favours_whom_it_meets_first_is_found_out() -> None:
    rng = np.random.default_rng(0)
    bases = rng.uniform(0.3, 0.7, size=(200, 2, 7))
    fair = [drawn(rng, "fair", i, base, noise=0.05) for i, base in enumerate(bases)]
    biased = [drawn(rng, "biased", i, base, bias=0.1, noise=0.05) for i, base in enumerate(bases)]
    table = performance_table(fair + biased, FAMILY)
    # A tenth of a range of 10 points, from 0 for second to 0.1 for first place.
    assert row(table, "b", "a", "biased")["order_effect"] == pytest.approx(1.0, abs=0.08)
    assert abs(row(table, "b", "a", "fair")["order_effect"]) < 0.08
    assert 0.05 < row(table, "b", "a", "fair")["order_change"] < 0.6
    # Means over both orders are level again.
    scores = read_scores(biased, FAMILY)
    effect, change = scores.order_effects()
    by_hand = scores.orders[0].mean(axis=2)
    assert effect[0] == pytest.approx((by_hand[0, 0] - by_hand[1, 0] + by_hand[1, 1] - by_hand[0, 1]) / 2)
    assert (change >= np.abs(effect) - 1e-12).all()


def test_one_order_has_no_effect_to_report() -> None:
    found = row(performance_table([judgement("a", "b")], FAMILY), "b", "a")
    assert np.isnan(found["order_effect"])
    assert agreement_table(read_scores([judgement("a", "b")], FAMILY)).empty


def test_standardised_scores_are_z_scores_of_each_judge() -> None:
    rng = np.random.default_rng(4)
    records, scores = [], {"lenient": [], "strict": []}
    for judge, share in (("lenient", 0.8), ("strict", 0.2)):
        for i in range(60):
            record = drawn(rng, judge, i, rng.uniform(share - 0.2, share + 0.2, size=(2, 7)))
            record["agent1"] = "a" if i % 2 else "c"
            records.append(record)
            scores[judge].append([[record["scores"][k][n] for n in NAMES] for k in ("agent1", "agent2")])
    table = performance_table(records, FAMILY)
    for judge, values in scores.items():
        flat = np.array(values)
        z = (flat - flat.mean(axis=(0, 1))) / flat.std(axis=(0, 1))
        odd = np.arange(60) % 2 == 1
        assert row(table, "b", "a", judge)["social_performance_standardised"] == pytest.approx(z[odd].mean())
        assert row(table, "b", "c", judge)["social_performance_standardised"] == pytest.approx(z[~odd].mean())
    # The published mean of raw scores knows who is strict; the standardised one does not.
    assert (
        row(table, "b", "a", "lenient")["social_performance"]
        > row(table, "b", "a", "strict")["social_performance"]
    )


def test_a_dimension_that_never_varies_counts_as_zero() -> None:
    records = [judgement("a", "b", (goal, goal), i) for i, goal in enumerate((2, 4, 6))]
    table = performance_table([*records, judgement("b", "b", (4, 4)), judgement("c", "c", None)], FAMILY)
    assert row(table, "b", "a")["social_performance_standardised"] == pytest.approx(0.0)
    assert np.isnan(row(table, "c", "c")["social_performance_standardised"])


def test_agreement_is_high_where_judges_see_the_same_and_low_where_they_guess() -> None:
    rng = np.random.default_rng(5)
    bases = rng.uniform(0, 1, size=(300, 2, 7))
    records = [drawn(rng, "one", i, base, noise=0.05) for i, base in enumerate(bases)]
    # The second judge sees the goals and guesses the rest.
    for i, base in enumerate(bases):
        seen = rng.uniform(0, 1, size=(2, 7))
        seen[:, NAMES.index("goal")] = base[:, NAMES.index("goal")]
        records.append(drawn(rng, "two", i, seen, noise=0.05))
    failed = judgement("a", "b", None, episode=0, judge="two")
    table = agreement_table(
        read_scores(
            [record for record in records if record["judge"] == "one"] + [failed] + records[301:], FAMILY
        )
    )
    between = table[(table["between"] == "judges") & (table["unit"] == "agent")].set_index("dimension")
    assert list(between.index) == [*NAMES, "overall"]
    assert (between["n_raters"] == 2).all()
    assert (between["n_complete"] == 2 * 299).all()
    assert between.loc["goal", "icc_single"] > 0.9
    assert between.loc["goal", "alpha"] > 0.9
    assert between.loc["goal", "icc_mean"] > between.loc["goal", "icc_single"]
    for name in NAMES[:-1]:
        assert abs(between.loc[name, "icc_single"]) < 0.2
    orders = table[table["between"] == "orders"]
    assert set(orders["judge"]) == {"one", "two"}
    assert (orders["icc_single"] > 0.9).all()
    pairs = table[(table["between"] == "judges") & (table["unit"] == "pair")]
    assert (pairs["n_units"] == 1).all()
    assert pairs["icc_single"].isna().all()


def test_performance_by_judge_is_what_a_correlation_needs() -> None:
    records = [
        judgement(agent, agent, (goal, goal), judge=judge)
        for judge, goals in (("x", (1, 3, 5)), ("y", (5, 3, 7)))
        for agent, goal in zip("bac", goals, strict=True)
    ]
    table = performance_by_judge(performance_table(records, FAMILY), 0.0)
    wide = table.pivot(index="model_1", columns="judge", values="social_performance")
    assert list(table["judge"].unique()) == [ALL_JUDGES, "x", "y"]
    assert wide.loc["b"].to_dict() == pytest.approx({ALL_JUDGES: 3 / 7, "x": 1 / 7, "y": 5 / 7})
    with pytest.raises(SyncR2Error, match="10 of 10"):
        performance_by_judge(performance_table(with_failures(10), FAMILY), 1.0)
