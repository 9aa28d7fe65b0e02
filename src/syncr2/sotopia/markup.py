"""Who may read which part of a text: the tags inside Sotopia's scenarios and goals.

Four tags are known. `extra_info`, `strategy_hint` and `clarification_hint` mark parts of a goal and hide
nothing; `p` is neutral as well. Any of them may bear `viewer="…"`, and then its content is for that reader
alone. Tags themselves are never shown to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from syncr2.errors import SyncR2Error

TAGS = ("p", "extra_info", "strategy_hint", "clarification_hint")
ENVIRONMENT = "environment"
AGENTS = ("agent_1", "agent_2")
# Sotopia counts agents from 0; `renumbered` brings a file to ours, so that no other code has to know of it.
FILE_VIEWERS = (ENVIRONMENT, "agent_0", *AGENTS)

# "a < b", "<3" and "<me@home.org>" are text; a letter right after the bracket and a plain end make a tag.
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[A-Za-z][\w-]*)(?P<attributes>(?:\s[^<>]*)?)>|<(?P<single>[A-Za-z][\w-]*)[^<>]*/>"
)
_VIEWER = re.compile(r"""\s+viewer\s*=\s*(?P<quote>["'])(?P<viewer>[^"']*)(?P=quote)\s*""")


@dataclass(frozen=True)
class _Tag:
    start: int
    end: int
    text: str
    name: str
    closes: bool
    viewer: str | None
    problem: str | None


def problems(text: str) -> list[str]:
    """What is wrong with the tags of a text, in words; empty if nothing is.

    Parameters
    ----------
    text : str
        A scenario or a goal as it stands in a file.
    """
    found = []
    open_tags: list[str] = []
    for tag in _tags(text):
        if tag.problem:
            found.append(tag.problem)
        elif not tag.closes:
            open_tags.append(tag.name)
        elif open_tags and open_tags[-1] == tag.name:
            open_tags.pop()
        else:
            expected = f"</{open_tags[-1]}>" if open_tags else "no closing tag"
            found.append(f"unbalanced tags: found {tag.text} where {expected} can stand")
            if tag.name in open_tags:
                open_tags.remove(tag.name)
    found += [f"unbalanced tags: <{name}> is never closed" for name in open_tags]
    return found


def has_tags(text: str) -> bool:
    """Whether a text holds one of the known tags."""
    return any(tag.name in TAGS for tag in _tags(text))


def viewers(text: str) -> set[str]:
    """The readers that a text names in its tags."""
    return {tag.viewer for tag in _tags(text) if tag.viewer is not None}


def renumbered(text: str) -> str:
    """The text with agents counted from 1 where its tags count them from 0, as Sotopia does."""
    pieces, position = [], 0
    for tag in _tags(text):
        new = {"agent_0": "agent_1", "agent_1": "agent_2"}.get(tag.viewer or "")
        pieces.append(text[position : tag.start])
        pieces.append(f'<{tag.name} viewer="{new}">' if new else tag.text)
        position = tag.end
    return "".join(pieces) + text[position:]


def visible(text: str, viewer: str | None) -> str:
    """What one reader sees of a text: without tags, without what is for others, stripped at both ends.

    Parameters
    ----------
    text : str
        With balanced tags, agents counted from 1.
    viewer : {"agent_1", "agent_2", "environment"} or None
        "environment" (the judge) sees everything; None is the public, which sees what is for nobody in
        particular.

    Raises
    ------
    SyncR2Error
        If the tags are not known or not balanced: what is hidden would be a guess.
    """
    wrong = problems(text)
    if wrong:
        raise SyncR2Error(f"The text {text[:60]!r}… cannot be shown: {'; '.join(wrong)}.")
    shown = [True]
    pieces, position = [], 0
    for tag in _tags(text):
        if shown[-1]:
            pieces.append(text[position : tag.start])
        position = tag.end
        if tag.closes:
            shown.pop()
        else:
            # A part for somebody inside a part for somebody else is for neither.
            shown.append(shown[-1] and (viewer == ENVIRONMENT or tag.viewer in (None, viewer)))
    pieces.append(text[position:])
    return "".join(pieces).strip()


def _tags(text: str) -> Iterator[_Tag]:
    for match in _TAG.finditer(text):
        name = match["name"] or match["single"]
        closes, attributes = bool(match["close"]), (match["attributes"] or "").rstrip()
        viewer = None
        problem = None
        if name not in TAGS:
            allowed = ", ".join(f"<{known}>" for known in TAGS)
            problem = f"unknown tag {match[0]}; allowed: {allowed}. Write text without angle brackets"
        elif match["single"]:
            problem = f"the tag {match[0]} has no content; write <{name}>…</{name}> or leave it out"
        elif attributes:
            attribute = _VIEWER.fullmatch(attributes)
            viewer = attribute["viewer"] if attribute and not closes else None
            if viewer not in FILE_VIEWERS:
                problem = (
                    f"in {match[0]}: the one attribute allowed is viewer, one of {', '.join(FILE_VIEWERS)}"
                )
        yield _Tag(match.start(), match.end(), match[0], name, closes, viewer, problem)
