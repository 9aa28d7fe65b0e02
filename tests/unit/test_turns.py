"""What counts as said, what is flagged, and when a dialogue is over."""

from __future__ import annotations

import pytest

from syncr2.dialogues.turns import StoppingRule, Turn, flags, utterance


def turn(text, number=0):
    return Turn(number, number % 2 + 1, "Ada", text, text, "line", 1, (1,))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Hello there.", "Hello there."),
        ("\n \n\t Hello there. \nTurn 4 | Ben: and more", "Hello there."),
        ("Ada Byron: Hello.", "Hello."),
        ("ada byron : Hello.", "Hello."),
        ("Turn 3 | Ada Byron: Hello.", "Hello."),
        ("Turn #3 | Ada Byron:Hello.", "Hello."),
        ("  turn 12|Ada Byron:   Hello.", "Hello."),
        # Only its own cue, only at the start, only once.
        ("Ada Byron: Ada Byron: Hello.", "Ada Byron: Hello."),
        ("I said to Ada Byron: no.", "I said to Ada Byron: no."),
        ("Ben Reed: Hello.", "Ben Reed: Hello."),
        ("My offer is simple: $50", "My offer is simple: $50"),
        ("Turn 3 | My offer: $50", "Turn 3 | My offer: $50"),
        ("a\tb\x00c\x1b[31md", "a b c [31md"),
        ("one\x0btwo", "one"),
        ("one\u2028two", "one"),
        ("one\r\ntwo", "one"),
        ("*smiles* [leaves]", "*smiles* [leaves]"),
        ("Ada Byron:", ""),
        ("Ada Byron:\nHello.", ""),
        ("", ""),
        (" \n\n ", ""),
        ("\x00\x07", ""),
    ],
)
def test_utterance(raw, text):
    assert utterance(raw, "Ada Byron") == text


def test_a_name_is_no_pattern():
    assert utterance("A.a (B+): yes", "A.a (B+)") == "yes"
    assert utterance("Axa (B+): yes", "A.a (B+)") == "Axa (B+): yes"


@pytest.mark.parametrize(
    ("text", "reason", "expected"),
    [
        ("Fine.", "line", ()),
        ("", "eos", ("empty",)),
        ("", "length", ("empty", "cut_off")),
        ("and then we", "length", ("cut_off",)),
        ("GOOD morning.", "line", ("repeated",)),
        ("Ben Reed: what?", "line", ("wrong_speaker",)),
        ("Turn 4 | ben reed: what?", "line", ("wrong_speaker",)),
        ("Listen, Ben Reed: what?", "line", ()),
        ("Good morning.", "length", ("cut_off", "repeated")),
    ],
)
def test_flags(text, reason, expected):
    earlier = [turn("Good morning."), turn("", 1), turn("Hm.", 2)]
    assert flags(text, reason, earlier, "Ben Reed") == expected


@pytest.mark.parametrize(
    "text",
    [
        "[leaves]",
        "[LEAVES]",
        "Goodbye then. [leaves]",
        "[leaves].",
        "*[leaves]*",
        'Bye! "[leaves]"',
        "**[leaves]** !",
    ],
)
def test_leaving(text):
    assert StoppingRule(20, 2).reason([turn("Hi."), turn(text, 1)]) == "left"


@pytest.mark.parametrize(
    "text",
    [
        "I only have 2 left.",
        "He leaves",
        "leaves",
        "[leaves] is what I will not say",
        "When he [leaves] I stay.",
        "x[leaves]",
        "",
    ],
)
def test_staying(text):
    assert StoppingRule(20, 0).reason([turn("Hi."), turn(text, 1)]) is None


def test_only_the_last_turn_can_leave():
    assert StoppingRule(20, 2).reason([turn("[leaves]"), turn("Wait!", 1)]) is None


def test_stale_after_empty_turns_in_a_row():
    rule = StoppingRule(20, 2)
    said = [turn(""), turn("Hm.", 1), turn("", 2), turn("", 3)]
    assert [rule.reason(said[:n]) for n in range(5)] == [None, None, None, None, "stale"]
    assert StoppingRule(20, 5).reason(said) is None
    assert StoppingRule(20, 1).reason(said[:1]) == "stale"
    assert StoppingRule(20, 0).reason([turn("", i) for i in range(10)]) is None


def test_turn_limit_comes_last():
    rule = StoppingRule(2, 2)
    assert rule.reason([turn("a"), turn("b", 1)]) == "turn_limit"
    assert rule.reason([turn("a")]) is None
    assert rule.reason([turn("a"), turn("[leaves]", 1)]) == "left"
    assert rule.reason([turn(""), turn("", 1)]) == "stale"
