"""The turns: who speaks when, with what prompt and seed, and what is recorded; in lockstep and freely."""

from __future__ import annotations

import copy
import hashlib
import json

import pytest
from judging import scenario_set
from tiny_models import byte_tokenizer, with_weights_of

from syncr2.dialogues import playing
from syncr2.dialogues.chat import ChatEncoder
from syncr2.dialogues.dialogue import Listener, Match, check_contexts, prompt_ids, turn_seed
from syncr2.dialogues.playing import Progress
from syncr2.dialogues.prompts import Prompts
from syncr2.dialogues.turns import StoppingRule
from syncr2.errors import SyncR2Error
from syncr2.ids import OrderedPair
from syncr2.replay.tokens import common_prefix, ids_sha256
from syncr2.sotopia.scenarios import Environment, Episode
from syncr2.speakers import Answer, Sampling
from syncr2.speakers.local import LocalSpeaker

SAMPLING = Sampling(0.9, 0.95, 0, 10)
PAIR = OrderedPair("model-a", "model-b")
ENCODER = ChatEncoder(byte_tokenizer(), "model-a")


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompts")
    (folder / "engaged.jinja").write_text(
        "{{ view.scenario }}\nYou: {{ view.own.name }}\n"
        "{% for line in history %}\n{{ line }}\n{% endfor %}\n{{ cue }}"
    )
    for name in ("bystander", "judge", "labels"):
        (folder / f"{name}.jinja").write_text("")
    return Prompts(folder)


def episodes(n):
    """Episodes with scenarios of different lengths."""
    found = []
    for episode in scenario_set(n).episodes:
        environment = Environment("env", f"Scene {'so ' * episode.index}.", episode.environment.goals, 2, {})
        found.append(Episode(episode.id, episode.index, environment, episode.agents))
    return found


class Scripted:
    """A speaker that says what a script has for the prompt's scene and cue, and notes what it was asked."""

    def __init__(self, lines=None):
        self.lines = lines or {}
        self.asked = []
        self.n_sides = 0

    def join(self):
        self.n_sides += 1
        return ScriptedSide(self, self.n_sides)


class ScriptedSide:
    def __init__(self, speaker, number):
        self.speaker, self.number = speaker, number

    def answer(self, dialogues, prompts, seeds):
        found = []
        for dialogue, ids, seed in zip(dialogues, prompts, seeds, strict=True):
            text = byte_tokenizer().decode(ids)
            turn = int(text.rpartition("Turn ")[2].split(" ")[0])
            self.speaker.asked.append((self.number, dialogue, turn, seed, text))
            default = (f"line {turn} of {dialogue}", "line")
            raw, reason = self.speaker.lines.get((dialogue, turn), self.speaker.lines.get(turn, default))
            found.append(Answer(raw, 3, reason))
        return found


def match(prompts, *speakers, max_turns=4, stale_after=2, context=4000, seed=0, pair=PAIR, contexts=None):
    one, other = speakers if len(speakers) == 2 else speakers * 2
    first, second = contexts or (context, context)
    listeners = (Listener(ENCODER, first), Listener(ENCODER, second))
    rule = StoppingRule(max_turns, stale_after)
    return Match(pair, seed, listeners, (one, other), prompts, rule, (SAMPLING, SAMPLING))


def play(*arguments):
    """Records, one at a time."""
    for group in playing.play(*arguments):
        yield from group


def texts(record):
    return [turn["text"] for turn in record["turns"]]


def test_agents_take_turns_with_prompts_of_their_own(prompts):
    one, other = Scripted({0: ("Ada Stone: Hi!", "line")}), Scripted()
    (record,) = play(match(prompts, one, other), episodes(1), 8)
    assert texts(record) == ["Hi!", "line 1 of episode-0", "line 2 of episode-0", "line 3 of episode-0"]
    assert [turn["agent"] for turn in record["turns"]] == [1, 2, 1, 2]
    assert [turn["speaker"] for turn in record["turns"]] == ["Ada Stone", "Ben Reed"] * 2
    assert [asked[2] for asked in one.asked] == [0, 2]
    assert [asked[2] for asked in other.asked] == [1, 3]
    assert other.asked[1][4] == (
        "<ask>Scene .\nYou: Ben Reed\nTurn 0 | Ada Stone: Hi!\nTurn 1 | Ben Reed: line 1 of episode-0\n"
        "Turn 2 | Ada Stone: line 2 of episode-0\nTurn 3 | Ben Reed:<answer>"
    )
    assert record["stop_reason"] == "turn_limit"


def test_the_record(prompts):
    one = Scripted(
        {0: (" Hm \nand more", "line"), 1: ("hm", "length"), 2: ("Ben Reed: x", "eos"), 3: ("", "eos")}
    )
    (record,) = play(match(prompts, one, seed=7), episodes(1), 8)
    assert json.loads(json.dumps(record)) == record
    expected = {
        "format": "syncr2/dialogue/1",
        "episode_id": "episode-0",
        "environment_id": "env",
        "index": 0,
        "agent1": "model-a",
        "agent2": "model-b",
        "pair": "model-a--model-b",
        "seed": 7,
        "protocol": "corrected",
        "columns": episodes(1)[0].columns(),
        "agents": [{"id": "ada", "name": "Ada Stone"}, {"id": "ben", "name": "Ben Reed"}],
        "stop_reason": "turn_limit",
        "sampling": {"temperature": 0.9, "top_p": 0.95, "top_k": 0, "max_new_tokens": 10},
    }
    assert {key: value for key, value in record.items() if key != "turns"} == expected
    assert set(record["turns"][0]) == {
        *("turn", "agent", "speaker", "text", "raw", "finish_reason", "n_new_tokens", "flags"),
        *("n_prompt_tokens", "prompt_sha256", "prompt"),
    }
    assert record["turns"][0]["raw"] == " Hm \nand more"
    assert record["turns"][0]["n_new_tokens"] == 3
    assert [turn["flags"] for turn in record["turns"]] == [
        [],
        ["cut_off", "repeated"],
        ["wrong_speaker"],
        ["empty"],
    ]
    assert [turn["finish_reason"] for turn in record["turns"]] == ["line", "length", "eos", "eos"]


def test_prompts_come_back_as_they_were_read(prompts):
    talker = Scripted()
    (record,) = play(match(prompts, talker, max_turns=6), episodes(1), 8)
    found = prompt_ids(record)
    assert [byte_tokenizer().decode(ids) for ids in found] == [asked[4] for asked in talker.asked]
    assert [len(ids) for ids in found] == [turn["n_prompt_tokens"] for turn in record["turns"]]
    # The record is small: from its third turn on, an agent's prompt is kept as what is new.
    assert [turn["prompt"]["keep"] for turn in record["turns"]][:2] == [0, 0]
    for turn in record["turns"][2:]:
        assert turn["prompt"]["keep"] > 30
        assert len(turn["prompt"]["ids"]) < 100


@pytest.mark.parametrize("change", ["id", "keep", "missing", "sha256"])
def test_changed_prompts_are_noticed(prompts, change):
    (record,) = play(match(prompts, Scripted()), episodes(1), 8)
    changed = copy.deepcopy(record)
    prompt = changed["turns"][2]["prompt"]
    if change == "id":
        prompt["ids"][4] += 1
    elif change == "keep":
        prompt["keep"] -= 1
    elif change == "missing":
        prompt["ids"].pop()
    else:
        changed["turns"][2]["prompt_sha256"] = "0" * 64
    with pytest.raises(
        SyncR2Error, match="model-a--model-b, episode episode-0, seed 0: the prompt of turn 2"
    ):
        prompt_ids(changed)


def test_ids_are_hashed_as_text_with_single_spaces():
    assert ids_sha256([1, 23, 4]) == hashlib.sha256(b"1 23 4").hexdigest()
    assert ids_sha256([12, 3, 4]) != ids_sha256([1, 23, 4])


def test_common_prefix():
    assert [common_prefix([1, 2, 3], other) for other in ([1, 2, 3, 4], [1, 2], [1, 5, 3], [2], [])] == [
        3,
        2,
        1,
        0,
        0,
    ]


def test_seeds_tell_turns_apart_and_nothing_else(prompts):
    """One seed a turn, whatever else is played, in whatever group."""
    kinds = [
        turn_seed(pair, episode, seed, turn)
        for pair in (PAIR, OrderedPair("model-b", "model-a"), OrderedPair("model-a", "model-a"))
        for episode in ("e1", "e2")
        for seed in (0, 1)
        for turn in (0, 1, 2)
    ]
    assert len(set(kinds)) == len(kinds)
    assert all(0 <= kind < 2**64 for kind in kinds)
    # Parts cannot run into each other.
    assert turn_seed(PAIR, "e", 11, 1) != turn_seed(PAIR, "e", 1, 11)
    assert turn_seed(PAIR, "e1", 1, 0) != turn_seed(PAIR, "e", 11, 0)
    # Another formula would change every dialogue: the stage's revision would have to be raised.
    digest = hashlib.sha256(b"model-a--model-b\0e1\0" + b"0\0" + b"2").digest()
    assert turn_seed(PAIR, "e1", 0, 2) == int.from_bytes(digest[:8], "little")

    alone, among = Scripted(), Scripted({("episode-1", 1): ("[leaves]", "line")})
    list(play(match(prompts, alone, max_turns=2), episodes(3)[2:], 1))
    list(play(match(prompts, among, max_turns=4), episodes(3), 2))
    seeds = {(dialogue, turn): seed for _, dialogue, turn, seed, _ in among.asked}
    for _, dialogue, turn, seed, _ in alone.asked:
        assert seeds[dialogue, turn] == seed == turn_seed(PAIR, "episode-2", 0, turn)


def test_groups(prompts):
    """Each group is played from beginning to end, with new sides; records come in order, group by group."""
    talker = Scripted({("episode-1", 1): ("[leaves]", "line"), ("episode-3", 0): ("Bye. [leaves]", "line")})
    told, order = [], []
    for record in play(match(prompts, talker, max_turns=3), episodes(5), 2, told.append):
        order.append((record["episode_id"], len(record["turns"]), record["stop_reason"], len(talker.asked)))
    assert order == [
        ("episode-0", 3, "turn_limit", 5),
        ("episode-1", 2, "left", 5),
        ("episode-2", 3, "turn_limit", 9),
        ("episode-3", 1, "left", 9),
        ("episode-4", 3, "turn_limit", 12),
    ]
    assert told == [
        *(Progress(1, 2, 0, 2), Progress(1, 2, 1, 2), Progress(1, 2, 2, 1)),
        *(Progress(3, 4, 0, 2), Progress(3, 4, 1, 1), Progress(3, 4, 2, 1)),
        *(Progress(5, 5, 0, 1), Progress(5, 5, 1, 1), Progress(5, 5, 2, 1)),
    ]
    # Two sides a group, though one speaker has both: agent 1's and agent 2's.
    assert [(side, turn) for side, dialogue, turn, _, _ in talker.asked if dialogue == "episode-2"] == [
        (3, 0),
        (4, 1),
        (3, 2),
    ]


def test_everybody_may_leave(prompts):
    talker = Scripted({0: ("[leaves]", "line")})
    records = list(play(match(prompts, talker, max_turns=20), episodes(3), 3))
    assert [(len(r["turns"]), r["stop_reason"]) for r in records] == [(1, "left")] * 3
    assert len(talker.asked) == 3


def test_stale_dialogues_end(prompts):
    talker = Scripted({1: ("", "eos"), 2: (" \n ", "length")})
    (record,) = play(match(prompts, talker, max_turns=20), episodes(1), 1)
    assert (texts(record)[1:], record["stop_reason"]) == (["", ""], "stale")


def test_nothing_is_played_without_episodes(prompts):
    assert list(play(match(prompts, Scripted()), [], 4)) == []


def test_a_prompt_that_no_longer_fits_ends_its_dialogue_alone(prompts):
    """Episode 9's prompts are 30 bytes longer than episode 0's."""
    unbound = list(play(match(prompts, Scripted(), max_turns=8), episodes(10), 10))
    lengths = {record["index"]: [turn["n_prompt_tokens"] for turn in record["turns"]] for record in unbound}
    context = lengths[9][5] + SAMPLING.max_new_tokens - 1
    assert lengths[0][5] + SAMPLING.max_new_tokens <= context
    talker = Scripted()
    records = list(play(match(prompts, talker, max_turns=8, context=context), episodes(10), 10))
    assert records[9]["stop_reason"] == "context"
    assert len(records[9]["turns"]) == 5
    assert len(records[0]["turns"]) > 5
    assert texts(records[0]) == texts(unbound[0])[: len(texts(records[0]))]
    assert all(len(byte_tokenizer()(asked[4])["input_ids"]) + 10 <= context for asked in talker.asked)
    # To the token: with room for one more it goes on.
    longer = list(play(match(prompts, Scripted(), max_turns=8, context=context + 1), episodes(10), 10))
    assert len(longer[9]["turns"]) == 6


def test_opening_prompts_are_checked_with_the_numbers(prompts):
    lengths = [
        len(ENCODER.encode(f"Scene {'so ' * i}.\nYou: Ada Stone\nTurn 0 | Ada Stone:")) for i in range(6)
    ]
    longest = lengths[-1]
    context = lengths[3] + 10
    settings = match(prompts, Scripted(), contexts=(context, 4000))
    with pytest.raises(SyncR2Error) as caught:
        check_contexts(episodes(6), settings.listeners, prompts, 10)
    message = str(caught.value)
    assert "Model model-a, agent 1: the opening prompt of episode episode-5 " in message
    assert f"has {longest} tokens; with dialogue.max_new_tokens = 10 that is {longest + 10}" in message
    assert f"takes {context} (2 of 6 episodes are too long)" in message
    check_contexts(episodes(4), settings.listeners, prompts, 10)


def test_agent_2_reads_a_turn_more_before_it_speaks(prompts):
    opening = len(ENCODER.encode("Scene .\nYou: Ben Reed\nTurn 0 | Ada Stone:\nTurn 1 | Ben Reed:"))
    for context, fits in ((opening + 10, True), (opening + 9, False)):
        listeners = match(prompts, Scripted(), contexts=(4000, context)).listeners
        if fits:
            check_contexts(episodes(1), listeners, prompts, 10)
        else:
            with pytest.raises(SyncR2Error, match=f"agent 2: .* has {opening} tokens"):
                check_contexts(episodes(1), listeners, prompts, 10)


def played(prompts, chosen, group_size, seed=0, pair=PAIR, max_turns=5):
    """Turns by episode, of a windowed and a full-attention model against each other."""
    one, other = (
        LocalSpeaker(with_weights_of(kind), byte_tokenizer(), SAMPLING)
        for kind in ("mistral, window", "llama")
    )
    settings = match(prompts, one, other, max_turns=max_turns, stale_after=0, seed=seed, pair=pair)
    return {record["episode_id"]: record["turns"] for record in play(settings, chosen, group_size)}


def test_a_dialogue_does_not_depend_on_who_else_is_played(prompts):
    chosen = episodes(4)
    together = played(prompts, chosen, 4)
    said = [turn["text"] for turns in together.values() for turn in turns]
    assert len(set(said)) > 15
    assert played(prompts, chosen, 1) == together
    assert played(prompts, chosen[::-1], 3) == together
    assert played(prompts, [chosen[2]], 8) == {"episode-2": together["episode-2"]}
    other = played(prompts, chosen[:1], 1, seed=1)
    assert [turn["text"] for turn in other["episode-0"]] != [turn["text"] for turn in together["episode-0"]]
