"""Asking a language model behind any OpenAI-compatible endpoint, until it answers in the form that is needed.

The loop is written for servers that fail now and then in every way seen so far. What can pass is asked again
as it was: an overloaded server, a broken connection. An answer that cannot be used (against the schema, a
refusal, cut off at the token limit) is asked for again with the reason quoted. A request that the server
rejects is not repeated. What remains without an answer is reported as that. Judges and labellers share it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from syncr2.errors import SyncR2Error
from syncr2.files import sha256_text
from syncr2.judges.answers import MalformedAnswerError
from syncr2.judges.base import JudgeSettings, Status
from syncr2.judges.cache import AnswerCache, CachedAnswer, cache_key, weights_at_endpoint
from syncr2.judges.replies import Reply, read_reply
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

# Statuses that mean "this endpoint, key or model name is wrong" when they are the first thing that is heard.
_WRONG_ADDRESS = (401, 403, 404)
# Characters of an unusable answer that are kept: all of what models give, the beginning of a runaway.
_LONGEST_RAW = 20_000


@dataclass(frozen=True)
class Form:
    """What answers are to be like, for all questions of an engine.

    Attributes
    ----------
    name : str
        Name of the schema in requests.
    version : str
        Of the schema; cached answers of another one are not taken.
    advice : mapping
        What is added to the complaint after a refusal or an answer that was cut off, by status.
    """

    name: str
    version: str
    advice: Mapping[str, str]


class Question(NamedTuple):
    """One prompt, the JSON schema of its answer, and the way in.

    `parse` gives what the answer says, or raises `MalformedAnswerError`.
    """

    prompt: str
    schema: Mapping[str, Any]
    parse: Callable[[str], Any]


class Asked(NamedTuple):
    """What came of a question; `answer` is what `parse` gave, None unless the status is "ok".

    The other fields are those of `syncr2.judges.base.Verdict`.
    """

    status: Status
    answer: Any
    attempts: int
    error: str | None
    raw: str | None
    made_by: dict[str, Any]


class AskerLike(Protocol):
    """Somebody who can be asked: `Asker`, or `syncr2.judges.served.ServedAsker`."""

    def ask(self, questions: Sequence[Question]) -> list[Asked]:
        """Ask each question; one outcome each, in order."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Say what the answers depend on."""
        ...


class Asker:
    """Ask an endpoint questions, several at a time.

    Parameters
    ----------
    settings : JudgeSettings
        With an endpoint.
    form : Form
    backoff : Backoff, optional
        Waiting times between requests.
    weights : mapping, optional
        Whose weights answer, for the cache; by default what the settings say of the endpoint.

    Raises
    ------
    SyncR2Error
        If the environment variable of the key is named but not set, or the folder of the cache cannot be
        made. From `ask`: if the endpoint turns the very first answers down with 401, 403 or 404, because
        then nothing but failures would follow.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        form: Form,
        backoff: Backoff | None = None,
        weights: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings = settings
        self._form = form
        self._backoff = backoff or Backoff()
        self._weights = weights or weights_at_endpoint(settings)
        self._key = key_from_environment(settings.who, "api_key_env", settings.api_key_env)
        self._cache = AnswerCache(settings.cache) if settings.cache else None
        self._reached = False

    def ask(self, questions: Sequence[Question]) -> list[Asked]:
        """Ask each question, several at a time; one outcome each, in order."""
        return asyncio.run(self._ask_all(questions))

    def has_all(self, questions: Sequence[Question]) -> bool:
        """Whether the cache has a valid answer to each question, so that none would be sent."""
        return all(self._kept_answer(self._key_of(question), question) for question in questions)

    def provenance(self) -> dict[str, Any]:
        """Say what the answers depend on; retries and timeouts cannot change an answer and are left out."""
        return {
            "engine": self._settings.engine,
            "model": self._settings.model,
            "endpoint": self._settings.base_url,
            "model_revision": self._settings.revision,
            "temperature": self._settings.temperature,
            "max_tokens": self._settings.max_tokens,
            "answer_schema": self._form.version,
        }

    async def _ask_all(self, questions: Sequence[Question]) -> list[Asked]:
        gate = asyncio.Semaphore(self._settings.concurrency)
        done = 0

        async def one(question: Question) -> Asked:
            nonlocal done
            # A question keeps its place while it waits to be asked again: an overloaded server then sees
            # fewer requests.
            async with gate:
                asked = await self._ask_one(client, question)
            done += 1
            _log.info("%s: %d of %d cases", self._settings.who, done, len(questions))
            return asked

        async with self._client() as client:
            tasks = [asyncio.create_task(one(question)) for question in questions]
            try:
                return list(await asyncio.gather(*tasks))
            except BaseException:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                raise

    def _client(self) -> AsyncOpenAI:
        try:
            return new_client(self._settings.base_url or "", self._key, self._settings.timeout)
        except ImportError:
            raise SyncR2Error(
                f"{self._settings.who}: its engine needs the package openai, which is not installed "
                "here. Install the extra `models` of this package."
            ) from None

    async def _ask_one(self, client: AsyncOpenAI, question: Question) -> Asked:
        made_by: dict[str, Any] = {"prompt_sha256": sha256_text(question.prompt), "cached": False}
        key = self._key_of(question)
        if found := self._kept_answer(key, question):
            cached, answer = found
            made_by |= {"cached": True, "served_model": cached.served_model}
            return Asked("ok", answer, cached.attempts, None, cached.content, made_by)
        spread = int(made_by["prompt_sha256"][:8], 16) / 0xFFFFFFFF
        error, raw, complaint, failures, wished = "", None, "", 0, None
        status: Status = "failed"

        def without_answer(attempts: int) -> Asked:
            kept = None if raw is None else self._without_key(raw)[:_LONGEST_RAW]
            return Asked(status, None, attempts, self._without_key(error), kept, made_by)

        for attempt in range(1, self._settings.retries + 2):
            if failures:
                await asyncio.sleep(self._backoff.seconds(failures, wished, spread))
            try:
                reply = await self._send(client, question._replace(prompt=question.prompt + complaint))
                raw, made_by["served_model"] = reply.content, reply.model
                # Parsed without the key, so that the cache gives back the very same.
                kept = self._without_key(reply.content)
                answer = question.parse(kept)
            except RequestError as problem:
                self._stop_if_never_reached(problem)
                error, raw = str(problem), problem.raw if problem.raw is not None else raw
                status = problem.outcome
                if status == "failed":
                    failures, wished = failures + 1, problem.retry_after
                    if not problem.may_pass:
                        return without_answer(attempt)
                else:
                    complaint, failures = _complaint(error + self._form.advice[status]), 0
            except MalformedAnswerError as malformed:
                # The server is well, so there is nothing to wait for; the model is told what was wrong.
                error, failures, status = str(malformed), 0, "failed"
                complaint = _complaint(error)
            else:
                if self._cache:
                    self._cache.put(key, CachedAnswer(kept, reply.model, attempt))
                return Asked("ok", answer, attempt, None, kept, made_by)
        return without_answer(self._settings.retries + 1)

    def _key_of(self, question: Question) -> str:
        return cache_key(self._weights, self._request(question), self._form.version)

    def _kept_answer(self, key: str, question: Question) -> tuple[CachedAnswer, Any] | None:
        cached = self._cache.get(key) if self._cache else None
        if cached is None:
            return None
        try:
            return cached, question.parse(cached.content)
        except MalformedAnswerError:
            return None

    def _request(self, question: Question) -> dict[str, Any]:
        """Body of a request: with the address, all that an answer depends on."""
        settings = self._settings
        form = {"name": self._form.name, "strict": True, "schema": dict(question.schema)}
        request: dict[str, Any] = {
            "model": settings.model,
            "messages": [{"role": "user", "content": question.prompt}],
            "max_tokens": settings.max_tokens,
            "response_format": {"type": "json_schema", "json_schema": form},
        }
        if settings.temperature is not None:
            request["temperature"] = settings.temperature
        return request

    async def _send(self, client: AsyncOpenAI, question: Question) -> Reply:
        """Send one request; every way in which it can fail becomes a RequestError."""
        # The raw response, because the client takes apart a malformed body without a word.
        request = client.chat.completions.with_raw_response.create(**self._request(question))
        response = await answered(request, self._settings.timeout)
        self._reached = True
        return read_reply(response.http_response.text)

    def _stop_if_never_reached(self, problem: RequestError) -> None:
        if self._reached or problem.status not in _WRONG_ADDRESS:
            return
        settings = self._settings
        if problem.status == 404:
            check = f"base_url (most end in /v1) and whether the model {settings.model!r} is served there"
        elif settings.api_key_env is None:
            check = "whether the endpoint wants a key: if so, name its environment variable in api_key_env"
        else:
            check = f"that the environment variable {settings.api_key_env} holds a key that is valid there"
        raise SyncR2Error(
            f"{settings.who}: the endpoint {settings.base_url} turned the request down. "
            f"{self._without_key(str(problem))} Nothing was {settings.DONE}. Check {check}; then run again."
        )

    def _without_key(self, text: str) -> str:
        return without_key(text, self._key)


def _complaint(error: str) -> str:
    return (
        "\n\n---\nYour previous answer to exactly this request could not be used. "
        f"{error}\nAnswer again with one JSON object that matches the schema: no text around it, no code "
        "fence."
    )
