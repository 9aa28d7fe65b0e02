"""A judge that the job serves itself, with structured output from real vLLM."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from judging import dialogue, scenario_set
from on_cpu import ARGUMENTS, COMMAND, LLAMA, running

from syncr2.config import BUNDLED_PROMPTS, BUNDLED_SCENARIOS
from syncr2.dialogues.prompts import Prompts
from syncr2.judges import DIMENSIONS, JudgeSettings, judge_shard
from syncr2.judges.served import Hosting
from syncr2.models.miniatures import build_miniature, miniature_corpus
from syncr2.serving.launch import ServerSettings

PROMPTS = Prompts(BUNDLED_PROMPTS)
CONTEXT = 8192
STRUCTURED = '--structured-outputs-config={"backend": "xgrammar", "disable_any_whitespace": true}'
SERVERS = ServerSettings(COMMAND, (*ARGUMENTS, STRUCTURED), 300.0)


@pytest.fixture(scope="module")
def terse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature that is inclined to end a text: an untrained one would give reasons without end."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("models") / "terse"
    spec = dataclasses.replace(LLAMA, context=CONTEXT)
    build_miniature(folder, spec, miniature_corpus(BUNDLED_SCENARIOS, BUNDLED_PROMPTS))
    quote = AutoTokenizer.from_pretrained(folder).get_vocab()['"']
    tensors = load_file(folder / "model.safetensors")
    # One dimension is the same large number everywhere, a constant for the logits that read it.
    tensors["model.embed_tokens.weight"][:, 0] = 20.0
    norm = tensors["model.norm.weight"][0]
    tensors["lm_head.weight"][:, 0] = 0.0
    # After the norm it is close to the root of the width; the quotation mark is 9 above the average token.
    tensors["lm_head.weight"][quote, 0] = 9.0 / float(norm) / LLAMA.hidden_size**0.5
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_every_dialogue_is_judged_or_accounted_for_and_asked_about_once(terse: Path, tmp_path: Path) -> None:
    settings = JudgeSettings.from_dict(
        {
            **{"name": "own", "engine": "vllm", "model": str(terse), "dtype": "float32", "gpus": 0},
            **{"context": CONTEXT, "max_tokens": 1500, "temperature": 0.7, "retries": 2, "concurrency": 4},
            **{"server_arguments": [f"--max-num-batched-tokens={CONTEXT}"], "both_orders": False},
            "cache": str(tmp_path / "cache"),
        }
    )
    scenarios = scenario_set(5)
    dialogues = [dialogue(f"I offer {i} dollars.", "No.", episode=i) for i in range(4)]
    # One that is too long for the model: a failure, and counted.
    endless = dialogue("no " * CONTEXT, "No.", episode=4)
    first = judge_shard(
        scenarios, [*dialogues, endless], PROMPTS, settings, hosting=Hosting(SERVERS, str(tmp_path / "one"))
    )
    assert [record["episode_id"] for record in first] == [f"episode-{i}" for i in range(5)]
    for record in first:
        assert record["status"] in ("ok", "failed", "refused", "truncated")
        if record["status"] == "ok":
            for agent in ("agent1", "agent2"):
                for dimension in DIMENSIONS:
                    score = record["scores"][agent][dimension.name]
                    assert dimension.low <= score <= dimension.high
        else:
            assert record["scores"] is None
            assert record["error"]
    assert first[4]["status"] == "failed"
    assert "400" in first[4]["error"]
    good = [k for k in range(4) if first[k]["status"] == "ok"]
    assert len(good) >= 3, [record["error"] for record in first]
    made_by = first[0]["made_by"]
    assert (made_by["engine"], made_by["server_version"]) == ("vllm", "0.32.0")
    assert "127.0.0.1" not in str(made_by)
    assert running(f"served-model-name {terse}") == []

    again = judge_shard(
        scenarios,
        [dialogues[k] for k in good],
        PROMPTS,
        settings,
        hosting=Hosting(SERVERS, str(tmp_path / "two")),
    )
    assert [record["scores"] for record in again] == [first[k]["scores"] for k in good]
    assert not (tmp_path / "two").exists()  # no server, so no request
