"""Loading a model, its tokenizer and its limits, from a local folder or a Hugging Face id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from syncr2.dialogues.chat import ChatEncoder, read_chat_template
from syncr2.errors import SyncR2Error
from syncr2.models.sources import ModelSource as ModelSource
from syncr2.models.sources import describe as describe
from syncr2.models.sources import locate

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel


# What configurations call the longest sequence, the usual name first.
_CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "n_ctx",
    "context_length",
)


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
    return ChatEncoder(tokenizer, source.name, chat_template=template, thinking=source.thinking)


def load_model(source: ModelSource, device: str, n_gpus: int = 1) -> PreTrainedModel:
    """The model on `device`, ready to compute without gradients; on cuda spread over `n_gpus` GPUs."""
    import torch
    from transformers import AutoModelForCausalLM

    spread = device == "cuda" and n_gpus > 1
    with no_progress_bars():
        # Weights as code could do anything on this machine; safetensors cannot.
        model = _load(
            source,
            AutoModelForCausalLM.from_pretrained,
            dtype=getattr(torch, source.dtype),
            use_safetensors=True,
            **_attention(load_config(source)),
            **({"device_map": "auto"} if spread else {}),
        )
    if spread:
        return _on_gpus_alone(model.eval(), source)
    return model.to(torch.device(device)).eval()


def _attention(config: PreTrainedConfig) -> dict[str, str]:
    """The attention that a model needs, where it must be said.

    Some models cap their attention's logits (Gemma 2). The fused attention, which would be taken, leaves the
    cap out without a word.
    """
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    return {"attn_implementation": "eager"} if capped else {}


def _on_gpus_alone(model: PreTrainedModel, source: ModelSource) -> PreTrainedModel:
    """Refuse a model of which a part did not fit the GPUs: it would be carried there anew at each pass."""
    places = cast("dict[str, int | str]", model.hf_device_map)
    left = sorted(name for name, place in places.items() if place in ("cpu", "disk"))
    if left:
        raise SyncR2Error(
            f"Model {source.name} does not fit the GPUs of this job ({len(left)} parts are left, the first "
            f"is {left[0]}). Raise `gpus` of this model."
        )
    return model


def untrained_seed(name: str) -> int:
    """The seed of a model's untrained twin: of its name alone, so that it is the same twin in every pair.

    Returns
    -------
    int
        32 bits of a SHA-256: torch's generator on the CPU takes no more.
    """
    return int.from_bytes(hashlib.sha256(f"untrained\0{name}".encode()).digest()[:4], "little")


def load_untrained(source: ModelSource, device: str, seed: int, n_gpus: int = 1) -> PreTrainedModel:
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
    n_gpus : int
        GPUs that the twin is spread over, on cuda.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = load_config(source)
    # transformers fills a new network from the CPU's global generator; the fork puts that back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(
            config,
            dtype=getattr(torch, source.dtype),
            trust_remote_code=source.trust_remote_code,
            **_attention(config),
        )
    if device == "cuda" and n_gpus > 1:
        from accelerate import dispatch_model, infer_auto_device_map

        places = infer_auto_device_map(model, no_split_module_classes=list(model._no_split_modules or ()))
        return _on_gpus_alone(dispatch_model(model.eval(), places), source)
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

    path, revision = locate(source)
    try:
        return loader(
            path,
            revision=revision,
            trust_remote_code=source.trust_remote_code,
            local_files_only=source.manifest is not None,
            **options,
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        at = f" at revision {revision}" if revision else ""
        raise SyncR2Error(
            f"Model {source.name}: cannot load {path}{at}: {error}\n{_advice(source, str(error))}"
        ) from error


def _advice(source: ModelSource, error: str) -> str:
    """What helps against an error of transformers, told by its words."""
    if "trust_remote_code" in error:
        return (
            "It needs Python code of its own, which would run with your rights. Read that code; then set "
            "`trust_remote_code: true` for this model, with a commit as `revision`. Or choose a model that "
            "transformers knows."
        )
    if "safetensors" in error:
        return "Its weights are needed as safetensors, whole; pickled ones could run code and are not loaded."
    if "recognize this architecture" in error or "Unrecognized model" in error:
        return "This version of transformers does not know the model; a newer one may (requirements/run.txt)."
    if source.manifest is not None:
        return "Its files were recorded before and are all there; see what the message above asks for."
    return (
        "A gated model needs access granted on its page and a token in HF_TOKEN; a machine without network "
        "needs the model in its cache, or a local folder as `path`."
    )


def context_length(source: ModelSource) -> int:
    """Tokens that the model takes, prompt and answer together: `context` if set, else its own limit.

    Raises
    ------
    SyncR2Error
        If neither says.
    """
    if source.context is not None:
        return source.context
    config = load_config(source).get_text_config(decoder=True)
    found = [getattr(config, key, None) for key in _CONTEXT_KEYS]
    limits = [value for value in found if isinstance(value, int) and value > 0]
    if not limits:
        raise SyncR2Error(
            f"Model {source.name}: its config names no max_position_embeddings; set `context` for it."
        )
    return limits[0]


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
