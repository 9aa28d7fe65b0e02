"""The engine "vllm" of judges and labellers: a vLLM server that the job starts, asks and ends.

Where the cache has every answer, no server is started. One that dies is started once more, and asked about
what is not in the cache by then.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from syncr2.errors import SyncR2Error
from syncr2.judges.asking import Asked, Asker, AskerLike, Form, Question
from syncr2.judges.base import JudgeSettings
from syncr2.serving.launch import ServedModel, ServerSettings

if TYPE_CHECKING:
    from syncr2.serving.endpoints import Backoff

_log = logging.getLogger(__name__)

# For a model whose answers are all at hand: port 0 is nobody's.
_NOWHERE = "http://127.0.0.1:0/v1"


class Hosting(NamedTuple):
    """How servers are started, the folder that takes what they print, and which bytes they serve.

    `weights_sha256` is that of a model's record (`models.snapshots.Snapshot.sha256`), where it lies in a
    folder; a Hugging Face id is known by its revision.
    """

    servers: ServerSettings
    log_folder: str
    weights_sha256: str | None = None


def asker_for(
    settings: JudgeSettings, form: Form, backoff: Backoff | None = None, hosting: Hosting | None = None
) -> AskerLike:
    """Whom the engine asks, "openai" or "vllm".

    Raises
    ------
    SyncR2Error
        As `Asker` does; if a server has to be started, and nobody said how.
    """
    if settings.engine != "vllm":
        return Asker(settings, form, backoff)
    if hosting is None:
        raise SyncR2Error(f"{settings.who}: its engine starts a server, and nobody said how.")
    return ServedAsker(settings, form, hosting, backoff)


class ServedAsker:
    """Ask a model that this job serves.

    Parameters
    ----------
    settings : JudgeSettings
        With engine "vllm".
    form : Form
    hosting : Hosting
    backoff : Backoff, optional
        Waiting times between requests.

    Raises
    ------
    SyncR2Error
        As `Asker` does. From `ask`: if the server does not come up, or dies twice.
    """

    def __init__(
        self, settings: JudgeSettings, form: Form, hosting: Hosting, backoff: Backoff | None = None
    ) -> None:
        self._settings = settings
        self._form = form
        self._hosting = hosting
        self._backoff = backoff
        self._version: str | None = None

    def ask(self, questions: Sequence[Question]) -> list[Asked]:
        """Ask each question, several at a time; one outcome each, in order."""
        from syncr2.serving.servers import serve

        asked_before = self._at(_NOWHERE)
        if asked_before.has_all(questions):
            _log.info("%s: every answer is at hand, so no server is started", self._settings.who)
            return asked_before.ask(questions)
        model = served_model(self._settings)
        with serve([model], self._hosting.servers, self._hosting.log_folder) as servers:
            server = servers[model.name]
            asked = self._at(server.base_url).ask(questions)
            if not server.alive():
                server.restart()
                asked = self._at(server.base_url).ask(questions)
            self._version = server.version
        return asked

    def provenance(self) -> dict[str, Any]:
        """Say what the answers depend on. The address is left out, for it is another one in every job."""
        own = ("dtype", "context", "quantization")
        return {
            **{key: value for key, value in self._at(_NOWHERE).provenance().items() if key != "endpoint"},
            **{key: getattr(self._settings, key) for key in own},
            "server_arguments": _told(self._settings, self._hosting),
            "server_version": self._version,
            "weights_sha256": self._hosting.weights_sha256,
        }

    def _at(self, base_url: str) -> Asker:
        settings = replace(self._settings, base_url=base_url)
        return Asker(settings, self._form, self._backoff, served_weights(settings, self._hosting))


def served_weights(settings: JudgeSettings, hosting: Hosting) -> dict[str, Any]:
    """Whose weights answer and how they are served; the address is another one in every job."""
    own = ("revision", "dtype", "context", "quantization")
    served = {key: getattr(settings, key) for key in own}
    served["server_arguments"] = _told(settings, hosting)
    if hosting.weights_sha256 is not None:
        served["weights_sha256"] = hosting.weights_sha256
    return {"vllm": served}


def _told(settings: JudgeSettings, hosting: Hosting) -> list[str]:
    """What the server is told beyond the keys of the configuration."""
    return [*hosting.servers.arguments, *settings.server_arguments]


def served_model(settings: JudgeSettings) -> ServedModel:
    """The model as a server is told of it; it is asked for under the name in the configuration."""
    folder = settings.served_folder
    return ServedModel(
        name=settings.model or "",
        path=str(folder) if folder else settings.model or "",
        # Of a folder, the revision only says what lies in it.
        revision=None if folder else settings.revision,
        dtype=settings.dtype,
        context=settings.context,
        gpus=settings.gpus,
        memory_share=settings.memory_share,
        quantization=settings.quantization,
        arguments=settings.server_arguments,
    )
