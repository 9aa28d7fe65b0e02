"""What a model's server is told: its command line, its environment; and how to hear from it."""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class ServedModel(NamedTuple):
    """A model to be served.

    Attributes
    ----------
    name : str
        The server knows the model under this name, and its log bears it.
    path : str
        Hugging Face id or folder.
    revision : str or None
        Of a Hugging Face id.
    dtype : str
        Number format of weights and computation.
    context : int or None
        Tokens of prompt and answer together; None for the model's own limit.
    gpus : int
        GPUs that share each layer (tensor parallelism); 0 for a server on the CPU.
    memory_share : float
        Part of each GPU's memory that the server may take.
    quantization : str or None
        Method by which weights are quantised, as vLLM names it; None for what the model's own config says.
    arguments : sequence of str
        Further arguments, after all others.
    """

    name: str
    path: str
    revision: str | None = None
    dtype: str = "bfloat16"
    context: int | None = None
    gpus: int = 1
    memory_share: float = 0.9
    quantization: str | None = None
    arguments: Sequence[str] = ()


class ServerSettings(NamedTuple):
    """How servers are started: the command, arguments for all of them, and seconds until they must answer."""

    command: Sequence[str]
    arguments: Sequence[str] = ()
    start_deadline: float = 900.0


# Set by the workflow alone: a server that listened elsewhere or bore another name could not be found.
OWN_OPTIONS = ("--model", "--served-model-name", "--host", "--port", "--uds", "--api-key")

# Tokens of a block of what a server has read and keeps; only whole blocks are kept. On a CPU vLLM would take
# 128, more than two utterances have, so that as much as is new in a turn would be read again. Its attention
# there takes multiples of 32.
CPU_BLOCK = 32

_SECRET = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
# Of Hugging Face, for a gated model that still has to be fetched.
_HUB_SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def arguments_of(model: ServedModel, settings: ServerSettings, host: str, port: int) -> list[str]:
    """The arguments that follow the command."""
    told = [
        *("--model", model.path, "--served-model-name", model.name),
        *("--dtype", model.dtype, "--tensor-parallel-size", str(max(model.gpus, 1))),
        *("--gpu-memory-utilization", f"{model.memory_share:g}", "--enable-prefix-caching"),
        # Or else a model's own temperature, top_p and top_k would fill in for what a request leaves out.
        *("--generation-config", "vllm"),
    ]
    if model.gpus == 0:
        told += ["--block-size", str(CPU_BLOCK)]
    if model.context is not None:
        told += ["--max-model-len", str(model.context)]
    if model.revision is not None:
        told += ["--revision", model.revision, "--tokenizer-revision", model.revision]
    if model.quantization is not None:
        told += ["--quantization", model.quantization]
    # The last of two counts: nothing that the configuration adds makes a server listen beyond this machine.
    return [*told, *settings.arguments, *model.arguments, "--host", host, "--port", str(port)]


def environment(model: ServedModel, gpus: str) -> dict[str, str]:
    """The environment of a server: this process's, without keys that are none of its business.

    Parameters
    ----------
    model : ServedModel
    gpus : str
        Value of CUDA_VISIBLE_DEVICES.
    """
    local = Path(model.path).is_dir()
    wanted = () if local else _HUB_SECRETS
    result = {name: value for name, value in os.environ.items() if name in wanted or not _SECRET.search(name)}
    result["VLLM_NO_USAGE_STATS"] = "1"
    if local:
        result["HF_HUB_OFFLINE"] = "1"
    result["CUDA_VISIBLE_DEVICES"] = gpus
    if model.gpus == 0:
        # vLLM would take 90 % of the machine's memory for each server, and bind each to the same cores.
        result.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
        result.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    return result


def responds(host: str, port: int, path: str) -> bool:
    """Whether a server answers a GET with status 200. Never through a proxy."""
    return _get(host, port, path) is not None


def get_json(host: str, port: int, path: str) -> dict[str, Any]:
    """What a server answers, as a JSON object; an empty one where it answers anything else."""
    try:
        value = json.loads(_get(host, port, path) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _get(host: str, port: int, path: str) -> bytes | None:
    # A short wait: whoever took the port meanwhile may accept and never answer, and it is asked again anyway.
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == 200 else None
