"""What every judge has in common: its settings, what it is given, what it answers."""

from __future__ import annotations

import logging
import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, Self

from syncr2.errors import SyncR2Error
from syncr2.serving.addresses import is_address, without_secrets

if TYPE_CHECKING:
    from syncr2.sotopia.views import JudgeView

AGENTS: tuple[Literal["agent1"], Literal["agent2"]] = ("agent1", "agent2")
# Engines that ask a model, with what they need to know of it; the others need no prompt.
ASKING = {"openai": ("model", "base_url"), "vllm": ("model",)}
_NEEDED = {**ASKING, "table": ("file",)}
# Settings that cannot change an answer, so neither a file of judgements nor a cached answer depends on them;
# `max_failure_rate` is a labeller's own.
KNOBS = (
    *("api_key_env", "retries", "timeout", "concurrency", "cache", "gpus", "memory_gb", "memory_share"),
    "max_failure_rate",
)

_log = logging.getLogger(__name__)

Status = Literal["ok", "failed", "refused", "truncated"]


@dataclass(frozen=True)
class JudgeSettings:
    """One judge of the config.

    Attributes
    ----------
    name : str
        Name of the judge in records, tables and file names.
    engine : {"surface", "openai", "vllm", "table", "oracle"}
        "surface" is a rule-based stand-in for demonstrations, without scientific meaning; "openai" asks any
        OpenAI-compatible endpoint; "vllm" asks a server that the job starts; "table" takes scores made
        elsewhere from a file; "oracle" computes the scores of dialogues of the toy world (`syncr2.world`)
        from what was said.
    model, base_url : str or None
        Model name and address of the endpoint, such as ``http://localhost:8000/v1``. Needed by "openai";
        "vllm" needs the model alone, a Hugging Face id or folder.
    revision : str or None
        Which weights are served under the model's name, such as a commit. It is sent nowhere; with it,
        answers in the cache hold for every address, without it for this one.
    file : str or None
        Table of scores; needed by "table" only.
    both_orders : bool
        Ask twice, with either agent presented first. Not used by "table".
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
    cache : str or None
        Folder of valid answers. None: the workflow's own, below the results.
    dtype, context, quantization, server_arguments, gpus, memory_gb, memory_share
        How "vllm" serves the model, as in `syncr2.serving.launch.ServedModel`; the job asks for `memory_gb`.
    """

    # What it is and what it does, in messages.
    KIND: ClassVar[str] = "Judge"
    DONE: ClassVar[str] = "judged"
    ENGINES: ClassVar[tuple[str, ...]] = ("surface", "openai", "vllm", "table", "oracle")

    name: str
    engine: str
    model: str | None = None
    base_url: str | None = None
    revision: str | None = None
    file: str | None = None
    both_orders: bool = True
    api_key_env: str | None = None
    temperature: float | None = 0.0
    max_tokens: int = 4096
    retries: int = 4
    timeout: float = 300.0
    concurrency: int = 8
    cache: str | None = None
    dtype: str = "auto"
    context: int | None = None
    quantization: str | None = None
    server_arguments: tuple[str, ...] = ()
    gpus: int = 1
    memory_gb: float = 20.0
    memory_share: float = 0.9

    @property
    def who(self) -> str:
        """The judge in a message."""
        return f"{self.KIND} {self.name}"

    @property
    def table(self) -> Path | None:
        """The file that the engine "table" reads; None for other engines."""
        return Path(self.file).expanduser() if self.engine == "table" and self.file else None

    @property
    def asks_model(self) -> bool:
        """Whether a model is asked, so that the prompt's template counts."""
        return self.engine in ASKING

    @property
    def served_folder(self) -> Path | None:
        """The folder of the model that the job serves; None where it serves none, or a Hugging Face id."""
        folder = Path(self.model).expanduser() if self.engine == "vllm" and self.model else None
        return folder if folder and folder.is_dir() else None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from the config's mapping.

        Raises
        ------
        SyncR2Error
            If keys are unknown or missing, or values out of range: all of them, one a line, each with the
            judge and the key.
        """
        if wrong := cls.problems_of(values):
            label = f"{cls.KIND} {values.get('name', '(without a name)')}"
            raise SyncR2Error("\n".join(f"{label}: {problem}" for problem in wrong))
        # As a tuple, whatever a file or a rule's params made of it: the settings are compared.
        return cls(**{**values, "server_arguments": tuple(values.get("server_arguments", ()))})

    @classmethod
    def problems_of(cls, values: Mapping[str, Any], unsound: Container[str] = ()) -> list[str]:
        """Everything wrong with the config's mapping, a sentence each, without the judge's name.

        Parameters
        ----------
        values : mapping
        unsound : container of str
            Keys of which something is known to be wrong, so that they are not in `values`.
        """
        known = [field.name for field in fields(cls)]
        found = []
        for key in values:
            if key not in known:
                near = get_close_matches(str(key), known, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                found.append(f"unknown key {key!r}.{hint} Allowed: {', '.join(known)}.")
        named = {"name": None, "engine": None, **{key: values[key] for key in values if key in known}}
        for key in ("name", "engine"):
            if key not in unsound and (not isinstance(named[key], str) or not named[key]):
                found.append(f"{key} has to be given, as a word.")
                named[key] = None
        return found + list(cls(**named)._problems(unsound))

    def _problems(self, unsound: Container[str]) -> Iterator[str]:
        if self.engine is not None and self.engine not in self.ENGINES:
            yield f"engine is {self.engine!r}; allowed: {', '.join(self.ENGINES)}."
        needed = _NEEDED.get(self.engine, ())
        missing = [f"`{key}`" for key in needed if getattr(self, key) is None and key not in unsound]
        if missing:
            found = f"neither {' nor '.join(missing)}" if len(missing) > 1 else f"no {missing[0]}"
            needs = "both" if len(needed) > 1 else "one"
            yield f"found {found}; the engine `{self.engine}` needs {needs}."
        for key in ("model", "base_url", "revision", "file", "api_key_env", "cache"):
            value = getattr(self, key)
            if value is not None and (not isinstance(value, str) or not value):
                yield f"{key} is {value!r}; a text or null is needed."
        if not isinstance(self.both_orders, bool):
            yield f"both_orders is {self.both_orders!r}; true or false is needed."
        if isinstance(self.api_key_env, str) and self.api_key_env and not self.api_key_env.isidentifier():
            # Not shown: what stands there may well be the key itself.
            yield (
                "api_key_env has to be the name of an environment variable, such as JUDGE_API_KEY, "
                "not the key itself."
            )
        if isinstance(self.base_url, str) and self.base_url and not is_address(self.base_url):
            yield (
                f"base_url is {without_secrets(self.base_url)!r}; an address such as "
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
                yield f"{key} is {value!r}; {allowed} is needed."


def log_losses(settings: JudgeSettings, records: Iterable[Mapping[str, Any]]) -> None:
    """Say of every record without scores or labels why it has none."""
    for record in records:
        if record["status"] != "ok":
            _log.warning(
                "%s, %s, seed %s, episode %s: %s. %s",
                *(settings.who, record["pair"], record["seed"], record["episode_id"]),
                *(record["status"], record["error"]),
            )


@dataclass(frozen=True)
class Line:
    """One utterance as a judge reads it: turn number from 0, agent 1 or 2, its name, the clean text."""

    turn: int
    agent: int
    speaker: str
    text: str


class DialogueKey(NamedTuple):
    """Which dialogue it is: the models in speaking order, the seed of generation, the episode."""

    agent1: str
    agent2: str
    seed: int
    episode_id: str


@dataclass(frozen=True)
class Case:
    """One dialogue to be judged, with everything that a judge may know of its scenario.

    In `view` and `lines` agent 1 is the one who is presented first, which need not be the one who spoke
    first.
    """

    key: DialogueKey
    view: JudgeView
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Verdict:
    """What a judge made of one case; agent1 is the one whom the case presents first.

    Attributes
    ----------
    status : {"ok", "failed", "refused", "truncated"}
        Only "ok" comes with scores.
    scores : mapping or None
        agent1 and agent2, each with a number for every dimension: a whole one, unless a table gives means.
    reasoning : mapping or None
        The same shape, with the judge's reason for each score.
    attempts : int
        Requests that it took, in this run or in the one whose answer is in the cache.
    error : str or None
        Why there are no scores.
    raw : str or None
        The last answer as it came.
    made_by : mapping
        What this one verdict depends on beyond the settings (hash of the prompt, model name reported by the
        server), and whether it comes from the cache.
    """

    status: Status
    scores: Mapping[str, Mapping[str, float]] | None
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
