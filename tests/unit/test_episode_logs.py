"""Sotopia's EpisodeLog: there and back, and logs as Sotopia itself writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from judging import GOALS, SECRETS, dialogue, scenario_set

from syncr2.__main__ import main
from syncr2.dialogues.prompts import Prompts
from syncr2.errors import SyncR2Error
from syncr2.files import read_jsonl, read_table, write_jsonl
from syncr2.judges import DIMENSIONS, JudgeSettings, judge_shard
from syncr2.sotopia.episode_logs import from_logs, to_log
from syncr2.sotopia.scenarios import write_scenarios

PROMPTS = Prompts(Path(__file__).resolve().parents[2] / "resources" / "prompts")
SCENARIOS = scenario_set(3)
SURFACE = JudgeSettings("words", "surface")
SAID = dialogue('She said "yes".', "", "110 then?", "Agreed, 110.", "[leaves]", episode=1, seed=4)
NAMES = [d.name for d in DIMENSIONS]


def sotopia_log(**changes: Any) -> dict[str, Any]:
    """A log of the shape that Sotopia writes: rewards as pairs, the environment's last words at the end."""
    scores = {d.name: d.low for d in DIMENSIONS} | {"goal": 8, "overall_score": -1.0}
    log = {
        "pk": "01H7",
        "environment": "env",
        "agents": ["ada", "ben"],
        "tag": "batch",
        "models": ["gpt-4", "gpt-4", "org/other-model"],
        "messages": [
            [
                ["Environment", "Ada Stone", "Here is the context …\nConversation Starts:\n"],
                ["Environment", "Ben Reed", "Here is the context …\nConversation Starts:\n"],
                ["Ada Stone", "Environment", 'said: "Good day.\nIs it for sale?"'],
                ["Ben Reed", "Environment", "did nothing"],
            ],
            [
                ["Environment", "Ada Stone", "Turn #0: …"],
                ["Environment", "Ben Reed", "Turn #0: …"],
                ["Ada Stone", "Environment", "did nothing"],
                ["Ben Reed", "Environment", "[non-verbal communication] nods"],
            ],
            [
                ["Environment", "Ada Stone", "Turn #1: …"],
                ["Environment", "Ben Reed", "Turn #1: …"],
                ["Ada Stone", "Environment", "left the conversation"],
                ["Ben Reed", "Environment", "did nothing"],
            ],
            [["Environment", "Ada Stone", "Turn #2: …"], ["Environment", "Ben Reed", "Turn #2: …"]],
        ],
        "reasoning": "Fair.",
        "rewards": [[-1.0, scores], [-1.0, {**scores, "goal": 2}]],
        "rewards_prompt": "…",
    }
    return {**log, **changes}


def test_a_log_of_sotopia_becomes_a_dialogue_and_a_judgement() -> None:
    (said,), (judged,) = from_logs([sotopia_log()], SCENARIOS, "people", {"org/other-model": "other"})
    assert [(turn["turn"], turn["agent"], turn["text"]) for turn in said["turns"]] == [
        (0, 1, "Good day. Is it for sale?"),
        (1, 2, "[non-verbal communication] nods"),
        (2, 1, "[leaves]"),
    ]
    assert (said["agent1"], said["agent2"], said["pair"]) == ("gpt-4", "other", "gpt-4--other")
    assert (said["seed"], said["stop_reason"]) == (0, "left")
    assert (judged["judge"], judged["status"]) == ("people", "ok")
    assert (judged["scores"]["agent1"]["goal"], judged["scores"]["agent2"]["goal"]) == (8, 2)
    assert set(judged["scores"]["agent1"]) == set(NAMES)
    # It can be judged here as well.
    (again,) = judge_shard(SCENARIOS, [said], PROMPTS, SURFACE)
    assert again["status"] == "ok"


def test_repetitions_of_an_episode_are_counted_as_seeds() -> None:
    logs = [sotopia_log(), sotopia_log(), sotopia_log(models=["x", "a", "b"])]
    said, _ = from_logs(logs, SCENARIOS, "people", {})
    assert [one["seed"] for one in said] == [0, 1, 0]


@pytest.mark.parametrize(
    ("rewards", "error"),
    [
        ([0.0, 0.0], "no scores of agent1, only the number 0.0"),
        ([[1.0, dict.fromkeys(NAMES, 0)], 0.0], "no scores of agent2"),
        ([[1.0, dict.fromkeys(NAMES[1:], 0)]] * 2, "missing believability"),
        ([[1.0, {**dict.fromkeys(NAMES, 0), "goal": 99}]] * 2, "goal is 99"),
        ([[1.0, {**dict.fromkeys(NAMES, 0), "goal": float("nan")}]] * 2, "goal is nan"),
        ([], "shorter"),
        ([[1.0], [1.0]], "out of range"),
    ],
)
def test_a_log_without_whole_scores_has_failed_and_is_never_zero(rewards: Any, error: str) -> None:
    (said,), (judged,) = from_logs([sotopia_log(rewards=rewards)], SCENARIOS, "people", {})
    assert len(said["turns"]) == 3
    assert (judged["status"], judged["scores"]) == ("failed", None)
    assert error in judged["error"]
    assert judged["orders"][0]["raw"] == json.dumps(rewards)


def test_our_dialogues_come_back_as_they_were() -> None:
    (judged,) = judge_shard(SCENARIOS, [SAID], PROMPTS, SURFACE)
    log = json.loads(json.dumps(to_log(SAID, SCENARIOS.episodes[1], judged, "t"), allow_nan=False))
    (said,), (back,) = from_logs([log], SCENARIOS, "words", {})
    for key in ("agent1", "agent2", "pair", "seed", "episode_id", "environment_id", "index"):
        assert said[key] == SAID[key]
    keys = ("turn", "agent", "speaker", "text")
    assert [[turn[k] for k in keys] for turn in said["turns"]] == [
        [t[k] for k in keys] for t in SAID["turns"]
    ]
    assert back["scores"] == judged["scores"]
    mean = sum(judged["scores"]["agent1"].values()) / 7
    assert log["rewards"][0][0] == log["rewards"][0][1]["overall_score"] == pytest.approx(mean)
    assert log["models"] == ["words", "model-a", "model-b"]
    assert "Ben Reed, goal: surface rule" in log["reasoning"]


def test_a_log_has_what_sotopia_demands() -> None:
    """Fields, types and the place of the two opening messages, as EpisodeLog and its reader want them."""
    log = to_log(SAID, SCENARIOS.episodes[1], None)
    assert set(log) == {
        *(
            "pk",
            "environment",
            "agents",
            "tag",
            "models",
            "messages",
            "reasoning",
            "rewards",
            "rewards_prompt",
        )
    }
    assert log["rewards"] == [0.0, 0.0]
    assert log["reasoning"] == "Not judged."
    assert all(
        len(message) == 3 and all(isinstance(m, str) for m in message)
        for t in log["messages"]
        for message in t
    )
    opening = log["messages"][0]
    assert [message[:2] for message in opening[:2]] == [
        ["Environment", "Ada Stone"],
        ["Environment", "Ben Reed"],
    ]
    # Each knows its own goal, and nobody's secret stands there.
    assert GOALS[0] in opening[0][2]
    assert GOALS[1] not in opening[0][2]
    assert not any(secret in json.dumps(log) for secret in SECRETS)
    assert opening[2:] == [
        ["Ada Stone", "Environment", 'said: "She said "yes"."'],
        ["Ben Reed", "Environment", "did nothing"],
    ]


def test_a_failure_of_the_judge_says_so_in_the_log() -> None:
    failed = {"status": "refused", "error": "Refused.", "judge": "j", "scores": None}
    log = to_log(SAID, SCENARIOS.episodes[1], failed)
    assert log["rewards"] == [0.0, 0.0]
    assert log["reasoning"] == "Not judged: refused. Refused."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"environment": "gone"}, "no episode of environment 'gone'"),
        ({"agents": ["ben", "ada"]}, "'ben' and 'ada' in this order"),
        ({"models": ["gpt-4"]}, "models are"),
        ({"models": None}, "models are"),
        ({"messages": [[["Zoe", "Environment", 'said: "Hi."']]]}, "'Zoe' speaks"),
        ({"messages": 3}, "TypeError"),
    ],
)
def test_logs_that_do_not_fit_are_listed(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SyncR2Error, match=r"1 of 2 logs cannot be taken over:\n  - log 1: ") as caught:
        from_logs([sotopia_log(), sotopia_log(**change)], SCENARIOS, "people", {})
    assert message in str(caught.value)
    with pytest.raises(SyncR2Error, match="it has no rewards"):
        from_logs([{k: v for k, v in sotopia_log().items() if k != "rewards"}], SCENARIOS, "people", {})


def test_export_and_import_from_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, logs, back = tmp_path / "results", tmp_path / "logs.json", tmp_path / "back"
    write_scenarios(SCENARIOS, results / "scenarios.json")
    said = [dialogue("One.", "Two.", episode=i, seed=3) for i in range(3)]
    judged = judge_shard(SCENARIOS, said, PROMPTS, SURFACE)
    judged[2] |= {"status": "refused", "scores": None, "error": "No."}
    place = "model-a--model-b/seed-3/shard-0.jsonl"
    write_jsonl(results / "dialogues" / place, said)
    write_jsonl(results / "judgements/words" / place, judged)
    assert main(["export-episodes", str(results), str(logs), "--judge", "words"]) == 0
    assert "3 dialogues, 2 with scores" in capsys.readouterr().out
    arguments = [str(logs), str(back), "--scenarios", str(results / "scenarios.json"), "--judge", "words"]
    assert main(["import-episodes", *arguments]) == 0
    assert "3 dialogues, 2 with scores of words, 1 without" in capsys.readouterr().out
    assert [line["status"] for line in read_jsonl(back / "judgements.jsonl")] == ["ok", "ok", "failed"]
    assert len(read_jsonl(back / "dialogues.jsonl")) == 3
    assert len(read_table(back / "scores.tsv")) == 4
    # The table is what a judge with engine "table" reads.
    people = JudgeSettings("people", "table", file=str(back / "scores.tsv"))
    again = judge_shard(SCENARIOS, said, PROMPTS, people)
    assert [one["scores"] for one in again[:2]] == [one["scores"] for one in judged[:2]]
    assert again[2]["status"] == "failed"


def test_what_a_terminal_gets_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export-episodes", str(tmp_path), str(tmp_path / "x.json")]) == 1
    assert "scenarios.json: no such file" in capsys.readouterr().err
    write_scenarios(SCENARIOS, tmp_path / "scenarios.json")
    assert main(["export-episodes", str(tmp_path), str(tmp_path / "x.json")]) == 1
    assert "no dialogues there" in capsys.readouterr().err
    write_jsonl(tmp_path / "dialogues/model-a--model-b/seed-0/shard-0.jsonl", [dialogue("A.")])
    assert main(["export-episodes", str(tmp_path), str(tmp_path / "x.json"), "--judge", "who"]) == 1
    assert "no judgements of 'who'" in capsys.readouterr().err
    (tmp_path / "one.json").write_text(json.dumps(sotopia_log()))
    (tmp_path / "keyed.json").write_text(json.dumps({"a": sotopia_log(), "b": 3}))
    scenarios = ["--scenarios", str(tmp_path / "scenarios.json")]
    assert main(["import-episodes", str(tmp_path / "one.json"), str(tmp_path / "out"), *scenarios]) == 0
    assert main(["import-episodes", str(tmp_path / "keyed.json"), str(tmp_path / "out"), *scenarios]) == 1
    assert "log 1: an object is needed, found int" in capsys.readouterr().err
    wrong = ["--model", "gpt-4"]
    assert main(["import-episodes", str(tmp_path / "one.json"), str(tmp_path / "o"), *scenarios, *wrong]) == 1
    assert "NAME=OTHER is needed" in capsys.readouterr().err
