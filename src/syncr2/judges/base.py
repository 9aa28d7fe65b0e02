"""What every judge has in common: its settings, what it is given, what it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urlsplit

from syncr2.errors import SyncR2Error

if TYPE_CHECKING:
    from syncr2.views import JudgeView

AGENTS: tuple[Literal["agent1"], Literal["agent2"]] = ("agent1", "agent2")
ENGINES = ("surface", "openai")

Status = Literal["ok", "failed", "refused", "truncated"]


@dataclass(frozen=True)
class JudgeSettings:
    """One judge of the config.

    Attributes
    ----------
    name : str
        Name of the judge in records, tables and file names.
    engine : {"surface", "openai"}
        "surface" is a rule-based stand-in for demonstrations, without scientific meaning; "openai" asks any
        OpenAI-compatible endpoint.
    model, base_url : str or None
        Model name and address of the endpoint, such as ``http://localhost:8000/v1``. Needed by "openai" only.
    api_key_env : str or None
        Name of the environment variable that holds the key. None: the endpoint wants none, "none" is sent.
    temperature : float or None
        Sampling temperature. None: not sent, for models that refuse the parameter.
    max_tokens : int
        Most tokens of one answer, thoughts of a reasoning model included.
    retries : int
        Requests after the first one, for one dialogue.
    timeout : float
        Seconds that one request may take.
    concurrency : int
        Requests under way at a time, for one job.
    """

    name: str
    engine: str
    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    temperature: float | None = 0.0
    max_tokens: int = 4096
    retries: int = 4
    timeout: float = 300.0
    concurrency: int = 8

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JudgeSettings:
        """Build from the config's mapping.

        Raises
        ------
        SyncR2Error
            If a key is unknown or missing, or a value is out of range; the message names the judge and the
            key.
        """
        known = [field.name for field in fields(cls)]
        label = f"Judge {values.get('name', '(without a name)')}"
        for key in values:
            if key not in known:
                near = get_close_matches(str(key), known, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise SyncR2Error(f"{label}: unknown key {key!r}.{hint} Allowed: {', '.join(known)}.")
        for key in ("name", "engine"):
            if not isinstance(values.get(key), str) or not values[key]:
                raise SyncR2Error(f"{label}: {key} has to be given, as a word.")
        settings = cls(**values)
        settings._check(label)
        return settings

    def _check(self, label: str) -> None:
        if self.engine not in ENGINES:
            raise SyncR2Error(f"{label}: engine is {self.engine!r}; allowed: {', '.join(ENGINES)}.")
        for key in ("model", "base_url", "api_key_env"):
            value = getattr(self, key)
            if value is not None and (not isinstance(value, str) or not value):
                raise SyncR2Error(f"{label}: {key} is {value!r}; a text or null is needed.")
            if value is None and self.engine == "openai" and key != "api_key_env":
                raise SyncR2Error(f"{label}: {key} is missing; the engine openai needs it.")
        if self.api_key_env is not None and not self.api_key_env.isidentifier():
            # Not shown: what stands there may well be the key itself.
            raise SyncR2Error(
                f"{label}: api_key_env has to be the name of an environment variable, such as JUDGE_API_KEY, "
                "not the key itself."
            )
        if self.base_url is not None and not _is_address(self.base_url):
            raise SyncR2Error(
                f"{label}: base_url is {_without_secrets(self.base_url)!r}; an address such as "
                "http://localhost:8000/v1 is needed, without user name, password or query: the config and "
                "the records are no place for keys (see api_key_env)."
            )
        limits = (
            ("temperature", self.temperature, 0, "at least 0, or null", True),
            ("max_tokens", self.max_tokens, 1, "a whole number, at least 1", False),
            ("retries", self.retries, 0, "a whole number, at least 0", False),
            ("concurrency", self.concurrency, 1, "a whole number, at least 1", False),
            ("timeout", self.timeout, 1e-3, "a number of seconds above 0", True),
        )
        for key, value, low, allowed, may_be_float in limits:
            if key == "temperature" and value is None:
                continue
            number = isinstance(value, (int, float) if may_be_float else int) and not isinstance(value, bool)
            if not number or value is None or not math.isfinite(value) or value < low:
                raise SyncR2Error(f"{label}: {key} is {value!r}; {allowed} is needed.")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        plain = not parts.query and "@" not in parts.netloc
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0 and plain
    except ValueError:
        return False


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not an address)"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


@dataclass(frozen=True)
class Line:
    """One utterance as a judge reads it: turn number from 0, agent 1 or 2, its name, the clean text."""

    turn: int
    agent: int
    speaker: str
    text: str


@dataclass(frozen=True)
class Case:
    """One dialogue to be judged, with everything that a judge may know of its scenario."""

    view: JudgeView
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Verdict:
    """What a judge made of one dialogue.

    Attributes
    ----------
    status : {"ok", "failed", "refused", "truncated"}
        Only "ok" comes with scores.
    scores : mapping or None
        agent1 and agent2, each with an integer for every dimension.
    reasoning : mapping or None
        The same shape, with the judge's reason for each score.
    attempts : int
        Requests made.
    error : str or None
        Why there are no scores.
    raw : str or None
        The last answer as it came.
    made_by : mapping
        What this one verdict depends on beyond the settings (hash of the prompt, model name reported by the
        server).
    """

    status: Status
    scores: Mapping[str, Mapping[str, int]] | None
    reasoning: Mapping[str, Mapping[str, str]] | None
    attempts: int
    error: str | None
    raw: str | None
    made_by: Mapping[str, Any]


class JudgeEngine(Protocol):
    """A way to judge."""

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """Return one verdict a case, in the order of the cases, whatever happened to it."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Return what all verdicts depend on: engine, model, endpoint, sampling, prompt template."""
        ...
