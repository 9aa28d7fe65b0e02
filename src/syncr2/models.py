"""Loading a model, its tokenizer and its limits, from a local folder or a Hugging Face id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncr2.chat import ChatEncoder, read_chat_template
from syncr2.errors import SyncR2Error

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from and how it is to be used."""

    name: str
    path: str
    revision: str | None = None
    dtype: str = "float32"
    context: int | None = None
    chat_template: str | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSource:
        """From a rule's params."""
        return cls(**values)


def resolve_device(wanted: str) -> str:
    """The device for `auto`: cuda, else mps, else cpu; any other name is checked.

    Raises
    ------
    SyncR2Error
        If the device asked for is not on this machine.
    """
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, there in present.items() if there)
    if not present.get(wanted):
        there = ", ".join(name for name, yes in present.items() if yes)
        raise SyncR2Error(f"device: {wanted} was asked for, but this machine has {there}. Set it to auto.")
    return wanted


def load_config(source: ModelSource) -> PreTrainedConfig:
    """The model's configuration, without its weights."""
    from transformers import AutoConfig

    return _load(source, AutoConfig.from_pretrained)


def load_encoder(source: ModelSource) -> ChatEncoder:
    """Tokenizer and chat template."""
    from transformers import AutoTokenizer

    tokenizer = _load(source, AutoTokenizer.from_pretrained)
    template = None if source.chat_template is None else read_chat_template(source.chat_template)
    return ChatEncoder(tokenizer, source.name, chat_template=template)


def load_model(source: ModelSource, device: str) -> PreTrainedModel:
    """The model on `device`, ready to compute without gradients."""
    import torch
    from transformers import AutoModelForCausalLM

    with no_progress_bars():
        # Weights as code could do anything on this machine; safetensors cannot.
        model = _load(
            source,
            AutoModelForCausalLM.from_pretrained,
            dtype=getattr(torch, source.dtype),
            use_safetensors=True,
        )
    return model.to(torch.device(device)).eval()


def untrained_seed(name: str) -> int:
    """The seed of a model's untrained twin: of its name alone, so that it is the same twin in every pair.

    Returns
    -------
    int
        32 bits of a SHA-256: torch's generator on the CPU takes no more.
    """
    return int.from_bytes(hashlib.sha256(f"untrained\0{name}".encode()).digest()[:4], "little")


def load_untrained(source: ModelSource, device: str, seed: int) -> PreTrainedModel:
    """The model's twin that was never trained: same architecture, weights as its class first draws them.

    The spread of the weights is that of the model's own configuration (`initializer_range` in most), so a
    miniature's twin is another draw of the same noise; only where a miniature's input and output embeddings
    are tied does it lengthen some rows and its twin none.

    Parameters
    ----------
    source : ModelSource
        Its configuration is read, its weights are not.
    device : str
        Where the twin goes. The weights are drawn on the CPU, so that they do not depend on the device.
    seed : int
        Seed of the weights, below 2**32. Torch's global generators are afterwards as before.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = load_config(source)
    # transformers fills a new network from the CPU's global generator; the fork puts that back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, source.dtype))
    return model.to(torch.device(device)).eval()


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep transformers' bars out of the log, where each step would be a line."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _load(source: ModelSource, loader: Any, **options: Any) -> Any:
    from safetensors import SafetensorError

    try:
        return loader(source.path, revision=source.revision, **options)
    except (OSError, ValueError, SafetensorError) as error:
        raise SyncR2Error(
            f"Model {source.name}: cannot load {source.path}"
            + (f" at revision {source.revision}" if source.revision else "")
            + f": {error}\nA gated model needs access granted on its page and a token in HF_TOKEN; a machine "
            "without network needs the model in its cache, or a local folder as `path`."
        ) from error


def context_length(source: ModelSource) -> int:
    """Tokens that the model takes, prompt and answer together: `context` if set, else its own limit.

    Raises
    ------
    SyncR2Error
        If neither says.
    """
    if source.context is not None:
        return source.context
    config = load_config(source).get_text_config()
    found = getattr(config, "max_position_embeddings", None)
    if found is None:
        raise SyncR2Error(
            f"Model {source.name}: its config names no max_position_embeddings; set `context` for it."
        )
    return int(found)


def find_blocks(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The transformer blocks, first to last, found by structure.

    They are the outermost list of modules that has as many entries as the config says there are layers.

    Raises
    ------
    SyncR2Error
        If there is no such list; the message names the model's class.
    """
    import torch

    n_layers = model.config.get_text_config().num_hidden_layers
    lists = {
        name: list(module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_layers
    }
    if not lists:
        raise SyncR2Error(
            f"{type(model).__name__}: no list of {n_layers} blocks found (its config has num_hidden_layers ="
            f" {n_layers}). This architecture is not supported yet; please report the class name."
        )
    return lists[min(lists, key=lambda name: name.count("."))]


def describe(
    source: ModelSource, encoder: ChatEncoder, config: PreTrainedConfig | None = None
) -> dict[str, Any]:
    """What identifies the model in a file's provenance."""
    commit = getattr(config, "_commit_hash", None) if config is not None else None
    return {
        "name": source.name,
        "path": source.path,
        "revision": source.revision,
        "resolved_revision": commit,
        "dtype": source.dtype,
        "chat_template_sha256": encoder.template_sha256,
    }
