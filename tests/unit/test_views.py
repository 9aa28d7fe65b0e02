"""What each reader may know."""

from __future__ import annotations

from dataclasses import astuple, fields, replace

import pytest

from syncr2.errors import SyncR2Error
from syncr2.sotopia.episodes import RELATIONSHIPS, Environment, Episode, Profile
from syncr2.sotopia.markup import visible
from syncr2.sotopia.views import Agent, Person, agent_view, bystander_view, judge_view

SCENARIO = (
    'A fair. <p viewer="environment">The lamp is a fake.</p>'
    '<p viewer="agent_1">You are tired.</p> It rains.<p viewer="agent_2"> You are cold.</p>'
)
GOALS = (
    "Sell it (<extra_info>It cost 4.<strategy_hint> Be quick.</strategy_hint></extra_info>)"
    '<p viewer="environment"> Worth: 1.</p>',
    "\nBuy it.\n<clarification_hint>Not the chair.</clarification_hint>\n",
)
ADA = Profile(
    *("a1", "Ada", "Byron", 36, "Woman", "She/her", "Potter", "Swims.", "Kind and blunt.", "Owes money."),
    fields={"task": "never shown", "diary": "never shown"},
)
BOB = Profile(
    *("a2", "Bob", None, 41, "Man", "He/him", "Tailor", "Cooks.", "Shy.", "Cannot read."),
    fields={"task": "never shown"},
)
# What may be known of the partner, as the published masking had it; written out, not derived from the code.
KNOWN = {
    "stranger": set(),
    "know_by_name": {"name"},
    "acquaintance": {"name", "age", "gender", "pronouns", "occupation", "public_info"},
    "friend": {"name", "age", "gender", "pronouns", "occupation", "public_info", "personality"},
    "romantic": {"name", "age", "gender", "pronouns", "occupation", "public_info", "personality"},
    "family": {"name", "age", "gender", "pronouns", "occupation", "public_info", "personality"},
}


def episode(relationship: str = "friend") -> Episode:
    environment = Environment(
        "e1", SCENARIO, GOALS, RELATIONSHIPS.index(relationship), {"note": "never shown"}
    )
    return Episode("x1", 0, environment, (ADA, BOB))


def in_full(profile: Profile) -> Person:
    return Person(profile.name, *astuple(profile)[3:10])


@pytest.mark.parametrize("relationship", RELATIONSHIPS)
@pytest.mark.parametrize(("agent", "own", "partner"), [(1, ADA, BOB), (2, BOB, ADA)])
def test_agent_view(relationship: str, agent: Agent, own: Profile, partner: Profile) -> None:
    view = agent_view(episode(relationship), agent)
    assert view.participants == ("Ada Byron", "Bob")
    assert view.own == in_full(own)
    known = {field.name for field in fields(Person) if getattr(view.partner, field.name) is not None}
    assert known == KNOWN[relationship]
    assert all(getattr(view.partner, name) == getattr(in_full(partner), name) for name in known)
    shown = repr(view)
    assert partner.secret not in shown
    assert visible(GOALS[2 - agent], "environment") not in shown
    assert "never shown" not in shown
    assert "fake" not in shown


def test_own_goal_and_scenario_without_tags() -> None:
    ada, bob = agent_view(episode(), 1), agent_view(episode(), 2)
    assert ada.goal == "Sell it (It cost 4. Be quick.)"
    assert bob.goal == "Buy it.\nNot the chair."
    assert ada.scenario == "A fair. You are tired. It rains."
    assert bob.scenario == "A fair.  It rains. You are cold."


def test_what_nobody_has_said_is_none() -> None:
    bare = Profile("a3", "Cy")
    both = replace(episode(), agents=(bare, ADA))
    assert agent_view(both, 1).own == Person(name="Cy")
    assert agent_view(both, 2).partner == Person(name="Cy")


def test_bystander() -> None:
    public = bystander_view(episode(), 2, private=False)
    assert public.scenario == "A fair.  It rains."
    assert public.participants == ("Ada Byron", "Bob")
    assert public.speaker is None
    private = bystander_view(episode("stranger"), 2, private=True)
    # The published control leaves the speaker's view as it is, secret and goal included.
    assert private.speaker == agent_view(episode("stranger"), 2)
    assert private.scenario == "A fair.  It rains. You are cold."
    assert ADA.secret not in repr(private)


def test_judge_sees_everything() -> None:
    view = judge_view(episode("know_by_name"))
    assert view.scenario == "A fair. The lamp is a fake.You are tired. It rains. You are cold."
    assert view.goals == ("Sell it (It cost 4. Be quick.) Worth: 1.", "Buy it.\nNot the chair.")
    assert view.relationship == "know by name"
    assert view.agents == (in_full(ADA), in_full(BOB))


def test_there_is_no_third_agent() -> None:
    for agent in (0, 3):
        with pytest.raises(ValueError, match="1 or 2"):
            agent_view(episode(), agent)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "viewer", "shown"),
    [
        ("plain", None, "plain"),
        ('<p viewer="agent_1">a<p viewer="agent_2">b</p></p>c', "agent_2", "c"),
        ('<p viewer="agent_2">a<p viewer="agent_2">b</p></p>c', "agent_2", "abc"),
        ('<p viewer="agent_2">a<p>b</p></p>c', "agent_1", "c"),
        ("<p>a</p><extra_info viewer='agent_1'>b</extra_info>", "agent_1", "ab"),
        ("<p>a</p><extra_info viewer='agent_1'>b</extra_info>", None, "a"),
        ("3 < 4 and <3 and {{ braces }} & <x@y.z>", "agent_1", "3 < 4 and <3 and {{ braces }} & <x@y.z>"),
    ],
)
def test_markup(text: str, viewer: str | None, shown: str) -> None:
    assert visible(text, viewer) == shown


@pytest.mark.parametrize("text", ["a</p>", "<p>a", "<p><extra_info>a</p></extra_info>", "<secret>a</secret>"])
def test_markup_that_is_no_markup_is_never_shown(text: str) -> None:
    with pytest.raises(SyncR2Error, match="cannot be shown"):
        visible(text, "agent_1")
