"""Put labels beside points so that they cover neither each other nor the points.

A greedy search with repair: every label takes the cheapest of a fixed set of places around its point, the
most crowded point first; then each is moved again, given all the others, until nothing gets better. All steps
are deterministic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Relative costs. Covering text or points is what must not happen; crossing a line, or standing far off, is
# only untidy.
_COVER, _OUTSIDE, _LEADER, _CROSSED, _NEAR, _LINE, _FAR = 100.0, 100.0, 20.0, 5.0, 0.5, 0.5, 0.05
_CLEAR = 4.0  # how far a label should stay from points that are not its own, lest it be read as theirs
_ANGLES = np.deg2rad(np.array([0, 180, 90, 270, 30, 150, 330, 210, 60, 120, 300, 240]))
_REACHES = (0.0, 6.0, 13.0, 22.0, 33.0, 46.0)
_ROUNDS = 8

# Parts of a model's name that say its size or how it was tuned.
_SPARE_PART = re.compile(r"\d+(\.\d+)?[bmk]|instruct|chat|it|hf", re.IGNORECASE)


def short_names(models: Iterable[str]) -> dict[str, str]:
    """Return the names of models without what they can spare, for places where a full name does not fit.

    First the parts (between hyphens) go with which all names begin, then sizes and "instruct" and its like;
    each only if all names stay different and none becomes empty.
    """
    names = sorted(set(models))
    parts = {name: name.split("-") for name in names}
    shared = 0
    while len(names) > 1 and len({tuple(part[: shared + 1]) for part in parts.values()}) == 1:
        shared += 1
    short = dict(zip(names, names, strict=True))
    for shorter in (
        {name: part[shared:] for name, part in parts.items()},
        {
            name: [word for word in part[shared:] if not _SPARE_PART.fullmatch(word)]
            for name, part in parts.items()
        },
    ):
        joined = {name: "-".join(part) for name, part in shorter.items()}
        if all(joined.values()) and len(set(joined.values())) == len(names):
            short = joined
    return short


def place_labels(
    points: Floats,
    sizes: Floats,
    bounds: tuple[float, float, float, float],
    *,
    point_radius: float = 4.0,
    lines: Floats | None = None,
) -> Floats:
    """Choose where the labels of points stand.

    Parameters
    ----------
    points : ndarray (n, 2)
        The points, in a unit of length that is the same for all arguments (1/72 in fits the defaults).
    sizes : ndarray (n, 2)
        Width and height of each label.
    bounds : tuple
        Left, bottom, right, top of the room that labels should not leave.
    point_radius : float
        Radius of a drawn point, kept clear.
    lines : ndarray (m, 2), optional
        Positions along drawn lines, which labels avoid where they can.

    Returns
    -------
    ndarray (n, 2)
        The centres of the labels.
    """
    n = len(points)
    if n == 0:
        return np.zeros((0, 2))
    halves = sizes / 2
    candidates = [_candidates(points[i], halves[i], point_radius) for i in range(n)]
    fixed = [
        _fixed_cost(candidates[i], points[i], halves[i], points, bounds, point_radius, lines)
        for i in range(n)
    ]
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    crowding = (1.0 / (gaps + point_radius)).sum(axis=1)
    order = np.argsort(-crowding, kind="stable")

    chosen = np.full(n, -1)
    for _ in range(_ROUNDS):
        before = chosen.copy()
        for i in order:
            placed = [j for j in range(n) if j != i and chosen[j] >= 0]
            cost = fixed[i].copy()
            for j in placed:
                centre = candidates[j][chosen[j]]
                cost += _COVER * _overlap(candidates[i], halves[i], centre, halves[j])
                # Neither leader line may run through the other's label.
                cost += _LEADER * _crossing(points[i], candidates[i], centre, halves[j])
                cost += _LEADER * _crossed_by(points[j], centre, candidates[i], halves[i])
                cost += _CROSSED * _meeting(points[i], candidates[i], points[j], centre)
            chosen[i] = int(np.argmin(cost))
        if np.array_equal(before, chosen):
            break
    return np.array([candidates[i][chosen[i]] for i in range(n)])


def _candidates(point: Floats, half: Floats, radius: float) -> Floats:
    """Centres of a label that touches a circle around the point, for growing circles: (n_candidates, 2)."""
    directions = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
    rings = []
    for reach in _REACHES:
        # The label's nearest edge lies `radius + reach` from the point, whatever the direction.
        rings.append(point + directions * (radius + 1.0 + reach) + np.sign(np.round(directions, 6)) * half)
    return np.concatenate(rings)


def _fixed_cost(
    candidates: Floats,
    point: Floats,
    half: Floats,
    points: Floats,
    bounds: tuple[float, float, float, float],
    radius: float,
    lines: Floats | None,
) -> Floats:
    """Cost of each place that does not depend on the other labels."""
    left, bottom, right, top = bounds
    low, high = candidates - half, candidates + half
    spill = (
        np.maximum(0, left - low[:, 0])
        + np.maximum(0, bottom - low[:, 1])
        + np.maximum(0, high[:, 0] - right)
        + np.maximum(0, high[:, 1] - top)
    )
    cost = _OUTSIDE * spill + _FAR * np.linalg.norm(candidates - point, axis=1)
    disc = np.array([radius, radius])
    for other in points:
        cost += _COVER * _overlap(candidates, half, other, disc)
        if not np.array_equal(other, point):
            cost += _NEAR * _overlap(candidates, half, other, disc + _CLEAR)
            cost += _LEADER * _crossing(point, candidates, other, disc)
    for position in lines if lines is not None else []:
        cost += _LINE * (_overlap(candidates, half, position, np.array([0.5, 0.5])) > 0)
    return np.asarray(cost, dtype=np.float64)


def _overlap(centres: Floats, half: Floats, centre: Floats, other_half: Floats) -> Floats:
    """Depth by which boxes at `centres` enter one other box, 0 where they do not: (n,)."""
    depth = half + other_half - np.abs(centres - centre)
    return np.where((depth > 0).all(axis=1), depth.min(axis=1), 0.0)


def _crossing(start: Floats, ends: Floats, centre: Floats, half: Floats) -> Floats:
    """Share of each line from `start` to `ends` that lies inside one box: (n,)."""
    steps = np.linspace(0, 1, 9)[None, :, None]
    along = start + (ends[:, None] - start) * steps
    return np.asarray((np.abs(along - centre) < half).all(axis=-1).mean(axis=1))


def _crossed_by(start: Floats, end: Floats, centres: Floats, half: Floats) -> Floats:
    """Share of one line from `start` to `end` that lies inside boxes at `centres`: (n,)."""
    along = start + (end - start) * np.linspace(0, 1, 9)[:, None]
    return np.asarray((np.abs(along[None] - centres[:, None]) < half).all(axis=-1).mean(axis=1))


def _meeting(start: Floats, ends: Floats, other_start: Floats, other_end: Floats) -> Floats:
    """Tell for each line from `start` to `ends` whether it crosses one other line: 0 or 1, (n,)."""

    def side(first: Floats, second: Floats, position: Floats) -> Floats:
        along, towards = second - first, position - first
        return np.asarray(np.sign(along[..., 0] * towards[..., 1] - along[..., 1] * towards[..., 0]))

    apart = side(other_start, other_end, start) * side(other_start, other_end, ends) < 0
    parted = side(start, ends, other_start) * side(start, ends, other_end) < 0
    return (apart & parted).astype(np.float64)
