"""Miniature models: untrained stand-ins of the same classes as the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncr2.config import BUNDLED_SCENARIOS, REPOSITORY
from syncr2.miniatures import MiniatureSpec, build_miniature, miniature_corpus


def build(spec: Mapping[str, Any], folder: str) -> None:
    """Build one model folder; its tokenizer comes from the project's own texts, whatever is played later."""
    corpus = miniature_corpus(BUNDLED_SCENARIOS, REPOSITORY / "resources" / "prompts")
    build_miniature(folder, MiniatureSpec.from_dict(spec), corpus)
