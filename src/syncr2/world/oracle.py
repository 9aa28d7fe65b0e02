"""The judge of the world: scores on Sotopia's seven dimensions that are computed from what was said.

No model is asked. docs/world.md has the equations; every score is a number within the range of its dimension,
and none depends on who is presented first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syncr2.judges.base import AGENTS, Case, Verdict
from syncr2.judges.dimensions import DIMENSIONS
from syncr2.sotopia.episodes import RELATIONSHIPS
from syncr2.world.hearing import HeardTurn, Hearing, Line, hear
from syncr2.world.minds import MOST_TRUST, first_trust
from syncr2.world.setting import TOP, Game, read_game
from syncr2.world.tendencies import TELLING

# Part of what a judgement depends on: raise it when a rule below changes a score.
RULES_VERSION = "oracle/1"
# Points for a new thing learnt, for a harsh act of either sort, for an offer after the deal.
_NEW, _BLAME, _PRESS, _BROKEN = 2, 2, 1, 3
# What an agreement exactly at one's limit is worth as a goal; nothing agreed is 0.
_AT_LIMIT = 4.0


class OracleJudge:
    """Score dialogues of the world; a dialogue of any other episode has failed."""

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """Score each case."""
        return [self._judge_one(case) for case in cases]

    def provenance(self) -> dict[str, Any]:
        """Say what made the scores."""
        return {"engine": "oracle", "rules": RULES_VERSION}

    def _judge_one(self, case: Case) -> Verdict:
        found = heard_case(case)
        if found is None:
            error = "The oracle judges episodes of the toy world only, and this is none (docs/world.md)."
            return Verdict("failed", None, None, 0, error, None, {})
        game, hearing = found
        relationship = _relationship(case)
        lines = [Line(line.agent, line.text) for line in case.lines]
        secrets = [person.secret or "" for person in case.view.agents]
        scores, reasoning = {}, {}
        for agent, key in enumerate(AGENTS, start=1):
            own = agent_scores(game, hearing, lines, secrets[agent - 1], first_trust(relationship), agent)
            scores[key] = own
            reasoning[key] = {d.name: _reason(d.name, game, hearing, agent) for d in DIMENSIONS}
        return Verdict("ok", scores, reasoning, attempts=1, error=None, raw=None, made_by={})


def heard_case(case: Case) -> tuple[Game, Hearing] | None:
    """A case's situation and its dialogue, read back; None for an episode that is not of the world."""
    game = read_game(case.view.scenario, case.view.goals)
    if game is None:
        return None
    return game, hear(game, case.view.participants, _relationship(case), case.lines)


def _relationship(case: Case) -> int:
    return RELATIONSHIPS.index(case.view.relationship.replace(" ", "_"))


def agent_scores(
    game: Game, hearing: Hearing, lines: Sequence[Line], secret: str, trust: int, agent: int
) -> dict[str, float]:
    """The seven scores of one agent.

    Parameters
    ----------
    game : Game
    hearing : Hearing
        Of `lines`.
    lines : sequence of Line
    secret : str
        The agent's own.
    trust : int
        Where the trust of both began, 0..4.
    agent : {1, 2}
    """
    own = [turn for turn in hearing.turns if turn.agent == agent]
    texts = [line.text.casefold() for line in lines if line.agent == agent]
    acts = [turn.said.act for turn in own if turn.said and turn.fits]
    n = len(own)
    fresh = len({text for text in texts if text}) / n if n else 0.0
    formed = sum(turn.fits for turn in own) / n if n else 0.0
    change = sum(kept[-1] - trust for kept in hearing.trust if kept)
    rude = _BLAME * acts.count("blame") + _PRESS * acts.count("press") + _BROKEN * hearing.broken[agent - 1]
    scores = {
        "believability": 10 * formed * fresh,
        "relationship": 5 * change / (2 * (MOST_TRUST - trust) if change > 0 else 2 * trust),
        "knowledge": min(10.0, _NEW * _learnt(hearing, agent)),
        "secret": -10.0 if _gave_away(hearing, secret, agent) else 0.0,
        "social_rules": max(-10.0, -float(rude)),
        "financial_and_material_benefits": _benefit(game, hearing, agent),
        "goal": _goal(game, hearing, agent),
    }
    # Plus zero: no score is printed as -0.0.
    return {name: round(value, 4) + 0.0 for name, value in scores.items()}


def _learnt(hearing: Hearing, agent: int) -> int:
    """Different things that the partner told."""
    told = set()
    for turn in _fitting(hearing, 3 - agent):
        if turn.said and turn.said.act in TELLING:
            told.add(turn.said.slots[TELLING[turn.said.act]])
    return len(told)


def _gave_away(hearing: Hearing, secret: str, agent: int) -> bool:
    return any(
        turn.said is not None and turn.said.act == "reveal" and turn.said.slots["secrets"] == secret
        for turn in hearing.turns
        if turn.agent == agent
    )


def _benefit(game: Game, hearing: Hearing, agent: int) -> float:
    """From -5 (all that one could lose) over 0 (one's limit, or no deal) to 5 (all that there is)."""
    if hearing.deal is None or game.kind == "plan":
        return 0.0
    got, limit = game.utility(agent, hearing.deal), game.limits[agent - 1]
    return 5.0 * (got - limit) / ((TOP - limit) if got > limit else (limit or 1))


def _goal(game: Game, hearing: Hearing, agent: int) -> float:
    if game.has_levels:
        if hearing.deal is None:
            return 0.0
        got, limit = game.utility(agent, hearing.deal), game.limits[agent - 1]
        if got < limit:
            return _AT_LIMIT * got / limit
        return _AT_LIMIT + (10 - _AT_LIMIT) * (got - limit) / (TOP - limit)
    if game.kind == "comfort":
        return _comfort(game, hearing, agent)
    found = any(turn.said and turn.said.act == "reveal" for turn in _fitting(hearing, 3 - game.lead))
    return 10.0 if found == (agent == game.lead) else 0.0


def _comfort(game: Game, hearing: Hearing, agent: int) -> float:
    """How the comforted felt at the end; for itself, half of it is how much it was asked and consoled."""
    shown = [turn.said.valence for turn in _fitting(hearing, 3 - game.lead) if turn.said]
    last = shown[-2:]
    better = 10 * (sum(last) / len(last) + 2) / 4 if last else 0.0
    if agent == game.lead:
        return better
    care = [turn.said for turn in _fitting(hearing, game.lead) if turn.said]
    listened = sum(said.act in ("ask", "console", "advise") for said in care)
    return 0.5 * better + 0.5 * 10 * min(1.0, listened / 4)


def _fitting(hearing: Hearing, agent: int) -> list[HeardTurn]:
    return [turn for turn in hearing.turns if turn.agent == agent and turn.fits]


def _reason(dimension: str, game: Game, hearing: Hearing, agent: int) -> str:
    own = [turn for turn in hearing.turns if turn.agent == agent]
    deal = "no deal" if hearing.deal is None else f"deal at level {hearing.deal} of {TOP}"
    trust = " and ".join(str(kept[-1]) for kept in hearing.trust if kept) or "as before"
    found = {
        "believability": f"{sum(turn.fits for turn in own)} of {len(own)} turns are of world and episode",
        "relationship": f"trust at the end: {trust}",
        "knowledge": f"{_learnt(hearing, agent)} new things were told",
    }
    about = f"{game.kind}, {deal if game.has_levels else 'nothing to agree on'}"
    return f"computed: {found.get(dimension, about)}"
