"""The oracle of the toy world: closed forms on dialogues written by hand."""

import dataclasses
import math

import pytest

from syncr2.dialogues.prompts import Prompts
from syncr2.files import write_table
from syncr2.judges import JudgeSettings, check_scores, judge_shard
from syncr2.judges.orders import case_of, swapped
from syncr2.labels import read_labels
from syncr2.sotopia.episodes import Environment, Episode, Profile
from syncr2.sotopia.scenarios import ScenarioSet
from syncr2.world.dynamics import play
from syncr2.world.hearing import Line, hear, quality
from syncr2.world.oracle import OracleJudge
from syncr2.world.setting import draw_episode, game_of
from syncr2.world.tables import heard_table, hearing_of, truth_table, world_record

SALE = Environment(
    "sale",
    "The lamp is for sale at the lake, for 20 to 60 euros.",
    (
        "Sell the lamp for as much as you can. Your limit is 30 euros.",
        "Buy the lamp for as little as you can. Your limit is 45 euros.",
    ),
    0,
)
SHARING = Environment(
    "sharing",
    "At the lake two people share 0 to 8 coins.",
    (
        "Get as many of the coins as you can. Your limit is 2.",
        "Get as many of the coins as you can. Your limit is 3.",
    ),
    3,
)
COMFORT = Environment(
    "comfort",
    "Two people meet at the lake after the sick dog.",
    ("Be heard, and feel better about the sick dog.", "Comfort the other over the sick dog."),
    5,
)
RUMOURS = Environment(
    "rumours",
    "Two people meet at the lake, and there are rumours.",
    ("Find out what the other hides.", "Keep your secret to yourself."),
    1,
)


def profile(name, secret):
    return Profile(name.lower(), name, personality="warm, patient and shy", secret=secret)


def record(environment, *texts):
    agents = profile("Ada", "sold the ring"), profile("Bela", "hid the winning ticket")
    episode = Episode("e", 0, environment, agents)
    dialogue = {
        "format": "syncr2/dialogue/1",
        **{"episode_id": "e", "environment_id": environment.id, "index": 0, "pair": "a--b"},
        **{"agent1": "a", "agent2": "b", "seed": 0, "columns": {}},
        "agents": [{"id": agent.id, "name": agent.name} for agent in agents],
        "turns": [
            {"turn": i, "agent": 1 + i % 2, "speaker": agents[i % 2].name, "text": text}
            for i, text in enumerate(texts)
        ],
    }
    return episode, dialogue


def scores(environment, *texts):
    episode, dialogue = record(environment, *texts)
    case = case_of({"e": episode}, dialogue)
    verdict, other = OracleJudge().judge([case, swapped(case)])
    assert verdict.status == "ok"
    assert other.scores == {"agent1": verdict.scores["agent2"], "agent2": verdict.scores["agent1"]}
    for agent in ("agent1", "agent2"):
        check_scores(verdict.scores[agent])
    return verdict.scores["agent1"], verdict.scores["agent2"]


def test_a_sale():
    first, second = scores(
        SALE,
        "55 euros for the lamp.",
        "Good, what about 40 for the lamp, Ada?",
        "Well, I take your offer.",
        "Thank you, Ada, that helps.",
    )
    # Level 4: the seller's limit is level 2, so 2 of 6 above it; the buyer gets 4, its limit is 3: 1 of 5.
    assert first["goal"] == pytest.approx(4 + 6 * 2 / 6)
    assert second["goal"] == pytest.approx(4 + 6 * 1 / 5)
    assert first["financial_and_material_benefits"] == pytest.approx(5 * 2 / 6, abs=1e-4)
    assert second["financial_and_material_benefits"] == pytest.approx(5 * 1 / 5)
    # Trust began at 1 and 1; thanks lift the seller's by one, of three that were possible for each.
    assert first["relationship"] == second["relationship"] == pytest.approx(5 * 1 / 6, abs=1e-4)
    assert first["believability"] == second["believability"] == 10
    assert first["knowledge"] == second["knowledge"] == 0
    assert first["secret"] == first["social_rules"] == 0


def test_below_the_limit_is_a_loss():
    first, second = scores(
        SALE, "Well, good to see you, Bela.", "At 25 I would sign.", "Agreed, we have a deal."
    )
    # Level 1 of the seller's limit 2; the buyer has 7 of 8.
    assert first["goal"] == pytest.approx(4 * 1 / 2)
    assert first["financial_and_material_benefits"] == pytest.approx(-2.5)
    assert second["goal"] == pytest.approx(4 + 6 * 4 / 5)


def test_acceptance_without_an_offer_binds_nobody():
    first, second = scores(SALE, "Agreed, we have a deal.", "Well, I take your offer.")
    assert first["goal"] == second["goal"] == 0
    assert first["financial_and_material_benefits"] == 0


def test_only_the_first_deal_counts_and_later_offers_break_the_rules():
    first, second = scores(
        SALE,
        "40 euros for the lamp.",
        "I take your offer.",
        "50 euros for the lamp.",
        "Yes, Ada, I accept that.",
        "40 euros for the lamp.",
    )
    assert second["goal"] == pytest.approx(4 + 6 * 1 / 5)
    assert first["social_rules"] == -3
    # One of three utterances says again what was said.
    assert first["believability"] == pytest.approx(10 * 2 / 3, abs=1e-4)


def test_shares_are_of_who_speaks():
    first, second = scores(SHARING, "So, give me 5 coins, the rest is yours.", "You have a deal, Ada.")
    assert first["goal"] == pytest.approx(4 + 6 * 3 / 6)
    assert second["goal"] == pytest.approx(4 + 6 * 0 / 5)
    again, _ = scores(
        SHARING, "Nice, good to see you, Bela.", "My share should be 5 coins.", "I take your offer."
    )
    assert again["goal"] == pytest.approx(4 + 6 * 1 / 6)


def test_comfort():
    first, second = scores(
        COMFORT,
        "I could cry! My phone broke, Bela, can you picture it?",
        "I am here for you, Ada.",
        "Alas, my boots are wet, Bela, can you picture it?",
        "Nice, maybe you should make a list.",
        "Good, I am grateful to you, Bela.",
        "[leaves]",
    )
    # The last two feelings that Ada shows are -1 and 1: the middle. She was listened to twice of four times.
    assert second["goal"] == 5
    assert first["goal"] == pytest.approx(0.5 * 5 + 0.5 * 5)
    # Told: two pieces of news, and one tip.
    assert (first["knowledge"], second["knowledge"]) == (2, 4)


def test_a_secret_kept_and_one_given_away():
    first, second = scores(RUMOURS, "What are you hiding from me, Bela?", "There is nothing to tell.")
    assert (first["goal"], second["goal"], second["secret"]) == (0, 10, 0)
    first, second = scores(
        RUMOURS, "What are you hiding from me, Bela?", "Alas, the truth is that I hid the winning ticket."
    )
    assert (first["goal"], second["goal"], second["secret"], first["secret"]) == (10, 0, -10, 0)
    # Somebody else's secret is none of one's own.
    assert scores(RUMOURS, "The truth is that I lost the key of the archive.")[0]["secret"] == 0


def test_harsh_words_cost_trust_and_manners():
    first, second = scores(
        SHARING,
        "Enough! You never listen to me, Bela.",
        "Your word is worth nothing.",
        "Take it or leave it, Bela.",
    )
    assert (first["social_rules"], second["social_rules"]) == (-3, -2)
    # Friends begin with 2 and 2; three steps down of the four that there are.
    assert first["relationship"] == second["relationship"] == pytest.approx(-5 * 3 / 4)


def test_unreadable_turns_are_counted_and_do_no_harm():
    first, second = scores(
        SALE, "fjord <s> \u200b", "", "70 euros for the lamp.", "I take your offer.", "Hi Bela, I am Zora."
    )
    assert first["believability"] == 0
    assert second["believability"] == pytest.approx(10 * 0.5 * 0.5)
    assert first["goal"] == 0
    assert all(scores(SALE)[i]["believability"] == 0 for i in (0, 1))


def test_dialogues_of_other_scenarios_fail_with_a_reason():
    episode, dialogue = record(dataclasses.replace(SALE, scenario="A rainy forecourt."), "Hello.")
    (verdict,) = OracleJudge().judge([case_of({"e": episode}, dialogue)])
    assert verdict.status == "failed"
    assert "toy world only" in verdict.error


def test_the_engine_of_the_configuration_scores_the_worlds_own_dialogues():
    episodes = tuple(dataclasses.replace(draw_episode(6, i), index=i) for i in range(40))
    dialogues = [world_record(episode, play(episode, 1, 1.0), 1) for episode in episodes]
    settings = JudgeSettings.from_dict({"name": "oracle", "engine": "oracle"})
    records = judge_shard(
        ScenarioSet(episodes, "here", {}), dialogues, Prompts("resources/prompts"), settings
    )
    assert {record["status"] for record in records} == {"ok"}
    found = [record["scores"][agent] for record in records for agent in ("agent1", "agent2")]
    for own in found:
        check_scores(own)
    assert all(own["believability"] > 5 for own in found)
    for name in found[0]:
        assert len({own[name] for own in found}) > 1, name
    for record in records:
        assert record["orders"][0]["scores"] == record["orders"][1]["scores"]


def test_labels_of_truth_and_of_hearing_agree_where_both_speak(tmp_path):
    episodes = {f"episode-6-{i}": draw_episode(6, i) for i in range(20)}
    played = [(episode, play(episode, 3, 1.0), 3) for episode in episodes.values()]
    records = [world_record(*each) for each in played]
    truth, heard = truth_table(played), heard_table(episodes, records)
    for name in ("emotion", "valence", "act", "intention", "action", "offer_level", "turn", "episode_id"):
        assert truth[name].equals(heard[name]), name
    assert (heard["well_formed"] == 1).all()
    for name, table in (("truth", truth), ("heard", heard)):
        write_table(tmp_path / f"{name}.tsv", table)
        labels = read_labels(tmp_path / f"{name}.tsv")
        assert labels.level == "turn"
        assert labels.check(records) == 1.0
        assert {"emotion", "intention", "trust"} <= set(labels.names)
    mood = read_labels(tmp_path / "truth.tsv").of_turns("mood", records[0])
    assert mood == [turn.mind.mood for turn in played[0][1]]


def test_heard_trust_is_that_of_people_who_always_attend():
    for i in range(20):
        episode = draw_episode(6, i)
        turns = play(episode, 3, 1.0)
        hearing = hearing_of({episode.id: episode}, world_record(episode, turns, 3))
        for turn in turns[1:]:
            # Trust moves when one's own turn comes, so what was heard up to the turn before decides it.
            assert turn.mind.trust == hearing.trust[turn.agent - 1][turn.turn - 1]


def test_quality_counts():
    episode = draw_episode(6, 0)
    game = game_of(episode)
    names = [agent.name for agent in episode.agents]
    lines = [
        Line(1, f"Well, hi {names[1]}, I am {names[0]}."),
        Line(2, "Well, hi Zora, I am Femi."),
        Line(1, "Blah."),
    ]
    found = quality([hear(game, names, 0, lines)], [game])
    assert found["n_turns"] == 3
    assert found["grammatical"] == pytest.approx(2 / 3)
    assert found["well_formed"] == pytest.approx(1 / 3)
    assert math.isnan(quality([], [])["deals"])
