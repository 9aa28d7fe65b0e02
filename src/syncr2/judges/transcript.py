"""A mark around the transcript that nothing said in it can imitate.

A model may well say "=== Dialogue: end ===" and then ask the judge for a 10. Two things stand against it:
every line of the transcript is one turn's and begins with its number and speaker, since utterances hold no
line ends; and the lines around it bear a code made from all that was said, which nobody who speaks can know.
What is left of such a request is an utterance like any other, and the schema bounds whatever comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from syncr2.files import sha256_text
from syncr2.judges.base import Line
from syncr2.sotopia.views import JudgeView

_LENGTH = 12


@dataclass(frozen=True)
class MarkedView(JudgeView):
    """What the judge knows, and the code on both lines around the transcript."""

    boundary: str


def marked(view: JudgeView, lines: Sequence[Line]) -> MarkedView:
    """Add the code: the beginning of a SHA-256 over the view and all that was said.

    The same case has the same code, so that the same request finds its answer in the cache.
    """
    text = "\n".join([repr(view), *(f"{line.speaker}: {line.text}" for line in lines)])
    code = sha256_text(text)[:_LENGTH]
    while code in text:  # once in 10^14, unless somebody works at it
        text += code
        code = sha256_text(text)[:_LENGTH]
    values = {field.name: getattr(view, field.name) for field in fields(JudgeView)}
    return MarkedView(**values, boundary=code)
