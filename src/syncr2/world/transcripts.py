"""How much a turn depends on the partner's last one, by what was said alone: coupling without hidden states.

Of the world's own dialogues the coupling is known, so its curve says what these numbers are worth; of models
it is not, and they say how much of their world's coupling the models took up. A row is a turn with labels
of its own, of the partner's turn before, and of its own turn before that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.maps.folds import environment_folds, fold_of
from syncr2.maps.intervals import FoldSums
from syncr2.world.setting import KINDS
from syncr2.world.tendencies import INTENTIONS

_ACTS = tuple(INTENTIONS)
_INTENTIONS = tuple(dict.fromkeys(INTENTIONS.values()))
# Of the ridge maps, on indicators and on valences of -2 to 2; a row counts as one.
_PENALTY = 10.0
MEASURES = ("valence_slope", "valence_gain", "intention_gain")


class Estimate(NamedTuple):
    """A number with each environment's influence on it: their sum of squares is the jackknife variance.

    Attributes
    ----------
    value : float
    influence : ndarray, shape (n_environments,)
    """

    value: float
    influence: NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """One dialogue's labels.

    Attributes
    ----------
    environment, kind : str
        Of its episode.
    lead : {1, 2}
        The agent that leads.
    labels : sequence of mapping
        One a turn, with `valence`, `act` and `intention` where the turn could be read.
    """

    environment: str
    kind: str
    lead: int
    labels: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Rows:
    """Blocks of features, (n_rows, n), and targets of all rows.

    Attributes
    ----------
    known : ndarray
        Turn, kind of episode with role, and what the speaker itself said last.
    partner : ndarray
        Valence (first column) and act of what the partner has just said.
    valence, intention : ndarray
        Of the turn itself; intentions as indicators.
    environments : list of str
    """

    known: NDArray[np.float64]
    partner: NDArray[np.float64]
    valence: NDArray[np.float64]
    intention: NDArray[np.float64]
    environments: list[str]


def transcript_measures(
    dialogues: Iterable[Labelled], environments: Sequence[str], n_folds: int, fold_seed: int
) -> dict[str, Estimate]:
    """Measure how turns depend on the partner's last turn.

    Parameters
    ----------
    dialogues : iterable of Labelled
    environments : sequence of str
        All that folds are drawn over; influences are in the order of their sorted names.
    n_folds, fold_seed : int
        As for `folds.environment_folds`.

    Returns
    -------
    dict
        `valence_slope`, the slope of a turn's valence on that of the partner's last turn beside what else is
        known: it is proportional to coupling. `valence_gain` and `intention_gain`: ΔR² on environments that
        the maps have not seen, with the partner's valence and act less without.

    Raises
    ------
    SyncR2Error
        If there are fewer environments than folds, or no rows in one of them.
    """
    names = sorted(set(environments))
    rows = _rows(dialogues)
    if not rows.environments:
        raise SyncR2Error("No turn could be read with the two before it, so nothing can be said of them.")
    place = {name: i for i, name in enumerate(names)}
    at = np.array([place[name] for name in rows.environments])
    folds = fold_of(rows.environments, environment_folds(names, n_folds, fold_seed))
    both = np.hstack([rows.known, rows.partner])
    found = {"valence_slope": _slope(rows, at, len(names))}
    for name, target in (("valence_gain", rows.valence), ("intention_gain", rows.intention)):
        more, less = (_predicted(each, target, folds, at, len(names)) for each in (both, rows.known))
        found[name] = Estimate(more.value - less.value, more.influence - less.influence)
    return found


def _rows(dialogues: Iterable[Labelled]) -> _Rows:
    known, partner, valence, intention, environments = [], [], [], [], []
    for dialogue in dialogues:
        for turn in range(2, len(dialogue.labels)):
            own, other, now = dialogue.labels[turn - 2 : turn + 1]
            if any(each.get("act") is None for each in (own, other, now)):
                continue
            # Agent 1 has the even turns. A role is a place among twelve, two a kind.
            leads = (turn % 2 == 0) == (dialogue.lead == 1)
            role = 2 * KINDS.index(dialogue.kind) + leads
            known.append([*_one(turn, 12), *_one(role, 2 * len(KINDS)), *_signs(own)])
            partner.append(_signs(other))
            valence.append([now["valence"]])
            intention.append(_one(_INTENTIONS.index(now["intention"]), len(_INTENTIONS)))
            environments.append(dialogue.environment)

    def array(rows: list[list[float]]) -> NDArray[np.float64]:
        return np.array(rows, dtype=np.float64)

    return _Rows(array(known), array(partner), array(valence), array(intention), environments)


def _signs(label: Mapping[str, Any]) -> list[float]:
    return [float(label["valence"]), *_one(_ACTS.index(label["act"]), len(_ACTS))]


def _one(place: int, n: int) -> list[float]:
    # Dialogues of more turns than those of the world: the later ones share the last place.
    return [float(i == min(place, n - 1)) for i in range(n)]


def _slope(rows: _Rows, at: NDArray[np.intp], n: int) -> Estimate:
    """Least squares on the partner's valence and what is known, and again without each environment."""
    features = np.hstack([rows.partner[:, :1], rows.known])
    gram = np.stack([features[at == i].T @ features[at == i] for i in range(n)])
    moment = np.stack([features[at == i].T @ rows.valence[at == i, 0] for i in range(n)])

    def fitted(kept: NDArray[np.bool_]) -> float:
        # Indicators sum to 1 in several ways: the shortest solution, whose slope is the same as any other's.
        return float(np.linalg.lstsq(gram[kept].sum(axis=0), moment[kept].sum(axis=0), rcond=1e-10)[0][0])

    present = np.isin(np.arange(n), at)
    influence = np.zeros(n)
    if present.sum() > 1:
        without = np.array([fitted(present & (np.arange(n) != i)) for i in np.flatnonzero(present)])
        m = len(without)
        influence[present] = np.sqrt((m - 1) / m) * (without.mean() - without)
    return Estimate(fitted(present), influence)


def _predicted(
    features: NDArray[np.float64],
    target: NDArray[np.float64],
    folds: NDArray[np.intp],
    at: NDArray[np.intp],
    n: int,
) -> Estimate:
    """R² of a ridge map on each fold, fitted on the others; the mean over folds."""
    numbers = np.unique(folds)
    values, influence = [], np.zeros(n)
    for fold in numbers:
        test = folds == fold
        centre, mean = features[~test].mean(axis=0), target[~test].mean(axis=0)
        x, y = features[~test] - centre, target[~test] - mean
        weights = np.linalg.solve(x.T @ x + _PENALTY * np.eye(x.shape[1]), x.T @ y)
        residual = target[test] - mean - (features[test] - centre) @ weights
        sums = FoldSums.of(target[test], residual, at[test])
        values.append(float(sums.r2()[0]))
        influence[sums.environments] += sums.influence() / len(numbers)
    return Estimate(float(np.mean(values)), influence)
