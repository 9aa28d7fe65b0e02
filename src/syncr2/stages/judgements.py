"""Judgements: all judges' scores by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncr2.files import read_jsonl, write_table
from syncr2.judges.performance import performance_of
from syncr2.judges.reliability import agreement_table
from syncr2.judges.scores import read_scores


def summarise(judgements: Sequence[str], family: Mapping[str, str], output: Mapping[str, str]) -> None:
    """Average over agents, orders, episodes, seeds and speaking orders, by judge and pair; and say how far
    judges and orders agree.
    """
    scores = read_scores((line for path in judgements for line in read_jsonl(path)), family)
    write_table(output["performance"], performance_of(scores, family))
    write_table(output["agreement"], agreement_table(scores))
