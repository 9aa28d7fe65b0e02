"""A judge behind a real endpoint, in the real workflow: what is asked, what is kept, what runs again."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, snakemake, with_changes

from syncr2.files import read_table

PERFORMANCE = "results/performance.tsv"


def _judging():
    """The unit tests' endpoint, which lies in their folder."""
    path = REPOSITORY / "tests" / "unit" / "judging.py"
    if "judging" not in sys.modules:
        spec = importlib.util.spec_from_file_location("judging", path)
        sys.modules["judging"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["judging"]


@pytest.fixture(scope="module")
def judged(tiny, tmp_path_factory):
    """Folder, configuration and endpoint of a run that ends with the judgements."""
    judging = _judging()
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path_factory.mktemp("judged")
    with judging.serving(judging.Response("", 500), judging.GOOD) as endpoint:
        judge = {"name": "model", "engine": "openai", "model": "m", "base_url": endpoint.url}
        config = with_changes(
            tiny,
            scenarios__episodes=4,
            dialogue__shard_size=4,
            judges=[{**judge, "concurrency": 2, "timeout": 20}, {"name": "surface", "engine": "surface"}],
        )
        run = snakemake(config, folder, targets=(PERFORMANCE,))
        assert run.error is None, run.error
        yield folder, config, endpoint
    monkeypatch.undo()


def test_every_dialogue_is_asked_about_in_both_orders(judged):
    folder, _, endpoint = judged
    table = read_table(folder / PERFORMANCE)
    own = table[table["judge"] == "model"]
    assert (own["failure_rate"] == 0).all()
    # A fixed answer cannot know who comes first, and one request met a server that was down.
    assert (own["order_change"] == 0).all()
    assert len(endpoint.requests) == 2 * own["n_dialogues"].sum() + 1 == 33
    agreement = read_table(folder / "results/judge_agreement.tsv")
    assert set(agreement["between"]) == {"judges", "orders"}
    assert set(agreement.loc[agreement["between"] == "orders", "judge"]) == {"model", "surface"}


@pytest.mark.parametrize(
    "knobs",
    [{"retries": 0}, {"timeout": 99}, {"concurrency": 1}, {"cache": "elsewhere"}, {"api_key_env": "KEY"}],
)
def test_what_cannot_change_an_answer_runs_nothing_again(judged, knobs):
    folder, config, _ = judged
    judges = [{**config["judges"][0], **knobs}, config["judges"][1]]
    run = snakemake(with_changes(config, judges=judges), folder, dry=True, targets=(PERFORMANCE,))
    assert run.error is None, run.error
    assert run.jobs == []


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"revision": "abc"}, {"both_orders": False}])
def test_what_can_change_an_answer_runs_that_judge_alone(judged, change):
    folder, config, _ = judged
    judges = [{**config["judges"][0], **change}, config["judges"][1]]
    run = snakemake(with_changes(config, judges=judges), folder, dry=True, targets=(PERFORMANCE,))
    assert run.wildcards("judge_dialogues", "judge") == {"model"}


def test_another_wording_of_its_prompt_runs_the_judge_that_asks_a_model(judged, tmp_path):
    folder, config, _ = judged
    prompts = tmp_path / "prompts"
    shutil.copytree(config["prompts"], prompts)
    changed = with_changes(config, prompts=str(prompts))
    assert snakemake(changed, folder, dry=True, targets=(PERFORMANCE,)).jobs == []
    with (prompts / "judge.jinja").open("a") as template:
        template.write("{# another wording #}")
    run = snakemake(changed, folder, dry=True, targets=(PERFORMANCE,))
    assert run.wildcards("judge_dialogues", "judge") == {"model"}
    assert set(run.count) == {"judge_dialogues", "summarise_performance"}


def test_outcomes_have_their_tables_where_no_episode_plays_for_something(judged):
    folder, config, _ = judged
    run = snakemake(config, folder, targets=("results/outcomes.tsv",))
    assert run.error is None, run.error
    assert run.count == {"summarise_outcomes": 1}
    assert read_table(folder / "results/outcomes.tsv").empty
    assert "unreadable_rate" in read_table(folder / "results/outcome_pairs.tsv")


def test_judging_again_makes_no_request(judged):
    folder, config, endpoint = judged
    n, before = len(endpoint.requests), (folder / PERFORMANCE).read_bytes()
    shutil.rmtree(folder / "results/judgements/model")
    Path(folder / PERFORMANCE).unlink()
    run = snakemake(config, folder, targets=(PERFORMANCE,))
    assert run.error is None, run.error
    assert run.count["judge_dialogues"] == 4
    assert len(endpoint.requests) == n
    assert (folder / PERFORMANCE).read_bytes() == before
