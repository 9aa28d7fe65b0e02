"""Averages of judgements against sums by hand and a one-at-a-time reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from syncr2.errors import SyncR2Error
from syncr2.judges import DIMENSIONS
from syncr2.judges.performance import dialogue_performance, performance_table, social_performance

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
    assert list(found.columns) == ["model_1", "model_2", "family", "social_performance"]


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
