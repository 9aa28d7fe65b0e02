"""Speakers behind an OpenAI-compatible server.

`ServerSpeaker` sends token ids and gets token ids back, so that what is replayed is what was read, and an
answer ends where it would end in process (`syncr2.speakers.lines`). `TextSpeaker` is for a model of which
only the server's name for it is known: it sends text through chat completions.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

from syncr2.serving.endpoints import RequestError
from syncr2.speakers import Answer, Prompt, Sampling, token_ids
from syncr2.speakers.connection import Connection
from syncr2.speakers.lines import AnswerForm, GrowingAnswer
from syncr2.speakers.thoughts import CLOSE, part

# Bits of a seed that a server is sent: whole numbers up to 2**53 survive every reader of JSON. vLLM takes 63.
SEED_BITS = 53
# Reasons of a server that stands in no request's way: it was stopped, or gave up.
_BROKEN_OFF = ("abort", "error")


def request_seed(seed: int, attempt: int) -> int:
    """The seed of a request, from a turn's and the number of the request for it, from 0.

    Returns
    -------
    int
        The low 53 bits: of the turn's seed for the first request; of a SHA-256 of seed and number for others.
    """
    if attempt:
        seed = int.from_bytes(hashlib.sha256(f"{seed}\0{attempt}".encode()).digest()[:8], "little")
    return seed & (1 << SEED_BITS) - 1


class _Behind(ABC):
    """What speakers behind a server have in common."""

    def __init__(self, connection: Connection, sampling: Sampling) -> None:
        self.sampling = sampling
        self._connection = connection

    @abstractmethod
    async def reply(self, prompt: Prompt, seed: int) -> Answer:
        """Answer one prompt; see `FreeSpeaker`."""

    async def aclose(self) -> None:
        """Close connections; see `FreeSpeaker`."""
        await self._connection.aclose()

    def join(self) -> GatheringSide:
        """Take one agent's side; see `Speaker`."""
        return GatheringSide(self)


class GatheringSide:
    """A side in lockstep with a model in process: all requests of a turn under way at once."""

    def __init__(self, speaker: _Behind) -> None:
        self._speaker = speaker

    def answer(
        self, dialogues: Sequence[Hashable], prompts: Sequence[Prompt], seeds: Sequence[int]
    ) -> list[Answer]:
        """Answer the next prompt of each dialogue; see `Side`."""

        async def all_answers() -> list[Answer]:
            pairs = zip(prompts, seeds, strict=True)
            asked = [asyncio.create_task(self._speaker.reply(prompt, seed)) for prompt, seed in pairs]
            try:
                return await asyncio.gather(*asked)
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
                await self._speaker.aclose()

        return asyncio.run(all_answers())


class ServerSpeaker(_Behind):
    """Speaks through a server that takes and gives token ids, as vLLM's does.

    Parameters
    ----------
    connection : Connection
        The way to the server.
    form : AnswerForm
        Where answers end.
    sampling : Sampling
        Sent in full with every request.
    """

    def __init__(self, connection: Connection, form: AnswerForm, sampling: Sampling) -> None:
        super().__init__(connection, sampling)
        self._form = form

    async def reply(self, prompt: Prompt, seed: int) -> Answer:
        """Answer one prompt.

        The server stops at a line end, which may stand before any words or in a thought. Then it is asked on,
        with what it said behind the prompt, a seed of its own for each request, and the tokens that are left.
        """
        ids = list(token_ids(prompt))
        growing, attempt = self._form.open(ids), 0
        while growing.finish_reason is None and len(growing.tokens) < self.sampling.max_new_tokens:
            body = self._body([*ids, *growing.tokens], growing, request_seed(seed, attempt))
            try:
                reply = await self._connection.ask(
                    "/completions",
                    body,
                    functools.partial(_read_completion, n_sent=len(body["prompt"])),
                    request_seed(seed, 0) / (1 << SEED_BITS),
                )
            except RequestError as problem:
                raise self._connection.refusal(problem) from None
            for token in reply.tokens:
                growing.take(token)
            if reply.closed:
                growing.close()
            attempt += 1
        return growing.answer()

    def _body(self, ids: Sequence[int], growing: GrowingAnswer, seed: int) -> dict[str, Any]:
        sampling = self.sampling
        stop = [] if self._form.whole else [CLOSE if growing.thinking else "\n"]
        return {
            "prompt": list(ids),
            "max_tokens": sampling.max_new_tokens - len(growing.tokens),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            # Or vLLM would take them from the model's generation_config.json.
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "seed": seed,
            "stop": stop,
            "stop_token_ids": sorted(self._form.closing),
            # For the stop strings alone: the text is made here, from the tokens.
            "skip_special_tokens": False,
            "return_token_ids": True,
        }


class _Completion:
    """Tokens of one response, and whether the model closed its answer."""

    def __init__(self, tokens: list[int], closed: bool) -> None:
        self.tokens = tokens
        self.closed = closed


def _read_completion(text: str, n_sent: int) -> _Completion:
    """Take the response to a request of `n_sent` token ids apart.

    Raises
    ------
    RequestError
        If it is none, was broken off, or does not hold what a replay needs.
    """
    value, choice = _choice(text)
    tokens, reason = choice.get("token_ids"), choice.get("finish_reason")
    if reason in _BROKEN_OFF:
        raise RequestError(f"The server broke the answer off ({reason}).", may_pass=True)
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise RequestError(
            "It gives no token ids with its answers (`return_token_ids`), as vLLM's server does from 0.10.2 "
            "on. A server without them can speak for a model that has no `path`."
        )
    usage = value.get("usage")
    n_read = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    if n_read is not None and n_read != n_sent:
        raise RequestError(f"It was sent {n_sent} token ids and read {n_read}, so what it read is not known.")
    closed = reason == "stop" and not isinstance(choice.get("stop_reason"), str)
    if not tokens and not closed:
        raise RequestError(f"The answer is empty (finish_reason {reason}).", may_pass=True)
    return _Completion(tokens, closed)


class TextSpeaker(_Behind):
    """Speaks through chat completions, for a model whose tokenizer nobody here has.

    The prompt is one user message. No line end stops the server, for it might stand before any words; what
    stands behind the first line is not said. A server's own defaults count where a knob is at "all":
    top_p 1 and top_k 0 are not sent, since some servers refuse what they do not know.
    """

    async def reply(self, prompt: Prompt, seed: int) -> Answer:
        """Answer one prompt; see `FreeSpeaker`."""
        if not isinstance(prompt, str):
            raise TypeError("a prompt as text is needed, found token ids")
        sampling, sent = self.sampling, request_seed(seed, 0)
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "seed": sent,
            **({"top_p": sampling.top_p} if sampling.top_p < 1 else {}),
            **({"top_k": sampling.top_k} if sampling.top_k > 0 else {}),
        }
        try:
            return await self._connection.ask("/chat/completions", body, _read_chat, sent / (1 << SEED_BITS))
        except RequestError as problem:
            if _too_long(str(problem)):
                return Answer("", None, "context")
            raise self._connection.refusal(problem) from None


def _read_chat(text: str) -> Answer:
    value, choice = _choice(text)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise RequestError("The response has no message.", may_pass=True)
    content = message.get("content") or message.get("refusal") or ""
    # A thought comes apart from the answer, or before it; its opening mark may stand in the prompt.
    thought, said = part(content, opened=CLOSE in content)
    apart = message.get("reasoning_content") or message.get("reasoning")
    usage = value.get("usage")
    reason = "length" if choice.get("finish_reason") == "length" else "eos"
    if said and "\n" in said.strip():
        reason = "line"
    counted = usage if isinstance(usage, dict) else {}
    return Answer(
        raw=said or "",
        n_new_tokens=counted.get("completion_tokens"),
        finish_reason=reason,
        thought=apart if isinstance(apart, str) and apart else thought,
        n_prompt_tokens=counted.get("prompt_tokens"),
    )


def _choice(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A response and its only choice.

    Raises
    ------
    RequestError
        If it is no completion; a proxy's page, or an error sent with status 200, can pass.
    """
    try:
        value = json.loads(text)
        choice = value["choices"][0]
        choice["finish_reason"]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError):
        start = " ".join(text.split())[:200]
        raise RequestError(f"The response is not a completion: {start!r}.", may_pass=True) from None
    return value, choice


def _too_long(message: str) -> bool:
    """Whether a server's words say that a prompt is longer than it takes."""
    low = message.casefold()
    return "context length" in low or "context_length" in low or "context window" in low
