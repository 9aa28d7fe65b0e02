"""What the tests on real vLLM start from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from on_cpu import LLAMA, MISTRAL, PYTHON

from syncr2.config import BUNDLED_PROMPTS, BUNDLED_SCENARIOS
from syncr2.models.miniatures import build_miniature, miniature_corpus

# For `judging`, which makes scenarios and dialogues.
sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say how to get vLLM, rather than fail one by one."""
    if items and not PYTHON.exists():
        pytest.exit("tests/vllm need .venv-vllm: run `make test-vllm`, which sets it up.", returncode=1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of two miniatures, by name."""
    corpus = miniature_corpus(BUNDLED_SCENARIOS, BUNDLED_PROMPTS)
    built = {}
    for name, spec in (("red", LLAMA), ("blue", MISTRAL)):
        built[name] = tmp_path_factory.mktemp("models") / name
        build_miniature(built[name], spec, corpus)
    return built
