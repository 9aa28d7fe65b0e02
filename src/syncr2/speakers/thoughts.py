"""What a reasoning model thinks before it speaks, told apart from what it says."""

from __future__ import annotations

from typing import NamedTuple

OPEN, CLOSE = "<think>", "</think>"


class Parted(NamedTuple):
    """The two parts of an answer; `said` is None while the thought is not closed, `thought` without one."""

    thought: str | None
    said: str | None


def part(text: str, opened: bool = False) -> Parted:
    """Part an answer's text into thought and what is said.

    Parameters
    ----------
    text : str
        The answer so far, special tokens left out.
    opened : bool, optional
        Whether the prompt ended with the opening mark, as some chat templates do.
    """
    start = text.lstrip()
    if start.startswith(OPEN):
        inner = start.removeprefix(OPEN)
    elif opened:
        inner = text
    else:
        return Parted(None, text)
    thought, closed, said = inner.partition(CLOSE)
    return Parted(thought, said if closed else None)
