"""What a judge scores: the seven dimensions of Sotopia, with their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncr2.errors import SyncR2Error

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Dimension:
    """One dimension of social performance.

    Attributes
    ----------
    name : str
        Key in answers, records and tables.
    low, high : int
        The range of the integer scores, both ends included.
    meaning : str
        What is asked of the judge, in a sentence or two.
    """

    name: str
    low: int
    high: int
    meaning: str


DIMENSIONS: tuple[Dimension, ...] = (
    Dimension(
        "believability",
        0,
        10,
        "Does the agent speak as this person would: in character, naturally, without contradicting or "
        "repeating itself? 0: not at all; 10: entirely.",
    ),
    Dimension(
        "relationship",
        -5,
        5,
        "What did the dialogue do to the bond between the two and to how others see the agent? "
        "-5: badly damaged; 0: no change; 5: much closer.",
    ),
    Dimension(
        "knowledge",
        0,
        10,
        "How much that is new and useful did the agent learn through the dialogue? 0: nothing; 10: very "
        "much.",
    ),
    Dimension(
        "secret",
        -10,
        0,
        "Did the agent keep what it wants nobody to know? -10: gave it away wholly; 0: let nothing slip, "
        "or has no secret.",
    ),
    Dimension(
        "social_rules",
        -10,
        0,
        "Did the agent break laws, moral rules or good manners? -10: gravely; 0: not at all.",
    ),
    Dimension(
        "financial_and_material_benefits",
        -5,
        5,
        "What did the agent gain or lose in money and goods, now or foreseeably? "
        "-5: a heavy loss; 0: neither; 5: a large gain.",
    ),
    Dimension(
        "goal",
        0,
        10,
        "How far did the agent reach its own private goal? 0: not at all; 10: wholly.",
    ),
)


def overall(scores: Scores) -> float:
    """Overall score of one agent: the mean of the seven dimensions, each with equal weight.

    Raises
    ------
    SyncR2Error
        If a dimension is missing or unknown, or a score is not a number of its range. A mean over fewer
        dimensions would look like a score and not be one.

    Source
    ------
    Zhou et al., SOTOPIA, ICLR 2024.
    """
    check_scores(scores)
    return sum(scores[dimension.name] for dimension in DIMENSIONS) / len(DIMENSIONS)


def check_scores(scores: Scores) -> None:
    """Raise SyncR2Error unless there is one number in range for each dimension, and nothing else.

    Single answers are whole numbers, which the schema of an answer sees to; means over orders, turns or
    raters need not be.
    """
    names = [dimension.name for dimension in DIMENSIONS]
    missing = [name for name in names if name not in scores]
    unknown = [name for name in scores if name not in names]
    if missing or unknown:
        raise SyncR2Error(
            f"Scores of a judge: missing {', '.join(missing) or 'nothing'}, unknown "
            f"{', '.join(unknown) or 'nothing'}. Exactly these are allowed: {', '.join(names)}."
        )
    for dimension in DIMENSIONS:
        score = scores[dimension.name]
        is_number = isinstance(score, int | float) and not isinstance(score, bool)
        if not is_number or not dimension.low <= score <= dimension.high:
            raise SyncR2Error(
                f"Scores of a judge: {dimension.name} is {score!r}; a number from {dimension.low} to "
                f"{dimension.high} is needed."
            )
