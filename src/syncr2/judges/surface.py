"""The engine "surface": a rule-based stand-in for demonstrations, of no scientific meaning.

It looks at words, never at what they mean: how varied an agent's words are, which words the two share,
whether words of the goal or of the secret turn up, a few polite and rude words, figures that the partner
takes up. It exists so that the whole experiment runs on a laptop without a judge model, and it also spreads
over the babble of untrained models. Its numbers say nothing about social skill; every record that it makes
says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from syncr2.judges.base import AGENTS, Case, Verdict
from syncr2.judges.dimensions import DIMENSIONS

NOTE = "surface: a rule-based stand-in for demonstrations, of no scientific meaning"
# Part of what a judgement depends on: raise it when a rule below changes a score.
RULES_VERSION = "surface/1"

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def _lexicon(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOP_WORDS = _lexicon(
    "about after again also and any are because been before being but can could did does doing don down "
    "for from get had has have her here him his how into its just let like may more most much must not now "
    "off one only other our out over own say she should some such than that the their them then there "
    "these they this those through too under until very want wants was way well were what when where which "
    "while who whom why will with would you your yours"
)
_WARM = _lexicon(
    "agree appreciate congratulations dear friend friends glad grateful happy help hope kind kindly love "
    "okay please sorry sure thank thanks together understand welcome wonderful yes"
)
_HARSH = _lexicon(
    "awful damn disgusting dumb fool hate idiot liar loser moron pathetic ridiculous selfish shame shut "
    "stupid terrible trash ugly useless worthless"
)


@dataclass(frozen=True)
class _Side:
    """What one agent said, counted, and the words of what it wants and hides."""

    utterances: tuple[str, ...]
    words: tuple[str, ...]
    goal: frozenset[str]
    secret: frozenset[str]

    @property
    def vocabulary(self) -> frozenset[str]:
        return frozenset(self.words)

    @property
    def repeated(self) -> int:
        """How many utterances are empty or stood there before."""
        return len(self.utterances) - len({text for text in self.utterances if text})

    def count(self, lexicon: frozenset[str]) -> int:
        return sum(word in lexicon for word in self.words)


class SurfaceJudge:
    """Score dialogues by surface cues of their text; deterministic, no model, no scientific meaning."""

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """Score each case; always "ok"."""
        return [self._judge_one(case) for case in cases]

    def provenance(self) -> dict[str, Any]:
        """Say what made the scores, and what they are not."""
        return {"engine": "surface", "rules": RULES_VERSION, "note": NOTE}

    def _judge_one(self, case: Case) -> Verdict:
        sides = tuple(_side(case, agent) for agent in (0, 1))
        taken_up = _figures_taken_up(case)
        scores, reasoning = {}, {}
        for agent, key in enumerate(AGENTS):
            found = _score(sides[agent], sides[1 - agent], taken_up[agent] - taken_up[1 - agent])
            scores[key] = {d.name: min(d.high, max(d.low, found[d.name][0])) for d in DIMENSIONS}
            reasoning[key] = {d.name: f"surface rule, no judgement: {found[d.name][1]}" for d in DIMENSIONS}
        return Verdict("ok", scores, reasoning, attempts=1, error=None, raw=None, made_by={})


def _score(own: _Side, partner: _Side, figures: int) -> dict[str, tuple[int, str]]:
    """Score one agent: dimension to (score before it is cut to its range, the cue in words)."""
    n_words, n_distinct, n_turns = len(own.words), len(own.vocabulary), len(own.utterances)
    variety = _share(n_distinct, n_words)
    fresh_turns = 1.0 - _share(own.repeated, n_turns) if n_turns else 0.0
    shared = len(own.vocabulary & partner.vocabulary)
    shared_share = _share(shared, min(n_distinct, len(partner.vocabulary)))
    warm, harsh = own.count(_WARM), own.count(_HARSH)
    new = len(partner.vocabulary - own.vocabulary - own.goal)
    leaked = len(own.vocabulary & own.secret)
    reached = len(own.vocabulary & own.goal)
    return {
        "believability": (
            round(10 * variety * fresh_turns),
            f"{n_distinct} distinct of {n_words} words, {own.repeated} of {n_turns} turns empty or repeated",
        ),
        "relationship": (
            round(8 * shared_share) - 2 + min(3, warm) - 2 * harsh,
            f"{shared} words shared with the partner, {warm} warm and {harsh} harsh words",
        ),
        # Levels off, so that long dialogues do not all reach the top: 30 new words give 5.
        "knowledge": (round(10 * new / (new + 30)), f"{new} words of the partner that the agent did not use"),
        "secret": (
            -round(10 * _share(leaked, len(own.secret))),
            f"{leaked} of {len(own.secret)} words of the secret said",
        ),
        "social_rules": (
            -2 * harsh - round(5 * (1.0 - fresh_turns)),
            f"{harsh} harsh words, {own.repeated} of {n_turns} turns empty or repeated",
        ),
        "financial_and_material_benefits": (
            figures,
            f"{figures:+d} figures taken up by the partner, less those taken up from it",
        ),
        "goal": (
            round(10 * _share(reached, len(own.goal))),
            f"{reached} of {len(own.goal)} words of the goal said",
        ),
    }


def _figures_taken_up(case: Case) -> tuple[int, int]:
    """Count, for each agent, the distinct figures it said first and the partner said later."""
    first_by: dict[str, int] = {}
    taken: tuple[set[str], set[str]] = (set(), set())
    for line in case.lines:
        for figure in _NUMBER.findall(line.text):
            origin = first_by.setdefault(figure, line.agent)
            if origin != line.agent:
                taken[origin - 1].add(figure)
    return len(taken[0]), len(taken[1])


def _side(case: Case, agent: int) -> _Side:
    texts = tuple(line.text.strip() for line in case.lines if line.agent == agent + 1)
    words = tuple(word for text in texts for word in _words(text))
    goal, secret = case.view.goals[agent], case.view.agents[agent].secret or ""
    return _Side(texts, words, _content(goal), _content(secret))


def _words(text: str) -> list[str]:
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def _content(text: str) -> frozenset[str]:
    """Words that carry content: not the frequent short ones that any text has in common."""
    return frozenset(word for word in _words(text) if len(word) > 2 and word not in _STOP_WORDS)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
