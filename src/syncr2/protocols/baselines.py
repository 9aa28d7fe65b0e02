"""What SyncR² does not control for: the same rows and folds, predicted from something else.

A partner's state predicts because both agents read nearly the same text, because dialogues take a common
course over turns, and because an agent's state resembles its own last one. Each baseline measures how far
such a thing carries alone, and what the partner's state adds to it (ΔR², in the manner of Granger).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from syncr2.ids import INTERACTION, Condition
from syncr2.maps.banded import Block, Candidates, fit_blocks, layer_block
from syncr2.maps.nested import Folded, Score, Selection, score
from syncr2.maps.nonlinear import affine_r2, kernel_ridge_r2, mlp_r2
from syncr2.maps.samples import Row
from syncr2.protocols.corrected import Meeting, Protocol, States, meet
from syncr2.protocols.measures import Measure

OWN_PAST = Condition("own_past", "engaged", 2, source_agent="self")
CEILING = Condition("ceiling", "engaged", 0, source_agent="self", dialogue="other")
REVERSED = Condition("partner-1", "engaged", -1)
# Standardised context features are multiplied by this, so that a penalty of 1 hardly shrinks them.
CONTEXT_SCALE = 10.0


class Baselines:
    """Baselines of one direction of one ordered pair.

    Parameters
    ----------
    states, environments, protocol
        As for `corrected.meet`.
    direction : str
    chosen : Selection
        Penalty and target layer of the interaction, from the corrected protocol.
    """

    def __init__(
        self,
        states: States,
        direction: str,
        environments: Mapping[str, str],
        chosen: Selection,
        protocol: Protocol,
    ) -> None:
        self._states, self._direction, self._environments = states, direction, environments
        self._chosen, self._protocol = chosen, protocol

    def _meet(self, *conditions: Condition) -> Meeting:
        return meet(self._states, conditions, self._direction, self._environments, self._protocol)

    def past_and_context(self, prompt_tokens: Mapping[Row, int]) -> dict[str, Measure]:
        """Turn and prompt length alone, with the target agent's own last state, and each with the source.

        Parameters
        ----------
        prompt_tokens : mapping
            Length of the target's prompt by row.
        """
        met = self._meet(INTERACTION, OWN_PAST)
        folded = Folded.of(met.fold)
        context = Candidates((self._block(context_features(met.rows, prompt_tokens), folded),), [(1.0,)])
        own = self._layers(met, OWN_PAST)
        layer, penalties = self._chosen.target_layer, self._protocol.penalties
        return self._with_source(met, "context", lambda f, i: context, lambda f, i: None) | self._with_source(
            met,
            "own_past",
            lambda f, i: context.beside(0, own(int(layer[f, i])), penalties),
            lambda f, i: None,
        )

    def text(self, features: Callable[[Sequence[Row]], NDArray]) -> dict[str, Measure]:
        """What was said, embedded, alone and with the source.

        Parameters
        ----------
        features : callable
            Features of the text before each target row, (n_samples, k).
        """
        met = self._meet(INTERACTION)
        block = self._block(features(met.rows), Folded.of(met.fold), scale=1.0)
        embedded = Candidates((block,), [(penalty,) for penalty in self._protocol.penalties])
        return self._with_source(met, "text", lambda f, i: embedded, lambda f, i: None)

    def ceiling(self) -> dict[str, Measure]:
        """The same agent's state at the same place in a dialogue of another seed, and the source there."""
        met = self._meet(INTERACTION, CEILING)
        return {
            "ceiling": self._same_layer(met, CEILING),
            "ceiling_interaction": self._as_chosen(met, INTERACTION),
        }

    def lag_profile(self, lags: Sequence[int]) -> dict[str, Measure]:
        """The partner's state `lag` turns earlier (odd), the agent's own (even), and the partner's next."""
        found = {}
        for lag in lags:
            if lag % 2:
                condition = Condition(f"partner{lag}", "engaged", lag)
                found[condition.name] = self._as_chosen(self._meet(condition), condition)
            else:
                condition = Condition(f"self{lag}", "engaged", lag, source_agent="self")
                found[condition.name] = self._same_layer(self._meet(condition), condition)
        return found | {REVERSED.name: self._as_chosen(self._meet(REVERSED), REVERSED)}

    def nonlinear(self, whole: Measure, seed: int) -> dict[str, Measure]:
        """Affine map, Gaussian kernel ridge and a small network at the best pair of layers."""
        met = self._meet(INTERACTION)
        layer = int(whole.layers.argmax())
        m = int(np.bincount(self._chosen.target_layer[:, layer]).argmax())
        x = np.asarray(met.sources[INTERACTION.name][layer], dtype=np.float64)
        y = np.asarray(met.targets[INTERACTION.name][m], dtype=np.float64)
        found = {
            "affine": affine_r2(x, y, met.fold),
            "kernel_ridge": kernel_ridge_r2(x, y, met.fold),
            "mlp": mlp_r2(x, y, met.fold, hidden=32, alphas=(1.0, 10.0), max_iter=50, seed=seed),
        }
        return {
            name: met.measure(Score(r2[:, None], np.full((len(met.clusters.names), 1), np.nan)))
            for name, r2 in found.items()
        }

    def _with_source(
        self,
        met: Meeting,
        name: str,
        base: Callable[[int, int], Candidates],
        key: Callable[[int, int], object],
    ) -> dict[str, Measure]:
        """A baseline alone, and the source beside it with a penalty of its own."""
        target = met.targets[INTERACTION.name]
        arguments = (target, self._chosen.target_layer, met.fold, met.clusters, self._protocol.computing)
        alone = fit_blocks(base, key, *arguments)
        source = self._layers(met, INTERACTION)

        def both(fold: int, layer: int) -> Candidates:
            choice = int(alone.choice[fold, layer])
            return base(fold, layer).beside(choice, source(layer), self._protocol.penalties)

        together = fit_blocks(both, lambda f, i: i, *arguments)
        return {name: met.measure(alone.score), f"{name}_and_source": met.measure(together.score)}

    def _layers(self, met: Meeting, condition: Condition) -> _Remembered:
        """The source layers of a condition as blocks."""
        folded = Folded.of(met.fold)
        return _Remembered(
            lambda layer: layer_block(met.sources[condition.name], layer, folded, self._protocol.computing)
        )

    def _block(self, features: ArrayLike, folded: Folded, scale: float = CONTEXT_SCALE) -> Block:
        values = standardised(features, folded) * scale
        return Block(lambda: self._protocol.computing.on.array(values, "float64"), values.shape[1])

    def _same_layer(self, met: Meeting, condition: Condition) -> Measure:
        """Another state of the target's own agent, from the target's own layer."""
        own, layer = self._layers(met, condition), self._chosen.target_layer
        penalties = [(penalty,) for penalty in self._protocol.penalties]
        fitted = fit_blocks(
            lambda f, i: Candidates((own(int(layer[f, i])),), penalties),
            lambda f, i: None,
            met.targets[condition.name],
            layer,
            met.fold,
            met.clusters,
            self._protocol.computing,
        )
        return met.measure(fitted.score)

    def _as_chosen(self, met: Meeting, condition: Condition) -> Measure:
        """The interaction's penalty and target layers, on another meeting."""
        source, target = met.sources[condition.name], met.targets[condition.name]
        computing = self._protocol.computing
        (found,) = score(source, target, met.fold, self._chosen, met.clusters, computing)
        return met.measure(found)


class _Remembered:
    """The last few blocks by layer: a kernel is n_samples² numbers."""

    KEPT = 3

    def __init__(self, make: Callable[[int], Block]) -> None:
        self._make, self._held = make, dict[int, Block]()

    def __call__(self, layer: int) -> Block:
        if layer not in self._held:
            while len(self._held) >= self.KEPT:
                self._held.pop(next(iter(self._held)))
            self._held[layer] = self._make(layer)
        return self._held[layer]


def context_features(rows: Sequence[Row], prompt_tokens: Mapping[Row, int]) -> NDArray[np.float64]:
    """Features of a place in a dialogue that are no synchrony, (n_samples, n_turns + 1).

    One column a turn, so that the mean course of dialogues over the training folds is fitted, and the
    logarithm of the number of prompt tokens. An episode's own mean is not among them: its environment
    has no training rows.
    """
    turns = np.array([row.turn for row in rows])
    columns = (turns[:, None] == np.unique(turns)).astype(np.float64)
    length = np.log([prompt_tokens[row] for row in rows])
    return np.column_stack([columns, length])


def standardised(features: ArrayLike, folded: Folded) -> NDArray[np.float64]:
    """Features of mean 0 and variance 1, rows in fold order; a constant feature is left out."""
    values = np.asarray(features, dtype=np.float64)[folded.order]
    varies = ~(values == values[0]).all(axis=0)
    values = values[:, varies] - values[:, varies].mean(axis=0)
    return values / values.std(axis=0)
