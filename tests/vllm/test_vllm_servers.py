"""Real vLLM servers, as a job starts them: they answer, alike every time, and are gone when they should."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from on_cpu import ARGUMENTS, COMMAND, SETTINGS, running, served, until

from syncr2.errors import SyncR2Error
from syncr2.serving import servers
from syncr2.serving.servers import Server, serve

PROMPTS = [[1, *((i * k) % 700 + 270 for i in range(60 + 9 * k))] for k in range(3, 11)]


def complete(server: Server, prompt: Sequence[int], **sampling: Any) -> list[int]:
    """Token ids that answer token ids."""
    body = {"model": server.model, "prompt": list(prompt), "max_tokens": 16, "return_token_ids": True}
    request = urllib.request.Request(
        server.base_url + "/completions",
        json.dumps({**body, **sampling}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
        return json.load(answer)["choices"][0]["token_ids"]


def drawn(server: Server, order: Sequence[int], at_once: int = 1) -> dict[int, list[int]]:
    """Answers to the prompts, each with a seed of its own, asked in this order."""
    with ThreadPoolExecutor(at_once) as pool:
        answers = pool.map(
            lambda k: complete(server, PROMPTS[k], temperature=0.7, top_p=1.0, top_k=0, seed=1000 + k), order
        )
        return dict(zip(order, answers, strict=True))


@pytest.fixture(scope="module")
def pair(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Two servers side by side."""
    logs = tmp_path_factory.mktemp("logs")
    with serve([served(name, folder) for name, folder in folders.items()], SETTINGS, logs) as found:
        yield found
    assert not any(running(folder) for folder in folders.values())


def test_both_answer_as_transformers_does(pair: dict[str, Server], folders: dict[str, Path]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    for name, server in pair.items():
        assert server.alive()
        assert server.version == "0.32.0"
        model = AutoModelForCausalLM.from_pretrained(folders[name])
        for prompt in PROMPTS[:3]:
            ids = torch.tensor([prompt])
            made = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False
            )
            expected = made[0, len(prompt) :].tolist()
            answered = complete(server, prompt, temperature=0, ignore_eos=True)
            assert answered[: len(expected)] == expected


def test_a_seed_decides_what_is_drawn_whoever_else_asks(pair: dict[str, Server]) -> None:
    everyone = list(range(len(PROMPTS)))
    for server in pair.values():
        alone = drawn(server, everyone)
        assert drawn(server, everyone, at_once=8) == alone
        assert drawn(server, everyone[::-1], at_once=8) == alone
        assert drawn(server, [3, 5], at_once=2) == {3: alone[3], 5: alone[5]}
        assert len({tuple(answer) for answer in alone.values()}) > 1
        other = complete(server, PROMPTS[0], temperature=0.7, top_p=1.0, top_k=0, seed=7)
        assert other != alone[0]


def test_a_taken_port_is_changed_and_a_killed_server_comes_back_the_same(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: dict[str, Server]
) -> None:
    choose = servers._choose_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        offers = [(port, None)]
        monkeypatch.setattr(
            servers, "_choose_port", lambda reserve: offers.pop() if offers else choose(reserve=reserve)
        )
        with serve([served("red", folders["red"])], SETTINGS, tmp_path) as found:
            server = found["red"]
            assert f":{port}/" not in server.base_url
            log = (tmp_path / "red.log").read_text()
            assert log.count("--port") >= 2
            assert "Address already in use" in log
            before = drawn(server, [0, 1, 2])
            # Another server of the same model says the same.
            assert drawn(pair["red"], [0, 1, 2]) == before
            # The engine is a process below the one that listens; without it nothing can be answered.
            keeper = server._keeper
            assert keeper is not None
            killed = [pid for pid in running(f"port {server.base_url[17:-3]}") if pid != keeper.pid]
            assert len(killed) > 2
            os.kill(max(killed), signal.SIGKILL)
            assert until(lambda: not server.alive(), 60)
            server.restart()
            assert server.alive()
            assert drawn(server, [2, 1, 0]) == before
            mine = f"port {server.base_url[17:-3]}"
            assert running(mine)
    assert running(mine) == []


def test_a_missed_deadline_is_told(folders: dict[str, Path], tmp_path: Path) -> None:
    with (
        pytest.raises(
            SyncR2Error, match=r"The server of slow did not answer within 2 s.*vllm\.start_deadline"
        ),
        serve([served("slow", folders["red"])], SETTINGS._replace(start_deadline=2.0), tmp_path),
    ):
        pass
    assert running("--served-model-name slow") == []


def test_a_folder_without_a_model_is_told_in_vllms_words(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with (
        pytest.raises(SyncR2Error, match="The server of nothing died before it answered") as raised,
        serve([served("nothing", tmp_path / "empty")], SETTINGS, tmp_path / "logs"),
    ):
        pass
    last = str(raised.value).split("Last lines:\n")[1]
    assert "empty" in last
    assert 1 < len(last.splitlines()) <= 20


JOB = """
import sys, time
from syncr2.serving.servers import ServedModel, ServerSettings, serve
told = ServerSettings(sys.argv[3].split(), sys.argv[4].split(), 300)
with serve([ServedModel("doomed", sys.argv[1], dtype="float32", context=4096, gpus=0)], told, sys.argv[2]):
    print("up", flush=True)
    time.sleep(600)
"""


def test_nothing_is_left_of_a_job_that_is_killed(folders: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-c", JOB, str(folders["blue"]), str(tmp_path)]
    command += [" ".join(COMMAND), " ".join(ARGUMENTS)]
    name = "--served-model-name doomed"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "up\n"
        pids = running(name)
        assert len(pids) > 3
        job.kill()
    assert until(lambda: running(name) == [], 30)
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10)
