"""The engine "vllm": the engine "openai", asking a vLLM server that the job starts and ends.

Where the cache has every answer, no server is started. One that dies is started once more, and asked about
what is not in the cache by then.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from syncr2.judges.base import Case, JudgeSettings, Verdict
from syncr2.judges.openai import OpenAIJudge
from syncr2.serving import ServedModel, ServerSettings

if TYPE_CHECKING:
    from syncr2.judges.asking import Backoff
    from syncr2.prompts import Prompts

_log = logging.getLogger(__name__)

# For a judge whose answers are all at hand: port 0 is nobody's.
_NOWHERE = "http://127.0.0.1:0/v1"


class Hosting(NamedTuple):
    """How servers are started, and the folder that takes what they print."""

    servers: ServerSettings
    log_folder: str


class ServedJudge:
    """Score cases by asking a model that this job serves.

    Parameters
    ----------
    settings : JudgeSettings
        With engine "vllm".
    prompts : Prompts
        Renders the judge's prompt.
    hosting : Hosting
    backoff : Backoff, optional
        Waiting times between requests.
    """

    def __init__(
        self, settings: JudgeSettings, prompts: Prompts, hosting: Hosting, backoff: Backoff | None = None
    ) -> None:
        self._settings = settings
        self._prompts = prompts
        self._hosting = hosting
        self._backoff = backoff
        self._version: str | None = None

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """Ask about each case; one verdict a case, in order.

        Raises
        ------
        SyncR2Error
            If the server does not come up, or dies twice.
        """
        from syncr2.servers import serve

        asked_before = self._at(_NOWHERE)
        if asked_before.has_all(cases):
            _log.info("Judge %s: every answer is at hand, so no server is started", self._settings.name)
            return asked_before.judge(cases)
        model = served_model(self._settings)
        with serve([model], self._hosting.servers, self._hosting.log_folder) as servers:
            server = servers[model.name]
            verdicts = self._at(server.base_url).judge(cases)
            if not server.alive():
                server.restart()
                verdicts = self._at(server.base_url).judge(cases)
            self._version = server.version
        return verdicts

    def provenance(self) -> dict[str, Any]:
        """Say what the answers depend on. The address is left out, for it is another one in every job."""
        own = ("dtype", "context", "quantization", "server_arguments")
        return {
            **{key: value for key, value in self._at(_NOWHERE).provenance().items() if key != "endpoint"},
            **{key: getattr(self._settings, key) for key in own},
            "server_arguments": [*self._hosting.servers.arguments, *self._settings.server_arguments],
            "server_version": self._version,
        }

    def _at(self, base_url: str) -> OpenAIJudge:
        return OpenAIJudge(replace(self._settings, base_url=base_url), self._prompts, self._backoff)


def served_model(settings: JudgeSettings) -> ServedModel:
    """The judge's model as a server is told of it; it is asked for under the name in the configuration."""
    model = settings.model or ""
    path = Path(model).expanduser()
    local = path.is_dir()
    return ServedModel(
        name=model,
        path=str(path) if local else model,
        # Of a folder, the revision only says what lies in it.
        revision=None if local else settings.revision,
        dtype=settings.dtype,
        context=settings.context,
        gpus=settings.gpus,
        memory_share=settings.memory_share,
        quantization=settings.quantization,
        arguments=settings.server_arguments,
    )
