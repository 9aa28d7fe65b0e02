"""A Hugging Face hub on this machine: as much of it as its client asks when a model is downloaded."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# How the hub says no: status, and the code that stands in a header.
REFUSALS = {
    "gated": (403, "GatedRepo"),
    "forbidden": (403, ""),
    "hidden": (401, "RepoNotFound"),
    "no token": (401, ""),
    "busy": (503, ""),
}


@dataclass
class Hub:
    """What the hub has and does.

    Attributes
    ----------
    repository : str
        The one model that it knows.
    files : mapping
        Bytes by file name.
    revisions : tuple of str
        What may be asked for; all are the same commit.
    refusal : str
        A key of `REFUSALS`: requests are answered so.
    shows : bool
        Whether it lists the model all the same, as the real one does with gated ones.
    break_after : dict
        By file, bytes after which a connection breaks, once.
    changed : dict
        By file, other bytes of the same length than those announced.
    asked : list of str
        Every request: method, path, and where a file goes on from.
    """

    repository: str
    files: Mapping[str, bytes]
    revisions: tuple[str, ...] = ("main", COMMIT, "v1")
    refusal: str = ""
    shows: bool = False
    break_after: dict[str, int] = field(default_factory=dict)
    changed: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def fetched(self) -> set[str]:
        """Names of the files whose bytes were sent."""
        return {line.split()[1].rpartition(f"/{COMMIT}/")[2] for line in self.asked if "/resolve/" in line}


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve it on a free port of this machine."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *arguments: object) -> None:
        """Nothing: `asked` has it."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        span = self.headers.get("Range", "")
        self.hub.asked.append(f"{self.command} {path} {span}".strip())
        repository = self.hub.repository
        if self.hub.refusal and not (self.hub.shows and path.startswith("/api/")):
            self._refuse(*REFUSALS[self.hub.refusal])
        elif path.startswith(f"/api/models/{repository}"):
            revision = path.rpartition("/revision/")[2] if "/revision/" in path else "main"
            self._info(revision)
        elif path.startswith(f"/{repository}/resolve/"):
            revision, _, name = path.removeprefix(f"/{repository}/resolve/").partition("/")
            self._file(revision, name, span)
        else:
            self._refuse(404, "RepoNotFound")

    def _refuse(self, status: int, code: str) -> None:
        body = json.dumps({"error": f"answered {status}"}).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self._send(body)

    def _info(self, revision: str) -> None:
        if revision not in self.hub.revisions:
            self._refuse(404, "RevisionNotFound")
            return
        siblings = []
        for name, content in self.hub.files.items():
            sibling = {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
            if name.endswith((".safetensors", ".bin")):
                sha256 = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        info = {"_id": "1", "id": self.hub.repository, "sha": COMMIT, "tags": [], "siblings": siblings}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self._send(json.dumps(info).encode())

    def _file(self, revision: str, name: str, span: str) -> None:
        if revision not in self.hub.revisions or name not in self.hub.files:
            self._refuse(404, "EntryNotFound")
            return
        content = self.hub.changed.get(name, self.hub.files[name])
        begin = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
        self.send_response(206 if span else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(self.hub.files[name]).hexdigest()}"')
        self.send_header("Accept-Ranges", "bytes")
        if span:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        end = None if self.command == "HEAD" else self.hub.break_after.pop(name, None)
        self._send(content[begin:], end)

    def _send(self, body: bytes, end: int | None = None) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:end])
        if end is not None:
            self.close_connection = True
