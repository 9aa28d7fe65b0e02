"""What the tests of the judges share: scenarios, dialogues, and a chat endpoint that does as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from syncr2.judges import DIMENSIONS
from syncr2.sotopia.scenarios import Environment, Episode, Profile, ScenarioSet

GOALS = ("Buy the bicycle for less than 120 dollars", "Sell the bicycle for more than 150 dollars")
SECRETS = ("Ada stole the lantern from the museum", "Ben is bankrupt since spring")


def scenario_set(n: int = 1) -> ScenarioSet:
    """Episodes `episode-0` … of one environment and two profiles."""
    environment = Environment("env", "Two neighbours meet at a yard sale.", GOALS, 2, {"source": "test"})
    ada = Profile(
        "ada", "Ada", "Stone", 31, "woman", "she/her", "carpenter", "Likes birds.", "Calm.", SECRETS[0]
    )
    ben = Profile("ben", "Ben", "Reed", 45, "man", "he/him", "clerk", "Plays chess.", "Curious.", SECRETS[1])
    episodes = tuple(Episode(f"episode-{i}", i, environment, (ada, ben)) for i in range(n))
    return ScenarioSet(episodes, "test", {})


def dialogue(*utterances: str, episode: int = 0, **changes: Any) -> dict[str, Any]:
    """A record of format syncr2/dialogue/1; agent 1 speaks first."""
    names = ("Ada Stone", "Ben Reed")
    record = {
        "format": "syncr2/dialogue/1",
        "episode_id": f"episode-{episode}",
        "environment_id": "env",
        "index": episode,
        "agent1": "model-a",
        "agent2": "model-b",
        "pair": "model-a--model-b",
        "seed": 0,
        "columns": {"environment_id": "env", "relationship": "acquaintance", "source": "test"},
        "agents": [{"id": "ada", "name": names[0]}, {"id": "ben", "name": names[1]}],
        "turns": [
            {"turn": turn, "agent": 1 + turn % 2, "speaker": names[turn % 2], "text": text, "raw": text}
            for turn, text in enumerate(utterances)
        ],
        "stop_reason": "turn_limit",
    }
    return {**record, **changes}


def answer(**scores: int) -> dict[str, Any]:
    """A valid answer; each dimension has its lowest score unless said otherwise (for both agents)."""
    one = {
        d.name: {"reasoning": f"Because of {d.name}.", "score": scores.get(d.name, d.low)} for d in DIMENSIONS
    }
    return {"agent1": one, "agent2": json.loads(json.dumps(one))}


@dataclass(frozen=True)
class Response:
    """What the endpoint sends: a status and body, or a connection that is dropped; `drip` seconds between
    bytes.
    """

    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    dropped: bool = False
    delay: float = 0.0
    drip: float = 0.0


def says(content: str | None, finish_reason: str = "stop", **message: Any) -> Response:
    """A chat completion with this text."""
    choice = {"index": 0, "finish_reason": finish_reason}
    choice["message"] = {"role": "assistant", "content": content, **message}
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": "served", "choices": [choice]}
    return Response(json.dumps(body))


GOOD = says(json.dumps(answer(goal=7)))


class Endpoint(ThreadingHTTPServer):
    """A chat endpoint on this machine. `respond` gets the number of the request (from 0) and its JSON
    body.
    """

    daemon_threads = True

    def __init__(self, respond: Callable[[int, dict[str, Any]], Response]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond = respond
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.now = self.most = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Value for base_url."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def prompt(self, number: int) -> str:
        """Text of a request's one message."""
        (message,) = self.requests[number]["messages"]
        return str(message["content"])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(body)
            self.server.headers.append({key.lower(): value for key, value in self.headers.items()})
            self.server.times.append(time.monotonic())
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            response = self.server.respond(number, body)
            time.sleep(response.delay)
        finally:
            with self.server.lock:
                self.server.now -= 1
        self.close_connection = True
        if response.dropped:
            return
        self.send_response(response.status)
        content = response.body.encode()
        headers = {"content-type": "application/json", "content-length": str(len(content))}
        for key, value in {**headers, **response.headers}.items():
            self.send_header(key, value)
        self.end_headers()
        for start in range(0, len(content), 10) if response.drip else ():
            self.wfile.write(content[start : start + 10])
            time.sleep(response.drip)
        if not response.drip:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(*responses: Response | Callable[[int, dict[str, Any]], Response]) -> Iterator[Endpoint]:
    """Serve these responses in order, the last one for ever; or one function that makes them."""

    def in_order(number: int, body: dict[str, Any]) -> Response:
        chosen = responses[min(number, len(responses) - 1)]
        return chosen if isinstance(chosen, Response) else chosen(number, body)

    with Endpoint(in_order) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()
            thread.join()
