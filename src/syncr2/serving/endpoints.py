"""Asking an OpenAI-compatible server: the key, the client, what can go wrong, and how long to wait then.

Judges, labellers and speakers all ask this way; what they do about a request that failed is their own.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from syncr2.errors import SyncR2Error

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAIError

# Loggers that write a line for every request; `syncr2.jobs` lets only their warnings through. Which of the
# first two carries the requests of the package openai depends on its version.
CHATTY_LOGGERS = ("httpx", "httpx2", "openai")

_LONGEST = 500
# Statuses below 500 that say "later": time-out, conflict, too early, too many requests.
_PASSING = (408, 409, 425, 429)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Backoff:
    """How long to wait before a request is sent again.

    Attributes
    ----------
    first : float
        Seconds after the first failure in a row.
    factor : float
        Each further failure waits this many times longer.
    longest : float
        No wait is longer, in seconds, even if the server asks for it in Retry-After.
    """

    first: float = 1.0
    factor: float = 2.0
    longest: float = 60.0

    def seconds(self, failures: int, retry_after: float | None, spread: float) -> float:
        """Seconds to wait after `failures` failures in a row.

        `spread` from 0 to 1 shortens a wait by up to a half, so that requests refused together do not return
        together. A wait that the server asked for is never shortened below what it asked.
        """
        own = self.first * self.factor ** min(failures - 1, 64) * (1.0 - spread / 2.0)
        return min(self.longest, own if retry_after is None else max(own, retry_after))


class RequestError(Exception):
    """A request that brought no complete answer.

    Parameters
    ----------
    message : str
        What happened, one sentence.
    may_pass : bool
        Whether the same request can succeed later.
    outcome : {"failed", "refused", "truncated"}
        What became of the question if it ends here. After the latter two a model can be asked in other words.
    status : int, optional
        HTTP status, if there was a bad one.
    retry_after : float, optional
        Seconds that the server asked to wait.
    raw : str, optional
        What the model said nevertheless.
    """

    def __init__(
        self,
        message: str,
        *,
        may_pass: bool = False,
        outcome: Literal["failed", "refused", "truncated"] = "failed",
        status: int | None = None,
        retry_after: float | None = None,
        raw: str | None = None,
    ) -> None:
        super().__init__(message)
        self.may_pass = may_pass
        self.outcome = outcome
        self.status = status
        self.retry_after = retry_after
        self.raw = raw


def new_client(base_url: str, key: str | None, timeout: float, *, direct: bool = False) -> AsyncOpenAI:
    """A client that sends nothing but what it is told to, once; the caller closes it.

    Parameters
    ----------
    base_url : str
    key : str or None
        None sends "none".
    timeout : float
        Seconds.
    direct : bool
        Past any proxy: that of a cluster is for what lies outside, not for a server on this machine.

    Raises
    ------
    ImportError
        If the package openai is not installed.
    """
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    client = AsyncOpenAI(
        api_key=key or "none",
        base_url=base_url,
        timeout=timeout,
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(trust_env=False) if direct else None,
    )
    # The client also picks up identifiers of an OpenAI account from the environment, and would send them to
    # whatever server is asked here.
    client.organization = client.project = client.admin_api_key = None
    return client


async def answered(request: Awaitable[_T], timeout: float) -> _T:
    """What a client's request comes to.

    Parameters
    ----------
    request : awaitable
    timeout : float
        Seconds for the whole answer; the client's own timeout counts from one byte to the next.

    Raises
    ------
    RequestError
        In every way in which a request can fail.
    """
    import openai

    try:
        async with asyncio.timeout(timeout):
            return await request
    except TimeoutError:
        raise RequestError(f"No whole answer within {timeout:g} s.", may_pass=True) from None
    except openai.OpenAIError as error:
        raise request_error(error) from None


def request_error(error: OpenAIError) -> RequestError:
    """Say what an exception of the client means."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return RequestError("The request timed out.", may_pass=True)
    if isinstance(error, openai.APIStatusError):
        status, refused = error.status_code, error.code == "content_filter"
        return RequestError(
            f"HTTP status {status}: {start_of(error.message)}",
            may_pass=not refused and (status in _PASSING or status >= 500),
            outcome="refused" if refused else "failed",
            status=status,
            retry_after=retry_after(error.response.headers),
        )
    cause = error.__cause__
    detail = f" ({type(cause).__name__}: {start_of(str(cause))})" if cause is not None else ""
    may_pass = isinstance(error, openai.APIConnectionError)
    return RequestError(f"{start_of(str(error))}{detail}", may_pass=may_pass)


def retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date; None if absent or unreadable."""
    value = str(headers.get("retry-after", "")).strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def start_of(text: str) -> str:
    """The beginning of a server's text on one line, for a message."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def key_from_environment(who: str, option: str, variable: str | None) -> str | None:
    """A server's key.

    Parameters
    ----------
    who, option : str
        Whose it is and the option that names the variable, for messages.
    variable : str or None
        Name of the environment variable. None: the server wants no key.

    Raises
    ------
    SyncR2Error
        If the variable is not set, or holds what no key is. The value is not shown.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise SyncR2Error(
            f"{who}: {option} names the environment variable {variable}, which is not set or empty. Set it "
            f"where the workflow runs (export {variable}=…), or set {option} to null if no key is needed."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SyncR2Error(
            f"{who}: the environment variable {variable} holds characters that no key has (spaces, line "
            f"ends, or beyond ASCII). {option} names it. Was the key copied with something around it?"
        )
    return key


def without_key(text: str, key: str | None) -> str:
    """A text without the key: servers do quote keys in their messages."""
    return text if key is None else text.replace(key, "[key]")
