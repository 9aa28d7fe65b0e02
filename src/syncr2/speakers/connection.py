"""The way to one OpenAI-compatible server: every request is sent until it is answered, or the job ends.

What can pass is sent again as it was, with growing waits: an overloaded server, a broken connection, an
answer that does not come. What a server turns down stays turned down, and ends the job with the server's
own words. A server that this job started and that died is started once more.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import urllib.request
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from syncr2.errors import SyncR2Error
from syncr2.serving.endpoints import (
    Backoff,
    RequestError,
    answered,
    key_from_environment,
    new_client,
    without_key,
)

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_log = logging.getLogger(__name__)
Read = TypeVar("Read")


class ServerLike(Protocol):
    """A server that answers at `base_url` for `model`: `syncr2.serving.servers.Server`, or `Elsewhere`."""

    @property
    def base_url(self) -> str:
        """Address, ending in /v1."""
        ...

    @property
    def model(self) -> str:
        """Name of the model there."""
        ...

    @property
    def version(self) -> str | None:
        """Of the server's software, where it says."""
        ...

    def alive(self) -> bool:
        """Whether it can still answer, as far as this process can know."""
        ...

    def restart(self) -> None:
        """Start it again."""
        ...


class Elsewhere:
    """A server that somebody else runs; `api_key_env` names the environment variable that holds its key."""

    def __init__(self, base_url: str, model: str, api_key_env: str | None = None) -> None:
        self.base_url = base_url
        self.model = model
        self.api_key_env = api_key_env

    @property
    def version(self) -> str | None:
        """What its /version says, as vLLM's does; None where it says nothing."""
        address = self.base_url.rstrip("/").removesuffix("/v1") + "/version"
        try:
            with urllib.request.urlopen(address, timeout=10) as response:
                return str(json.load(response)["version"])
        # Whatever stands there, it does not say.
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None

    def alive(self) -> bool:
        """Nobody here can know, and nobody here could start it."""
        return True

    def restart(self) -> None:
        """Not ours to do."""
        raise NotImplementedError


class Patience(NamedTuple):
    """How long a server is waited for.

    Attributes
    ----------
    retries : int
        Requests after the first one, for one answer.
    timeout : float
        Seconds that one answer may take.
    backoff : Backoff
        Waits between requests.
    dying : float
        Seconds that a server of ours that answers no more may take to be gone.
    """

    retries: int = 4
    timeout: float = 300.0
    backoff: Backoff = Backoff()
    dying: float = 30.0


class Connection:
    """Sends requests to one server.

    Parameters
    ----------
    model_name : str
        Name in the configuration, for messages.
    server : ServerLike
        Whom to ask.
    patience : Patience
    """

    def __init__(self, model_name: str, server: ServerLike, patience: Patience) -> None:
        self.server = server
        self._label = f"Model {model_name}"
        self._patience = patience
        variable = getattr(server, "api_key_env", None)
        self._key = key_from_environment(self._label, "endpoint.api_key_env", variable)
        self._client: AsyncOpenAI | None = None
        self._restarts = 0
        self._restarting = asyncio.Lock()

    async def ask(
        self, path: str, body: Mapping[str, Any], read: Callable[[str], Read], spread: float
    ) -> Read:
        """Send a request until it is answered.

        Parameters
        ----------
        path : str
            Below the base address, such as `/completions`.
        body : mapping
            The request, without the model's name.
        read : callable
            Takes the body of a response apart; raises RequestError where that is impossible.
        spread : float
            From 0 to 1; requests with different ones do not return together.

        Raises
        ------
        RequestError
            If the server turns the request down with status 400, which the caller may understand.
        SyncR2Error
            If it turns the request down otherwise, does not answer after all retries, or dies twice.
        """
        failures = 0
        while True:
            restarts = self._restarts
            try:
                return read(await self._send(path, {"model": self.server.model, **body}))
            except RequestError as problem:
                if await self._revived(restarts):
                    failures = 0
                    continue
                if not problem.may_pass:
                    if problem.status == 400:
                        raise
                    raise self.refusal(problem) from None
                failures += 1
                if failures > self._patience.retries:
                    # A dying server answers no more before all of its processes are gone.
                    if await self._dies() and await self._revived(restarts):
                        failures = 0
                        continue
                    raise SyncR2Error(
                        f"{self._label}: no answer from {self.server.base_url} after {failures} requests. "
                        f"{self._without_key(str(problem))} Finished dialogues are kept: run again when the "
                        "server is well, or raise dialogue.timeout or dialogue.retries."
                    ) from None
                wait = self._patience.backoff.seconds(failures, problem.retry_after, spread)
                _log.info("%s: %s Again in %.1f s.", self._label, self._without_key(str(problem)), wait)
                await asyncio.sleep(wait)

    def refusal(self, problem: RequestError) -> SyncR2Error:
        """What to tell the user of a request that the server turned down."""
        server = self.server
        key = getattr(server, "api_key_env", None)
        unknown_key = (
            f"that the environment variable {key} holds a key that is valid there"
            if key
            else "whether the server wants a key: if so, name its variable in endpoint.api_key_env"
        )
        check = {
            401: unknown_key,
            403: unknown_key,
            404: f"base_url (most end in /v1) and whether the model {server.model!r} is served there",
            400: "what the message says; dialogue.max_new_tokens and `context` must fit the server's",
        }
        return SyncR2Error(
            f"{self._label}: {server.base_url} turned the request down. "
            f"{self._without_key(str(problem))} Check {check.get(problem.status or 0, 'the server')}; then "
            "run again: finished dialogues are kept."
        )

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        client, self._client = self._client, None
        self._restarting = asyncio.Lock()
        if client is not None:
            await client.close()

    async def _send(self, path: str, body: Mapping[str, Any]) -> str:
        if self._client is None:
            ours = not isinstance(self.server, Elsewhere)
            self._client = new_client(self.server.base_url, self._key, self._patience.timeout, direct=ours)
        # As text, because the client takes apart a malformed body without a word.
        answer = self._client.post(path, cast_to=str, body=dict(body))
        return str(await answered(answer, self._patience.timeout))

    async def _dies(self) -> bool:
        """Whether a server of ours is gone within the time that it may take."""
        if isinstance(self.server, Elsewhere):
            return False
        end = asyncio.get_running_loop().time() + self._patience.dying
        while self.server.alive():
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(0.2)
        return True

    async def _revived(self, restarts: int) -> bool:
        """Start the server again if it died; whether it was, since `restarts` were counted."""
        async with self._restarting:
            if self._restarts != restarts:
                return True
            if self.server.alive():
                return False
            if self._restarts:
                raise SyncR2Error(
                    f"{self._label}: its server died a second time; see its log. Finished dialogues are "
                    "kept: run again after what made it die is mended (memory_share or context too large?)."
                )
            _log.warning("%s: its server died and is started again.", self._label)
            client, self._client = self._client, None
            if client is not None:
                await client.close()
            await asyncio.to_thread(self.server.restart)
            self._restarts += 1
            return True

    def _without_key(self, text: str) -> str:
        return without_key(text, self._key)
