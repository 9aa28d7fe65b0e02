"""What a configuration may say of judges, beyond what the tests of the whole configuration cover."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from configuring import ENDPOINT, merged, of_judge, of_models, problems, read_yaml

from syncr2.config import load, slice_of
from syncr2.errors import SyncR2Error
from syncr2.judges import KNOBS, JudgeSettings
from syncr2.judges.cache import cache_key
from syncr2.judges.served import Hosting, served_weights
from syncr2.labellers import LabellerSettings
from syncr2.serving.launch import ServerSettings


def test_a_judge_may_take_its_scores_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "scores.tsv").write_text("")
    judges = [{"name": "people", "engine": "table", "file": str(tmp_path / "scores.tsv")}]
    experiment = load(merged(read_yaml("config.yaml"), {"judges": judges}))
    assert experiment.judges["people"].file == str(tmp_path / "scores.tsv")


def test_the_file_must_be_named_and_there(tmp_path: Path) -> None:
    (line,) = of_judge(engine="table")
    assert line == "judges[0] (gpt): found no `file`; the engine `table` needs one."
    (line,) = of_judge(engine="table", file=str(tmp_path / "gone.tsv"))
    assert line.startswith("judges[0] (gpt).file: found '")
    assert line.endswith("gone.tsv', which is no file; allowed: a table of scores.")


@pytest.mark.parametrize(
    ("key", "value"), [("both_orders", "yes"), ("cache", 3), ("revision", 1), ("cache", "")]
)
def test_values_of_the_wrong_kind_are_refused(key: str, value: object) -> None:
    (line,) = of_judge(**{key: value})
    assert line.startswith("judges[0] (gpt)")
    assert key in line


def test_what_is_left_without_the_knobs_is_all_that_can_change_an_answer() -> None:
    left = slice_of(JudgeSettings("j", "surface"), *KNOBS)
    assert set(left) == {
        *(
            "name",
            "engine",
            "model",
            "base_url",
            "revision",
            "file",
            "both_orders",
            "temperature",
            "max_tokens",
        ),
        *("dtype", "context", "quantization", "server_arguments"),
    }
    # The last knob is a labeller's own.
    assert set(left) | set(KNOBS) == {field.name for field in dataclasses.fields(LabellerSettings)}


def test_a_judge_that_the_job_serves_needs_its_model_alone() -> None:
    judge = {"name": "own", "engine": "vllm", "model": "owner/name", "server_arguments": ["--seed", "1"]}
    experiment = load(merged(read_yaml("config.yaml"), {"judges": [judge]}))
    assert experiment.judges["own"].server_arguments == ("--seed", "1")
    assert experiment.judges["own"].gpus == 1
    (line,) = of_judge(engine="vllm", model=None)
    assert line == "judges[0] (gpt): found no `model`; the engine `vllm` needs one."


def test_servers_listen_where_the_workflow_says() -> None:
    found = problems(
        {
            "vllm": {"arguments": ["--host=0.0.0.0", "--seed", "1"]},
            "judges": [{"name": "gpt", **ENDPOINT, "server_arguments": ["--served_model_name", "x"]}],
        }
    )
    assert [line.split(", which the workflow sets itself")[0] for line in found] == [
        "vllm.arguments: found --host",
        "judges[0] (gpt).server_arguments: found --served-model-name",
    ]


@pytest.mark.parametrize(
    ("section", "allowed"),
    [
        ({"command": []}, "vllm.command: "),
        ({"start_deadline": 0}, "vllm.start_deadline: found 0"),
        ({"arguments": "--seed 1"}, "vllm.arguments: found "),
    ],
)
def test_impossible_servers_are_refused(section: dict[str, object], allowed: str) -> None:
    (line,) = problems({"vllm": section})
    assert line.startswith(allowed)


@pytest.mark.parametrize("share", [0, 1.1, -0.5])
def test_a_share_of_memory_lies_between_nothing_and_all(share: float) -> None:
    (line,) = of_models({"memory_share": share})
    assert "memory_share" in line
    assert str(share) in line


def test_what_a_server_is_told_of_a_model_follows_from_its_keys() -> None:
    raw = read_yaml("config.yaml")
    raw["models"][0] |= {
        "gpus": 2,
        "memory_share": 0.4,
        "quantization": "fp8",
        "server_arguments": ["--seed=1"],
    }
    experiment = load(raw)
    model = experiment.served_model(raw["models"][0]["name"], "/folder", None, 4096)
    assert model == (
        raw["models"][0]["name"],
        "/folder",
        None,
        "bfloat16",
        4096,
        2,
        0.4,
        "fp8",
        ("--seed=1",),
    )
    assert experiment.vllm.start_deadline == 900


def test_how_a_model_is_served_and_its_bytes_decide_what_the_cache_knows() -> None:
    settings = JudgeSettings.from_dict({"name": "own", "engine": "vllm", "model": "owner/name"})
    request = {"model": "owner/name"}

    def key(told: tuple[str, ...] = (), sha256: str | None = None, **changes: object) -> str:
        hosting = Hosting(ServerSettings(("vllm",), told), "logs", sha256)
        return cache_key(served_weights(dataclasses.replace(settings, **changes), hosting), request, "1")

    assert key() == key(gpus=2, memory_share=0.5, base_url="http://127.0.0.1:4000/v1", timeout=3.0)
    different = [key(), key(revision="abc"), key(dtype="float32"), key(quantization="fp8")]
    different += [key(told=("--seed=1",)), key(sha256="a" * 64), key(sha256="b" * 64)]
    assert len(set(different)) == 7
    # It is the same where it is told: to all servers, or to this one.
    assert key(told=("--seed=1",)) == key(server_arguments=("--seed=1",))


def test_all_that_is_wrong_with_a_judge_comes_at_once() -> None:
    found = of_judge(max_tokens=100, base_url="http://host/v1?key=1", both_orders=True, model=None)
    assert [line.split(" is ")[0] for line in found] == [
        "judges[0] (gpt): found no `model`; the engine `openai` needs both.",
        "judges[0] (gpt): base_url",
    ]
    wrong = {"name": "j", "engine": "gpt", "retires": 1, "retries": -1, "timeout": 0, "cache": ""}
    with pytest.raises(SyncR2Error) as caught:
        JudgeSettings.from_dict(wrong)
    lines = str(caught.value).split("\n")
    assert all(line.startswith("Judge j: ") for line in lines)
    said = ["unknown key 'retires'", "engine is 'gpt'", "cache is ''", "retries is -1", "timeout is 0"]
    assert [line for line, text in zip(lines, said, strict=True) if text not in line] == []


def test_a_model_to_be_served_that_is_nowhere_is_refused_before_a_job_asks_for_gpus() -> None:
    (line,) = of_judge(engine="vllm", model="./models/gone")
    assert line.startswith("judges[0] (gpt).model: found './models/gone', which does not exist; allowed: a")
