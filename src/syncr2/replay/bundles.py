"""Prompts that begin alike, laid out in one row so that what they share stands there once.

The prompts that a model reads in a dialogue repeat each other but for a few closing tokens. The longest is a
trunk, and what another has of its own is a branch that leaves the trunk where the two begin to differ (found
on token ids). Trunks with their branches, bundles, stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from syncr2.replay.tokens import common_prefix

NO_BRANCH = -1

# Which keys a query sees, by the positions of both.
Rule = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Branch(NamedTuple):
    """A prompt as the number of a trunk's tokens that it begins with, and the rest."""

    prompt: int
    kept: int
    ids: Sequence[int]


class Bundle(NamedTuple):
    """A prompt and others that begin as it does; `prompt` numbers are those of the sequence given."""

    prompt: int
    trunk: Sequence[int]
    branches: list[Branch]

    @property
    def n_tokens(self) -> int:
        """Tokens to be computed."""
        return len(self.trunk) + sum(len(branch.ids) for branch in self.branches)


def bundles(prompts: Sequence[Sequence[int]]) -> list[Bundle]:
    """Put together prompts that share at least half of the shorter one.

    Parameters
    ----------
    prompts : sequence of sequences of int
        Token ids.

    Returns
    -------
    list of Bundle
        Every prompt once, the longest as trunks.
    """
    found: list[Bundle] = []
    for number in sorted(range(len(prompts)), key=lambda i: -len(prompts[i])):
        ids = prompts[number]
        shared = [common_prefix(bundle.trunk, ids) for bundle in found]
        best = max(range(len(found)), key=shared.__getitem__, default=None)
        # One that differs early would see little of the trunk, and cost more as its branch than alone.
        if best is None or 2 * shared[best] < len(ids):
            found.append(Bundle(number, ids, []))
        else:
            found[best].branches.append(Branch(number, shared[best], ids[shared[best] :]))
    return found


@dataclass(frozen=True)
class Part:
    """Where a bundle stands in the row; tensors have an entry for each of its tokens, on the CPU."""

    begin: int
    n_trunk: int
    positions: torch.Tensor
    # The branch that a token belongs to, and up to which position it sees the trunk.
    branch: torch.Tensor
    sees: torch.Tensor

    def visible(self, rule: Rule, begin: int, end: int) -> tuple[int, int, torch.Tensor]:
        """First and last key that tokens `begin` to `end` see, and which: (end - begin, last - first)."""
        last = end if end <= self.n_trunk else len(self.positions)
        queries, keys = slice(begin, end), slice(0, last)
        own = self.branch[queries, None] == self.branch[keys]
        trunk = (self.branch[keys] == NO_BRANCH) & (self.positions[keys] < self.sees[queries, None])
        mask = rule(self.positions[queries, None], self.positions[keys]) & (own | trunk)
        first = int(mask.any(dim=0).int().argmax())
        return first, last, mask[:, first:]


class Layout:
    """Bundles in one row.

    Attributes
    ----------
    ids, positions : Tensor of int, shape (1, n_tokens)
    last : Tensor of int, shape (n_prompts,)
        Place of every prompt's last token, in the order of the prompts.
    parts : list
        One a bundle.
    """

    def __init__(self, dialogues: Sequence[Sequence[Bundle]]) -> None:
        ids: list[int] = []
        last: list[int] = []
        self.parts: list[Part] = []
        for bundled in dialogues:
            places: dict[int, int] = {}
            for bundle in bundled:
                begin, n_trunk = len(ids), len(bundle.trunk)
                positions, branch, sees = list(range(n_trunk)), [NO_BRANCH] * n_trunk, [n_trunk] * n_trunk
                ids += bundle.trunk
                places[bundle.prompt] = len(ids) - 1
                for number, (prompt, kept, own) in enumerate(bundle.branches):
                    ids += own
                    positions += range(kept, kept + len(own))
                    branch += [number] * len(own)
                    sees += [kept] * len(own)
                    places[prompt] = len(ids) - 1 if own else begin + kept - 1
                columns = (torch.tensor(values) for values in (positions, branch, sees))
                self.parts.append(Part(begin, n_trunk, *columns))
            last += [places[prompt] for prompt in range(len(places))]
        self.ids = torch.tensor(ids)[None]
        self.positions = torch.cat([part.positions for part in self.parts])[None]
        self.last = torch.tensor(last)
