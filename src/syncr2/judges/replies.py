"""A chat completion taken apart: its text, or why there is none that could be used."""

from __future__ import annotations

import json
from dataclasses import dataclass

from syncr2.serving.endpoints import RequestError, start_of


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
        raise RequestError(f"The response is not JSON: {start_of(body)!r}.", may_pass=True) from None
    try:
        choice = value["choices"][0]
        content, refusal = (choice["message"].get(key) for key in ("content", "refusal"))
        finish_reason, model = choice.get("finish_reason"), value.get("model")
    except (TypeError, KeyError, IndexError, AttributeError):
        problem = f"The response is not a chat completion: {start_of(body)!r}."
        raise RequestError(problem, may_pass=True) from None
    content = content if isinstance(content, str) else ""
    if refusal or finish_reason == "content_filter":
        said = refusal if isinstance(refusal, str) and refusal else content
        raise RequestError(f"Refused (finish_reason {finish_reason}).", outcome="refused", raw=said)
    if finish_reason == "length":
        raise RequestError("The answer was cut off at max_tokens.", outcome="truncated", raw=content)
    return Reply(content, model if isinstance(model, str) else None)
