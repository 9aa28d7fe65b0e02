"""Servers that a job starts: up, found, ended. The server is a program of the tests', all else is real."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncr2.errors import SyncR2Error
from syncr2.serving import gpus, servers
from syncr2.serving.launch import arguments_of, environment, responds
from syncr2.serving.servers import ServedModel, ServerSettings, serve

PROGRAM = Path(__file__).with_name("server_program.py")
LINUX = sys.platform == "linux"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "GRACE", 1.0)
    monkeypatch.setattr(servers, "_STEP", 0.02)


def settings(*arguments: str, deadline: float = 20.0) -> ServerSettings:
    return ServerSettings((sys.executable, str(PROGRAM)), arguments, deadline)


def model(name: str = "red", **changes: Any) -> ServedModel:
    return ServedModel(name, "/no/such/folder", gpus=0, **changes)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def running(needle: Path | str) -> list[int]:
    """Processes whose command line names something."""
    listed = subprocess.run(
        ["ps", "-eww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines() if str(needle) in line]
    return [int(row[0]) for row in rows if "Z" not in row[1]]


def port_of(url: str) -> int:
    return int(url.removesuffix("/v1").rpartition(":")[2])


def test_servers_come_up_side_by_side_and_are_gone_afterwards(tmp_path: Path) -> None:
    record = tmp_path / "record"
    told = settings("--record", str(record))
    with serve([model("red"), model("blue")], told, tmp_path / "logs") as found:
        assert list(found) == ["red", "blue"]
        for name, server in found.items():
            assert (server.model, server.version) == (name, "1.2.3")
            assert server.alive()
            assert responds("127.0.0.1", port_of(server.base_url), "/health")
        assert len({server.base_url for server in found.values()}) == 2
        assert len(running(record)) == 4  # each below its keeper
    assert running(record) == []
    assert not any(server.alive() for server in found.values())
    for name in found:
        lines = (tmp_path / "logs" / f"{name}.log").read_text().splitlines()
        assert f"--served-model-name {name}" in lines[0]
        assert lines[1:] == [f"line {i}" for i in range(30)]


@pytest.mark.skipif(not LINUX, reason="elsewhere only the process group can be followed")
@pytest.mark.parametrize("option", [(), ("--stubborn",)])
def test_whatever_a_server_started_ends_with_it(tmp_path: Path, option: tuple[str, ...]) -> None:
    record = tmp_path / "record"
    with serve([model()], settings("--record", str(record), "--fork", *option), tmp_path):
        assert len(running(record)) == 4  # keeper, server, its child, and that one's child
    assert running(record) == []


def test_servers_end_when_what_needs_them_fails(tmp_path: Path) -> None:
    record = tmp_path / "record"
    ports = []

    def fail() -> None:
        with serve([model()], settings("--record", str(record)), tmp_path) as found:
            ports.append(port_of(found["red"].base_url))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert running(record) == []
    assert not responds("127.0.0.1", ports[0], "/health")


JOB = """
import sys, time
from syncr2.serving.servers import ServedModel, ServerSettings, serve
told = ServerSettings((sys.executable, sys.argv[1]), ("--record", sys.argv[2], *sys.argv[4:]))
with serve([ServedModel("red", "/no/such/folder", gpus=0)], told, sys.argv[3]):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_when_their_job_is_killed(tmp_path: Path, number: int) -> None:
    record = tmp_path / "record"
    command = [sys.executable, "-c", JOB, str(PROGRAM), str(record), str(tmp_path)]
    command += ["--fork"] if LINUX else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "up\n"
        assert running(record)
        job.send_signal(number)
        job.wait(20)
    assert until(lambda: running(record) == [], 20)


def test_a_keeper_that_is_killed_takes_its_server_along(tmp_path: Path) -> None:
    if not LINUX:
        pytest.skip("only Linux tells a process of its parent's death")
    record = tmp_path / "record"
    with serve([model()], settings("--record", str(record)), tmp_path) as found:
        keeper = found["red"]._keeper
        assert keeper is not None
        keeper.kill()
        assert until(lambda: running(record) == [])
        assert not found["red"].alive()


def test_a_server_that_dies_is_started_again_once(tmp_path: Path) -> None:
    record = tmp_path / "record"
    with serve([model()], settings("--record", str(record)), tmp_path) as found:
        server = found["red"]
        server.restart()  # nothing to do
        (pid,) = starts(record)
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: not server.alive())
        # Whoever else finds out at the same time starts no second one.
        threads = [threading.Thread(target=server.restart) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.alive()
        assert responds("127.0.0.1", port_of(server.base_url), "/health")
        first, second = starts(record)
        assert first == pid != second
        os.kill(second, signal.SIGKILL)
        assert until(lambda: not server.alive())
        with pytest.raises(SyncR2Error, match="The server of red died a second time"):
            server.restart()
    assert running(record) == []


def starts(record: Path) -> list[int]:
    return [json.loads(line)["pid"] for line in record.read_text().splitlines()]


def test_an_early_death_is_told_with_the_last_lines(tmp_path: Path) -> None:
    with (
        pytest.raises(SyncR2Error, match="The server of red died before it answered") as raised,
        serve([model()], settings("--die"), tmp_path),
    ):
        pass
    text = str(raised.value)
    assert "--served-model-name red" in text
    assert str(tmp_path / "red.log") in text
    lines = text.split("Last lines:\n")[1].splitlines()
    assert len(lines) == 20
    assert lines[-2:] == ["  line 29", "  no such weights"]


def test_one_that_dies_takes_the_others_along(tmp_path: Path) -> None:
    record = tmp_path / "record"
    with (
        pytest.raises(SyncR2Error, match="The server of blue died"),
        serve(
            [model("red"), model("blue", arguments=("--die",))], settings("--record", str(record)), tmp_path
        ),
    ):
        pass
    assert (tmp_path / "red.log").is_file()
    assert running(record) == []


def test_a_deadline_missed_is_told(tmp_path: Path) -> None:
    record = tmp_path / "record"
    told = settings("--hang", "--record", str(record), deadline=1.0)
    with (
        pytest.raises(SyncR2Error, match=r"did not answer within 1 s\. .*raise vllm\.start_deadline"),
        serve([model()], told, tmp_path),
    ):
        pass
    assert running(record) == []


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = ServerSettings(("no-such-program", "-m", "vllm"), (), 5)
    with (
        pytest.raises(SyncR2Error, match=r"begins with 'no-such-program', which is no program.*make vllm"),
        serve([model()], told, tmp_path),
    ):
        pass


def test_a_port_that_was_taken_meanwhile_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = servers._choose_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offers = [(taken.getsockname()[1], None)] * 2
        monkeypatch.setattr(
            servers, "_choose_port", lambda reserve: offers.pop() if offers else choose(reserve=reserve)
        )
        with serve([model()], settings(), tmp_path) as found:
            assert port_of(found["red"].base_url) != taken.getsockname()[1]
            assert found["red"].alive()
    assert offers == []


def test_ports_that_are_always_taken_end_in_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offer = (taken.getsockname()[1], None)
        asked: list[bool] = []
        monkeypatch.setattr(servers, "_choose_port", lambda reserve: (asked.append(reserve), offer)[1])
        with (
            pytest.raises(SyncR2Error, match=r"(?s)died before it answered.*in use"),
            serve([model()], settings(deadline=60), tmp_path),
        ):
            pass
    assert asked == [True, False, False, False]


@pytest.mark.skipif(not LINUX, reason="elsewhere no port is reserved")
def test_a_reserved_port_is_given_to_nobody_else(tmp_path: Path) -> None:
    port, holder = servers._choose_port(reserve=True)
    assert holder is not None
    with holder:
        others = []
        for _ in range(50):
            other = servers._choose_port(reserve=True)
            others.append(other)
        try:
            assert len({port, *(number for number, _ in others)}) == 51
        finally:
            for _, socket_ in others:
                assert socket_ is not None
                socket_.close()


def test_what_a_server_is_told() -> None:
    told = arguments_of(
        ServedModel("red", "owner/name", "abc", "bfloat16", 4096, 2, 0.45, "fp8", ("--seed", "3")),
        ServerSettings(("vllm",), ("--enforce-eager",)),
        "127.0.0.1",
        8123,
    )
    line = " ".join(told)
    for part in (
        *("--model owner/name", "--served-model-name red", "--revision abc", "--tokenizer-revision abc"),
        *("--dtype bfloat16", "--max-model-len 4096", "--tensor-parallel-size 2", "--quantization fp8"),
        *("--gpu-memory-utilization 0.45", "--enable-prefix-caching", "--generation-config vllm"),
    ):
        assert part in line
    # What the config adds comes after, and where it listens comes last, so that nothing overrides it.
    assert line.endswith("--enforce-eager --seed 3 --host 127.0.0.1 --port 8123")
    bare = arguments_of(model(), ServerSettings(("vllm",)), "127.0.0.1", 1)
    assert not {"--max-model-len", "--revision", "--quantization"} & set(bare)
    assert bare[bare.index("--tensor-parallel-size") + 1] == "1"
    # On a CPU alone; a GPU's own default is finer.
    on_cpu = arguments_of(model()._replace(gpus=0), ServerSettings(("vllm",)), "127.0.0.1", 1)
    assert on_cpu[on_cpu.index("--block-size") + 1] == "32"
    on_gpu = arguments_of(model()._replace(gpus=1), ServerSettings(("vllm",)), "127.0.0.1", 1)
    assert "--block-size" not in on_gpu


def test_a_server_inherits_all_but_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUDGE_API_KEY", "HF_TOKEN", "VLLM_API_KEY", "DB_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    hub = environment(ServedModel("red", "owner/name"), "0,1")
    assert {name for name, value in hub.items() if value == "secret"} == {"HF_TOKEN"}
    assert (hub["TOKENIZERS_PARALLELISM"], hub["CUDA_VISIBLE_DEVICES"]) == ("false", "0,1")
    assert "HF_HUB_OFFLINE" not in hub
    local = environment(ServedModel("red", str(tmp_path), gpus=0), "")
    assert "secret" not in local.values()
    assert (local["HF_HUB_OFFLINE"], local["VLLM_NO_USAGE_STATS"]) == ("1", "1")
    assert local["VLLM_CPU_KVCACHE_SPACE"] == "7"


def test_servers_share_the_gpus_of_their_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    two, one, none = (ServedModel(f"m{n}", "owner/name", gpus=n) for n in (2, 1, 0))
    assert gpus.share_gpus([two, one]) == ["4,5", "7"]
    assert gpus.share_gpus([none, one]) == ["", "4"]
    with pytest.raises(SyncR2Error, match=r"need 4 GPU\(s\) at once \(m2 2, m2 2\), and it may use 3"):
        gpus.share_gpus([two, two])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus.share_gpus([none]) == [""]
    with pytest.raises(SyncR2Error, match="it may use 0"):
        gpus.share_gpus([one])


def test_clients_reach_a_server_past_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet")
    monkeypatch.delenv("no_proxy", raising=False)
    with serve([model()], settings(), tmp_path):
        assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "intranet,127.0.0.1"
    assert os.environ["NO_PROXY"] == "intranet"
    assert "no_proxy" not in os.environ


def test_a_hub_id_gives_the_log_a_name(tmp_path: Path) -> None:
    with serve([model("owner/name v1")], settings(), tmp_path):
        assert (tmp_path / "owner-name-v1.log").is_file()
