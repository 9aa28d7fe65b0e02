"""The toy world: its grammar, its situations, and how hidden states move."""

import collections
import itertools
import math
import random
import re

import pytest
import yaml

from syncr2.errors import SyncR2Error
from syncr2.sotopia.episodes import RELATIONSHIPS
from syncr2.sotopia.scenarios import read_folder
from syncr2.sotopia.views import judge_view
from syncr2.world import tendencies
from syncr2.world.__main__ import main
from syncr2.world.dynamics import MAX_TURNS, choices, play, respond
from syncr2.world.minds import Mind, Role, Signs, first_mind, heard, moved
from syncr2.world.sentences import FOLDER, Said, grammar, joined, note, read, say, valence
from syncr2.world.setting import (
    KINDS,
    TOP,
    Game,
    Traits,
    draw_environment,
    draw_episode,
    game_of,
    read_game,
    traits_of,
    write_folder,
)
from syncr2.world.tables import truth

GAME = Game("bargain", "lamp", 20, 5, 1, (2, 3))
TRAITS = Traits(warm=True, patient=True, temper="fear")
ROLE = Role(GAME, 2, TRAITS, ("Ada", "Bela"), "sold the ring")


def dialogues(n, coupling, seed=0):
    return [(draw_episode(5, i), play(draw_episode(5, i), seed, coupling)) for i in range(n)]


def test_every_opener_with_every_sentence_is_read_as_what_it_was():
    rules = grammar()
    filled = {"name": "Ada", "self": "Bela", "n": "7", "thing": "lamp", "place": "the lake"}
    sentences = [(act, None, text) for act, texts in rules.acts.items() for text in texts if act != "leave"]
    sentences += [("offer", kind, text) for kind, texts in rules.offers.items() for text in texts]
    written = {}
    for (feeling, openers), (act, kind, template) in itertools.product(rules.openers.items(), sentences):
        slots = {
            slot: filled.get(slot) or rules.words[slot][3] for slot in re.findall(r"\{(\w+)\}", template)
        }
        for opener in openers:
            text = joined(opener, template.format(**slots))
            found = read(text)
            assert found == Said(act, feeling, slots, kind), text
            assert written.setdefault(text, (act, feeling, kind)) == (act, feeling, kind)
    assert len(written) > 10_000


@pytest.mark.parametrize("coupling", [0.0, 1.0])
def test_all_that_the_world_says_is_read_back(coupling):
    for episode, turns in dialogues(150, coupling):
        for turn in turns:
            found = read(turn.text)
            assert found is not None, turn.text
            assert (found.act, found.feeling) == (turn.said.act, turn.said.feeling)
            assert found.slots.items() <= {**found.slots, **turn.said.slots}.items()
            if turn.level is not None:
                assert (
                    game_of(episode).level(turn.agent, int(found.slots.get("n", turn.said.slots["n"])))
                    == turn.level
                )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Colourless green ideas sleep furiously.",
        "good, thank you.",
        "Nice, How are you today, Ada?",
        "Nice,  how are you today, Ada?",
        "how are you today, Ada?",
        "How are you today, Zeppo?",
        "How are you today, Ada? How are you today, Ada?",
        "12 euros for the moon.",
        "Enough! [leaves]",
    ],
)
def test_what_the_grammar_would_not_write_is_not_read(text):
    assert read(text) is None


def test_leaving_is_the_mark_alone():
    assert say(Said("leave", "anger -2", {}), lambda listed: listed[0]) == "[leaves]"
    assert read("[leaves]") == Said("leave", "neutral 0", {})


def test_the_language_is_rich():
    words = {
        word
        for _, turns in dialogues(400, 1.0)
        for turn in turns
        for word in re.findall(r"[a-z]+", turn.text.lower())
    }
    texts = [turn.text for _, turns in dialogues(400, 1.0) for turn in turns]
    assert len(words) > 500
    assert len(set(texts)) / len(texts) > 0.8
    lengths = [len(text.split()) for text in texts]
    assert 6 < sum(lengths) / len(lengths) < 13


def test_tendencies_name_acts_of_the_grammar_only():
    acts = {*grammar().acts, "offer"}
    assert set(tendencies.INTENTIONS) == acts == set(grammar().notes["doings"])
    named = {act for logits in tendencies.RESPONSES.values() for act in logits}
    assert named <= acts
    assert set(tendencies.RESPONSES) == {*acts, "silence"}
    for kind, leads in itertools.product(KINDS, (True, False)):
        assert set(tendencies.base(kind, leads)) <= acts
    assert set(grammar().notes["feelings"]) == set(grammar().openers)


def test_notes_say_who_felt_and_did_what():
    said = Said("offer", "joy 2", {"n": "30"}, "bargain")
    assert note("Ada", said, lambda listed: listed[0]) == "*Ada sounds overjoyed and names 30.*"


def test_a_missing_file_of_the_grammar_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("syncr2.world.sentences.FOLDER", tmp_path)
    grammar.cache_clear()
    with pytest.raises(SyncR2Error, match=r"words\.yaml: no such file"):
        grammar()
    (tmp_path / "words.yaml").write_text((FOLDER / "words.yaml").read_text())
    texts = yaml.safe_load((FOLDER / "sentences.yaml").read_text())
    texts["acts"]["ask"].append("what is a {thingamajig}?")
    (tmp_path / "sentences.yaml").write_text(yaml.safe_dump(texts))
    with pytest.raises(SyncR2Error, match=r"\{thingamajig\} is no slot"):
        grammar()
    grammar.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
def test_a_situation_is_read_back_from_its_text_whoever_is_presented_first(kind):
    for number in range(40):
        environment = draw_environment(3, number, kind)
        game = read_game(environment.scenario, environment.goals)
        swapped = read_game(environment.scenario, environment.goals[::-1])
        assert game is not None
        assert swapped is not None
        assert game.kind == kind
        assert game.limits == swapped.limits[::-1]
        if kind == "split":
            assert game.lead == swapped.lead == 1
        else:
            assert game.lead == 3 - swapped.lead
        if game.has_levels:
            assert all(1 <= limit <= 3 for limit in game.limits)
            for agent, level in itertools.product((1, 2), range(TOP + 1)):
                assert game.level(agent, game.number(agent, level)) == level
                assert game.utility(1, level) + game.utility(2, level) == TOP
            assert game.level(1, game.low + game.step * (TOP + 1)) is None
            assert game.level(1, game.low - game.step) is None


def test_bargain_by_hand():
    game = read_game(
        "The lamp is for sale at the lake, for 20 to 60 euros.",
        (
            "Buy the lamp for as little as you can. Your limit is 45 euros.",
            "Sell the lamp for as much as you can. Your limit is 30 euros.",
        ),
    )
    # Level 5 is 45 euros, which is worth 3 to the buyer; level 2 is 30 euros.
    assert game == Game("bargain", "lamp", 20, 5, 2, (3, 2))
    assert read_game("The moon is for sale.", ("Buy it.", "Sell it.")) is None


def test_written_files_pass_the_checks_and_hold_all_kinds(tmp_path):
    write_folder(tmp_path / "one", 7, 12, 3)
    write_folder(tmp_path / "two", 7, 12, 3)
    scenarios = read_folder(tmp_path / "one")
    assert scenarios.sha256 == read_folder(tmp_path / "two").sha256
    assert len(scenarios.episodes) == 36
    kinds = collections.Counter(game_of(episode).kind for episode in scenarios.episodes)
    assert kinds == dict.fromkeys(KINDS, 6)
    for episode in scenarios.episodes:
        assert episode.columns()["kind"] == game_of(episode).kind
        traits_of(episode.agents[0])
        view = judge_view(episode)
        assert read_game(view.scenario, view.goals) == game_of(episode)


def test_the_shipped_episodes_are_those_of_their_command(tmp_path):
    assert main(["scenarios", str(tmp_path)]) == 0
    shipped = read_folder(FOLDER / "scenarios")
    assert shipped.sha256 == read_folder(tmp_path).sha256
    assert len(shipped.episodes) == 72
    assert len({episode.environment.id for episode in shipped.episodes}) == 36
    assert len({episode.environment.relationship for episode in shipped.episodes}) == len(RELATIONSHIPS)


def test_other_episodes_are_refused():
    episode = draw_episode(1, 1)
    import dataclasses

    strange = dataclasses.replace(episode.agents[0], personality="a riddle")
    with pytest.raises(SyncR2Error, match=r"none of the toy world"):
        traits_of(strange)
    other = dataclasses.replace(
        episode, environment=dataclasses.replace(episode.environment, scenario="Elsewhere.")
    )
    with pytest.raises(SyncR2Error, match=r"is not of the toy world"):
        game_of(other)


def test_the_same_seed_gives_the_same_dialogue_and_another_one_another():
    episode = draw_episode(5, 8)
    assert play(episode, 1, 0.5) == play(episode, 1, 0.5)
    assert [turn.text for turn in play(episode, 1, 0.5)] != [turn.text for turn in play(episode, 2, 0.5)]
    assert play(episode, 1, 0.5, max_turns=4) == play(episode, 1, 0.5)[:4]


def test_nobody_gives_away_but_the_own_secret():
    found = [
        (turn.said.slots["secrets"], episode.agents[turn.agent - 1].secret, turn.text)
        for episode, turns in dialogues(200, 1.0)
        for turn in turns
        if turn.said.act == "reveal"
    ]
    assert len(found) > 5
    assert all(said == own and said in text for said, own, text in found)


def test_truth_has_the_states_of_both():
    _, turns = dialogues(1, 1.0)[0]
    rows = truth(turns)
    assert [row["turn"] for row in rows] == list(range(len(turns)))
    assert rows[0]["partner_mood"] is None
    assert [row["partner_mood"] for row in rows[1:]] == [row["mood"] for row in rows[:-1]]
    assert all(row["valence"] == valence(turn.said.feeling) for row, turn in zip(rows, turns, strict=True))


SIGNS = (
    Signs(-2, "blame", 3, 0),
    Signs(2, "praise", 7, 0),
    Signs(0, "offer", 8, 3),
    Signs(-1, "ask", None, 0),
)


def test_without_coupling_the_partner_changes_nothing():
    # Counterfactual: same own state, same draws, another partner.
    for seed in range(200):
        mind = first_mind(ROLE, 2, random.Random(seed))
        found = {respond(ROLE, mind, signs, 0.0, 3, random.Random(seed)).text for signs in SIGNS}
        assert len(found) == 1


def test_with_coupling_the_partner_matters_as_often_as_it_says():
    def changed(coupling):
        n = 400
        differs = 0
        for seed in range(n):
            mind = Mind(0, 2, 6, turns=3)
            texts = [respond(ROLE, mind, signs, coupling, 3, random.Random(seed)) for signs in SIGNS[:2]]
            differs += (texts[0].mind, texts[0].said.act) != (texts[1].mind, texts[1].said.act)
        return differs / n

    whole, half = changed(1.0), changed(0.5)
    assert whole > 0.8
    assert half / whole == pytest.approx(0.5, abs=0.1)


def _dependence(coupling, n=500):
    """z of: own mood agrees with the valence that the partner showed just before, within equal own states."""
    cells = collections.defaultdict(list)
    for _, turns in dialogues(n, coupling):
        for earlier, before, turn in zip(turns, turns[1:], turns[2:], strict=False):
            cells[earlier.mind.mood, turn.turn].append((before.said.valence, turn.mind.mood))
    statistic, variance = 0.0, 0.0
    for pairs in cells.values():
        shown, moods = zip(*pairs, strict=True)
        m, a, b = len(pairs), sum(shown) / len(shown), sum(moods) / len(moods)
        if m < 2:
            continue
        statistic += sum((x - a) * (y - b) for x, y in pairs)
        # Variance of this sum when the pairing within the cell is by chance.
        variance += sum((x - a) ** 2 for x in shown) * sum((y - b) ** 2 for y in moods) / (m - 1)
    return statistic / math.sqrt(variance)


def test_moods_follow_the_partner_with_coupling_only():
    z = [_dependence(coupling) for coupling in (0.0, 0.5, 1.0)]
    assert abs(z[0]) < 3.5
    assert z[1] > 6
    assert z[2] > 1.5 * z[1]


def _offer_after_concession(coupling, n=600):
    """Mean fall of one's demand after the partner gave something, less that after it gave nothing."""
    falls = {True: [], False: []}
    for _, turns in dialogues(n, coupling):
        if turns[0].said.kind is None and not any(turn.said.kind for turn in turns):
            continue
        for i in range(2, len(turns)):
            if turns[i - 1].level is None:
                continue
            earlier = [t for t in turns[: i - 1] if t.agent == turns[i - 1].agent and t.level is not None]
            if earlier:
                gave = abs(earlier[-1].level - turns[i - 1].level)
                falls[gave >= 2].append(turns[i - 2].mind.demand - turns[i].mind.demand)
    return sum(falls[True]) / len(falls[True]) - sum(falls[False]) / len(falls[False])


def test_demands_answer_concessions_with_coupling_only():
    assert _offer_after_concession(1.0) > 0.25
    assert abs(_offer_after_concession(0.0)) < 0.2


def test_moved_by_hand():
    class Fixed(random.Random):
        def __init__(self, *values):
            super().__init__(0)
            self.values = list(values)

        def random(self):
            return self.values.pop(0)

    mind = Mind(0, 2, 6)
    # No news, no surprise: 0.7 of a shown 2, one step up for praise: 2.4, cut to 2; trust goes up; patient
    # and of good mood: one step of demand.
    after = moved(ROLE, mind, Signs(2, "praise"), Fixed(0.9, 0, 0.0, 0.9, 0))
    assert (after.mood, after.trust, after.demand) == (2, 3, 5)
    # Blame: -1.4 - 1 = -2.4, rounded down at a rounding draw below 0.6; no concession.
    after = moved(ROLE, mind, Signs(-2, "blame"), Fixed(0.9, 0, 0.5, 0.9, 0))
    assert (after.mood, after.trust, after.demand) == (-2, 1, 6)
    # News: any mood; surprise: any demand from the limit, 3, to 8.
    after = moved(ROLE, mind, Signs(), Fixed(0.34, 0.99, 0.5, 0.19, 0.0))
    assert (after.mood, after.demand) == (2, 3)
    # A concession of 3 counts as 2 steps, beside one for the mood that it lifts; agreement is taken note of.
    after = moved(ROLE, mind, Signs(0, "offer", 5, 3), Fixed(0.9, 0, 0.5, 0.9, 0))
    assert (after.mood, after.trust, after.demand) == (1, 3, 3)
    assert moved(ROLE, mind, Signs(0, "accept", 5), Fixed(0.9, 0, 0.5, 0.9, 0)).settled == 0


def test_signs_of_an_offer_are_of_ones_own_worth():
    # Agent 2 buys: level 6 is worth 2 to it, level 4 is worth 4.
    first = heard(ROLE, Signs(), Said("offer", "joy 1", {}, "bargain"), 6)
    second = heard(ROLE, first, Said("offer", "neutral 0", {}, "bargain"), 4)
    third = heard(ROLE, second, Said("ask", "sadness -1", {}), None)
    assert first == Signs(1, "offer", 2, 0)
    assert second == Signs(0, "offer", 4, 2)
    assert third == Signs(-1, "ask", 4, 0)


def test_only_what_is_good_enough_is_accepted_and_nothing_is_offered_afterwards():
    mind = Mind(0, 2, 5, turns=4)
    assert choices(ROLE, mind, Signs(0, "offer", 5, 0))["accept"] > 0.5
    assert "accept" not in choices(ROLE, mind, Signs(0, "offer", 4, 0))
    assert "accept" not in choices(ROLE, Mind(0, 2, 5, turns=1), Signs(0, "offer", 5, 0))
    after = choices(ROLE, Mind(0, 2, 5, turns=4, settled=0), Signs(0, "accept", 5, 0))
    assert not {"offer", "refuse", "press"} & set(after)
    assert math.isclose(sum(after.values()), 1.0)


def test_dialogues_are_long_enough_and_both_ends_occur():
    found = dialogues(300, 1.0)
    lengths = [len(turns) for _, turns in found]
    assert max(lengths) == MAX_TURNS
    assert sum(lengths) / len(lengths) > 10
    left = sum(turns[-1].said.act == "leave" for _, turns in found)
    assert 0 < left < 300
    assert all(turn.said.act != "leave" for _, turns in found for turn in turns[:-1])
    assert {episode.environment.relationship for episode, _ in found} == set(range(len(RELATIONSHIPS)))
