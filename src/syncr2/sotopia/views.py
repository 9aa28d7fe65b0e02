"""What each reader may know of an episode.

An agent knows everything about itself and its own goal. Of its partner it knows what the relationship allows:

==========================  ========================================================================
relationship                of the partner
==========================  ========================================================================
stranger                    nothing; the name stands in the list of participants only
know_by_name                the name
acquaintance                also age, gender, pronouns, occupation and public information
friend, romantic, family    also personality and values
==========================  ========================================================================

Never the partner's secret, never its goal. The judge knows everything. A bystander knows the public part, or
what the agent who speaks knows. Fields of a profile that no view names (big five, moral values, and the like)
are shown to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from syncr2.sotopia import markup
from syncr2.sotopia.episodes import RELATIONSHIPS, Episode, Profile

Agent = Literal[1, 2]

_KNOW_BY_NAME = RELATIONSHIPS.index("know_by_name")
_ACQUAINTANCE = RELATIONSHIPS.index("acquaintance")
_FRIEND = RELATIONSHIPS.index("friend")


@dataclass(frozen=True)
class Person:
    """A person as one reader knows it; None is what the reader does not know, or what nobody has said."""

    name: str | None = None
    age: int | None = None
    gender: str | None = None
    pronouns: str | None = None
    occupation: str | None = None
    public_info: str | None = None
    personality: str | None = None
    secret: str | None = None


@dataclass(frozen=True)
class AgentView:
    """What agent 1 or 2 knows.

    Attributes
    ----------
    agent : {1, 2}
        Whose view it is.
    participants : tuple of str
        Both names, agent 1 first.
    scenario : str
        Without tags, and without what is for others.
    own : Person
        The agent itself, in full.
    goal : str
        Its own goal, without tags.
    partner : Person
        What it knows of the other. Never a secret.
    """

    agent: Agent
    participants: tuple[str, str]
    scenario: str
    own: Person
    goal: str
    partner: Person


@dataclass(frozen=True)
class BystanderView:
    """What a third person knows who only listens.

    Attributes
    ----------
    participants : tuple of str
        Both names, agent 1 first.
    scenario : str
        What everybody sees; in the private view, what the speaker sees.
    speaker : AgentView or None
        In the private view everything that the agent who speaks next knows; None in the public view.
    """

    participants: tuple[str, str]
    scenario: str
    speaker: AgentView | None


@dataclass(frozen=True)
class JudgeView:
    """Everything: the whole scenario, both persons in full, both goals, the relationship in words."""

    participants: tuple[str, str]
    scenario: str
    relationship: str
    agents: tuple[Person, Person]
    goals: tuple[str, str]


def agent_view(episode: Episode, agent: Agent) -> AgentView:
    """What agent 1 or agent 2 of an episode knows.

    Raises
    ------
    ValueError
        If `agent` is neither 1 nor 2.
    """
    if agent not in (1, 2):
        raise ValueError(f"agent is {agent!r}; 1 or 2 is needed")
    environment, reader = episode.environment, markup.AGENTS[agent - 1]
    own, partner = episode.agents[agent - 1], episode.agents[2 - agent]
    return AgentView(
        agent=agent,
        participants=_participants(episode),
        scenario=markup.visible(environment.scenario, reader),
        own=_in_full(own),
        goal=markup.visible(environment.goals[agent - 1], reader),
        partner=_as_known(partner, environment.relationship),
    )


def bystander_view(episode: Episode, speaker: Agent, private: bool) -> BystanderView:
    """What a third person knows who listens to the two.

    Parameters
    ----------
    episode : Episode
    speaker : {1, 2}
        The agent whose turn it is.
    private : bool
        True: the bystander knows all that the speaker knows, secret and goal included, as in the published
        control. False: only the scenario and the names.
    """
    participants = _participants(episode)
    if not private:
        return BystanderView(participants, markup.visible(episode.environment.scenario, None), None)
    view = agent_view(episode, speaker)
    return BystanderView(participants, view.scenario, view)


def judge_view(episode: Episode) -> JudgeView:
    """What the judge of an episode knows: everything."""
    environment = episode.environment
    first, second = (markup.visible(goal, markup.ENVIRONMENT) for goal in environment.goals)
    return JudgeView(
        participants=_participants(episode),
        scenario=markup.visible(environment.scenario, markup.ENVIRONMENT),
        relationship=RELATIONSHIPS[environment.relationship].replace("_", " "),
        agents=(_in_full(episode.agents[0]), _in_full(episode.agents[1])),
        goals=(first, second),
    )


def _participants(episode: Episode) -> tuple[str, str]:
    first, second = episode.agents
    return first.name, second.name


def _in_full(profile: Profile) -> Person:
    return Person(
        name=profile.name,
        age=profile.age,
        gender=profile.gender,
        pronouns=profile.pronouns,
        occupation=profile.occupation,
        public_info=profile.public_info,
        personality=profile.personality,
        secret=profile.secret,
    )


def _as_known(partner: Profile, relationship: int) -> Person:
    # Field by field from nothing upwards: a field added to Profile later stays hidden until somebody decides
    # otherwise.
    if relationship < _KNOW_BY_NAME:
        return Person()
    if relationship < _ACQUAINTANCE:
        return Person(name=partner.name)
    return Person(
        name=partner.name,
        age=partner.age,
        gender=partner.gender,
        pronouns=partner.pronouns,
        occupation=partner.occupation,
        public_info=partner.public_info,
        personality=partner.personality if relationship >= _FRIEND else None,
    )
