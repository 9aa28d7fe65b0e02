"""A completions endpoint for tests: a tiny model answers token ids with token ids, as vLLM's server does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from judging import Response
from tiny_models import alone, byte_tokenizer

from syncr2.speakers import Sampling
from syncr2.speakers.drawing import draw_tokens


def completion(
    tokens: Sequence[int], finish_reason: str | None = "stop", stop_reason: Any = None, **usage: int
) -> Response:
    """A response with these tokens."""
    choice = {"index": 0, "text": "", "finish_reason": finish_reason, "stop_reason": stop_reason}
    body: dict[str, Any] = {"object": "text_completion", "choices": [{**choice, "token_ids": list(tokens)}]}
    return Response(json.dumps({**body, "usage": usage} if usage else body))


def model_behind(
    model: Any, mishap: Callable[[int], Response | None] = lambda number: None, tokenizer: Any = None
) -> Callable[[int, dict[str, Any]], Response]:
    """Answers of a model, stopped where the request says; `mishap` may put something else in their place."""
    lock = threading.Lock()

    def respond(number: int, body: dict[str, Any]) -> Response:
        if (instead := mishap(number)) is not None:
            return instead
        with lock, torch.inference_mode():
            return _answer(model, tokenizer or byte_tokenizer(), body)

    return respond


def _answer(model: Any, tokenizer: Any, body: dict[str, Any]) -> Response:
    sampling = Sampling(body["temperature"], body["top_p"], body["top_k"], body["max_tokens"])
    uniform = np.random.Generator(np.random.Philox(body["seed"])).random(body["max_tokens"])
    tokens: list[int] = []
    counted = {"prompt_tokens": len(body["prompt"])}
    for number in uniform:
        logits = alone(model, [*body["prompt"], *tokens])[None]
        tokens += draw_tokens(logits, np.array([number]), sampling)
        text = tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
        if tokens[-1] in body["stop_token_ids"]:
            return completion(tokens, "stop", None, **counted)
        if found := [stop for stop in body["stop"] if stop in text]:
            return completion(tokens, "stop", found[0], **counted)
    return completion(tokens, "length", None, **counted)
