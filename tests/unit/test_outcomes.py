"""What episodes play for, what an agreement is worth, and what two speakers agreed on."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from judging import scenario_set
from shared import SHARED, missing

from syncr2.outcomes import (
    Bargain,
    Division,
    MutualFriend,
    game_of,
    outcome_pairs,
    outcome_row,
    outcome_table,
    read_agreement,
)
from syncr2.sotopia.scenarios import Environment, Episode, ScenarioSet, read_folder

FRUIT = Division(("pear", "plum", "fig"), (3, 2, 1), ((1.0, 2.0, 3.0), (3.0, 1.0, 2.0)))
LAMP = Bargain(100.0, (60.0, 90.0), 1)
CHAIR = Bargain(100.0, (80.0, 50.0), 1)


def environment(scenario: str, goal1: str, goal2: str, pk: str = "env") -> Environment:
    return Environment(pk, scenario, (goal1, goal2), 0, {})


@dataclass(frozen=True)
class Line:
    agent: int
    text: str


def said(*texts: str) -> list[Line]:
    return [Line(1 + i % 2, text) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    "goals",
    [
        (
            "Gain. (<extra_info>For you, 1 pear = 1 point, 1 plum = 2 points, 1 fig = 3 points</extra_info>)",
            "1 pear equals 3 points, 1 plum equals 1 point, and the fig equals 2 points.",
        ),
        (
            "You value each pear as 1 point, each plum as 2 points, and the fig as 3 points",
            "You value the pears at 3 points each, the plums at 1 point each, and the fig at 2 points",
        ),
        (
            "A pear is worth 1 point, plums are worth 2 points each, a fig is 3 points",
            "Pears give you 3 points each, plums give you 1 point each, and the fig gives you 2 points.",
        ),
    ],
)
def test_a_division_is_read_from_counts_and_points(goals: tuple[str, str]) -> None:
    text = "Two friends are left with 3 pears, 2 plums, and 1 fig. Each wants something else."
    assert game_of(environment(text, *goals)) == FRUIT


def test_a_bargain_is_read_from_price_and_targets() -> None:
    scenario = "One person offers a lamp for $1,100.00, another is interested. It is 47 inches tall."
    buyer, seller = "You are the buyer; your target price is $600.", "As the seller your target is $900.50."
    assert game_of(environment(scenario, buyer, seller)) == Bargain(1100.0, (600.0, 900.5), 1)
    assert game_of(environment(scenario, seller, buyer)) == Bargain(1100.0, (900.5, 600.0), 2)


def test_a_common_friend_is_read_from_the_note_for_the_environment() -> None:
    scenario = 'Two strangers meet. <p viewer="environment">They have 1 common friends: Zoe.</p>'
    goal = "Find out. <extra_info>You know: \n Zoe: Hobby: chess \n Max: Hobby: golf</extra_info>"
    assert game_of(environment(scenario, goal, goal)) == MutualFriend("Zoe")
    assert game_of(environment(scenario, goal, "You know Max.")) is None


@pytest.mark.parametrize(
    ("scenario", "goal1", "goal2"),
    [
        ("Two friends talk about 3 trips.", "Comfort your friend.", "Be comforted."),
        ("There are 3 pears and 2 plums.", "Pears are worth 1 point each.", "Eat plums."),
        ("A lamp for 420 euros.", "You are the seller, above 330 euros.", "You are the buyer, 380 at most."),
        ("A lamp for $20.", "You are the buyer, target $10 or $12.", "You are the seller, target $15."),
        ("A lamp for $20.", "You are the buyer, target $10.", "You are the buyer, target $15."),
        ("They have 2 common friends: Zoe and Max.", "Zoe and Max", "Zoe and Max"),
    ],
)
def test_what_is_not_said_in_figures_is_no_game(scenario: str, goal1: str, goal2: str) -> None:
    assert game_of(environment(scenario, goal1, goal2)) is None


@pytest.mark.skipif(not (SHARED / "data" / "sotopia").is_dir(), reason=missing("data/sotopia"))
def test_thirty_of_the_published_environments_play_for_something() -> None:
    environments = {
        episode.environment.id: episode.environment
        for episode in read_folder(SHARED / "data" / "sotopia").episodes
    }
    found = Counter(
        (environment.fields["source"], game.kind)
        for environment in environments.values()
        if (game := game_of(environment)) is not None
    )
    assert found == {
        ("deal-or-no-deal", "division"): 10,
        ("craigslist_bargains", "bargaining"): 10,
        ("mutual_friends", "mutual_friend"): 10,
    }
    for environment in environments.values():
        game = game_of(environment)
        if isinstance(game, Division):
            assert len(game.items) == 3
            # What both together can gain is more than half of what either wants: there is something to win.
            assert game.worth(None).pareto_distance > 0.5


def test_worth_of_every_division_against_a_search_over_all() -> None:
    shares = list(itertools.product(range(4), range(3), range(2)))
    whole = np.array([3 + 4 + 3, 9 + 2 + 2])
    gains = {share: np.array(FRUIT.points(share)) / whole for share in shares}
    on_frontier = 0
    for share, own in gains.items():
        better = [other for other in gains.values() if (other >= own).all()]
        best = [
            one for one in better if not any((other >= one).all() and (other > one).any() for other in better)
        ]
        worth = FRUIT.worth(share)
        assert worth.gains == pytest.approx(tuple(own))
        assert worth.pareto_distance == pytest.approx(min(np.linalg.norm(own - one) for one in best))
        assert worth.fairness == pytest.approx(1 - abs(own[0] - own[1]))
        on_frontier += worth.pareto_distance == 0
    assert 2 <= on_frontier < len(shares) / 2
    assert FRUIT.points((3, 2, 1)) == (10.0, 0.0)
    assert FRUIT.worth((0, 2, 1)).pareto_distance == 0  # each gets what it values most
    none = FRUIT.worth(None)
    assert none.gains == (0.0, 0.0)
    assert none.pareto_distance > 0.5
    assert math.isnan(none.fairness)


def test_worth_of_a_price() -> None:
    worth = LAMP.worth(70.0)
    assert worth.gains == pytest.approx((-0.1, -0.2))
    assert (worth.pareto_distance, worth.fairness) == (0.0, pytest.approx(0.9))
    # The seller wants more than the buyer: nothing is lost without an agreement …
    assert LAMP.worth(None)[:2] == ((0.0, 0.0), 0.0)
    # … and here 30 of the 100 are.
    assert CHAIR.worth(None).pareto_distance == pytest.approx(0.3 / math.sqrt(2))
    assert CHAIR.worth(65.0).gains == pytest.approx((0.15, 0.15))
    swapped = Bargain(100.0, (50.0, 80.0), 2)
    assert swapped.worth(65.0).gains == pytest.approx((0.15, 0.15))
    assert swapped.worth(70.0).gains == pytest.approx(CHAIR.worth(70.0).gains[::-1])


PRICES: dict[str, tuple[list[str], tuple[str, float | None]]] = {
    "plain": (["Would you take $70?", "I accept."], ("deal", 70.0)),
    "price with the acceptance": (["I can pay $70.", "Okay, deal at $70."], ("deal", 70.0)),
    "counter-offers": (
        ["I offer $60.", "I can't do $60. How about $85?", "What about 75 dollars?", "Sold!"],
        ("deal", 75.0),
    ),
    "bare figures": (
        ["How about 65?", "No, I want 80.", "Let's say 72 then?", "I'd take 72. Deal!"],
        ("none", None),
    ),
    "bare figure accepted": (["I'd pay 65.", "That works for me."], ("deal", 65.0)),
    "cents": (["I can offer $72.50.", "You've got a deal."], ("deal", 72.5)),
    "thousands": (["I can offer $1,072.", "You've got a deal."], ("deal", 1072.0)),
    "instead of": (["$60?", "I could do $80 instead of $60.", "Agreed."], ("deal", 80.0)),
    "list price mentioned": (["It says $100, would $70 do?", "It's a deal."], ("deal", 70.0)),
    "acceptance at another price is an offer": (
        ["I offer $60.", "Deal at $80!", "Okay, agreed."],
        ("deal", 80.0),
    ),
    "and stands open": (["I offer $60.", "Deal at $80!", "Goodbye."], ("none", None)),
    "a question is no acceptance": (["$70, deal?", "Let me think.", "Do we have a deal?"], ("none", None)),
    "a question of the other": (["I offer $70.", "So it's a deal?", "Hm."], ("none", None)),
    "nor later": (["I offer $70.", "Hm.", "Deal!"], ("none", None)),
    "no deal": (["$70?", "No deal.", "I don't accept less."], ("none", None)),
    "if": (["$70?", "I accept if you bring it here.", "Hm."], ("none", None)),
    "but": (["$70?", "Sounds good, but I need more.", "Hm."], ("none", None)),
    "nobody accepts one's own offer": (["I offer $70. Deal!", "Hm."], ("none", None)),
    "thanks afterwards": (["$70?", "Deal.", "Great, $70 it is.", "See you at 5."], ("deal", 70.0)),
    "opened again": (["$70?", "Deal.", "Actually, make it $65.", "Hm."], ("unreadable", None)),
    "opened again and closed": (["$70?", "Deal.", "Make it $65.", "Agreed."], ("deal", 65.0)),
    "two prices at once": (["$70 now or $80 next week?", "Deal."], ("unreadable", None)),
    "no price at all": (["It is a fine lamp.", "It's a deal!"], ("unreadable", None)),
    "no talk of it": (["Nice weather.", "Indeed."], ("none", None)),
    "silence": (["", " "], ("unreadable", None)),
    "sizes are no prices": (["It is 2 feet wide.", "I'd pay 70.", "Agreed."], ("deal", 70.0)),
    "nonsense": (["kab loen mi7", "xr. tt en", "7 lo"], ("none", None)),
}


@pytest.mark.parametrize(("texts", "expected"), PRICES.values(), ids=PRICES)
def test_prices_are_read_or_left(texts: list[str], expected: tuple[str, float | None]) -> None:
    assert tuple(read_agreement(LAMP, said(*texts))) == expected


SHARES: dict[str, tuple[list[str], tuple[str, tuple[int, ...] | None]]] = {
    "both sides": (
        ["I take 1 pear, 2 plums and the fig; you get 2 pears.", "Deal."],
        ("deal", (1, 2, 1)),
    ),
    "the rest": (
        ["You can have all the pears, and I keep the rest.", "That works for me."],
        ("deal", (0, 2, 1)),
    ),
    "words for numbers": (
        ["I'd like one pear and both plums. You get two pears and the fig.", "Sounds fair."],
        ("deal", (1, 2, 0)),
    ),
    "by the second agent": (
        ["Hello.", "I take the pears, you take the plums and the fig.", "I agree."],
        ("deal", (0, 2, 1)),
    ),
    "a question": (
        ["How about you take the pears and give me the plums and the fig?", "Agreed!"],
        ("deal", (0, 2, 1)),
    ),
    "every item on one side": (["I'd like 2 pears, 1 plum and 1 fig.", "Agreed."], ("deal", (2, 1, 1))),
    "too many": (["I take 4 pears and the plums, you take the fig.", "Agreed."], ("unreadable", None)),
    "does not add up": (
        ["I take 2 pears, you take 2 pears, I take the rest.", "Agreed."],
        ("unreadable", None),
    ),
    "some and the rest": (
        ["I take 2 pears, you take the plums, I get the rest.", "Agreed."],
        ("unreadable", None),
    ),
    "not all said": (["I take the pears.", "Agreed."], ("unreadable", None)),
    "counter-offer": (
        [
            "I take all the pears and you get the rest.",
            "I can't agree. You take the plums, I take the pears and the fig.",
            "Alright, deal.",
        ],
        ("deal", (0, 2, 0)),
    ),
    "values are no offer": (
        ["For me a pear is worth 3 points and a plum 1.", "Sounds good."],
        ("unreadable", None),
    ),
    "packing afterwards": (
        ["You can have all the pears, and I keep the rest.", "Deal.", "I'll wrap the fig.", "Thanks."],
        ("deal", (0, 2, 1)),
    ),
    "no agreement": (["I take the pears, you get the rest.", "Never.", "Then I'm off."], ("none", None)),
}


@pytest.mark.parametrize(("texts", "expected"), SHARES.values(), ids=SHARES)
def test_divisions_are_read_or_left(texts: list[str], expected: tuple[str, Any]) -> None:
    assert tuple(read_agreement(FRUIT, said(*texts))) == expected


@pytest.mark.parametrize(
    "text",
    [
        " " * 20_000,
        "," * 20_000,
        "okay " * 5_000,
        "1," * 10_000,
        "the " * 5_000,
        "I " * 5_000,
        "." * 20_000,
        "$" * 20_000,
    ],
)
def test_endless_repetition_takes_no_endless_time(text: str) -> None:
    started = time.process_time()
    for game in (LAMP, FRUIT):
        read_agreement(game, said("Hello.", text, f"I take the pears {text}"))
    assert time.process_time() - started < 2


def test_a_friend_is_found_when_both_have_named_it() -> None:
    game = MutualFriend("Zoe")
    assert read_agreement(game, said("Do you know Zoe?", "Yes, Zoe from chess!")).outcome == "deal"
    assert read_agreement(game, said("Do you know Zoe?", "Who? Zoepfchen?")).outcome == "none"
    assert read_agreement(game, said("", "")).outcome == "unreadable"


def played(env: str, *texts: str, **changes: Any) -> dict[str, Any]:
    turns = [{"agent": line.agent, "text": line.text} for line in said(*texts)]
    key = {"agent1": "b", "agent2": "a", "seed": 0, "episode_id": "e", "environment_id": env}
    return {**key, "turns": turns, **changes}


def scenarios() -> ScenarioSet:
    agents = scenario_set().episodes[0].agents
    lamp = environment(
        "A lamp for $100.", "You are the buyer; target $60.", "You are the seller; target $90.", "lamp"
    )
    talk = environment("Two friends talk.", "Listen.", "Speak.", "talk")
    return ScenarioSet(
        tuple(Episode(env.id, i, env, agents) for i, env in enumerate((lamp, talk))), "test", {}
    )


def test_the_table_has_the_dialogues_that_play_for_something() -> None:
    dialogues = [
        played("lamp", "$70?", "Deal."),
        played("lamp", "$50?", "No.", agent1="a", agent2="b"),
        played("lamp", "", "", seed=1),
        played("talk", "$70?", "Deal."),
        played("lamp", "", "", agent1="a", agent2="a"),
    ]
    table = outcome_table(scenarios(), dialogues)
    assert list(table["outcome"]) == ["deal", "none", "unreadable", "unreadable"]
    assert table["price"].tolist()[0] == 70.0
    assert table.loc[1, ["gain_1", "gain_2"]].tolist() == [0.0, 0.0]
    assert table.loc[2, ["price", "gain_1", "gain_2", "pareto_distance"]].isna().all()
    pairs = outcome_pairs(table, {"b": "x", "a": "y"})
    assert pairs[["model_1", "model_2", "family", "game"]].values.tolist() == [
        ["b", "a", "cross", "bargaining"],
        ["a", "a", "y", "bargaining"],
    ]
    first = pairs.iloc[0]
    assert (first["n_dialogues"], first["n_unreadable"]) == (3, 1)
    assert first["unreadable_rate"] == pytest.approx(1 / 3)
    assert first["agreement_rate"] == 0.5
    assert first["gain"] == pytest.approx((-0.1 - 0.2 + 0 + 0) / 4)
    assert first["fairness"] == pytest.approx(0.9)
    assert pairs.iloc[1][["agreement_rate", "gain", "fairness"]].isna().all()


def test_where_nothing_is_played_for_the_tables_are_empty_and_have_their_columns() -> None:
    table = outcome_table(scenarios(), [played("talk", "Hello.")])
    assert table.empty
    assert "pareto_distance" in table
    assert list(outcome_pairs(table, {"a": "x"}).columns)[:4] == ["model_1", "model_2", "family", "game"]


def test_points_of_a_division_stand_in_its_row() -> None:
    row = outcome_row(FRUIT, played("x", "You can have all the pears, and I keep the rest.", "Deal."))
    assert (row["points_1"], row["points_2"]) == (7.0, 9.0)
    assert math.isnan(row["price"])
    none = outcome_row(FRUIT, played("x", "Hello.", "Bye."))
    assert (none["outcome"], none["points_1"], none["points_2"]) == ("none", 0.0, 0.0)
