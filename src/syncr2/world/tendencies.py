"""How strongly each act is called for, as logits: the numbers that make the world what it is.

An act's logit is the sum of what the situation, the signs of the partner and one's own state add to it; an
act that no line names adds 0. `choices` in `syncr2.world.dynamics` puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping

Logits = Mapping[str, float]

# Before anything else, by role: in a situation with levels, as the lead of the others, as its partner.
_LEVELS: Logits = {
    **{"greet": -3, "offer": 2.2, "reason": 0.8, "refuse": 0.0, "press": -0.6, "ask": 0.2, "tell": 0.2},
    **{"joke": -0.8, "praise": -0.3, "thank": -1.0, "blame": -1.5, "apologise": -2.0, "console": -1.6},
    **{"gesture": -0.5, "probe": -1.6, "deflect": -2.0, "reveal": -2.4, "arrange": -3.0, "advise": -1.6},
}
_COMFORTS: Logits = {
    **{"greet": -3, "reason": -2.0, "press": -2.0, "ask": 1.0, "tell": 0.0, "joke": 0.2, "praise": 0.2},
    **{"thank": -1.2, "blame": -1.8, "apologise": -1.8, "console": 1.4, "gesture": -0.3, "probe": -0.8},
    **{"deflect": -1.5, "reveal": -2.2, "arrange": -0.6, "advise": 0.9},
}
_COMFORTED: Logits = {
    **{"greet": -3, "reason": -0.6, "press": -1.8, "ask": -0.5, "tell": 1.6, "joke": -0.8, "praise": -0.4},
    **{"thank": 0.2, "blame": -0.8, "apologise": -1.2, "console": -1.5, "gesture": 0.5, "probe": -1.2},
    **{"deflect": -0.4, "reveal": -0.8, "arrange": -1.0, "advise": -2.0},
}
_SEEKS: Logits = {
    **{"greet": -3, "reason": -0.4, "press": 0.0, "ask": 0.8, "tell": 0.3, "joke": 0.0, "praise": 0.2},
    **{"thank": -1.0, "blame": -0.9, "apologise": -1.5, "console": -0.6, "gesture": -0.2, "probe": 1.8},
    **{"deflect": -1.5, "reveal": -1.8, "arrange": -0.8, "advise": -0.8},
}
_KEEPS: Logits = {
    **{"greet": -3, "reason": -0.5, "press": -1.0, "ask": 0.6, "tell": 0.8, "joke": 0.4, "praise": -0.2},
    **{"thank": -0.8, "blame": -0.4, "apologise": -1.2, "console": -1.0, "gesture": 0.2, "probe": -0.8},
    **{"deflect": 1.3, "reveal": -1.0, "arrange": -0.8, "advise": -1.0},
}

# What the partner's last act calls for; "silence" is what the first speaker meets.
RESPONSES: Mapping[str, Logits] = {
    "silence": {"greet": 3.0},
    "greet": {"greet": 2.0, "ask": 1.4, "praise": 0.5},
    "ask": {"tell": 3.0, "gesture": 0.6, "deflect": 0.6},
    "tell": {"console": 1.4, "ask": 1.2, "joke": 0.5, "tell": 0.5},
    "reason": {"refuse": 0.8, "reason": 0.8, "offer": 0.6, "console": 0.5},
    "offer": {"refuse": 1.6, "offer": 1.0, "reason": 0.6},
    "refuse": {"reason": 1.6, "offer": 1.0, "press": 0.5},
    "press": {"refuse": 1.4, "blame": 1.4, "apologise": 0.8, "offer": 0.3},
    "praise": {"thank": 3.2, "praise": 0.8},
    "thank": {"praise": 1.2, "arrange": 1.0, "joke": 0.6},
    "blame": {"apologise": 2.6, "blame": 2.2, "gesture": 1.0, "leave": 1.0},
    "apologise": {"thank": 1.8, "console": 1.8, "praise": 0.6},
    "console": {"thank": 2.2, "tell": 1.6, "reveal": 0.6},
    "advise": {"thank": 2.0, "tell": 0.6, "refuse": 0.4},
    "joke": {"joke": 2.2, "praise": 1.0, "gesture": 0.4},
    "probe": {"deflect": 2.8, "reveal": 1.4, "blame": 0.5, "tell": 0.6},
    "deflect": {"probe": 1.6, "press": 1.2, "ask": 0.5},
    "reveal": {"console": 2.8, "thank": 1.6, "probe": 0.8},
    "arrange": {"arrange": 1.6, "thank": 1.6, "leave": 1.0},
    "accept": {"thank": 2.6, "arrange": 2.2},
    "gesture": {"ask": 1.8, "probe": 0.6, "reason": 0.4},
    "leave": {},
}

# Per step of one's own mood, of the partner's shown valence, and of one's own trust above the middle.
MOOD: Logits = {
    **{"praise": 0.5, "joke": 0.5, "thank": 0.3, "accept": 0.4, "blame": -0.9, "press": -0.6, "leave": -0.5},
    **{"gesture": -0.2, "refuse": -0.3},
}
SHOWN: Logits = {
    **{"console": -0.9, "apologise": -0.5, "ask": -0.4, "advise": -0.3, "joke": 0.5, "praise": 0.3},
    **{"press": 0.3, "offer": 0.2},
}
TRUST: Logits = {"reveal": 0.9, "tell": 0.3, "deflect": -0.5, "press": -0.3, "probe": -0.2, "leave": -0.4}
# Warm people feel with others twice as much as cool ones, and blame less; hasty ones press and leave sooner.
WARM: Logits = {"console": 0.4, "praise": 0.4, "apologise": 0.4, "blame": -0.6, "press": -0.4}
HASTY: Logits = {"press": 0.6, "offer": 0.4, "gesture": -0.3, "leave": 0.5, "accept": 0.5}
# Said a second time in a row, an act is less likely; offers may follow each other.
AGAIN: Mapping[str, float] = {"offer": -0.5, "probe": -0.4}
AGAIN_OTHERWISE = -1.5
# Once one has agreed.
SETTLED: Logits = {"arrange": 4.5, "thank": 2.2, "praise": 1.0, "tell": 0.8, "joke": 1.0}
# What is no longer done then.
BARGAINING = ("offer", "accept", "refuse", "reason", "press")

# Effects of the partner's acts: on mood and on trust.
KIND = ("praise", "thank", "console", "apologise", "reveal")
HARSH = ("blame", "press")
# Acts from which one learns something.
TELLING = {"tell": "news", "reason": "reasons", "reveal": "secrets", "advise": "tips", "arrange": "times"}

INTENTIONS = {
    **dict.fromkeys(("offer", "accept", "refuse", "reason"), "bargain"),
    **dict.fromkeys(("console", "praise", "advise", "thank", "apologise"), "support"),
    **dict.fromkeys(("tell", "reveal", "arrange"), "inform"),
    **dict.fromkeys(("ask", "probe"), "inquire"),
    **dict.fromkeys(("blame", "press"), "attack"),
    **dict.fromkeys(("deflect", "gesture", "leave"), "withdraw"),
    **dict.fromkeys(("greet", "joke"), "socialise"),
}

# Valences in the absence of a partner (see `dynamics.imagined`), -2 to 2.
IMAGINED_VALENCES = {-2: 0.14, -1: 0.18, 0: 0.32, 1: 0.2, 2: 0.16}


def base(kind: str, leads: bool) -> Logits:
    """The logits of a role before anything happens."""
    if kind == "comfort":
        return _COMFORTS if leads else _COMFORTED
    if kind == "secret":
        return _SEEKS if leads else _KEEPS
    return _LEVELS


def action(act: str) -> str:
    """What sort of action an act is, in the words of `syncr2.labellers.base.ACTIONS`."""
    return {"gesture": "non-verbal", "leave": "leave"}.get(act, "speak")
