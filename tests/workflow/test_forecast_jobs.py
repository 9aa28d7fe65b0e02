"""The forecast names the jobs that Snakemake plans, one for one, with what they ask for."""

from __future__ import annotations

import re

import pytest
from conftest import REPOSITORY, demo, miniature, published, snakemake, with_changes

from syncr2 import config as configuration
from syncr2.forecast import Plan
from syncr2.forecast.facts import speech_of
from syncr2.forecast.plan import COSTLESS

SURFACE = {"name": "surface", "engine": "surface"}
# A model whose weights nobody has: it is played and judged, and that is all.
BEHIND_A_SERVER = {
    "name": "closed",
    "family": "other",
    "endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "closed"},
    "covariates": {"ifeval": 0.5, "musr": 0.1},
}


def with_a_table(folder):
    """Numbers made elsewhere, of which `late` has classes."""
    table = folder / "elsewhere.tsv"
    columns = ("agent1", "agent2", "seed", "episode_id", "turn", "late")
    table.write_text("\t".join(columns) + "\nred\tblue\t0\te\t0\tyes\n")
    two = [miniature("red", 1, "warm"), miniature("blue", 2, "cold")]
    labels = [SURFACE, {"name": "elsewhere", "engine": "table", "file": str(table)}]
    changes = {"models": two, "labels": labels, "probes": ["emotion", "late"]}
    return with_changes(demo(), **changes, statistics__covariates=[])


def with_servers(folder):
    """The engine vllm, a judge that jobs serve, and a model that somebody else serves."""
    config = published()
    (folder / "judge").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / "judge" / name).write_text("{}")
    own = {"engine": "vllm", "gpus": 4, "memory_gb": 60}
    judge = {**own, "name": "own", "model": str(folder / "judge")}
    labels = [
        {**own, "name": "own", "model": "owner/labeller"},
        {**judge, "name": "same"},
    ]
    models = [{**config["models"][0], "gpus": 2, "memory_gb": 33.5}, *config["models"][1:3], BEHIND_A_SERVER]
    return with_changes(
        config, models=models, judges=[judge, SURFACE], labels=labels, dialogue__engine="vllm"
    )


def few_pairs(folder):
    """Two pairs of six models, several shards, nothing grouped, the published protocol alone."""
    return with_changes(
        published(),
        pairs=[["llama-3-8b", "llama-2-7b"], ["llama-2-7b", "llama-2-7b"]],
        dialogue__shard_size=100,
        synchrony__group_by=[],
        synchrony__protocols=["paper"],
        synchrony__device="cuda",
    )


def fewer_controls(folder):
    """Neither nulls nor baselines, and no labels."""
    changes = {"synchrony__null_draws": 0, "synchrony__baselines": False, "synchrony__device": "cuda"}
    return with_changes(published(), labels=[], probes=[], **changes)


def a_folder(folder):
    """A model that lies in a folder."""
    own = folder / "own"
    own.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (own / name).write_text("{}")
    model = {**published()["models"][0], "path": str(own)}
    return with_changes(published(), models=[model, published()["models"][1]])


CASES = {
    "published": lambda folder: published(),
    "demo": lambda folder: demo(),
    "worlds of several couplings": lambda folder: demo("calibration.yaml"),
    "labels from a table": with_a_table,
    "servers": with_servers,
    "few pairs": few_pairs,
    "fewer controls": fewer_controls,
    "a folder": a_folder,
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def both(request, tmp_path_factory):
    """Jobs by Snakemake and by the forecast, each by the name of its record."""
    folder = tmp_path_factory.mktemp("forecast")
    config = with_changes(
        CASES[request.param](folder),
        results=str(folder / "results"),
        prompts=str(REPOSITORY / "resources/prompts"),
    )
    run = snakemake(config, folder / "work", dry=True)
    assert run.error is None, run.error
    experiment = configuration.load(config)
    jobs = [job for job in Plan.of(experiment, speech_of(experiment)).jobs() if job.name]
    logs = f"{folder}/results/logs/"
    by_name = {
        str(record["log"][0]).removeprefix(logs).removesuffix(".log"): record
        for record in run.told
        if record["rule_name"] not in COSTLESS
    }
    return by_name, {job.name: job for job in jobs}, len(jobs), f"{folder}/results/"


def test_the_same_jobs_each_once(both):
    planned, forecast, n_jobs, _ = both
    assert set(forecast) == set(planned)
    assert n_jobs == len(forecast)
    assert {name: job.rule for name, job in forecast.items()} == {
        name: record["rule_name"] for name, record in planned.items()
    }


def test_the_outputs_that_it_names(both):
    planned, forecast, _, results = both
    for name, job in forecast.items():
        made = {str(path).split(" ")[0].removeprefix(results) for path in planned[name]["output"]}
        assert set(job.outputs) <= made, name


def test_memory_threads_and_gpus_that_jobs_ask_for(both):
    planned, forecast, _, _ = both
    for name, job in forecast.items():
        asked = planned[name]["resources"]
        assert job.memory_mb == pytest.approx(asked["mem_mb"], abs=1), name
        assert job.gpus == asked.get("gpu", 0), name
        # A dry run has as many cores as it was given, and cuts threads to them.
        assert min(job.threads, 2) == planned[name]["threads"], name


def test_servers_that_jobs_start_are_in_the_plan(tmp_path):
    config = with_changes(
        with_servers(tmp_path),
        results=str(tmp_path / "results"),
        prompts=str(REPOSITORY / "resources/prompts"),
    )
    run = snakemake(config, tmp_path / "work", dry=True)
    assert run.error is None, run.error
    servers = {
        str(job["log"][0]).split("/logs/")[1].split("/seed-0/")[0]: job["resources"].get("servers")
        for job in run.told
        if job["rule_name"] not in COSTLESS
    }
    first, second, behind = (config["models"][place]["name"] for place in (0, 1, 3))
    pairs = (f"{first}--{second}", f"{first}--{first}", f"{first}--{behind}", f"{behind}--{behind}")
    assert [servers[f"play_dialogues/{pair}"] for pair in pairs] == [2, 1, 1, 0]
    asking = ("judge_dialogues/own", "label_utterances/same", "judge_dialogues/surface")
    assert [servers[f"{name}/{pairs[0]}"] for name in asking] == [1, 1, 0]
    assert servers[f"replay_states/{pairs[0]}/engaged"] is None


def test_every_rule_of_the_workflow_is_known(tmp_path):
    """A rule that the cases above do not plan would be missing here, as would a new one."""
    files = [REPOSITORY / "Snakefile", *(REPOSITORY / "workflow" / "rules").glob("*.smk")]
    named = r"^(?:use rule \w+ as|rule) (\w+)(?: with)?:"
    rules = {name for file in files for name in re.findall(named, file.read_text(), re.MULTILINE)}
    forecast = set()
    for number, case in enumerate(CASES.values()):
        (folder := tmp_path / str(number)).mkdir()
        experiment = configuration.load(with_changes(case(folder), results=str(folder / "results")))
        forecast |= {job.rule for job in Plan.of(experiment, speech_of(experiment)).jobs() if job.rule}
    assert forecast | set(COSTLESS) == rules
    assert not forecast & set(COSTLESS)
