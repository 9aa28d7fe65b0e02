"""Agreement against the worked examples of those who proposed the measures, and a count of all pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from syncr2.judges.agreement import agreement, intraclass, krippendorff_alpha

NAN = float("nan")
# Shrout and Fleiss (1979), table 2: six targets, four judges.
SHROUT = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
)
# Krippendorff (2011), example C: four observers (rows), twelve units, gaps.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T


def test_intraclass_gives_the_published_example() -> None:
    single, mean = intraclass(SHROUT)
    assert single == pytest.approx(0.29, abs=0.005)
    assert mean == pytest.approx(0.62, abs=0.005)


def test_alpha_gives_the_published_example() -> None:
    assert krippendorff_alpha(KRIPPENDORFF) == pytest.approx(0.849, abs=0.0005)


def test_alpha_is_the_ratio_of_mean_disagreements_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    ratings = rng.normal(size=(20, 1)) + rng.normal(size=(20, 4))
    ratings[rng.random(ratings.shape) < 0.3] = NAN
    units = [unit[np.isfinite(unit)] for unit in ratings]
    units = [unit for unit in units if len(unit) >= 2]
    n = sum(map(len, units))
    observed = sum(
        sum((a - b) ** 2 for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    everything = np.concatenate(units)
    expected = sum((a - b) ** 2 for a, b in itertools.permutations(everything, 2)) / (n - 1)
    assert krippendorff_alpha(ratings) == pytest.approx(1 - observed / expected)


def test_a_rater_who_is_always_two_higher_agrees_in_rank_only() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=200)
    same, shifted = np.stack([base, base], axis=1), np.stack([base, base + 2], axis=1)
    assert agreement(same)[3:] == pytest.approx((1, 1, 1))
    # Between units 2 of 2 + 4 / 2 + ... : the closed form for unit variance v is v / (v + 2).
    variance = base.var(ddof=1)
    assert intraclass(shifted)[0] == pytest.approx(variance / (variance + 2), rel=1e-6)
    assert krippendorff_alpha(shifted) < 0.4


def test_raters_who_guess_do_not_agree_and_their_number_is_counted() -> None:
    ratings = np.random.default_rng(2).normal(size=(2000, 3))
    ratings[0, 0] = NAN
    ratings[1, :2] = NAN
    found = agreement(ratings)
    assert (found.n_raters, found.n_units, found.n_complete) == (3, 1999, 1998)
    assert np.abs(found[3:]).max() < 0.06


@pytest.mark.parametrize(
    "ratings",
    [
        np.full((5, 2), 7.0),
        np.zeros((5, 2)),
        np.full((3, 2), NAN),
        np.empty((0, 2)),
        np.array([[1.0, 2.0]])[:0],
    ],
)
def test_where_nothing_varies_agreement_is_not_defined(ratings: np.ndarray) -> None:
    assert np.isnan(agreement(ratings)[3:]).all()
