"""The rule that fetches the public episodes, against a real local HTTP server."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import REPOSITORY, snakemake, with_changes

FILES = {path.name: path.read_bytes() for path in (REPOSITORY / "resources/scenarios").glob("*.json")}


class Home(ThreadingHTTPServer):
    """A public home of the three files, with a fault if one is asked for."""

    fault = ""


class Handler(BaseHTTPRequestHandler):
    server: Home

    def do_GET(self) -> None:
        body = FILES[Path(self.path).name]
        if self.server.fault == "wrong" and "agents" in self.path:
            body = body.replace(b"a", b"e", 1)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.fault == "cut off" and "envs" in self.path:
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing: the test reads the job's log."""


@pytest.fixture
def home() -> Iterator[Home]:
    with Home(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def fetch(tiny, home: Home, folder: Path, fault: str):
    home.fault = fault
    public = {
        "url": f"http://127.0.0.1:{home.server_address[1]}/pinned",
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    }
    config = with_changes(tiny, scenarios__source="public", scenarios__public=public, scenarios__episodes=36)
    return snakemake(config, folder, targets=("results/scenarios.json",))


def test_right_bytes_become_the_scenarios(tiny, home, tmp_path):
    run = fetch(tiny, home, tmp_path, "")
    assert run.error is None
    assert run.count == {"fetch_scenarios": 1, "prepare_scenarios": 1}
    for name, content in FILES.items():
        assert (tmp_path / "results/scenarios" / name).read_bytes() == content
    assert (tmp_path / "results/scenarios.json").exists()


@pytest.mark.parametrize(("fault", "name"), [("wrong", "agents.json"), ("cut off", "envs.json")])
def test_other_bytes_are_refused_and_leave_nothing(tiny, home, tmp_path, fault, name):
    assert fetch(tiny, home, tmp_path, fault).error is not None
    log = (tmp_path / "results/logs/fetch_scenarios.log").read_text()
    assert name in log
    assert "Traceback" not in log
    assert not (tmp_path / "results/scenarios" / name).exists()
    assert not (tmp_path / "results/scenarios.json").exists()
    assert fetch(tiny, home, tmp_path, "").error is None, "the next run makes good"
