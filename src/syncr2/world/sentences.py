"""The grammar of the world: from an act and a feeling to a sentence, and back.

Sentences and words stand in `resources/world`. All word lists are closed, so that a sentence can be read back
exactly; what cannot be read is no sentence of the world.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from syncr2.errors import SyncR2Error
from syncr2.files import read_yaml

FOLDER = Path(__file__).resolve().parents[3] / "resources" / "world"
LEVEL_KINDS = ("bargain", "split", "plan", "persuade")
NEUTRAL = "neutral 0"
# The word lists that a slot of this name draws from; `thing` is what the episode is about.
THINGS = ("goods", "shares", "events", "chores")
_SLOT = re.compile(r"\{(\w+)\}")

Pick = Callable[[Sequence[str]], str]


class Said(NamedTuple):
    """What an utterance says.

    Attributes
    ----------
    act : str
        A key of `acts` in sentences.yaml, or "offer".
    feeling : str
        Emotion and valence, such as "joy 2"; valences go from -2 to 2.
    slots : mapping
        What fills the sentence's slots, as text.
    kind : str or None
        For an offer: the kind of game that it belongs to.
    """

    act: str
    feeling: str
    slots: Mapping[str, str]
    kind: str | None = None

    @property
    def valence(self) -> int:
        """Valence of the feeling, -2..2."""
        return valence(self.feeling)


class Grammar(NamedTuple):
    """Words and sentences, with the pattern of every sentence for reading."""

    words: Mapping[str, list[str]]
    openers: Mapping[str, list[str]]
    acts: Mapping[str, list[str]]
    offers: Mapping[str, list[str]]
    notes: Mapping[str, Any]
    patterns: tuple[tuple[str, str | None, re.Pattern[str]], ...]
    feeling_of: Mapping[str, str]


def valence(feeling: str) -> int:
    """Valence of a feeling, -2..2."""
    return int(feeling.rpartition(" ")[2])


def emotion(feeling: str) -> str:
    """One of Ekman's six, or "neutral"."""
    return feeling.partition(" ")[0]


@cache
def grammar() -> Grammar:
    """The grammar of `resources/world`.

    Raises
    ------
    SyncR2Error
        If a sentence has a slot that nothing fills.
    """
    words = _read("words.yaml")
    texts = _read("sentences.yaml")
    offers, acts = texts["offers"], texts["acts"]
    patterns = [(act, None, pattern(text, words)) for act, listed in acts.items() for text in listed]
    patterns += [("offer", kind, pattern(text, words)) for kind, listed in offers.items() for text in listed]
    feeling_of = {text: feeling for feeling, listed in texts["openers"].items() for text in listed}
    notes = {key: texts[key] for key in ("notes", "nothing_said", "feelings", "doings")}
    return Grammar(
        words,
        texts["openers"],
        acts,
        offers,
        MappingProxyType(notes),
        tuple(patterns),
        MappingProxyType(feeling_of),
    )


def pattern(template: str, words: Mapping[str, list[str]]) -> re.Pattern[str]:
    """The pattern that reads a template back: every slot is a group that takes its words only."""
    parts, end = [], 0
    for slot in _SLOT.finditer(template):
        parts += [re.escape(template[end : slot.start()]), f"(?P<{slot[1]}>{_choices(slot[1], words)})"]
        end = slot.end()
    return re.compile("".join(parts) + re.escape(template[end:]))


def say(said: Said, pick: Pick) -> str:
    """Put into words: an opener of the feeling and a sentence of the act, drawn with `pick`.

    Slots that `said` leaves open and that are word lists are drawn, too. To leave is the mark alone.
    """
    rules = grammar()
    listed = rules.offers[said.kind] if said.act == "offer" and said.kind else rules.acts[said.act]
    opener, template = pick(rules.openers[said.feeling]), pick(listed)
    body = _SLOT.sub(lambda slot: said.slots.get(slot[1]) or pick(_words(slot[1], rules.words)), template)
    return body if said.act == "leave" else joined(opener, body)


def joined(opener: str, body: str) -> str:
    """Opener and sentence; a sentence has a capital where it begins one."""
    if not opener or opener[-1] in ".!?":
        body = body[0].upper() + body[1:]
    return f"{opener} {body}".strip()


def read(text: str) -> Said | None:
    """What an utterance says; None if it is no sentence of the world."""
    rules = grammar()
    for opener, feeling in rules.feeling_of.items():
        if not text.startswith(opener):
            continue
        body = text.removeprefix(opener).lstrip()
        # Only what the grammar itself would write: neither another space nor another capital.
        for candidate in (body, body[:1].lower() + body[1:]):
            found = _read_body(candidate)
            if found and text == (candidate if found[0] == "leave" else joined(opener, candidate)):
                act, kind, slots = found
                return Said(act, feeling, slots, kind)
    return None


def _read_body(body: str) -> tuple[str, str | None, Mapping[str, str]] | None:
    for act, kind, compiled in grammar().patterns:
        if match := compiled.fullmatch(body):
            return act, kind, match.groupdict()
    return None


def note(who: str, said: Said, pick: Pick) -> str:
    """What a listener notes of the last line heard."""
    notes = grammar().notes
    doing = notes["doings"][said.act].replace("{n}", said.slots.get("n", ""))
    filled = {"who": who, "feeling": notes["feelings"][said.feeling], "doing": doing}
    return _SLOT.sub(lambda slot: filled[slot[1]], pick(notes["notes"]))


def _words(slot: str, words: Mapping[str, list[str]]) -> list[str]:
    return words[{"place": "places"}.get(slot, slot)]


def _choices(slot: str, words: Mapping[str, list[str]]) -> str:
    if slot in ("n", "low", "high", "limit"):
        return r"\d+"
    if slot in ("name", "self"):
        listed = words["names"]
    elif slot == "thing":
        listed = [word for name in THINGS for word in words[name]]
    elif slot in words or slot == "place":
        listed = _words(slot, words)
    else:
        raise SyncR2Error(
            f"{FOLDER}: {{{slot}}} is no slot. There are: name, self, n, thing, place, {', '.join(words)}."
        )
    # Longest first, so that no word hides another that begins with it.
    return "|".join(re.escape(word) for word in sorted(listed, key=len, reverse=True))


def _read(name: str) -> Any:
    try:
        return read_yaml(FOLDER / name)
    except FileNotFoundError:
        raise SyncR2Error(
            f"{FOLDER / name}: no such file. It is part of the repository; install the package from a clone, "
            "editable."
        ) from None
