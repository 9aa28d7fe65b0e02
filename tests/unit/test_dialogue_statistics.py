"""Dialogues: scores that add up to SyncR², slopes within pairs, trends over relationships."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up_pairs import kinship
from scipy import stats
from test_corrected import ENVIRONMENTS, GROUPS, LAGS, PROTOCOL, made_states

from syncr2.errors import SyncR2Error
from syncr2.ids import DIRECTIONS, OrderedPair, speaking_orders, unordered_pairs
from syncr2.maps.nested import Clusters, Computing, Selection, score
from syncr2.protocols.corrected import corrected_measures
from syncr2.protocols.dialogue_scores import dialogue_scores, row_scores
from syncr2.sotopia.scenarios import RELATIONSHIPS
from syncr2.statistics import Resampling
from syncr2.statistics.dialogues import TOO_FEW_ENVIRONMENTS, join_scores, within_pairs
from syncr2.statistics.mixed import UNDEFINED
from syncr2.statistics.relationships import relationship_tables

PAIR = OrderedPair("one", "two")
FAMILIES = kinship(3, 1)
PAIRS = unordered_pairs(list(FAMILIES))
HOW = Resampling(draws=400, relabellings=400)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    states = made_states(tmp_path_factory.mktemp("states") / "coupled.h5", coupling=1.5)
    measures = corrected_measures(states, LAGS, ENVIRONMENTS, GROUPS, PROTOCOL)
    return measures, dialogue_scores(states, LAGS, ENVIRONMENTS, measures, PROTOCOL, PAIR)


def test_scores_of_rows_are_shares_of_their_folds_r2() -> None:
    rng = np.random.default_rng(0)
    source = rng.standard_normal((2, 60, 4))
    target = source[[0, 1, 0]] @ rng.standard_normal((4, 5)) + rng.standard_normal((3, 60, 5))
    # A dimension that is constant over a fold counts 0 in it.
    fold = np.arange(60) % 3
    target[:, fold == 1, 2] = 0.7
    chosen = Selection(np.full((3, 2), 0.1), np.array([[0, 1], [2, 1], [0, 0]]))
    found = row_scores(source, target, fold, chosen, Computing())
    clusters = Clusters(np.arange(60) // 6, tuple(f"e{i}" for i in range(10)))
    (expected,) = score(source, target, fold, chosen, clusters, Computing())
    for test in range(3):
        assert found[fold == test].mean() == pytest.approx(expected.r2[test].mean(), abs=1e-12)


def test_every_dialogue_is_scored_in_both_directions(scored) -> None:
    measures, table = scored
    assert len(table) == 2 * len(ENVIRONMENTS) * 2
    assert not table.duplicated(["episode_id", "seed", "direction"]).any()
    assert set(table["agent1"]) == {"one"}
    assert set(table["agent2"]) == {"two"}
    for direction in DIRECTIONS:
        measure = measures[direction].by_name["plain", "interaction"]
        part = table[table["direction"] == direction]
        assert part["n_samples"].sum() == measure.n_samples
        # Folds have the same number of rows here, so the mean over dialogues is SyncR².
        mean = np.average(part["sync_r2"], weights=part["n_samples"])
        assert mean == pytest.approx(measure.sync_r2(clipped=False), abs=1e-9)


def test_scores_join_the_table_of_dialogues(scored) -> None:
    _, table = scored
    keys = table[["agent1", "agent2", "seed", "episode_id"]].drop_duplicates()
    dialogues = keys.assign(environment_id="e", social_performance=1.0).sample(frac=1, random_state=0)
    joined = join_scores(table, dialogues)
    assert len(joined) == len(keys)
    first = table[(table["episode_id"] == "episode3") & (table["seed"] == 1)]
    row = joined[(joined["episode_id"] == "episode3") & (joined["seed"] == 1)].iloc[0]
    assert row["sync_r2"] == pytest.approx(first["sync_r2"].mean())
    assert row["n_directions"] == 2
    with pytest.raises(SyncR2Error, match=r"72 scored dialogue.*such as one with two"):
        join_scores(table, dialogues.assign(agent2="three"))


def made_dialogues(
    seed: int,
    within: float = 0.0,
    between: float = 0.0,
    by_environment: float = 0.0,
    n_environments: int = 12,
) -> pd.DataFrame:
    """Dialogues of all ordered pairs in all environments, two episodes and two seeds each.

    `within` is the slope of performance on a dialogue's own synchrony, `between` that on its pair's level,
    and environments move both sides by `by_environment`.
    """
    rng = np.random.default_rng(seed)
    rows = []
    shift = rng.standard_normal(n_environments)
    for pair in PAIRS:
        for order in speaking_orders(*pair):
            level = rng.standard_normal()
            for e in range(n_environments):
                for episode in range(2):
                    for generation in range(2):
                        own = rng.standard_normal()
                        y = within * own + between * level + by_environment * shift[e] + rng.standard_normal()
                        rows.append(
                            {
                                "agent1": order.agent1,
                                "agent2": order.agent2,
                                "seed": generation,
                                "episode_id": f"{e}-{episode}",
                                "environment_id": f"environment{e}",
                                "relationship": RELATIONSHIPS[e % 6],
                                "sync_r2": level + own + by_environment * shift[e],
                                "social_performance": y,
                                "n_turns": 16 - e % 3,
                                "n_new_tokens": int(rng.integers(100, 400)),
                            }
                        )
    return pd.DataFrame(rows)


def test_a_slope_within_pairs_is_found_and_one_between_pairs_is_not() -> None:
    planted = within_pairs(made_dialogues(0, within=0.5), FAMILIES).set_index("family")
    assert planted.index.tolist() == ["family0", "all"]
    whole = planted.loc["all"]
    # Both sides vary by 1 within pairs but for the slope itself.
    assert whole["low"] < 0.5 / np.sqrt(1.25) < whole["high"]
    assert whole["p"] < 0.001
    assert (whole["n_dialogues"], whole["n_pairs"], whole["n_environments"]) == (432, 9, 12)
    assert whole["held"] == "n_turns, n_new_tokens"
    only_between = [within_pairs(made_dialogues(seed, between=3.0), FAMILIES).iloc[-1] for seed in range(8)]
    assert np.mean([row["p"] < 0.05 for row in only_between]) <= 0.25
    assert np.mean([row["share_pair"] for row in only_between]) > 0.5


def test_what_environments_do_to_both_sides_is_no_slope() -> None:
    found = [within_pairs(made_dialogues(seed, by_environment=2.0), FAMILIES).iloc[-1] for seed in range(8)]
    naive = []
    for seed in range(8):
        table = made_dialogues(seed, by_environment=2.0)
        centred = table.groupby(["agent1", "agent2"])[["sync_r2", "social_performance"]].transform("mean")
        sides = table[["sync_r2", "social_performance"]] - centred
        naive.append(stats.pearsonr(*sides.to_numpy().T).pvalue)
    assert max(naive) < 0.001
    assert np.mean([row["p"] < 0.05 for row in found]) <= 0.25
    assert np.mean([row["share_environment"] for row in found]) > 0.4


def test_dialogues_that_were_not_judged_are_left_out_and_constant_lengths_too() -> None:
    table = made_dialogues(0).assign(n_turns=10)
    table.loc[table["environment_id"] == "environment0", "social_performance"] = np.nan
    found = within_pairs(table, FAMILIES).iloc[-1]
    assert found["n_dialogues"] == 432 * 11 / 12
    assert found["n_environments"] == 11
    assert found["held"] == "n_new_tokens"


def test_what_cannot_be_related_says_why() -> None:
    few = within_pairs(made_dialogues(0, n_environments=4), FAMILIES)
    assert set(few["status"]) == {TOO_FEW_ENVIRONMENTS}
    same = made_dialogues(0)
    same["sync_r2"] = same.groupby(["agent1", "agent2"])["sync_r2"].transform("mean")
    assert set(within_pairs(same, FAMILIES)["status"]) == {UNDEFINED}
    assert within_pairs(same, FAMILIES)["p"].isna().all()


def with_trend(seed: int, slope: float, noise: float = 0.2, n: int = 36) -> pd.DataFrame:
    table = made_dialogues(seed, n_environments=n)
    rng = np.random.default_rng(seed + 1000)
    number = table["environment_id"].str.removeprefix("environment").astype(int)
    off = noise * rng.standard_normal(n)
    return table.assign(sync_r2=slope * (number % 6) + off[number])


def test_a_trend_over_relationships_is_measured_and_found() -> None:
    tables = relationship_tables(with_trend(0, 0.1), PAIRS, FAMILIES, RELATIONSHIPS, HOW)
    trend = tables["relationship_trend"]
    assert trend["level"].value_counts().to_dict() == {"pair": 6, "family": 1, "all": 1}
    whole = trend.iloc[-1]
    assert whole["low"] < 0.1 < whole["high"]
    assert whole["p"] == pytest.approx(1 / 400)
    assert whole["spearman"] > 0.4
    assert whole["n_environments"] == 36
    table = with_trend(0, 0.1).drop_duplicates("environment_id")
    step = table["relationship"].map(RELATIONSHIPS.index)
    assert whole["slope"] == pytest.approx(stats.linregress(step, table["sync_r2"]).slope)
    means = tables["relationship"]
    whole = means[means["family"] == "all"]
    assert whole["relationship"].tolist() == list(RELATIONSHIPS)
    assert set(whole["n_environments"]) == {6}
    assert whole["sync_r2"].tolist() == pytest.approx(
        table.groupby("relationship")["sync_r2"].mean()[list(RELATIONSHIPS)].tolist()
    )
    assert (whole["low"] < whole["sync_r2"]).all()
    assert (whole["sync_r2"] < whole["high"]).all()


def test_without_a_trend_p_is_spread_out() -> None:
    # Environments differ, relationships do not.
    p = [
        relationship_tables(
            with_trend(seed, 0.0, n=18), PAIRS[:1], FAMILIES, RELATIONSHIPS, Resampling(0, 99, seed)
        )["relationship_trend"]["p"].iloc[-1]
        for seed in range(60)
    ]
    assert 0.3 < np.mean(p) < 0.7
    assert np.mean(np.array(p) <= 0.05) <= 0.15


def test_too_few_environments_make_neither_interval_nor_trend() -> None:
    tables = relationship_tables(with_trend(0, 0.1, n=12), PAIRS, FAMILIES, RELATIONSHIPS, HOW)
    assert tables["relationship"]["low"].isna().all()
    assert tables["relationship_trend"]["p"].notna().all()
    few = relationship_tables(with_trend(0, 0.1, n=4), PAIRS, FAMILIES, RELATIONSHIPS, HOW)
    assert few["relationship_trend"][["slope", "p", "low"]].isna().all(axis=None)
    # All of one relationship have no slope.
    one = with_trend(0, 0.1).assign(relationship="friend")
    found = relationship_tables(one, PAIRS, FAMILIES, RELATIONSHIPS, HOW)
    assert found["relationship_trend"]["slope"].isna().all()
    assert found["relationship"]["relationship"].unique().tolist() == ["friend"]
