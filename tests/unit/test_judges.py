"""Dimensions, settings, the surface engine, and the records of a shard."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from judging import GOALS, SECRETS, dialogue, scenario_set

from syncr2.dialogues.prompts import Prompts
from syncr2.errors import SyncR2Error
from syncr2.judges import DIMENSIONS, JudgeSettings, judge_shard, overall

REPOSITORY = Path(__file__).resolve().parents[2]
PROMPTS = Prompts(REPOSITORY / "resources" / "prompts")
SURFACE = JudgeSettings(name="words", engine="surface")


def surface(*utterances: str, **changes: Any) -> dict[str, dict[str, int]]:
    """Scores by the surface engine."""
    (record,) = judge_shard(scenario_set(), [dialogue(*utterances, **changes)], PROMPTS, SURFACE)
    assert record["status"] == "ok"
    return record["scores"]


def gibberish(rng: np.random.Generator, turns: int = 6) -> list[str]:
    """Text such as an untrained model makes: pieces of a small vocabulary in no order."""
    pieces = np.array(
        [f"{a}{b}" for a in ("ka", "lo", "mi", "xr", "tt") for b in ("b", "en", "7", "zu", ".", " ")]
    )
    return ["".join(rng.choice(pieces, size=rng.integers(0, 40))) for _ in range(turns)]


def test_dimensions_are_those_of_sotopia() -> None:
    assert [(d.name, d.low, d.high) for d in DIMENSIONS] == [
        ("believability", 0, 10),
        ("relationship", -5, 5),
        ("knowledge", 0, 10),
        ("secret", -10, 0),
        ("social_rules", -10, 0),
        ("financial_and_material_benefits", -5, 5),
        ("goal", 0, 10),
    ]


def test_overall_is_the_mean_of_all_seven() -> None:
    scores = dict(zip([d.name for d in DIMENSIONS], [9, 2, 4, 0, -1, 3, 8], strict=True))
    assert overall(scores) == pytest.approx(25 / 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"goal": 11}, "goal is 11"),
        ({"goal": True}, "goal is True"),
        ({"goal": float("nan")}, "goal is nan"),
        ({"goal": "3"}, "goal is '3'"),
        ({"luck": 1}, "luck"),
    ],
)
def test_overall_refuses_scores_that_are_not_whole(changes: dict[str, Any], message: str) -> None:
    scores = {d.name: d.low for d in DIMENSIONS}
    with pytest.raises(SyncR2Error, match=message):
        overall({**scores, **changes})


def test_overall_refuses_a_missing_dimension() -> None:
    with pytest.raises(SyncR2Error, match="missing secret"):
        overall({d.name: d.low for d in DIMENSIONS if d.name != "secret"})


def test_reading_the_settings_loads_no_engine() -> None:
    code = "import sys, syncr2.judges; print({'openai', 'pandas', 'jinja2', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


OPENAI = {"name": "j", "engine": "openai", "model": "m", "base_url": "http://localhost:8000/v1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temprature": 0}, "unknown key 'temprature'. Did you mean temperature"),
        ({"engine": "gpt"}, "engine is 'gpt'; allowed: surface, openai, vllm, table"),
        ({"engine": None}, "engine has to be given"),
        ({"name": ""}, "name has to be given"),
        ({"model": None}, "found no `model`; the engine `openai` needs both"),
        ({"base_url": None}, "found no `base_url`"),
        ({"engine": "table"}, "found no `file`; the engine `table` needs one"),
        ({"both_orders": "yes"}, "both_orders is 'yes'"),
        ({"cache": ""}, "cache is ''"),
        ({"revision": 3}, "revision is 3"),
        ({"base_url": "localhost:8000"}, "base_url is"),
        ({"base_url": "http://localhost:port/v1"}, "base_url is"),
        ({"base_url": "http:///v1"}, "base_url is"),
        ({"retries": -1}, "retries is -1"),
        ({"retries": 1.5}, "retries is 1.5"),
        ({"retries": True}, "retries is True"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": "0"}, "temperature is '0'"),
    ],
)
def test_bad_settings_are_refused_with_judge_and_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SyncR2Error) as caught:
        JudgeSettings.from_dict({**OPENAI, **changes})
    assert str(caught.value).startswith("Judge ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "secret", ["https://user:pass-word@host/v1", "https://host/v1?key=pass-word", "ftp://x:pass-word@host/v1"]
)
def test_an_address_with_a_key_in_it_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(SyncR2Error, match="api_key_env") as caught:
        JudgeSettings.from_dict({**OPENAI, "base_url": secret})
    assert "://host/v1" in str(caught.value)
    assert "pass-word" not in str(caught.value)


def test_the_published_config_holds_a_valid_judge() -> None:
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    (judge,) = [JudgeSettings.from_dict(entry) for entry in config["judges"]]
    assert (judge.engine, judge.temperature) == ("openai", 0)


def test_a_key_in_place_of_its_variable_is_refused_and_not_shown() -> None:
    with pytest.raises(SyncR2Error, match="not the key itself") as caught:
        JudgeSettings.from_dict({**OPENAI, "api_key_env": "sk-test-0123"})
    assert "0123" not in str(caught.value)


HOSTILE = {
    "nobody speaks": [],
    "only empty turns": ["", "", ""],
    "one speaker": ["Hello there."],
    "blanks and marks": [" \t ", "…!?", "—"],
    "other scripts": ["你好，我想买自行车", "שלום עליכם", "Привет, сосед!", "🚲🚲🚲"],
    "braces and percents": ["{{ view }} {0} %s", "{% raw %}"],
    "one word a thousand times": ["no " * 5000, "yes " * 5000],
    "insults and figures without end": ["idiot 1 2 3 4 5 6 7 8 9 " * 50, "stupid 1 2 3 4 5 6 7 8 9 " * 50],
    "secret and goal verbatim": [SECRETS[0] + GOALS[0], SECRETS[1] + GOALS[1]],
    "nonsense": gibberish(np.random.default_rng(0)),
}


@pytest.mark.parametrize("utterances", HOSTILE.values(), ids=HOSTILE)
def test_surface_scores_are_whole_whatever_is_said(utterances: list[str]) -> None:
    scores = surface(*utterances)
    assert list(scores) == ["agent1", "agent2"]
    for agent in scores.values():
        overall(agent)  # raises unless there is an integer in range for each dimension
    assert surface(*utterances) == scores


def test_surface_scores_spread_over_nonsense() -> None:
    rng = np.random.default_rng(1)
    agents = [list(surface(*gibberish(rng)).values()) for _ in range(40)]
    # Means of 14 integers, so steps of 1/14.
    assert len({np.mean([overall(agent) for agent in pair]).round(6) for pair in agents}) >= 10
    least = {"believability": 3, "relationship": 3, "knowledge": 3, "social_rules": 2}
    for name, n_values in {**least, "financial_and_material_benefits": 2}.items():
        assert len({agent[name] for pair in agents for agent in pair}) >= n_values, name


def test_repeating_oneself_costs_belief_and_manners() -> None:
    fresh = surface("Good day to you.", "Hm.", "Lovely weather we have.", "Well.", "Shall we begin our talk?")
    stuck = surface("Good day to you.", "Hm.", "Good day to you.", "Well.", "Good day to you.")
    for name in ("believability", "social_rules"):
        assert stuck["agent1"][name] < fresh["agent1"][name]
        assert stuck["agent2"][name] == fresh["agent2"][name]


def test_shared_and_warm_words_raise_the_relationship_harsh_ones_lower_it() -> None:
    apart = surface("The red wheel squeaks.", "Seven boats left harbour.")
    shared = surface("The red wheel squeaks.", "The red wheel squeaks loudly.")
    warm = surface("The red wheel squeaks, thank you kindly.", "Seven boats left harbour.")
    harsh = surface("The red wheel squeaks, idiot.", "Seven boats left harbour.")
    assert shared["agent1"]["relationship"] > apart["agent1"]["relationship"]
    assert warm["agent1"]["relationship"] > apart["agent1"]["relationship"]
    assert harsh["agent1"]["relationship"] < apart["agent1"]["relationship"]
    assert harsh["agent1"]["social_rules"] < apart["agent1"]["social_rules"]
    assert harsh["agent2"]["social_rules"] == apart["agent2"]["social_rules"]


def test_knowledge_grows_with_what_the_partner_brings() -> None:
    little = surface("What is new?", "Nothing.")
    much = surface(
        "What is new?",
        "Grandmother bought thirty green parrots yesterday, every single parrot already recites poems.",
    )
    assert much["agent1"]["knowledge"] > little["agent1"]["knowledge"]


def test_only_the_owner_can_leak_a_secret() -> None:
    kept = surface("Nice weather.", "Indeed.")
    told = surface("I stole the lantern from the museum.", "Indeed.")
    guessed = surface("Nice weather.", "I think somebody stole the lantern from the museum.")
    assert kept["agent1"]["secret"] == kept["agent2"]["secret"] == 0
    assert told["agent1"]["secret"] <= -5
    assert told["agent2"]["secret"] == guessed["agent1"]["secret"] == guessed["agent2"]["secret"] == 0


def test_goal_words_count_for_the_agent_who_says_them() -> None:
    scores = surface("May I buy the bicycle for less, a hundred dollars?", "Good evening.")
    assert scores["agent1"]["goal"] >= 5
    assert scores["agent2"]["goal"] == 0


def test_a_figure_counts_for_the_agent_whose_partner_takes_it_up() -> None:
    name = "financial_and_material_benefits"
    scores = surface("I offer 110.", "I ask 160.", "110 is all I have.", "All right, 110.")
    assert (scores["agent1"][name], scores["agent2"][name]) == (1, -1)
    even = surface("I offer 110.", "I ask 160.", "Not 160.", "Not 110.")
    assert (even["agent1"][name], even["agent2"][name]) == (0, 0)


def test_surface_reads_nothing_but_text() -> None:
    text = ["I would like to buy it.", "It is 150."]
    other = surface(*text, agent1="x", agent2="y", pair="x--y", seed=7, columns={}, stop_reason="left")
    assert other == surface(*text)


def shard(dialogues: list[dict[str, Any]], n: int = 3) -> list[dict[str, Any]]:
    return judge_shard(scenario_set(n), dialogues, PROMPTS, SURFACE)


def test_a_record_says_what_was_judged_by_what_and_that_it_means_nothing() -> None:
    (record,) = shard([dialogue("Hello.", "Hello.", episode=2, seed=5)])
    assert record["format"] == "syncr2/judgement/2"
    assert (record["episode_id"], record["environment_id"], record["seed"]) == ("episode-2", "env", 5)
    assert (record["pair"], record["agent1"], record["agent2"]) == ("model-a--model-b", "model-a", "model-b")
    assert record["columns"]["relationship"] == "acquaintance"
    assert (record["judge"], record["engine"], record["status"]) == ("words", "surface", "ok")
    assert [order["first"] for order in record["orders"]] == ["agent1", "agent2"]
    assert record["error"] is None
    assert "no scientific meaning" in record["made_by"]["note"]
    assert all(
        "no judgement" in reason
        for order in record["orders"]
        for agent in order["reasoning"].values()
        for reason in agent.values()
    )
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_the_surface_judge_does_not_care_who_is_presented_first() -> None:
    rng = np.random.default_rng(3)
    for record in shard([dialogue(*gibberish(rng), episode=i) for i in range(3)]):
        first, second = record["orders"]
        assert first["scores"] == second["scores"] == record["scores"]
        assert first["scores"]["agent1"] != first["scores"]["agent2"]


def test_records_are_in_the_order_of_the_dialogues() -> None:
    records = shard([dialogue("a", episode=i) for i in (2, 0, 1)])
    assert [record["episode_id"] for record in records] == ["episode-2", "episode-0", "episode-1"]
    assert shard([]) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "syncr2/dialogue/0"}, "format 'syncr2/dialogue/0'"),
        ({"episode_id": "gone"}, "episode 'gone'"),
        (
            {"agents": [{"id": "ben", "name": "Ben Reed"}, {"id": "ada", "name": "Ada Stone"}]},
            "changed after",
        ),
    ],
)
def test_a_dialogue_of_other_scenarios_or_format_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SyncR2Error, match=message):
        shard([dialogue("Hello.", **changes)])
