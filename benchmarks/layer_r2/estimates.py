"""From timed units to the time of the whole job, with words that say how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class Estimate(NamedTuple):
    """Time of the whole job.

    Attributes
    ----------
    seconds : float
    timed, units : int
        How many units were timed, and how many the job has.
    extrapolated : bool
        Whether any part of `seconds` was not measured but multiplied.
    how : str
        The same in words, for the table.
    """

    seconds: float
    timed: int
    units: int
    extrapolated: bool
    how: str


def within(
    budget: float, units: Iterable[Unit], run: Callable[[Unit], Result], seconds: Callable[[Result], float]
) -> list[Result]:
    """Run units in order until the next would probably pass the budget; at least one."""
    done: list[Result] = []
    spent = 0.0
    for unit in units:
        if done and spent + spent / len(done) > budget:
            break
        done.append(run(unit))
        spent += seconds(done[-1])
    return done


def multiplied(seconds: Sequence[float], units: int, what: str) -> Estimate:
    """Mean time of the timed units, times the number of units."""
    timed = len(seconds)
    if timed == units:
        return Estimate(float(np.sum(seconds)), timed, units, False, f"timed all {units} {what}")
    how = f"timed {timed} of {units} {what}, multiplied"
    return Estimate(float(np.mean(seconds)) * units, timed, units, True, how)


def two_points(
    few: Sequence[float],
    many: Sequence[float],
    n_few: int,
    n_many: int,
    n_targets: int,
    units: int,
) -> Estimate:
    """Time of fits with all target layers, from fits with some of them.

    A fit of one source layer with k target layers stacked is taken to cost a + b·k seconds: a for the
    factorisation, b for each target layer. The two follow from the mean times at `n_few` and `n_many` target
    layers; the job is `units` fits with `n_targets` of them. No allowance is made for the memory that such a
    fit would need: it is a lower bound where the machine does not have it.
    """
    slope = (float(np.mean(many)) - float(np.mean(few))) / (n_many - n_few)
    fixed = float(np.mean(few)) - n_few * slope
    how = (
        f"timed {len(many)} of {units} source layers with {n_few} and with {n_many} of {n_targets} "
        "target layers; fixed cost + cost a target layer, multiplied"
    )
    return Estimate(units * (fixed + slope * n_targets), len(many), units, True, how)
