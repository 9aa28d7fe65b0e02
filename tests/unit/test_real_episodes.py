"""The episodes of the published experiment, where they are at hand (they may not be redistributed)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from shared import REPOSITORY, SHARED, missing

from syncr2.dialogues.prompts import Prompts
from syncr2.sotopia.scenarios import (
    RELATIONSHIPS,
    Episode,
    Profile,
    ScenarioSet,
    read_folder,
    read_scenarios,
    write_scenarios,
)
from syncr2.sotopia.views import Agent, Person, agent_view, bystander_view, judge_view

FOLDER = SHARED / "data" / "sotopia"
SHA256 = {
    "envs.json": "4b2ae05caee05e10759d2f763f347211d48e06dce9450f43c43f38f129cffe8c",
    "agents.json": "9eed1272a9a0ebd0276465a20e4db3264321d6a308d99d99e4f9246a91f118cc",
    "env_agent_combos.json": "a539ede1878298d78bbb546aa3c30d6a4289572b5bdadbecd93c90f46eea6f12",
}
KNOWN_TAG = re.compile(r"</?(?:extra_info|strategy_hint|clarification_hint|p)\b[^>]*>")
KNOWN = {
    "stranger": set(),
    "know_by_name": {"name"},
    "acquaintance": {"name", "age", "gender", "pronouns", "occupation", "public_info"},
    "friend": {"name", "age", "gender", "pronouns", "occupation", "public_info", "personality"},
    "romantic": {"name", "age", "gender", "pronouns", "occupation", "public_info", "personality"},
}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=missing("data/sotopia"))


@pytest.fixture(scope="module")
def scenarios() -> ScenarioSet:
    return read_folder(FOLDER)


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return Prompts(REPOSITORY / "resources" / "prompts")


def sides(scenarios: ScenarioSet) -> Iterator[tuple[Episode, Agent, Profile, Profile]]:
    for episode in scenarios.episodes:
        first, second = episode.agents
        yield episode, 1, first, second
        yield episode, 2, second, first


def inner_goal(episode: Episode, agent: Agent) -> str:
    return KNOWN_TAG.sub("", episode.environment.goals[agent - 1]).strip()


def test_the_published_set(scenarios: ScenarioSet, tmp_path: Path) -> None:
    assert scenarios.sha256 == SHA256
    assert [episode.index for episode in scenarios.episodes] == list(range(450))
    per_environment = Counter(episode.environment.id for episode in scenarios.episodes)
    assert len(per_environment) == 90
    assert set(per_environment.values()) == {5}
    assert len({agent.id for episode in scenarios.episodes for agent in episode.agents}) == 40
    relationships = Counter(RELATIONSHIPS[e.environment.relationship] for e in scenarios.episodes)
    assert relationships == {
        **{"stranger": 125, "know_by_name": 20, "acquaintance": 50},
        **{"friend": 230, "romantic": 25},
    }
    write_scenarios(scenarios, tmp_path / "scenarios.json")
    assert read_scenarios(tmp_path / "scenarios.json") == scenarios


def test_columns_are_rectangular(scenarios: ScenarioSet) -> None:
    columns = [episode.columns() for episode in scenarios.episodes]
    assert {tuple(row) for row in columns} == {tuple(columns[0])}
    assert Counter(row["source"] for row in columns)["social_chemistry"] == 100
    assert "agent_constraint" not in columns[0]
    assert sum(row["occupation_constraint"] is not None for row in columns) == 5


def test_agent_views_obey_the_table(scenarios: ScenarioSet) -> None:
    n_views = 0
    for episode, agent, own, partner in sides(scenarios):
        view = agent_view(episode, agent)
        known = {field.name for field in fields(Person) if getattr(view.partner, field.name) is not None}
        assert known == KNOWN[RELATIONSHIPS[episode.environment.relationship]]
        assert all(getattr(view.partner, name) == getattr(partner, name) for name in known)
        assert all(getattr(view.own, field.name) == getattr(own, field.name) for field in fields(Person))
        assert None not in [getattr(view.own, field.name) for field in fields(Person)]
        assert view.goal == inner_goal(episode, agent)
        n_views += 1
    assert n_views == 900


def test_prompts_keep_goals_and_secrets_where_they_belong(scenarios: ScenarioSet, prompts: Prompts) -> None:
    n_same_goal = 0
    for episode, agent, own, partner in sides(scenarios):
        view = agent_view(episode, agent)
        other: Agent = 2 if agent == 1 else 1
        # Both prompts: what the agent reads, and what a bystander reads who knows as much.
        history = [_Said()] if agent == 2 else []
        engaged = prompts.engaged(view, history)
        private = prompts.bystander(bystander_view(episode, agent, private=True), history)
        goal, partner_goal = inner_goal(episode, agent), inner_goal(episode, other)
        n_same_goal += goal == partner_goal
        for text in (engaged, private):
            assert text.count(goal) == 1
            assert text.count(own.secret or "?") == 1
            assert (partner.secret or "?") not in text
            # Two environments give both agents the same words; then they stand there once, as its own.
            assert text.count(partner_goal) == (goal == partner_goal)
            assert not KNOWN_TAG.search(text)
            assert "common friends:" not in text
            if episode.environment.relationship < 2:
                assert (partner.public_info or "?") not in text
            if episode.environment.relationship < 3:
                assert (partner.personality or "?") not in text
        public = prompts.bystander(bystander_view(episode, agent, private=False), history)
        for hidden in (own.secret, partner.secret, goal, partner_goal, own.public_info, own.personality):
            assert (hidden or "?") not in public
        assert not KNOWN_TAG.search(public)
    assert n_same_goal == 20


def test_the_judge_sees_what_the_agents_do_not(scenarios: ScenarioSet) -> None:
    views = [judge_view(episode) for episode in scenarios.episodes]
    assert sum("common friends:" in view.scenario for view in views) == 50
    for episode, view in zip(scenarios.episodes, views, strict=True):
        assert view.goals == (inner_goal(episode, 1), inner_goal(episode, 2))
        assert [person.secret for person in view.agents] == [agent.secret for agent in episode.agents]
        assert not KNOWN_TAG.search(repr(view))


class _Said:
    turn, speaker, text = 0, "Somebody", "Hello."
