"""Sequences of token ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Number of leading tokens that two sequences share."""
    shorter = min(len(first), len(second))
    return next((i for i in range(shorter) if first[i] != second[i]), shorter)


def ids_sha256(ids: Sequence[int]) -> str:
    """SHA-256 of token ids, written as decimal numbers with single spaces between them."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()
