"""Jobs: messages go to the log, errors to the exit code, and a warm process does what a cold one would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from syncr2 import warm

SERVER = """
import sys, types, time, os
from pathlib import Path
from syncr2 import warm
from syncr2.errors import SyncR2Error
stage = types.ModuleType("syncr2.stages.toy")
def good(path): Path(path).write_text(os.getcwd() + " " + os.environ["OMP_NUM_THREADS"]); print("said")
def bad(): raise SyncR2Error("found 3, allowed 2")
def bug(): return 1 / 0
def slow(path): Path(path).write_text(str(os.getpid())); time.sleep(60)
def die(): os.kill(os.getpid(), 9)
def ask(address):
    import asyncio
    from syncr2.serving.endpoints import new_client
    async def once():
        client = new_client(address, None, 60.0, direct=True)
        print(await client.post("/x", cast_to=str, body={}))
        await client.close()
    asyncio.run(once())
stage.good, stage.bad, stage.bug, stage.slow, stage.die, stage.ask = good, bad, bug, slow, die, ask
sys.modules["syncr2.stages.toy"] = stage
if len(sys.argv) == 3:
    warm.serve(Path(sys.argv[1]), int(sys.argv[2]), preload=())
else:
    from syncr2.jobs import execute
    import json
    sys.exit(execute(**json.loads(sys.argv[1])))
"""


def cold(request: dict) -> int:
    return subprocess.run([sys.executable, "-c", SERVER, json.dumps(request)], check=False).returncode


@pytest.fixture
def server(monkeypatch):
    # Not tmp_path: the address of a Unix socket may have about 100 characters.
    folder = tempfile.mkdtemp(prefix="warm-")
    address = Path(folder) / "socket"
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(address), str(os.getpid())])
    for _ in range(200):
        if address.exists():
            break
        time.sleep(0.05)
    monkeypatch.setenv(warm.ADDRESS_VARIABLE, str(address))
    monkeypatch.delenv(warm.CLUSTER_VARIABLE, raising=False)
    yield address
    process.kill()
    process.wait()


def request(tmp_path: Path, function: str, **arguments: str) -> dict:
    return {
        "log": str(tmp_path / "logs" / "job.log"),
        "threads": 3,
        "function": f"toy:{function}",
        "arguments": arguments,
    }


@pytest.mark.parametrize("run", ["cold", "warm"])
def test_success_error_and_bug(run, tmp_path, server):
    call = cold if run == "cold" else warm.call
    log = tmp_path / "logs" / "job.log"
    done = tmp_path / "done"
    assert call(request(tmp_path, "good", path=str(done))) == 0
    assert done.read_text() == f"{Path.cwd()} 3"
    assert "said" in log.read_text()

    assert call(request(tmp_path, "bad")) == 1
    assert "Error: found 3, allowed 2" in log.read_text()
    assert "Traceback" not in log.read_text(), "a user's error is not a bug"

    assert call(request(tmp_path, "bug")) == 1
    assert "ZeroDivisionError" in log.read_text()


def test_no_line_for_every_request(tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"answered")

        def log_message(self, *values):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            code = cold(request(tmp_path, "ask", address=f"http://127.0.0.1:{server.server_port}/v1"))
        finally:
            server.shutdown()
    log = (tmp_path / "logs" / "job.log").read_text()
    assert code == 0, log
    assert log == "answered\n"


def test_a_child_that_dies_is_a_failure_and_the_server_lives_on(tmp_path, server):
    assert warm.call(request(tmp_path, "die")) == 1
    assert warm.call(request(tmp_path, "good", path=str(tmp_path / "done"))) == 0


def test_a_child_dies_with_the_script_that_asked(tmp_path, server):
    asking = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import json, sys; from syncr2 import warm; warm.call(json.loads(sys.argv[1]))",
            json.dumps(request(tmp_path, "slow", path=str(tmp_path / "pid"))),
        ]
    )
    for _ in range(200):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            break
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    asking.send_signal(signal.SIGKILL)
    asking.wait()
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the child outlived its script")


def test_the_server_ends_with_its_parent():
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "inner" / "socket"
        address.parent.mkdir()
        starter = (
            "import subprocess, sys, os, time; "
            "process = subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2], str(os.getpid())]); "
            "print(process.pid, flush=True); time.sleep(3)"
        )
        found = subprocess.run(
            [sys.executable, "-c", starter, SERVER, str(address)], capture_output=True, text=True, check=True
        )
        for _ in range(100):
            if not address.parent.exists():
                return
            time.sleep(0.05)
        os.kill(int(found.stdout), signal.SIGKILL)
        pytest.fail("the server outlived its parent")


def test_without_a_server_or_on_a_cluster_the_job_does_it_itself(tmp_path, server, monkeypatch):
    monkeypatch.setenv(warm.CLUSTER_VARIABLE, "42")
    assert warm.call(request(tmp_path, "good", path=str(tmp_path / "done"))) is None
    monkeypatch.delenv(warm.CLUSTER_VARIABLE)
    monkeypatch.setenv(warm.ADDRESS_VARIABLE, str(tmp_path / "nobody"))
    assert warm.call(request(tmp_path, "good", path=str(tmp_path / "done"))) is None
