"""Which speaker a model of the configuration has: in this process, or behind a server."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from syncr2.dialogues.chat import ChatEncoder
from syncr2.dialogues.conventions import Convention
from syncr2.dialogues.dialogue import Listener
from syncr2.dialogues.paper_chat import paper_encoder
from syncr2.errors import SyncR2Error
from syncr2.models.loading import (
    ModelSource,
    context_length,
    describe,
    load_config,
    load_encoder,
    load_model,
    resolve_device,
)
from syncr2.models.sources import locate
from syncr2.speakers import Sampling, Speaker
from syncr2.speakers.connection import Connection, Elsewhere, Patience, ServerLike

if TYPE_CHECKING:
    from transformers import GenerationConfig

    from syncr2.config import Experiment

# What transformers takes where neither a call nor a generation config says.
_DEFAULT_TOP_K = 50


@dataclass(frozen=True)
class Cast:
    """How the models of a job are to speak.

    Attributes
    ----------
    engine : {"transformers", "vllm", "openai"}
        For the models that have no endpoint.
    sources : mapping
        Where each model comes from, by name.
    experiment : Experiment
        For what cannot change what is said: devices, GPUs, servers.
    sampling : Sampling
        As configured.
    convention : Convention
        How answers become turns.
    log_folder : str
        Where servers write.
    """

    engine: str
    sources: Mapping[str, ModelSource]
    experiment: Experiment
    sampling: Sampling
    convention: Convention
    log_folder: str


class Voice(NamedTuple):
    """A model that can speak: its speaker, how tokens are drawn, and what identifies it in a record."""

    speaker: Speaker
    sampling: Sampling
    described: dict[str, Any]


def listener(source: ModelSource, convention: Convention) -> Listener:
    """How a model takes prompts in.

    Raises
    ------
    SyncR2Error
        If the published protocol has no chat format for it.
    """
    if source.path is None:
        if convention.whole_answers:
            raise SyncR2Error(
                f"Model {source.name}: known by its `endpoint` alone, so it cannot be addressed in the "
                "published chat format. Give it a `path`, or set dialogue.protocol to corrected."
            )
        return Listener(None, source.context)
    encoder = load_encoder(source)
    if convention.whole_answers:
        encoder = paper_encoder(source, encoder)
    return Listener(encoder, context_length(source))


@contextmanager
def voices(cast: Cast, listeners: Mapping[str, Listener]) -> Iterator[dict[str, Voice]]:
    """Let the models speak, by name; servers that this takes run until the context is left."""
    with ExitStack() as stack:
        endpoints = {name: cast.experiment.models[name].endpoint for name in cast.sources}
        here = [name for name, endpoint in endpoints.items() if endpoint is None]
        servers: dict[str, ServerLike] = {
            name: Elsewhere(endpoint.base_url, endpoint.model, endpoint.api_key_env)
            for name, endpoint in endpoints.items()
            if endpoint is not None
        }
        if here and cast.engine == "vllm":
            servers |= stack.enter_context(_served(cast, here))
        yield {
            name: _behind(cast, source, listeners[name].encoder, servers[name])
            if name in servers
            else _in_process(cast, source, listeners[name].encoder)
            for name, source in cast.sources.items()
        }


@contextmanager
def _served(cast: Cast, names: list[str]) -> Iterator[dict[str, ServerLike]]:
    from syncr2.serving.servers import serve

    served = []
    for name in names:
        source = cast.sources[name]
        one = cast.experiment.served_model(name, *locate(source), context_length(source))
        if source.trust_remote_code:
            one = one._replace(arguments=["--trust-remote-code", *one.arguments])
        served.append(one)
    with serve(served, cast.experiment.vllm, cast.log_folder) as servers:
        yield dict(servers)


def _in_process(cast: Cast, source: ModelSource, encoder: ChatEncoder | None) -> Voice:
    from syncr2.speakers.local import LocalSpeaker

    if encoder is None:
        raise SyncR2Error(f"Model {source.name}: without `path` or `endpoint` nobody can speak for it.")
    sampling = _sampling(cast, source)
    device = resolve_device(cast.experiment.dialogue.device)
    model = load_model(source, device, cast.experiment.models[source.name].gpus)
    speaker = LocalSpeaker(model, encoder.tokenizer, sampling, cast.convention.whole_answers)
    described = describe(source, encoder, load_config(source)) | {"speaks": {"engine": "transformers"}}
    return Voice(speaker, sampling, described)


def _behind(cast: Cast, source: ModelSource, encoder: ChatEncoder | None, server: ServerLike) -> Voice:
    from syncr2.speakers.lines import AnswerForm, closing_tokens
    from syncr2.speakers.server import ServerSpeaker, TextSpeaker

    knobs, model = cast.experiment.dialogue, cast.experiment.models[source.name]
    connection = Connection(source.name, server, Patience(knobs.retries, knobs.timeout))
    if isinstance(server, Elsewhere):
        speaks: dict[str, Any] = {"engine": "endpoint", "base_url": server.base_url, "model": server.model}
    else:
        speaks = {
            "engine": "vllm",
            "quantization": model.quantization,
            "arguments": [*cast.experiment.vllm.arguments, *model.server_arguments],
        }
    speaks |= {"server_version": server.version}
    logging.info("%s speaks through %s, version %s", source.name, server.base_url, server.version)
    if encoder is None:
        described = describe(source, None) | {"speaks": speaks}
        return Voice(TextSpeaker(connection, cast.sampling), cast.sampling, described)
    closing = closing_tokens(_generation_config(source), encoder.tokenizer)
    form = AnswerForm(encoder.tokenizer, len(encoder.tokenizer), closing, cast.convention.whole_answers)
    sampling = _sampling(cast, source)
    described = describe(source, encoder, load_config(source)) | {"speaks": speaks}
    return Voice(ServerSpeaker(connection, form, sampling), sampling, described)


def _sampling(cast: Cast, source: ModelSource) -> Sampling:
    """As configured; in the published protocol with what the model's own generation config adds."""
    if not cast.convention.whole_answers:
        return cast.sampling
    own = _generation_config(source)
    top_k = _DEFAULT_TOP_K if own.top_k is None else own.top_k
    return cast.sampling._replace(top_p=1.0 if own.top_p is None else own.top_p, top_k=top_k)


def _generation_config(source: ModelSource) -> GenerationConfig:
    """The model's generation config; made of its config where it has none, as transformers does."""
    from transformers import GenerationConfig

    path, revision = locate(source)
    try:
        return GenerationConfig.from_pretrained(
            path, revision=revision or "main", local_files_only=source.manifest is not None
        )
    except OSError:
        return GenerationConfig.from_model_config(load_config(source))
