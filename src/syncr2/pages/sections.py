"""A page that reads like a results section: questions, what the tables say to each, and the tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from syncr2.pages.correlations import ALL, ALL_FAMILIES
from syncr2.pages.layout import UNDEFINED, Download, Head, Table, fixed, is_number, p_value, render

ALPHA = 0.05


@dataclass(frozen=True)
class Shown:
    """A table with what stands above it and below; `hidden` tables are folded up under their title."""

    table: Table
    note: str = ""
    title: str = ""
    hidden: bool = False


@dataclass(frozen=True)
class Section:
    """A question and its answer. Words in backticks are shown as code."""

    question: str
    paragraphs: tuple[str, ...]
    tables: tuple[Shown, ...] = ()
    caveat: str = ""


def sections_page(
    head: Head,
    title: str,
    lead: Sequence[str],
    sections: Sequence[Section],
    downloads: Sequence[Download] = (),
    judged: bool = True,
) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    title : str
    lead : sequence of str
        Paragraphs before the first question.
    sections : sequence of Section
    downloads : sequence of Download
    judged : bool
        Whether anything on the page rests on judges: where these are stand-ins, the page says so first.
    """
    return render(
        "sections.html", head, title=title, lead=lead, sections=sections, downloads=downloads, judged=judged
    )


# ---------------------------------------------------------------- words


def family_words(family: str) -> str:
    """A family of pairs as tables name it."""
    return ALL if family == ALL_FAMILIES else family


def listed(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = list(parts)
    return f"{', '.join(most)} and {last}" if most else last


def span(low: float, high: float, digits: int = 3) -> str:
    """`0.231 to 0.995`; an en dash where there is none."""
    return (
        f"{fixed(low, digits)} to {fixed(high, digits)}" if is_number(low) and is_number(high) else UNDEFINED
    )


def with_span(value: float, low: float, high: float, digits: int = 3, signed: bool = False) -> str:
    """`0.753 [0.050, 0.982]`; the value alone where it has no interval."""
    ends = f" [{fixed(low, digits)}, {fixed(high, digits)}]" if is_number(low) and is_number(high) else ""
    return fixed(value, digits, signed) + ends


def p_words(p: float) -> str:
    """`p = 0.060`, `p < 0.001`."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def counted_below(p: pd.Series) -> str:
    """`2 of 3`: how many p values of those that are defined are below 0.05; `none of 3`."""
    tested = p.astype(float).dropna()
    below = int((tested < ALPHA).sum())
    return f"{below or 'none'} of {len(tested)}"


def corrected_words(table: pd.DataFrame, apart: str = "") -> str:
    """What Holm's correction ran over, from the column `corrected_over`.

    Parameters
    ----------
    table : DataFrame
    apart : str
        What is corrected by itself, such as "each measure".
    """
    over = [str(each) for each in dict.fromkeys(table["corrected_over"].dropna()) if str(each)]
    if not over:
        return "Nothing was corrected: there is one test."
    longest = max(over, key=len)
    by_itself = f", {apart} by itself" if apart else ""
    all_pairs = "; all pairs, which hold the same pairs again, by themselves" if "famil" in longest else ""
    return f"Corrected by Holm's method, each kind of p over {longest}{by_itself}{all_pairs}."
