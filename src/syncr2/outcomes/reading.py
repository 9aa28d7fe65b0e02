"""What two speakers agreed on, read from a transcript by rules over words.

A turn may hold an offer, an acceptance, or both. An acceptance holds for the partner's last offer; a later
offer of something else opens the matter again. Where somebody accepts and it cannot be said what, the
dialogue is unreadable: a wrong number would be worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from syncr2.outcomes.games import FIGURE, MONEY, Bargain, Division, Game, MutualFriend, amount, singular

Outcome = Literal["deal", "none", "unreadable"]


class LineLike(Protocol):
    """What reading needs of a turn."""

    @property
    def agent(self) -> int:
        """Who speaks, 1 or 2."""
        ...

    @property
    def text(self) -> str:
        """What is said."""
        ...


class Agreement(NamedTuple):
    """How a dialogue ended; `terms`: a price, agent 1's number of each item, or True for a friend found."""

    outcome: Outcome
    terms: float | tuple[int, ...] | bool | None


NO_AGREEMENT = Agreement("none", None)
UNREADABLE = Agreement("unreadable", None)

_SENTENCE = re.compile(r"[^.!?;]*(?:\.\d[^.!?;]*)*[.!?;]*")
_ACCEPTS = re.compile(
    r"^\W*(?:(?:okay|ok|alright|all right|well|yes|yeah|great|perfect|fine|then|so|sure|and)\b\W*)*"
    r"(?:deal|done|agreed|sold)\b"
    r"|\b(?:it's|it is|that's|we have|we've got|you have|you've got|you got)\s+(?:yourself\s+)?a deal\b"
    r"|\bi(?:'ll| will| can| do|'m happy to| am happy to)?\s+(?:gladly |happily )?(?:agree|accept)\b"
    r"|\bi(?:'ll| will)\s+take it\b|\b(?:it's|it is) yours\b"
    r"|\b(?:that|it|this) works(?: for me)?\b|\bsounds (?:good|great|fair|perfect)\b",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"n't\b|n’t\b|\b(?:not|no|never|cannot|but|however|if|unless|although|before|would|could|almost|nearly)\b",
    re.IGNORECASE,
)
_REJECTS = re.compile(
    r"n't\b|n’t\b|\b(?:not|no|never|cannot|too (?:much|low|high)|originally|listed|asking)\b", re.IGNORECASE
)
_INSTEAD = re.compile(r"\b(?:instead of|rather than)\s+(?:the |your |my )?\$?\s?[\d,.]*\d", re.IGNORECASE)
_PRICE = re.compile(
    rf"{MONEY}|\b{FIGURE}\s?(?:dollars|bucks)\b"
    rf"|\b(?:for|about|to|offer|pay|do|take|than|you)\s+{FIGURE}"
    r"(?=\s*(?:[.,!?;]|$|and\b|but\b|then\b|if\b|for\b|cash\b))",
    re.IGNORECASE,
)
# A bare figure this far from the list price, in times of it, is no price.
_PLAUSIBLE = (0.2, 2.0)

_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
_ALL = ("all", "the", "every", "my", "your", "those", "these")
_SELF = re.compile(r"\b(?:i|i'll|i'd|i’ll|i’d|i'm|me|mine|myself)\b", re.IGNORECASE)
_PARTNER = re.compile(r"\b(?:you|you'll|you'd|you’ll|you’d|yours|yourself)\b", re.IGNORECASE)
_REST = re.compile(r"\b(?:rest|everything else|the others?|remaining)\b", re.IGNORECASE)
_VALUES = re.compile(
    r"\b(?:points?|worth|values?|valued|prefer|(?<!'d )(?<!’d )(?<!would )like|love|matters?)\b",
    re.IGNORECASE,
)


def read_agreement(game: Game, lines: Sequence[LineLike]) -> Agreement:
    """What the two agreed on.

    Parameters
    ----------
    game : Game
        What their episode plays for.
    lines : sequence
        The turns in order, each with its agent (1 or 2) and text.

    Returns
    -------
    Agreement
        "deal" with its terms, "none" where nobody accepted anything, or "unreadable". A dialogue in which
        nothing was said is unreadable.
    """
    if not any(line.text.strip() for line in lines):
        return UNREADABLE
    if isinstance(game, MutualFriend):
        return _friend(game, lines)
    if isinstance(game, Bargain):
        return _last_agreement(lines, lambda line, standing: _price(game, line.text, standing))
    return _last_agreement(lines, lambda line, standing: _division(game, line, standing))


# What a turn puts forward: terms, None for nothing, or this where terms are named that cannot be told apart.
class _Unclear:
    pass


_UNCLEAR = _Unclear()
_Terms = Hashable | _Unclear | None


def _last_agreement(lines: Sequence[LineLike], offer_of: Callable[[LineLike, _Terms], _Terms]) -> Agreement:
    """Follow offers and acceptances; `offer_of` reads a turn's offer, given the one that stands."""
    standing: _Terms = None
    by, stray, found = 0, False, NO_AGREEMENT
    for line in lines:
        offer = offer_of(line, standing)
        accepts = any(_accepts(sentence) for sentence in _sentences(line.text))
        if accepts and standing is not None and by != line.agent and offer in (None, standing):
            found = UNREADABLE if standing is _UNCLEAR else Agreement("deal", standing)  # type: ignore[arg-type]
        elif offer is None:
            stray = stray or accepts
        elif found is NO_AGREEMENT:
            standing, by = offer, line.agent
        elif offer is not _UNCLEAR and offer != found.terms:
            # Something else after an agreement: it is open again, until this is accepted.
            standing, by, found = offer, line.agent, UNREADABLE
    # Somebody accepted, and no offer could be found at all.
    return UNREADABLE if stray and standing is None else found


def _sentences(text: str) -> Iterator[str]:
    return (sentence for sentence in _SENTENCE.findall(text) if sentence.strip())


def _accepts(sentence: str) -> bool:
    return bool(_ACCEPTS.search(sentence)) and "?" not in sentence and not _OPEN.search(sentence)


def _price(game: Bargain, text: str, standing: _Terms) -> _Terms:
    named: dict[float, bool] = {}
    for sentence in _sentences(text):
        rejected = bool(_REJECTS.search(sentence))
        for symbol, word, bare in _PRICE.findall(_INSTEAD.sub("", sentence)):
            price = amount(symbol or word or bare)
            low, high = (times * game.listed for times in _PLAUSIBLE)
            if symbol or word or low <= price <= high:
                named[price] = named.get(price, True) and rejected
    offered = [price for price, rejected in named.items() if not rejected]
    if len(offered) > 1:
        # "$18 instead of your $15": what stands already, or was asked for at first, is only pointed to.
        offered = [price for price in offered if price not in (standing, game.listed)] or offered
    if not offered:
        return None
    return offered[0] if len(offered) == 1 else _UNCLEAR


def _division(game: Division, line: LineLike, standing: _Terms) -> _Terms:
    """Agent 1's number of each item, where a turn says who is to get what."""
    shares: dict[int, dict[str, int]] = {1: {}, 2: {}}
    rest_to: set[int] = set()
    for sentence in _sentences(line.text):
        if _VALUES.search(sentence) or _REJECTS.search(sentence):
            continue
        for agent, noun, number in _allotted(game, sentence, line.agent):
            if noun is None:
                rest_to.add(agent)
            elif shares[agent].get(noun, number) != number:
                return _UNCLEAR
            else:
                shares[agent][noun] = number
    if not shares[1] and not shares[2]:
        return None
    return _whole(game, shares, rest_to)


def _allotted(game: Division, sentence: str, speaker: int) -> Iterator[tuple[int, str | None, int]]:
    """Who gets how many of what, in the order of the words; no noun: all that is left."""
    markers = [(match.start(), speaker) for match in _SELF.finditer(sentence)]
    markers += [(match.start(), 3 - speaker) for match in _PARTNER.finditer(sentence)]
    nouns = "|".join(re.escape(noun) for noun in game.items)
    things = [
        (match.start(), singular(match["noun"]), _number(game, match))
        for match in re.finditer(
            rf"\b(?P<words>(?:(?:both|all|every|the|my|your|those|these|an?|\d+|{'|'.join(_NUMBERS)}|of)\s+){{0,4}})"
            rf"(?P<noun>{nouns})(?P<plural>s?)\b",
            sentence,
            re.IGNORECASE,
        )
    ]
    rest: list[tuple[int, str | None, int]] = [(m.start(), None, 0) for m in _REST.finditer(sentence)]
    for place, noun, number in sorted([*things, *rest], key=lambda thing: thing[0]):
        before = [marker for marker in markers if marker[0] < place]
        if before:
            yield max(before)[1], noun, number


def _number(game: Division, match: re.Match[str]) -> int:
    count = game.counts[game.items.index(singular(match["noun"]))]
    words = match["words"].lower().split()
    for word in words:
        if word.isdigit():
            return int(word)
        if word in _NUMBERS:
            return _NUMBERS[word]
        if word == "both":
            return 2
    # "the hats" and "hats" are all of them, "the hat" is one.
    return count if match["plural"] or any(word in ("all", "every") for word in words) else 1


def _whole(game: Division, shares: dict[int, dict[str, int]], rest_to: set[int]) -> _Terms:
    # Once every item is named on some side, what is left of each is the other's.
    implied = all(noun in shares[1] or noun in shares[2] for noun in game.items)
    result = []
    for noun, count in zip(game.items, game.counts, strict=True):
        first, second = shares[1].get(noun), shares[2].get(noun)
        if first is None and second is None and len(rest_to) == 1:
            first, second = (count, 0) if rest_to == {1} else (0, count)
        elif first is None and second is not None and (implied or rest_to == {1}):
            first = count - second
        elif second is None and first is not None and (implied or rest_to == {2}):
            second = count - first
        if first is None or second is None or min(first, second) < 0 or first + second != count:
            return _UNCLEAR
        result.append(first)
    return tuple(result)


def _friend(game: MutualFriend, lines: Sequence[LineLike]) -> Agreement:
    name = re.compile(rf"\b{re.escape(game.name)}\b", re.IGNORECASE)
    said = {line.agent for line in lines if name.search(line.text)}
    return Agreement("deal", True) if said == {1, 2} else NO_AGREEMENT
