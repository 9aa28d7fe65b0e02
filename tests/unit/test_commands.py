"""verify, show, check and the parsers, on results made by hand: planted damage is found and named."""

from __future__ import annotations

import http.server
import json
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from configuring import REPOSITORY, merged, read_yaml

from syncr2 import ids, job_records, jobs, provenance
from syncr2.__main__ import main
from syncr2.commands import whole
from syncr2.commands.check import check
from syncr2.commands.parsers import read_config
from syncr2.commands.show import lines, show
from syncr2.commands.verify import verify
from syncr2.embedded import embedded
from syncr2.errors import SyncR2Error
from syncr2.files import write_jsonl, write_text
from syncr2.provenance import made_by
from syncr2.store import AGENTS, AgentStates, StateRow, write_states


class Rule:
    """What Snakemake gives to a script."""

    def __init__(self, rule: str, inputs: list[str], outputs: list[str], **params: object) -> None:
        self.rule, self.input, self.output, self.params = rule, inputs, outputs, params
        self.wildcards: dict[str, str] = {}
        self.log, self.threads, self.config = [f"results/logs/{rule}.log"], 1, {"results": "results"}


def record(rule: str, inputs: list[str], outputs: list[str], **params: object) -> None:
    described = jobs.describe(Rule(rule, inputs, outputs, **params))
    job_records.write(described, provenance.now(), job_records.Usage())


STATES, SAID, TABLE = "results/states/a.h5", "results/dialogues/a.jsonl", "results/synchrony.tsv"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Dialogues, states of them, and a table of those; each with the record of its job."""
    monkeypatch.chdir(tmp_path)
    write_text("source.json", "{}\n")
    write_jsonl(SAID, [{"episode_id": "e", "text": "hello", "made_by": made_by("dialogues", {})}])
    record("play_dialogues", ["source.json"], [SAID], revision=provenance.REVISIONS["dialogues"])
    rows = [StateRow("e", "v", 0, turn, 5, 7) for turn in range(3)]
    hidden = np.arange(2 * 3 * 4, dtype=np.float16).reshape(2, 3, 4)
    states = {agent: AgentStates(hidden, rows) for agent in AGENTS}
    write_states(STATES, states, made_by("states", {"reading": "engaged"}, [SAID]))
    record("replay_states", [SAID], [STATES], revision=provenance.REVISIONS["states"])
    write_text(TABLE, "pair\tsync_r2\na--b\t0.5\n")
    record("summarise_synchrony", [STATES], [TABLE], revision=1)
    return tmp_path / "results"


def flip(path: str | Path, at: int) -> None:
    content = bytearray(Path(path).read_bytes())
    content[at] ^= 1
    Path(path).write_bytes(content)


def wrong(*paths: str) -> dict[str, str]:
    return {each.path: f"{each.reason} {each.remedy}" for each in verify(paths or ["results"]).wrong}


class TestVerify:
    def test_all_in_order(self, results, capsys):
        found = verify(["results"])
        assert (found.wrong, found.notes, found.n_files) == ([], [], 3)
        assert main(["verify", "results"]) == 0
        assert "all whole" in capsys.readouterr().out

    @pytest.mark.parametrize(("path", "at"), [(STATES, -200), (SAID, 20), (TABLE, 18)])
    def test_one_byte_flipped_is_found_wherever_it_is(self, results, path, at):
        flip(path, at)
        name = path.removeprefix("results/")
        found = wrong()
        assert "bytes have changed" in found[name] or "not whole" in found[name]
        assert "only its job is repeated" in found[name]

    def test_what_was_made_of_a_changed_file_is_named_too(self, results):
        flip(SAID, 20)
        assert set(wrong()) == {"dialogues/a.jsonl", "states/a.h5"}
        assert "made from another dialogues/a.jsonl" in wrong()["states/a.h5"]

    def test_source_that_was_changed_since(self, results):
        write_text("source.json", "{ }\n")
        assert set(wrong()) == {"dialogues/a.jsonl"}

    def test_missing_table_is_wrong_and_deleted_states_are_a_note(self, results):
        Path(STATES).unlink()
        found = verify(["results"])
        assert found.wrong == []
        assert [note.path for note in found.notes] == ["states/a.h5"]
        Path(TABLE).unlink()
        assert "no longer there" in wrong()["synchrony.tsv"]

    def test_file_of_unknown_origin(self, results):
        write_text("results/r2/stray.tsv", "a\n")
        write_text("results/r2/.left.tsv.tmp", "")
        write_text("results/logs/any.log", "")
        found = verify(["results"])
        assert [each.path for each in found.wrong] == ["r2/stray.tsv"]
        assert [each.path for each in found.notes] == ["r2/.left.tsv.tmp"]

    def test_another_revision_than_its_job_says(self, results):
        path = results / ids.JOB_RECORDS / "replay_states.json"
        said = json.loads(path.read_text())
        said["params"]["revision"] += 1
        path.write_text(json.dumps(said))
        assert "made by revision" in wrong()["states/a.h5"]

    def test_manifest_and_records_must_agree(self, results):
        files = {"synchrony.tsv": {"sha256": "0" * 64}}
        content = {"format": "syncr2/manifest/1", "files": files}
        write_text("results/provenance/manifest.json", json.dumps(content))
        assert "manifest is written last" in wrong()["synchrony.tsv"]

    def test_part_of_the_results(self, results):
        flip(TABLE, 18)
        assert wrong("results/states") == {}
        assert set(wrong(TABLE)) == {"synchrony.tsv"}

    def test_exit_code_and_json(self, results, capsys):
        flip(TABLE, 18)
        assert main(["verify", "--json", "results"]) == 1
        assert json.loads(capsys.readouterr().out)["wrong"][0]["path"] == "synchrony.tsv"

    def test_not_results(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SyncR2Error, match=r"no results folder"):
            verify([tmp_path])


class TestWhole:
    def test_states_cut_short(self, results):
        content = Path(STATES).read_bytes()
        Path(STATES).write_bytes(content[: len(content) // 2])
        assert whole.problem(STATES)

    def test_states_that_were_never_written(self, results):
        import h5py

        with h5py.File(STATES, "a") as file:
            del file["agent1/hidden"]
            shape = {"shape": (2, 3, 4), "dtype": "f2", "chunks": (1, 3, 4)}
            file["agent1"].create_dataset("hidden", fill_time="never", **shape)
        assert "never written" in str(whole.problem(STATES))

    def test_jsonl_without_its_end_or_record(self, tmp_path):
        (tmp_path / "a.jsonl").write_text('{"made_by": {}}')
        assert "no line end" in str(whole.problem(tmp_path / "a.jsonl"))
        (tmp_path / "a.jsonl").write_text("{}\n")
        assert "no made_by" in str(whole.problem(tmp_path / "a.jsonl"))

    def test_figures_hold_their_record_and_their_damage_is_found(self, tmp_path):
        from matplotlib.figure import Figure

        from syncr2.figures.style import save

        paths = tmp_path / "a.svg", tmp_path / "a.png"
        figure = Figure()
        figure.add_subplot().plot([1, 2])
        made = {"stage": "figures", "words": "R² < 1 & more"}
        save(figure, *paths, made_by=made)
        for path in paths:
            assert whole.problem(path) is None
            assert embedded(path) == made
            path.write_bytes(path.read_bytes()[:-30])
            assert whole.problem(path)

    def test_png_whose_pixels_were_changed(self, tmp_path):
        body = zlib.compress(b"\0\0")
        parts = [(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0"), (b"IDAT", body), (b"IEND", b"")]
        content = b"\x89PNG\r\n\x1a\n" + b"".join(
            len(part).to_bytes(4, "big") + kind + part + zlib.crc32(kind + part).to_bytes(4, "big")
            for kind, part in parts
        )
        path = tmp_path / "a.png"
        path.write_bytes(content)
        assert whole.problem(path) is None
        flip(path, content.index(b"IDAT") + 5)
        assert "IDAT" in str(whole.problem(path))

    def test_page_holds_its_record(self, tmp_path):
        from syncr2.pages.layout import signed

        made = {"stage": "pages", "words": '"><script>alert(1)</script>'}
        page = signed("<html><head></head><body></body></html>\n", made)
        assert "<script" not in page
        (tmp_path / "a.html").write_text(page)
        assert embedded(tmp_path / "a.html") == made
        assert whole.problem(tmp_path / "a.html") is None
        (tmp_path / "a.html").write_text(page[:-10])
        assert whole.problem(tmp_path / "a.html")


class TestShow:
    def test_states(self, results):
        found = show(STATES)
        text = "\n".join(lines(found))
        assert found["whole"]
        assert found["job"]["rule"] == "replay_states"
        assert "agent1: 2 layers, 3 rows, width 4" in text
        assert "stage states, revision" in text
        assert "from results/dialogues/a.jsonl" in text

    def test_table_is_told_of_by_its_job(self, results):
        found = show(TABLE)
        assert found["made_by"] is None
        assert found["job"]["inputs"].keys() == {STATES}
        assert found["content"]["rows"] == 1

    def test_broken_file_says_so_and_gives_exit_code_1(self, results, capsys):
        Path(SAID).write_text("{")
        assert main(["show", SAID]) == 1
        assert "NOT WHOLE" in capsys.readouterr().out
        assert main(["show", "results/nothing.h5"]) == 1

    def test_unknown_kind(self, tmp_path):
        (tmp_path / "a.exe").touch()
        with pytest.raises(SyncR2Error, match=r"allowed: \.h5"):
            show(tmp_path / "a.exe")


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.headers.get("Authorization") == "Bearer planted-key" else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


class TestCheck:
    @pytest.fixture
    def raw(self, tmp_path: Path) -> dict:
        raw = merged(read_yaml("config.yaml"), read_yaml("demo.yaml"))
        return {**raw, "results": str(tmp_path / "results"), "prompts": str(REPOSITORY / raw["prompts"])}

    def found(self, raw: dict) -> dict[str, tuple[str, str]]:
        return {line.what: (line.level, line.found) for line in check(raw)}

    def test_demo_can_start(self, raw):
        assert {line.level for line in check(raw)} == {"ok"}

    def test_wrong_configuration(self, raw):
        lines = check({**raw, "seeds": []})
        assert [line.level for line in lines] == ["error"]
        assert "seeds" in lines[0].found

    def test_model_folder_without_weights(self, raw, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        model = {"name": "own", "family": "f", "path": str(tmp_path), "gpus": 0}
        raw |= {"models": [model], "statistics": {**raw["statistics"], "covariates": []}}
        level, text = self.found(raw)["model own"]
        assert level == "error"
        assert "no tokenizer.json, no weights as *.safetensors" in text

    def test_disk_that_is_too_small(self, raw, monkeypatch):
        import shutil
        from collections import namedtuple

        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 1000))
        assert self.found(raw)["disk"][0] == "error"

    @pytest.mark.parametrize(("key", "level"), [("planted-key", "ok"), ("other", "error"), (None, "error")])
    def test_endpoint_and_its_key_which_is_never_shown(self, raw, endpoint, monkeypatch, key, level):
        monkeypatch.delenv("JUDGE_KEY", raising=False)
        if key:
            monkeypatch.setenv("JUDGE_KEY", key)
        judge = {"name": "j", "engine": "openai", "model": "m", "base_url": endpoint}
        lines = check({**raw, "judges": [{**judge, "api_key_env": "JUDGE_KEY"}]})
        found = {line.what: line.level for line in lines}
        assert found["endpoint of judge j"] == level
        assert not key or all(key not in line.text for line in lines)

    def test_endpoint_that_is_not_there(self, raw):
        judge = {"name": "j", "engine": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
        level, text = self.found({**raw, "judges": [judge]})["endpoint of judge j"]
        assert level == "error"
        assert "cannot be reached" in text

    def test_vllm_that_is_not_installed(self, raw):
        raw["dialogue"] = {**raw["dialogue"], "engine": "vllm"}
        raw["vllm"] = {**raw.get("vllm", {}), "command": ["no-such-python"]}
        assert self.found(raw)["vLLM"][0] == "error"


class TestReadConfig:
    def test_as_snakemake_merges(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("config.yaml").write_text("a: {b: 1, c: [1, 2]}\nd: 1\n")
        Path("mine.yaml").write_text("a: {c: [3]}\n")
        assert read_config(["mine.yaml"]) == {"a": {"b": 1, "c": [3]}, "d": 1}
        with pytest.raises(SyncR2Error, match=r"none\.yaml: no such file"):
            read_config(["none.yaml"])

    def test_not_at_the_root(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SyncR2Error, match=r"root of the repository"):
            read_config([])


def test_forecast_and_check_run_from_a_terminal(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    (tmp_path / "there.yaml").write_text(f"results: {tmp_path / 'results'}\n")
    files = ["--configfile", "demo.yaml", str(tmp_path / "there.yaml")]
    assert main(["check", *files]) == 0
    capsys.readouterr()
    assert main(["forecast", "--json", *files]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["dialogues"] == 21 * 60 * 3
    assert not (tmp_path / "results").exists(), "nothing is written"
