"""The rules that fetch, record and build models, and what later jobs make of their records."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, miniature, snakemake, with_changes

from syncr2.files import read_table
from syncr2.models.miniatures import MiniatureSpec, build_miniature, miniature_corpus
from syncr2.models.snapshots import read_snapshot

SERVER = {"base_url": "http://127.0.0.1:9/v1", "model": "large"}
# Somebody's model behind a server, of which nothing but its words can be had.
API = {"name": "api", "family": "other", "endpoint": SERVER}
DIALOGUES = "results/dialogues/red--red/seed-0/shard-0.jsonl"
STATES = "results/states/red--red/engaged/seed-0/shard-0.h5"


def _from_unit_tests(name):
    """A module that lies in their folder."""
    path = REPOSITORY / "tests" / "unit" / f"{name}.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A model's folder, as somebody has it on the disk."""
    folder = tmp_path_factory.mktemp("models") / "red"
    corpus = miniature_corpus(REPOSITORY / "resources/scenarios", REPOSITORY / "resources/prompts")
    build_miniature(folder, MiniatureSpec.from_dict(miniature("red", 1, "warm")["miniature"]), corpus)
    return folder


def real(tiny, path, **changes):
    """The tiny experiment with one model, loaded from a path."""
    model = {**miniature("red", 1, "warm"), "miniature": None, "path": str(path), **changes}
    resources = {**tiny["resources"], "warm_start": False}
    return with_changes(tiny, models=[model], synchrony__protocols=["paper"], resources=resources)


def made_by(folder: Path) -> dict:
    with (folder / DIALOGUES).open() as lines:
        return json.loads(next(lines))["made_by"]["settings"]["models"]["red"]


def test_a_model_in_a_folder_is_recorded_once_and_named_in_every_file(tiny, folder, tmp_path):
    config = real(tiny, folder)
    run = snakemake(config, tmp_path, targets=(DIALOGUES, STATES))
    assert run.error is None
    assert run.count == {"record_model": 1, "prepare_scenarios": 1, "play_dialogues": 1, "replay_states": 1}
    record = read_snapshot(tmp_path / "results/models/red.json")
    assert record.folder == str(folder)
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= set(record.files)
    assert made_by(tmp_path)["files_sha256"] == record.sha256
    assert made_by(tmp_path)["path"] == str(folder)

    assert snakemake(config, tmp_path, targets=(STATES,)).count == {}
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    weights.write_bytes(bytes([*content[:-1], content[-1] ^ 1]))
    try:
        again = snakemake(config, tmp_path, targets=(STATES,), dry=True)
        assert again.count == {"record_model": 1, "play_dialogues": 1, "replay_states": 1}
    finally:
        weights.write_bytes(content)


def test_a_folder_without_safetensors_is_refused_before_anything_runs(tiny, folder, tmp_path):
    other = tmp_path / "pickled"
    other.mkdir()
    (other / "config.json").write_bytes((folder / "config.json").read_bytes())
    (other / "pytorch_model.bin").touch()
    run = snakemake(real(tiny, other), tmp_path / "work", targets=(DIALOGUES,))
    assert "Model red" in str(run.error)
    assert "no weights as safetensors" in str(run.error)
    assert run.count == {}


def test_a_model_of_the_hub_is_fetched_once_and_played_without_network(tiny, folder, tmp_path, monkeypatch):
    # A warm process would have the environment of its own start.
    monkeypatch.delenv("SYNCR2_WARM", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    config = real(tiny, "owner/red", revision="v1")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    there = _from_unit_tests("hub")
    with there.serving(there.Hub("owner/red", files, refusal="gated")) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert snakemake(config, tmp_path, targets=(DIALOGUES,)).error is not None
        log = (tmp_path / "results/logs/fetch_model/red.log").read_text()
        assert "accept its terms" in log
        assert "Traceback" not in log
        hub.refusal = ""
        assert snakemake(config, tmp_path, targets=("results/models/red.json",)).error is None
    record = read_snapshot(tmp_path / "results/models/red.json")
    assert (record.path, record.revision, record.commit) == ("owner/red", "v1", there.COMMIT)

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    run = snakemake(config, tmp_path, targets=(DIALOGUES,))
    assert run.error is None, (
        tmp_path / "results/logs/play_dialogues/red--red/seed-0/shard-0.log"
    ).read_text()
    assert run.count == {"play_dialogues": 1}
    assert made_by(tmp_path)["resolved_revision"] == there.COMMIT
    assert made_by(tmp_path)["files_sha256"] == record.sha256


class TestPartnerWithoutStates:
    def test_is_played_and_judged_and_that_is_all(self, tiny, tmp_path):
        alone = snakemake(tiny, tmp_path, dry=True)
        together = snakemake(with_changes(tiny, models=[*tiny["models"], API]), tmp_path, dry=True)
        assert (alone.error, together.error) == (None, None)
        more = {rule for rule, n in together.count.items() if n != alone.count[rule]}
        assert more == {"play_dialogues", "judge_dialogues"}
        for rule in more:
            new = together.wildcards(rule, "pair") - alone.wildcards(rule, "pair")
            assert new == {"red--api", "api--red", "blue--api", "api--blue", "api--api"}

    def test_no_other_rule_knows_its_pairs(self, tiny, tmp_path):
        config = with_changes(tiny, models=[*tiny["models"], API])
        run = snakemake(config, tmp_path, dry=True)
        with_states = {"red--red", "red--blue", "blue--red", "blue--blue"}
        wanted = {rule for rule, wildcards in run.jobs if "pair" in wildcards}
        assert len(wanted) > 5
        for rule in wanted - {"play_dialogues", "judge_dialogues"}:
            assert run.wildcards(rule, "pair") == with_states, rule

    def test_adding_it_runs_nothing_of_the_others_again(self, tiny, finished):
        run = snakemake(with_changes(tiny, models=[*tiny["models"], API]), finished, dry=True)
        assert run.error is None
        for rule in ("play_dialogues", "judge_dialogues"):
            assert all("api" in pair.split("--") for pair in run.wildcards(rule, "pair"))
        again = {rule for rule, wildcards in run.jobs if "pair" in wildcards}
        assert again == {"play_dialogues", "judge_dialogues"}

    def test_stands_in_the_report_and_in_no_correlation(self, tiny, tmp_path, monkeypatch):
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        chat = _from_unit_tests("judging")

        def speak(number, body):
            return chat.says(f"I have {len(body['messages'][0]['content'])} words to say.")

        with chat.serving(speak) as server:
            model = {**API, "endpoint": {"base_url": server.url, "model": "large"}}
            config = with_changes(
                tiny,
                models=[*tiny["models"], model],
                synchrony__protocols=["paper"],
                synchrony__passive=False,
                synchrony__untrained=False,
                synchrony__lags=[],
            )
            run = snakemake(config, tmp_path)
            assert run.error is None, run.error
            assert {request["model"] for request in server.requests} == {"large"}
        pairs = {
            table: {tuple(row) for row in read_table(tmp_path / "results" / table)[columns].to_numpy()}
            for table, columns in (
                ("performance.tsv", ["model_1", "model_2"]),
                ("quality.tsv", ["agent1", "agent2"]),
                ("synchrony.tsv", ["model_1", "model_2"]),
                ("statistics/pairs.tsv", ["model_1", "model_2"]),
            )
        }
        own = {("red", "red"), ("red", "blue"), ("blue", "blue")}
        assert pairs["performance.tsv"] == own | {("red", "api"), ("blue", "api"), ("api", "api")}
        assert {("api", "red"), ("red", "api")} < pairs["quality.tsv"]
        assert pairs["synchrony.tsv"] == pairs["statistics/pairs.tsv"] == own
        page = (tmp_path / "results/pages/results.html").read_text()
        assert "without SyncR²: red – api, blue – api, api – api." in page
        provenance = (tmp_path / "results/pages/provenance.html").read_text()
        assert re.search(
            r"<tr><td[^>]*>api</td><td[^>]*>large</td>.*<td[^>]*>as served</td></tr>", provenance
        )
        (line, *_) = (tmp_path / "results/dialogues/red--api/seed-0/shard-0.jsonl").read_text().splitlines()
        dialogue = json.loads(line)
        assert dialogue["turns"][1]["text"].endswith("words to say.")
        assert dialogue["made_by"]["settings"]["models"]["api"]["path"] is None
