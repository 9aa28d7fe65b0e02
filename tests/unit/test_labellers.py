"""Labels of utterances: by a model behind a real local endpoint, from a table, by rules over words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from judging import Response, dialogue, says, scenario_set, serving

from syncr2.dialogues.prompts import Prompts
from syncr2.errors import SyncR2Error
from syncr2.label_tables import label_table
from syncr2.labellers import ACTIONS, EMOTIONS, LabellerSettings, label_shard
from syncr2.labellers.surface import action_of, emotion_of
from syncr2.labellers.table import names_in
from syncr2.serving.endpoints import Backoff

PROMPTS = Prompts(Path(__file__).resolve().parents[2] / "resources" / "prompts")
FAST = Backoff(first=0.001, factor=1.0, longest=0.5)
SAID = dialogue("Good morning!", "You thief.")
NAMES = [emotion.name for emotion in EMOTIONS]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the machine that runs the tests must not stand between them and the server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def turn(action: str = "speak", **percent: int) -> dict[str, Any]:
    return {"emotion": {name: percent.get(name, 0) for name in NAMES}, "action": action}


def answer(*turns: dict[str, Any]) -> Response:
    return says(json.dumps({f"turn_{i}": each for i, each in enumerate(turns)}))


GOOD = answer(turn(joy=80, neutral=20), turn("leave", anger=52, disgust=52))


def label(*responses: Response, said: dict[str, Any] = SAID, **changes: Any) -> tuple[dict[str, Any], Any]:
    with serving(*responses) as endpoint:
        values = {"name": "reader", "engine": "openai", "model": "m", "base_url": endpoint.url, "retries": 2}
        settings = LabellerSettings.from_dict({**values, **changes})
        (record,) = label_shard(scenario_set(), [said], PROMPTS, settings, backoff=FAST)
    return record, endpoint


def test_every_turn_gets_a_distribution_and_an_action() -> None:
    record, endpoint = label(GOOD)
    assert (record["status"], record["attempts"], record["labeller"]) == ("ok", 1, "reader")
    first, second = record["labels"]["emotion"]
    assert first == {**dict.fromkeys(NAMES, 0.0), "joy": 0.8, "neutral": 0.2}
    # Percentages that miss 100 by a little are brought to a sum of 1.
    assert (second["anger"], sum(second.values())) == (0.5, 1.0)
    assert record["labels"]["action"] == ["speak", "leave"]
    assert record["made_by"]["served_model"] == "served"
    prompt = endpoint.prompt(0)
    for text in ("Turn 1 | Ben Reed: You thief.", *(action.meaning for action in ACTIONS), *NAMES):
        assert text in prompt
    # An utterance is labelled by what it says, not by what its speaker hides.
    for secret in ("stole the lantern", "bankrupt", "less than 120"):
        assert secret not in prompt


def test_the_schema_is_closed_and_has_one_entry_a_turn() -> None:
    _, endpoint = label(GOOD)
    form = endpoint.requests[0]["response_format"]["json_schema"]
    schema = form["schema"]
    assert (form["name"], form["strict"]) == ("labels", True)
    assert schema["required"] == ["turn_0", "turn_1"]
    one = schema["$defs"]["turn"]
    assert one["required"] == ["emotion", "action"]
    assert one["properties"]["emotion"]["required"] == NAMES
    assert one["properties"]["action"]["enum"] == ["speak", "non-verbal", "action", "leave", "none"]
    for each in (schema, one, one["properties"]["emotion"]):
        assert each["additionalProperties"] is False


MALFORMED = {
    "a turn too few": (answer(turn(joy=100)), "'turn_1' is a required property"),
    "a turn too many": (answer(*[turn(joy=100)] * 3), "'turn_2' was unexpected"),
    "percentages of 90": (answer(turn(joy=100), turn(joy=90)), "They add up to: turn_1: 90"),
    "an emotion that is none": (
        answer(turn(joy=100), {**turn(), "emotion": {**turn(joy=100)["emotion"], "love": 0}}),
        "'love' was unexpected",
    ),
    "an action that is none": (answer(turn("sing", joy=100), turn(joy=100)), "'sing' is not one of"),
    "below zero": (answer(turn(joy=110, fear=-10), turn(joy=100)), "minimum of 0"),
    "prose around": (says(f"Here: {json.dumps({})}"), "one JSON object and nothing else"),
}


@pytest.mark.parametrize(("bad", "error"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_is_asked_for_again_with_the_reason(bad: Response, error: str) -> None:
    record, endpoint = label(bad, GOOD)
    assert (record["status"], record["attempts"]) == ("ok", 2)
    assert error in endpoint.prompt(1)
    record, endpoint = label(bad)
    assert (record["status"], record["labels"], len(endpoint.requests)) == ("failed", None, 3)
    assert error in record["error"]
    assert record["raw"]


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (says(None, refusal="I will not."), "refused"),
        (says('{"turn_0"', finish_reason="length"), "truncated"),
        (Response("", 500), "failed"),
    ],
)
def test_what_has_no_answer_is_a_row_that_says_so(bad: Response, status: str) -> None:
    record, _ = label(bad)
    assert (record["status"], record["labels"], record["attempts"]) == (status, None, 3)
    assert record["error"]
    counted = label_table([record, {**record, "status": "ok", "labels": {"mood": ["calm"]}}], FAMILY)
    assert counted["failure_rate"].tolist() == [0.5]
    assert counted[f"n_{status}"].tolist() == [1]


FAMILY = {"model-b": "two", "model-a": "one"}


def test_an_answer_is_kept_and_not_asked_for_again(tmp_path: Path) -> None:
    with serving(GOOD) as endpoint:
        values = {"name": "reader", "engine": "openai", "model": "m", "base_url": endpoint.url}
        settings = LabellerSettings.from_dict({**values, "cache": str(tmp_path)})
        records = [label_shard(scenario_set(), [SAID], PROMPTS, settings)[0] for _ in range(2)]
        # The same words with one turn less are another question.
        label_shard(
            scenario_set(),
            [dialogue("Good morning!")],
            PROMPTS,
            LabellerSettings.from_dict({**values, "cache": str(tmp_path), "retries": 0}),
        )
    assert len(endpoint.requests) == 2
    assert [record["made_by"]["cached"] for record in records] == [False, True]
    assert records[0]["labels"] == records[1]["labels"]


def test_engines_of_judges_alone_are_refused() -> None:
    with pytest.raises(
        SyncR2Error, match=r"^Labeller x: engine is 'oracle'; allowed: openai, vllm, surface, table, world\.$"
    ):
        LabellerSettings.from_dict({"name": "x", "engine": "oracle"})


def test_a_dialogue_without_turns_needs_no_request() -> None:
    record, endpoint = label(GOOD, said=dialogue())
    assert (record["status"], record["labels"]) == ("ok", {"emotion": [], "action": []})
    assert endpoint.requests == []


def test_messages_name_the_labeller() -> None:
    with pytest.raises(SyncR2Error, match=r"^Labeller reader: the endpoint .* Nothing was labelled"):
        label(Response("{}", 401))


@pytest.mark.parametrize(
    ("text", "emotion", "action"),
    [
        ("I am so happy to see you, friend.", "joy", "speak"),
        ("It is Tuesday.", "neutral", "speak"),
        ("*nods slowly*", "neutral", "non-verbal"),
        ("[hands over the keys]", "neutral", "action"),
        ("Until Tuesday. [leaves]", "neutral", "leave"),
        ("", "neutral", "none"),
        ("…!?", "neutral", "none"),
    ],
)
def test_rules_over_words_label_what_they_see(text: str, emotion: str, action: str) -> None:
    shares = emotion_of(text)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert list(shares) == NAMES
    assert max(shares, key=shares.__getitem__) == emotion
    assert action_of(text) == action


def test_rules_over_words_say_what_they_are() -> None:
    settings = LabellerSettings.from_dict({"name": "surface", "engine": "surface"})
    (record,) = label_shard(scenario_set(), [SAID], PROMPTS, settings)
    assert "no scientific meaning" in record["made_by"]["note"]


HEAD = "agent1\tagent2\tseed\tepisode_id"
KEY = "model-a\tmodel-b\t0\tepisode-0"


def from_table(tmp_path: Path, *lines: str, said: dict[str, Any] = SAID) -> dict[str, Any]:
    path = tmp_path / "labels.tsv"
    path.write_text("\n".join(lines) + "\n")
    settings = LabellerSettings.from_dict({"name": "people", "engine": "table", "file": str(path)})
    (record,) = label_shard(scenario_set(), [said], PROMPTS, settings)
    return record


def test_a_table_gives_labels_of_any_name(tmp_path: Path) -> None:
    head = f"{HEAD}\tturn\tintent\tmood:calm\tmood:tense\tstrength"
    lines = (head, f"{KEY}\t0\tbluff\t1\t3\t0.5", f"{KEY}\t1\t\t\t\t2")
    record = from_table(tmp_path, *lines)
    assert record["status"] == "ok"
    assert record["labels"] == {
        "intent": ["bluff", None],
        "mood": [{"calm": 0.25, "tense": 0.75}, None],
        "strength": [0.5, 2.0],
    }
    assert names_in(tmp_path / "labels.tsv") == ["intent", "mood", "strength"]


def test_labels_of_agents_stand_at_each_of_their_turns(tmp_path: Path) -> None:
    record = from_table(tmp_path, f"{HEAD}\tagent\ttruthful", f"{KEY}\t2\tno")
    assert record["labels"] == {"truthful": [None, "no"]}


def test_a_dialogue_that_the_table_lacks_has_failed(tmp_path: Path) -> None:
    record = from_table(tmp_path, f"{HEAD}\tx", "a\tb\t0\tepisode-0\t1")
    assert (record["status"], record["labels"]) == ("failed", None)
    assert "labels.tsv has no row of this dialogue" in record["error"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((f"{HEAD}\tturn\tx", f"{KEY}\t2\t1"), "turn 2 .* which has 2 turns"),
        ((f"{HEAD}\tturn\tm:a\tm:b", f"{KEY}\t0\t1\t-1"), "not negative"),
        ((f"{HEAD}\tturn\tm:a\tm:b", f"{KEY}\t0\t0\t0"), "a sum above 0"),
        ((f"{HEAD}\tturn\tm\tm:b", f"{KEY}\t0\t0\t0"), "both the column 'm' and 'm:'"),
    ],
)
def test_tables_that_cannot_be_right_are_refused(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SyncR2Error, match=message):
        from_table(tmp_path, *lines)


def test_shares_are_means_over_dialogues_and_both_speaking_orders() -> None:
    def record(status: str, agents: tuple[str, str], **labels: list[Any]) -> dict[str, Any]:
        names = {"agent1": agents[0], "agent2": agents[1]}
        return {"labeller": "x", **names, "status": status, "labels": labels or None}

    both = ("model-a", "model-b")
    table = label_table(
        [
            record("ok", both, mood=["calm", "tense"], size=[1.0, 2.0]),
            record("ok", (both[1], both[0]), mood=["calm", None], size=[None, 4.0]),
            record("refused", both),
            record("failed", ("model-a", "model-a")),
        ],
        FAMILY,
    )
    found = table.set_index(["model_1", "model_2", "label", "class"])
    assert found.loc[("model-b", "model-a", "mood", "calm"), "value"] == 0.75
    assert found.loc[("model-b", "model-a", "mood", "tense"), "value"] == 0.25
    assert found.loc[("model-b", "model-a", "size", ""), "value"] == 2.75
    assert found.loc[("model-b", "model-a", "size", ""), "n_refused"] == 1
    assert pd.isna(found.loc[("model-a", "model-a", "", ""), "value"])
    assert found.loc[("model-a", "model-a", "", ""), "failure_rate"] == 1.0
