"""The record of a whole run: held against its files, read by others; the forecast against what it took."""

from __future__ import annotations

import html
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, snakemake, with_changes

from syncr2 import config as configuration
from syncr2 import job_records, provenance, warm
from syncr2.commands import manifest
from syncr2.commands.verify import verify
from syncr2.embedded import embedded
from syncr2.files import read_jsonl, write_jsonl
from syncr2.forecast import forecast
from syncr2.revisions import REVISIONS

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def copy(finished, tmp_path, monkeypatch):
    """A copy of the finished run, to be damaged, in the working directory."""
    shutil.copytree(finished / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def flip(path: Path, share: float) -> None:
    """Change one bit of the byte that lies at this share of the file."""
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def test_a_finished_run_is_in_order(copy):
    found = verify([copy])
    assert found.wrong == []
    assert found.notes == []
    assert found.n_files > 100


def test_every_output_is_in_the_manifest_and_says_what_made_it(copy):
    listed = json.loads((copy / manifest.MANIFEST).read_text())
    assert listed["made_by"]["revision"] == REVISIONS["provenance"]
    aside = {"logs", "benchmarks", "provenance", "models"}
    there = {
        path.relative_to(copy).as_posix()
        for path in copy.rglob("*")
        if path.is_file() and path.relative_to(copy).parts[0] not in aside
    }
    assert there - {name for name in there if Path(name).name.startswith(".")} <= set(listed["files"])
    for name in there:
        if Path(name).suffix in (".h5", ".jsonl", ".svg", ".png", ".html"):
            record = embedded(copy / name)
            assert record is not None, name
            assert record["revision"] == REVISIONS[record["stage"]], name
            assert record["started"] <= record["written"], name
            assert record["inputs"], name
            assert record["code"]["version"], name


# Their bytes are nothing but content: what made them stands in the record of their job.
BY_THEIR_JOB = {".tsv", ""}
CONTENT_ALONE = ("models/", "scenarios.json", "provenance/")


@pytest.mark.parametrize("kind", [".jsonl", ".h5", ".svg", ".png", ".html", ".tsv", ".json"])
def test_each_kind_of_output_tells_how_it_was_made(copy, kind):
    of_jobs = {path: job for _, job in job_records.read_all(copy) for path in job["outputs"]}
    made = {path: output for path, output in manifest.outputs(copy).items() if Path(path).suffix == kind}
    assert made
    for path, output in made.items():
        record = embedded(copy / path)
        assert record or kind in BY_THEIR_JOB or path.startswith(CONTENT_ALONE), path
        record = record or of_jobs[f"results/{path}"]
        assert {"version", "commit", "dirty"} <= set(record["code"]), path
        assert {"python", "numpy", "h5py"} <= set(record["libraries"]), path
        assert record["host"]["system"], path
        assert record["started"] <= record.get("written", record.get("ended")), path
        settings = record.get("settings", record.get("params"))
        assert settings, path
        assert record.get("revision", settings.get("revision")) == output.revision, path
        for read, sha in record["inputs"].items():
            assert provenance.sha256_of(read) == sha, (path, read)
        if not path.startswith(CONTENT_ALONE):
            assert_rests_on_everything(path, record)


def assert_rests_on_everything(path, record):
    """The models, tokenizers, prompts, scenario files and seeds behind a file, in the file itself."""
    rests_on = record["rests_on"]
    assert set(rests_on["data"]) == {"envs.json", "agents.json", "env_agent_combos.json"}, path
    if path.startswith("dialogues/"):
        models, seeds = record["settings"]["models"], [record["seed"]]
        assert record["settings"]["template_sha256"], path
    else:
        models, seeds = rests_on["models"], rests_on["seeds"]
        assert rests_on["templates"]["dialogues"], path
        assert rests_on["revisions"]["dialogues"] == REVISIONS["dialogues"], path
    assert seeds == [0], path
    # One job draws the figures of all pairs.
    named = {name for name in ("red", "blue") if name in path and not path.startswith("figures/")}
    assert set(models) == (named or {"red", "blue"}), path
    assert all(model["files_sha256"] and model["chat_template_sha256"] for model in models.values()), path


def test_jobs_record_time_and_memory_that_benchmarks_do_not_see(copy):
    """With warm_start Snakemake measures the script, which only waits."""
    records = dict(job_records.read_all(copy))
    replayed = records["replay_states/red--blue/engaged/seed-0/shard-0.json"]
    assert replayed["peak_memory_mb"] > 200, "torch alone takes more"
    assert replayed["seconds"] > 0
    assert replayed["params"]["revision"] == REVISIONS["states"]
    assert replayed["wildcards"]["reading"] == "engaged"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize(
    "name",
    [
        "states/red--blue/engaged/seed-0/shard-0.h5",
        "dialogues/red--blue/seed-0/shard-1.jsonl",
        "judgements/surface/blue--red/seed-0/shard-0.jsonl",
        "statistics/pairs.tsv",
        "figures/lags.png",
    ],
)
def test_one_byte_flipped_anywhere_is_found(copy, name, share):
    flip(copy / name, share)
    assert name in {each.path for each in verify([copy / name]).wrong}


def test_deleted_states_are_no_fault(copy):
    shutil.rmtree(copy / "states")
    found = verify([copy])
    assert found.wrong == []
    assert len(found.notes) == 24


def test_the_crate_is_read_by_its_own_reader(copy):
    from rocrate.rocrate import ROCrate

    folder = copy / "provenance"
    assert (folder / "ro-crate-metadata.json").stat().st_size < 300_000
    crate = ROCrate(folder)
    assert crate.mainEntity.id == "Snakefile"
    assert crate.mainEntity["programmingLanguage"].id.endswith("snakemake")
    profiles = {entity.id for entity in crate.root_dataset["conformsTo"]}
    assert "https://w3id.org/ro/wfrun/workflow/0.5" in profiles
    (action,) = (entity for entity in crate.get_entities() if entity.type == "CreateAction")
    assert action["instrument"].id == "Snakefile"
    assert action["startTime"] <= action["endTime"]
    listed = json.loads((copy / manifest.MANIFEST).read_text())["files"]
    made = {}
    for entity in action["result"]:
        if entity.get("sha256"):
            names = entity["alternateName"]
            made |= dict.fromkeys(names if isinstance(names, list) else [names], entity["sha256"])
    assert made["synchrony.tsv"] == listed["synchrony.tsv"]["sha256"]
    assert {"config.json"} <= {entity.id for entity in action["object"]}
    # Everything that the crate says lies in its folder does, and nothing is reached through "..".
    for entity in crate.data_entities:
        assert ":" in entity.id or (folder / entity.id).is_file(), entity.id


class TestForecast:
    """Half of the pairs are hidden; what they took is forecast from the other half."""

    @pytest.fixture
    def halved(self, tiny, copy):
        took = [record for _, record in job_records.read_all(copy)]
        for pair in ("blue--red", "blue--blue"):
            for folder in (copy / "provenance" / "jobs", copy / "benchmarks"):
                for path in folder.rglob(f"{pair}*"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        return configuration.load({**tiny, "results": str(copy)}), took

    def test_disk_within_20_and_time_within_50_per_cent(self, halved):
        experiment, took = halved
        found = forecast(experiment)
        known = {rule.rule for rule in found.rules}
        of_known = [record for record in took if record["rule"] in known]
        size = sum(made["bytes"] for record in of_known for made in record["outputs"].values())
        assert found.bytes - found.disk["records"] == pytest.approx(size, rel=0.2)
        assert found.seconds == pytest.approx(sum(record["seconds"] for record in of_known), rel=0.5)
        by_rule = {rule.rule: rule for rule in found.rules}
        assert (by_rule["replay_states"].jobs, by_rule["replay_states"].done) == (24, 12)
        assert by_rule["replay_states"].calibrated
        assert by_rule["replay_states"].memory_mb > 200

    def test_every_job_of_the_workflow_that_matters_is_forecast(self, halved):
        experiment, took = halved
        planned = {rule.rule: rule.jobs for rule in forecast(experiment).rules}
        ran = {}
        for record in took:
            ran[record["rule"]] = ran.get(record["rule"], 0) + 1
        assert {rule: n for rule, n in planned.items() if ran.get(rule) != n} == {}
        # Of what it leaves out, there is one job each.
        assert {ran[rule] for rule in ran if rule not in planned} <= {1}

    def test_disk_of_states_before_anything_has_run(self, tiny, copy, tmp_path):
        found = forecast(configuration.load({**tiny, "results": str(tmp_path / "nothing")}))
        states = sum(path.stat().st_size for path in (copy / "states").rglob("*.h5"))
        assert found.disk["states"] == pytest.approx(states, rel=0.2)
        assert found.speech.source == "assumed"


def _judging():
    """The unit tests' endpoint, which lies in their folder."""
    path = REPOSITORY / "tests" / "unit" / "judging.py"
    if "judging" not in sys.modules:
        spec = importlib.util.spec_from_file_location("judging", path)
        sys.modules["judging"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["judging"]


def test_no_key_in_any_file_of_a_run(tiny, tmp_path, monkeypatch):
    """The endpoint repeats the key in an answer that fails, as some do; only then does it judge."""
    judging = _judging()
    key = "sk-planted-0123456789abcdef"
    monkeypatch.setenv("JUDGE_KEY", key)
    # A process that another test has started knows nothing of it.
    monkeypatch.delenv(warm.ADDRESS_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with judging.serving(judging.Response(f"no: Bearer {key}", 500), judging.GOOD) as endpoint:
        judge = {"name": "model", "engine": "openai", "model": "m", "base_url": endpoint.url}
        config = with_changes(
            tiny,
            models=tiny["models"][:1],
            scenarios__episodes=4,
            resources__warm_start=False,
            judges=[{**judge, "api_key_env": "JUDGE_KEY", "concurrency": 2, "timeout": 20}],
        )
        target = "results/judgements/model/red--red/seed-0/shard-0.jsonl"
        run = snakemake(config, tmp_path / "run", targets=(target,))
        assert run.error is None, run.error
        assert len(endpoint.requests) > 1
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert any("model/red--red" in str(path) for path in files)
    assert [path for path in files if key.encode() in path.read_bytes()] == []


def test_hostile_ids_of_episodes_and_people_leave_the_results_nowhere(tiny, tmp_path):
    """Ids of the scenario files are data: they stand in files, never in their names."""
    own = tmp_path / "own"
    shutil.copytree(REPOSITORY / "resources" / "scenarios", own)
    episodes = json.loads((own / "env_agent_combos.json").read_text())
    for i, episode in enumerate(episodes):
        episode["pk"] = f"../../../evil-{i}" if i % 2 else f"/tmp/evil {{pair}} {i}"
    (own / "env_agent_combos.json").write_text(json.dumps(episodes))
    config = with_changes(
        tiny,
        models=tiny["models"][:1],
        scenarios__source="local",
        scenarios__folder=str(own),
        scenarios__episodes=4,
    )
    folder = tmp_path / "run"
    where = "red--red/{}seed-0/shard-0"
    targets = (
        f"results/states/{where.format('engaged/')}.h5",
        f"results/judgements/surface/{where.format('')}.jsonl",
    )
    run = snakemake(config, folder, targets=targets)
    assert run.error is None, run.error
    text = (folder / f"results/dialogues/{where.format('')}.jsonl").read_text()
    assert "../../../evil-1" in text
    assert [path.name for path in tmp_path.rglob("*evil*")] == []
    assert {path.name for path in tmp_path.iterdir()} == {"own", "run"}
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {
        "results",
        "test.yaml",
    }


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_no_script_of_a_hostile_scenario_or_utterance_runs(tiny, copy, tmp_path):
    """The pages are opened without the policy in their head, so that the escaping alone must hold."""
    from syncr2.stages.pages import MEANINGS, write

    hostile = "<img src=x onerror=\"document.body.id='owned'\"><script>document.body.id='owned'</script>"
    scenarios = json.loads((copy / "scenarios.json").read_text())
    for environment in scenarios["environments"].values():
        # A tag in a scenario is refused before it is shown; one that a careless page would decode is not.
        environment["scenario"] = html.escape(hostile) + environment["scenario"]
    (copy / "scenarios.json").write_text(json.dumps(scenarios))
    dialogues = sorted((copy / "dialogues").rglob("*.jsonl"))
    for path in dialogues:
        records = read_jsonl(path)
        for record in records:
            for turn in record["turns"]:
                turn["text"] = hostile
        write_jsonl(path, records)
    places = {
        "pairs": "statistics/pairs",
        "correlations": "statistics/correlations",
        "partial": "statistics/partial_correlations",
        "directed": "synchrony_directed",
    }
    names = ("results", "parameters", "provenance", "dialogues")
    write(
        {**tiny, "results": str(copy)},
        {name: str(copy / f"{places.get(name, name)}.tsv") for name in MEANINGS},
        str(copy / "scenarios.json"),
        [str(path) for path in dialogues],
        [str(path) for path in sorted((copy / "judgements").rglob("*.jsonl"))],
        [str(path) for path in sorted((copy / "r2").rglob("*.h5"))],
        {name: str(tmp_path / f"{name}.html") for name in names},
    )
    control = (
        "<!doctype html><html><head></head><body><script>document.body.id='owned'</script></body></html>"
    )
    (tmp_path / "control.html").write_text(control)
    assert 'id="owned"' in opened(tmp_path / "control.html", tmp_path), "scripts do run in this browser"
    for name in names:
        page = tmp_path / f"{name}.html"
        text = page.read_text()
        assert "Content-Security-Policy" in text
        page.write_text(text.replace("Content-Security-Policy", "x-none"))
        shown = opened(page, tmp_path)
        assert ("onerror" in shown) or name != "dialogues", "the text is there"
        assert 'id="owned"' not in shown, name


def opened(page: Path, folder: Path) -> str:
    """The page as the browser has it after all scripts."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'browser'}",
    ]
    command += ["--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
