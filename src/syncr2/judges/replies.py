"""What a chat endpoint sends back, good or bad, in two plain types."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from syncr2.judges.base import Status

if TYPE_CHECKING:
    from openai import OpenAIError

_LONGEST = 500
# Statuses below 500 that say "later": time-out, conflict, too early, too many requests.
_PASSING = (408, 409, 425, 429)


class RequestError(Exception):
    """A request that brought no complete answer.

    Parameters
    ----------
    message : str
        What happened, one sentence.
    may_pass : bool
        Whether the same request can succeed later.
    outcome : {"failed", "refused", "truncated"}
        Status of the dialogue if it ends here. After the latter two the model is asked once more, in other
        words.
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
        outcome: Status = "failed",
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


@dataclass(frozen=True)
class Reply:
    """One complete chat completion: the text, and the model's name as the server reports it."""

    content: str
    model: str | None


def read_reply(body: str) -> Reply:
    """Take a response body apart.

    Raises
    ------
    RequestError
        If the body is not a chat completion (empty, not JSON, without a choice, an error sent with status
        200), if the model or a content filter refused, or if the answer was cut off.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(f"The response is not JSON: {_start(body)!r}.", may_pass=True) from None
    try:
        choice = value["choices"][0]
        content, refusal = (choice["message"].get(key) for key in ("content", "refusal"))
        finish_reason, model = choice.get("finish_reason"), value.get("model")
    except (TypeError, KeyError, IndexError, AttributeError):
        problem = f"The response is not a chat completion: {_start(body)!r}."
        raise RequestError(problem, may_pass=True) from None
    content = content if isinstance(content, str) else ""
    if refusal or finish_reason == "content_filter":
        said = refusal if isinstance(refusal, str) and refusal else content
        raise RequestError(f"Refused (finish_reason {finish_reason}).", outcome="refused", raw=said)
    if finish_reason == "length":
        raise RequestError("The answer was cut off at max_tokens.", outcome="truncated", raw=content)
    return Reply(content, model if isinstance(model, str) else None)


def request_error(error: OpenAIError) -> RequestError:
    """Say what an exception of the client means."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return RequestError("The request timed out.", may_pass=True)
    if isinstance(error, openai.APIStatusError):
        status, refused = error.status_code, error.code == "content_filter"
        return RequestError(
            f"HTTP status {status}: {_start(error.message)}",
            may_pass=not refused and (status in _PASSING or status >= 500),
            outcome="refused" if refused else "failed",
            status=status,
            retry_after=retry_after(error.response.headers),
        )
    cause = error.__cause__
    detail = f" ({type(cause).__name__}: {_start(str(cause))})" if cause is not None else ""
    may_pass = isinstance(error, openai.APIConnectionError)
    return RequestError(f"{_start(str(error))}{detail}", may_pass=may_pass)


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


def _start(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
