"""Miniature models: untrained networks of the real classes, to try the experiment without a download.

A miniature is an ordinary model folder (configuration, safetensors, tokenizer, chat template), read by the
code that reads real models. Nothing in it has been trained: the weights are noise from a seed, and the
tokenizer is counted from text that the project owns. Results from miniatures show that the machinery runs;
about language models they say nothing.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncr2.errors import SyncR2Error
from syncr2.files import read_json
from syncr2.models.miniature_spec import SPECIAL_TOKENS, STOP_TOKENS, MiniatureSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["MiniatureSpec", "build_miniature", "miniature_corpus"]

TEMPLATE_FOLDER = Path(__file__).resolve().parents[3] / "resources" / "chat_templates"

# Written into every miniature's config.json. A folder whose configuration lacks it is somebody's real model.
MARK = "untrained_miniature"

_FILES = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
}

# Standard deviation of the logits of words, at every width. At a temperature of 0.7 a few dozen of a thousand
# words are then likely, so that what is said differs from prompt to prompt and from draw to draw.
_LOGIT_SPREAD = 2.0
# The output rows of tokens that are no words are this much shorter (see `_output_scale`).
_QUIET = 0.1


# Another template must not change the tokenizers, and with them every miniature.
CORPUS_TEMPLATES = ("bystander", "engaged", "judge")


def miniature_corpus(scenario_folder: str | Path, prompt_folder: str | Path) -> list[str]:
    """Collect the text that the tokenizers are counted from.

    Parameters
    ----------
    scenario_folder : str or Path
        Folder with envs.json and agents.json in Sotopia's form. (env_agent_combos.json holds only ids.)
    prompt_folder : str or Path
        Folder with the prompt templates `CORPUS_TEMPLATES`. Their commands are left out, their wording is
        kept.

    Returns
    -------
    list of str
        In the order of files and records: the same folders give the same list.

    Raises
    ------
    SyncR2Error
        If a file is missing or not JSON.
    """
    texts: list[str] = []
    for name in ("envs.json", "agents.json"):
        texts.extend(_strings(read_json(Path(scenario_folder) / name)))
    templates = [Path(prompt_folder) / f"{name}.jinja" for name in CORPUS_TEMPLATES]
    if missing := [template.name for template in templates if not template.is_file()]:
        raise SyncR2Error(
            f"{prompt_folder}: {', '.join(missing)} not found. Name the folder of the prompt templates."
        )
    command = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", flags=re.DOTALL)
    texts.extend(command.sub("", template.read_text(encoding="utf-8")) for template in templates)
    return texts


def build_miniature(
    folder: str | Path,
    spec: MiniatureSpec,
    corpus: Iterable[str],
    template_folder: str | Path = TEMPLATE_FOLDER,
) -> None:
    """Build the folder of an untrained model.

    With one set of installed packages, the same spec and corpus give the same files, byte for byte.

    Parameters
    ----------
    folder : str or Path
        Where it goes, whole or not at all. An older miniature there is replaced.
    spec : MiniatureSpec
        The shape.
    corpus : iterable of str
        Text that the tokenizer is counted from, in any order.
    template_folder : str or Path
        Where ``{chat_format}.jinja`` stands.

    Raises
    ------
    SyncR2Error
        If the corpus is empty, the chat template is missing, or `folder` holds anything but a miniature.
    """
    folder = Path(folder)
    _refuse_foreign(folder)
    texts = [text for text in corpus if text]
    if not texts:
        raise SyncR2Error(
            "The corpus of the miniatures' tokenizers holds no text. Check the scenario and prompt folders."
        )
    tokenizer = _tokenizer(spec, texts, _chat_template(spec, Path(template_folder)))
    model = _model(spec, tokenizer, _output_scale(spec, tokenizer, texts))
    from syncr2.models.loading import no_progress_bars

    with _replaced_folder(folder) as new, no_progress_bars():
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)


def _strings(value: Any, key: str = "") -> Iterator[str]:
    """Every text inside a JSON value, save the ids: no one would say them."""
    if isinstance(value, str) and key != "pk":
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _strings(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part, key)


def _chat_template(spec: MiniatureSpec, folder: Path) -> str:
    path = folder / f"{spec.chat_format}.jinja"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SyncR2Error(
            f"{path}: no such file. The chat templates are part of the repository, in "
            "resources/chat_templates; install the package from a clone, editable."
        ) from None


def _tokenizer(spec: MiniatureSpec, texts: Sequence[str], chat_template: str) -> PreTrainedTokenizerFast:
    """Count a byte-level BPE vocabulary. All 256 bytes are in it, so that no text loses anything."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    specials = SPECIAL_TOKENS[spec.chat_format]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocabulary,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    # Plain text gets one begin token, as with the real models. Chat templates write their own.
    bos = specials[0]
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, bpe.token_to_id(bos))]
    )
    # No pad token: the real models have none either, so nothing may come to rely on one.
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=bos,
        eos_token=STOP_TOKENS[spec.chat_format][0],
        additional_special_tokens=list(specials[1:]),
        model_max_length=spec.context,
        clean_up_tokenization_spaces=False,
        chat_template=chat_template,
    )


def _output_scale(
    spec: MiniatureSpec, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]
) -> NDArray[np.float64]:
    """Length of each token's output row, so that an untrained network says words rather than rubble.

    Drawn evenly, an eighth of the tokens would be single bytes, mostly no valid text, and half of them the
    crumbs that BPE leaves behind when it builds up words. With its row shortened to a tenth, such a token
    has a logit near 0, where those of words spread widely and the largest win: it becomes rare, not
    impossible. Words are the tokens that stand as whole words in the corpus, space in front. Sentence marks,
    line ends and stop tokens count as words, so that turns end. With tied embeddings the rows are the
    input's, too; the norm in front of each block makes up for that.

    Returns
    -------
    ndarray, shape (n_tokens,)
    """
    import numpy as np

    split = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str
    whole = {piece for text in texts for piece, _ in split(text)}
    # In the byte-level alphabet Ġ is the space and Ċ the line end.
    spoken = {piece for piece in whole if re.fullmatch("Ġ[A-Za-z]+", piece)} | {".", ",", "?", "!", "Ċ"}
    spoken.update(STOP_TOKENS[spec.chat_format])
    scale = np.full(len(tokenizer), _QUIET)
    scale[[index for token, index in tokenizer.get_vocab().items() if token in spoken]] = 1.0
    return scale


def _config(spec: MiniatureSpec, tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    from transformers import LlamaConfig, MistralConfig

    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": spec.hidden_size,
        "intermediate_size": spec.intermediate_size,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "num_key_value_heads": spec.kv_heads,
        "max_position_embeddings": spec.context,
        "initializer_range": spec.weight_range,
        "tie_word_embeddings": spec.tied,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": None,
        MARK: {"seed": spec.seed},
    }
    if spec.architecture == "mistral":
        return MistralConfig(sliding_window=spec.sliding_window, **shape)
    return LlamaConfig(**shape)


def _model(
    spec: MiniatureSpec, tokenizer: PreTrainedTokenizerFast, output_scale: NDArray[np.float64]
) -> PreTrainedModel:
    """Make the network, in float32, with untrained weights."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    # transformers fills the new network from torch's global generator; the fork puts that back as it was.
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(_config(spec, tokenizer), dtype=torch.float32)
    parameters = dict(model.named_parameters())
    shapes = {name: tuple(tensor.shape) for name, tensor in parameters.items()}
    with torch.no_grad():
        for name, values in _weights(spec, shapes, output_scale).items():
            parameters[name].copy_(torch.from_numpy(values))
    stops = [tokenizer.get_vocab()[token] for token in STOP_TOKENS[spec.chat_format]]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=stops if len(stops) > 1 else stops[0]
    )
    return model


def _weights(
    spec: MiniatureSpec, shapes: Mapping[str, tuple[int, ...]], output_scale: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Draw every matrix, and the last norm; the norms of the blocks stay 1.

    Numbers that come from (seed, name of the tensor) alone stay the same when transformers makes its layers
    in another order, and numpy's do not depend on the processor's vector units, as torch's do.
    """
    import numpy as np

    def generator(name: str) -> np.random.Generator:
        return np.random.default_rng([spec.seed, _number(name)])

    embedding, output, last_norm = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
    weights = {
        name: generator(name).standard_normal(shape) * spec.weight_range
        for name, shape in shapes.items()
        if len(shape) == 2
    }
    weights[embedding if spec.tied else output] *= output_scale[:, None]
    # The last norm sets the spread of the logits; hidden states are taken before it. Its signs are drawn,
    # because with tied embeddings a token is otherwise its own best successor, and one word is said for ever.
    signs = generator(last_norm).choice([-1.0, 1.0], spec.hidden_size)
    weights[last_norm] = signs * _LOGIT_SPREAD / (spec.weight_range * math.sqrt(spec.hidden_size))
    return weights


def _number(text: str) -> int:
    """A whole number that stands for a text, the same in every process."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)


def _refuse_foreign(folder: Path) -> None:
    """Stop before a folder is replaced that is no miniature: a mistyped path may be somebody's model."""
    if not folder.exists():
        return
    found = (
        {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
        if folder.is_dir()
        else {""}
    )
    if found <= _FILES and ("config.json" not in found or MARK in read_json(folder / "config.json")):
        return
    raise SyncR2Error(
        f"{folder}: holds something that is not a miniature model, so it stays as it is. "
        "Give the miniature another folder, or remove this one."
    )


@contextmanager
def _replaced_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder that takes the place of `folder` when the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    try:
        new = temporary / "new"
        new.mkdir()
        yield new
        for path in new.iterdir():
            # safetensors makes private files; models are for all who may read the other files.
            path.chmod((new / "config.json").stat().st_mode)
            with path.open("rb") as written:
                os.fsync(written.fileno())
        if folder.exists():
            folder.rename(temporary / "old")
        new.rename(folder)
    finally:
        shutil.rmtree(temporary)
