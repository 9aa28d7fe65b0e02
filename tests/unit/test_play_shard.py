"""One job that plays a shard: killed and run again, with models here and behind servers."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from completing import model_behind
from configuring import MINIATURE, REPOSITORY, merged, read_yaml
from judging import says, scenario_set, serving

from syncr2.dialogues.dialogue import prompt_ids
from syncr2.dialogues.paper_chat import paper_encoder
from syncr2.dialogues.prompts import Prompts
from syncr2.errors import SyncR2Error
from syncr2.files import read_jsonl
from syncr2.journal import journal_path
from syncr2.models.loading import ModelSource, load_encoder
from syncr2.models.miniatures import MiniatureSpec, build_miniature
from syncr2.sotopia.scenarios import write_scenarios
from syncr2.sotopia.views import bystander_view
from syncr2.stages.dialogues import play_shard
from syncr2.stages.states import replay_shard
from syncr2.store import open_states

CORPUS = ["Two neighbours meet at a yard sale.\nTurn 3 | Ada Stone: Likes birds. Plays chess.\n"]
SHAPE = {**MINIATURE, "layers": 2, "hidden_size": 8, "intermediate_size": 16, "heads": 2, "kv_heads": 1}
SHAPE |= {"vocabulary": 400, "context": 4096}


def build(folder, **shape):
    """Two miniatures and twelve episodes."""
    for seed, name in enumerate(("one", "two")):
        build_miniature(folder / name, MiniatureSpec.from_dict({**SHAPE, **shape, "seed": seed}), CORPUS)
    write_scenarios(scenario_set(12), folder / "scenarios.json")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("shard"))


def play(folder, output, endpoints=None, vllm=None, **dialogue):
    """Play twelve dialogues of one and two; `endpoints` speak for either, or alone with path None."""
    settings = {
        **{"max_turns": 4, "max_new_tokens": 12, "shard_size": 12, "device": "cpu"},
        **{"batch_size": 2, "concurrency": 4, **dialogue},
    }
    models = []
    for name in ("one", "two"):
        entry = {"name": name, "family": name, "path": str(folder / name), "dtype": "float32", "gpus": 0}
        models.append({**entry, **(endpoints or {}).get(name, {})})
    config = merged(
        read_yaml("config.yaml"),
        {
            **{"models": models, "dialogue": settings, "scenarios": {"source": "bundled", "episodes": "all"}},
            **{"synchrony": {"samples": "auto", "lags": [], "profile_lags": [1]}},
            **{
                "vllm": vllm or {},
                "statistics": {"covariates": []},
                "prompts": str(REPOSITORY / "resources" / "prompts"),
            },
        },
    )
    kept = {"device", "batch_size", "concurrency", "retries", "timeout"}
    play_shard(
        scenarios=str(folder / "scenarios.json"),
        output=str(output),
        pair="one--two",
        seed=3,
        shard=0,
        models={m["name"]: {key: m[key] for key in ("name", "path", "dtype")} for m in models},
        settings={key: value for key, value in config["dialogue"].items() if key not in kept},
        config=config,
        log_folder=str(folder / "logs"),
    )


def said(output):
    """The file, but for the time at which it was written."""
    records = read_jsonl(output)
    for record in records:
        del record["made_by"]["written"]
    return records


def in_child(work):
    """Run in a process of its own, which can be killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_when(child, journal, n_lines, patience=60):
    """Kill it as soon as its journal has so many lines."""
    deadline = time.monotonic() + patience
    while lines_in(journal) < n_lines and time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            pytest.fail("the job ended before it could be killed")
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_killed_job_goes_on_and_gives_the_same(folder, tmp_path):
    play(folder, tmp_path / "whole.jsonl")
    whole = said(tmp_path / "whole.jsonl")
    assert len(whole) == 12
    output = tmp_path / "killed.jsonl"
    journal = journal_path(output)
    for n_lines in (1, 3, 6):
        kill_when(in_child(lambda: play(folder, output)), journal, n_lines)
        assert not output.exists()
        assert lines_in(journal) >= n_lines
    kept = journal.read_bytes()
    play(folder, output)
    assert said(output) == whole
    assert not journal.exists()
    # What was kept is what was played before the kill, not played again.
    assert all(json.loads(line)["turns"] for line in kept.split(b"\n")[1:-1])


def test_other_settings_take_nothing_from_the_journal(folder, tmp_path):
    output = tmp_path / "changed.jsonl"
    kill_when(in_child(lambda: play(folder, output, temperature=1.3)), journal_path(output), 4)
    play(folder, output)
    play(folder, tmp_path / "whole.jsonl")
    assert said(output) == said(tmp_path / "whole.jsonl")


def test_how_it_is_computed_does_not_matter(folder, tmp_path):
    play(folder, tmp_path / "two.jsonl")
    play(folder, tmp_path / "twelve.jsonl", batch_size=12)
    assert said(tmp_path / "two.jsonl") == said(tmp_path / "twelve.jsonl")


@pytest.fixture(scope="module")
def served(folder):
    """Both miniatures behind one endpoint each, by model name."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def respond(name):
        model = AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32).eval()
        return model_behind(model, tokenizer=AutoTokenizer.from_pretrained(folder / name))

    with serving(respond("one")) as one, serving(respond("two")) as two:
        yield {"one": one, "two": two}


def endpoint(server, **more):
    return {"endpoint": {"base_url": server.url, "model": "served", "api_key_env": None}, **more}


def test_servers_elsewhere_say_what_is_said_here(folder, tmp_path, served):
    """Greedily, so that how numbers are drawn does not matter."""
    through = {name: endpoint(server) for name, server in served.items()}
    play(folder, tmp_path / "here.jsonl", temperature=0)
    play(folder, tmp_path / "there.jsonl", through, temperature=0, engine="openai")
    play(folder, tmp_path / "mixed.jsonl", {"two": through["two"]}, temperature=0)
    here, there, mixed = (said(tmp_path / f"{name}.jsonl") for name in ("here", "there", "mixed"))
    for records in (there, mixed):
        for record, expected in zip(records, here, strict=True):
            assert {**record, "made_by": None} == {**expected, "made_by": None}
    speaks = mixed[0]["made_by"]["settings"]["models"]
    assert speaks["one"]["speaks"] == {"engine": "transformers"}
    assert speaks["two"]["speaks"] == {
        **{"engine": "endpoint", "base_url": served["two"].url, "model": "served", "server_version": None}
    }


def test_a_killed_job_with_servers_goes_on(folder, tmp_path, served):
    through = {name: endpoint(server) for name, server in served.items()}
    options = {"engine": "openai", "endpoints": through}
    play(folder, tmp_path / "whole.jsonl", **options)
    output = tmp_path / "killed.jsonl"
    kill_when(in_child(lambda: play(folder, output, **options)), journal_path(output), 5)
    n_asked = len(served["one"].requests)
    play(folder, output, **options)
    assert said(output) == said(tmp_path / "whole.jsonl")
    # At most the eight that were not kept are played again, two turns of each by model one.
    assert len(served["one"].requests) - n_asked < 12 * 2 * 2


def test_a_partner_known_by_its_endpoint_alone(folder, tmp_path):
    with serving(says("<think>Hm.</think>Good day, neighbour.")) as server:
        play(folder, tmp_path / "text.jsonl", {"two": endpoint(server, path=None)})
    record = said(tmp_path / "text.jsonl")[0]
    assert [turn["prompt"] is None for turn in record["turns"]] == [False, True, False, True]
    assert record["turns"][1]["text"] == "Good day, neighbour."
    assert record["turns"][1]["thought"] == "Hm."
    assert server.prompt(0).endswith("| Ben Reed:")


def test_the_published_protocol(folder, tmp_path):
    play(folder, tmp_path / "paper.jsonl", protocol="paper")
    records = said(tmp_path / "paper.jsonl")
    assert records[0]["protocol"] == "paper"
    # transformers' own default, which the published code left in place.
    assert records[0]["sampling"]["top_k"] == 50
    n_new = [turn["n_new_tokens"] for record in records for turn in record["turns"]]
    assert max(n_new) == 12
    sources = {
        name: {"name": name, "path": str(folder / name), "dtype": "float32"} for name in ("one", "two")
    }
    replay_shard(
        scenarios=str(folder / "scenarios.json"),
        dialogues=str(tmp_path / "paper.jsonl"),
        output=str(tmp_path / "paper.h5"),
        pair="one--two",
        reading="passive",
        shard=0,
        shard_size=12,
        models=sources,
        prompts=str(REPOSITORY / "resources" / "prompts"),
        settings={"precision": "float32", "bystander": "public"},
        batch_tokens=4096,
        self_check=1,
        device="cpu",
        n_gpus=0,
    )
    # The bystander reads in the published wrapper: its prompts end as the agents' do.
    first = open_states([tmp_path / "paper.h5"])["agent1"].rows[0]
    assert first.last_token_id == prompt_ids(records[0])[0][-1]
    by_hand = paper_encoder(ModelSource(**sources["one"]), load_encoder(ModelSource(**sources["one"])))
    bystander = bystander_view(scenario_set(1).episodes[0], 1, private=False)
    text = Prompts(REPOSITORY / "resources" / "prompts").bystander(bystander, [])
    assert first.n_prompt_tokens == len(by_hand.encode(text))
    with (
        serving(says("Hm.")) as server,
        pytest.raises(SyncR2Error, match="found `endpoint` alone, but dialogue"),
    ):
        play(folder, tmp_path / "x.jsonl", {"two": endpoint(server, path=None)}, protocol="paper")
