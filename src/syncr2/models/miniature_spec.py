"""The shape of a miniature model, checked before anything is built from it."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from syncr2.errors import SyncR2Error

ARCHITECTURES = ("mistral", "llama")

# The special tokens of each chat format, the begin token first.
SPECIAL_TOKENS: dict[str, tuple[str, ...]] = {
    "mistral": ("<s>", "</s>"),
    "llama-2": ("<s>", "</s>"),
    "llama-3": (
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ),
}
# Those at which generation stops, the tokenizer's end token first.
STOP_TOKENS: dict[str, tuple[str, ...]] = {
    "mistral": ("</s>",),
    "llama-2": ("</s>",),
    "llama-3": ("<|eot_id|>", "<|end_of_text|>"),
}
N_BYTES = 256
_WHOLE_NUMBERS = (
    "seed",
    "layers",
    "hidden_size",
    "intermediate_size",
    "heads",
    "kv_heads",
    "vocabulary",
    "context",
)


@dataclasses.dataclass(frozen=True)
class MiniatureSpec:
    """The shape of one miniature, checked when it is made.

    Attributes
    ----------
    seed : int
        Seed of the weights, 0 or more.
    architecture : {"mistral", "llama"}
        The transformers class: MistralForCausalLM or LlamaForCausalLM.
    layers, hidden_size, intermediate_size : int
        Number of transformer blocks; width of the residual stream; width inside each block's MLP.
    heads, kv_heads : int
        Query heads, and the key-value heads that they share (equal: ordinary multi-head attention).
    vocabulary : int
        Most tokens that the tokenizer may have; a small corpus may not hold as many.
    context : int
        Longest sequence, in tokens.
    chat_format : {"mistral", "llama-2", "llama-3"}
        Chat template and special tokens.
    sliding_window : int or None
        How many tokens back attention reaches (mistral only); None: all.
    tied : bool
        Whether input embedding and output are one matrix.
    initializer_range : float or None
        Standard deviation of the weights, above 0 and at most 1. None takes 0.5 / sqrt(hidden_size).
        The 0.02 of the real configurations is meant for widths of thousands: at a width of 32 the blocks
        would add almost nothing to the embedding, and since all prompts end in the same token, all would be
        answered nearly alike. Far above the default, attention fixes on single tokens, and the states of two
        networks no longer have anything linear in common.

    Raises
    ------
    SyncR2Error
        If values have the wrong type or the shape is impossible: all that is wrong, one a line, which begins
        with the key.
    """

    seed: int
    architecture: str
    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    chat_format: str
    sliding_window: int | None = None
    tied: bool = False
    initializer_range: float | None = None

    def __post_init__(self) -> None:
        if wrong := self.problems_of(vars(self)):
            raise SyncR2Error("\n".join(wrong))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "miniature") -> MiniatureSpec:
        """Make a spec from a section of the configuration.

        Parameters
        ----------
        values : Mapping
            One entry an attribute.
        where : str
            Where the section stands, for messages.

        Raises
        ------
        SyncR2Error
            If keys are unknown or missing, or values not allowed: all of them, one a line.
        """
        if wrong := cls.problems_of(values):
            raise SyncR2Error("\n".join(f"{where}: {problem}" for problem in wrong))
        return cls(**values)

    @classmethod
    def problems_of(cls, values: Mapping[str, Any]) -> list[str]:
        """Everything wrong with a section of the configuration, a sentence each, which names the key."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        found = []
        for key in values:
            if key not in fields:
                near = difflib.get_close_matches(str(key), fields, n=1)
                hint = f" Did you mean `{near[0]}`?" if near else ""
                found.append(f"unknown key `{key}`.{hint} Allowed: {', '.join(fields)}.")
        given = {name: values.get(name, field.default) for name, field in fields.items()}
        missing = [name for name, value in given.items() if value is dataclasses.MISSING]
        if missing:
            found.append(f"add the missing {', '.join(f'`{key}`' for key in missing)}.")
        wrong = {name: text for name, text in _wrong_types(given) if name not in missing}
        # What the shape needs is asked of the values that are right.
        right = {name: value for name, value in given.items() if name not in {*missing, *wrong}}
        return [*found, *wrong.values(), *_impossible(right)]

    @property
    def weight_range(self) -> float:
        """Standard deviation of the weights, with the default filled in."""
        return 0.5 / math.sqrt(self.hidden_size) if self.initializer_range is None else self.initializer_range


def _wrong_types(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys whose values no miniature can have, each with what is wrong."""
    for key in (*_WHOLE_NUMBERS, "sliding_window"):
        least, value = 0 if key == "seed" else 1, given[key]
        # In Python a bool is an int, and in YAML `yes` is a bool.
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if not whole and not (key == "sliding_window" and value is None):
            yield key, f"{key}: found {value!r}; a whole number of at least {least} is needed."
    for key, allowed in (("architecture", ARCHITECTURES), ("chat_format", tuple(SPECIAL_TOKENS))):
        if given[key] not in allowed:
            yield key, f"{key}: found {given[key]!r}; allowed: {', '.join(allowed)}."
    if not isinstance(given["tied"], bool):
        yield "tied", f"tied: found {given['tied']!r}; true or false is needed."
    scale = given["initializer_range"]
    number = isinstance(scale, int | float) and not isinstance(scale, bool) and 0 < scale <= 1
    if scale is not None and not number:
        yield (
            "initializer_range",
            f"initializer_range: found {scale!r}; a number above 0 and at most 1 is needed, or null.",
        )


def _impossible(right: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be built; a rule counts where all the values that it needs are there."""
    hidden, heads, kv_heads = (right.get(key) for key in ("hidden_size", "heads", "kv_heads"))
    if hidden and heads and hidden % heads:
        yield f"hidden_size: {hidden} is not a multiple of heads = {heads}."
    elif hidden and heads and hidden // heads % 2:
        yield (
            f"hidden_size: {hidden} over {heads} heads is an odd number a head, {hidden // heads}; rotary "
            "positions turn dimensions in twos. Change hidden_size or heads."
        )
    if heads and kv_heads and heads % kv_heads:
        yield f"kv_heads: {kv_heads} does not divide heads = {heads}."
    chat_format, vocabulary = right.get("chat_format"), right.get("vocabulary")
    if chat_format and vocabulary:
        least = N_BYTES + len(SPECIAL_TOKENS[chat_format])
        if vocabulary < least:
            yield (
                f"vocabulary: found {vocabulary}; at least {least} is needed for the {N_BYTES} bytes, "
                "without which some text could not be encoded, and the special tokens."
            )
    window, context = right.get("sliding_window"), right.get("context")
    if window and right.get("architecture", "mistral") != "mistral":
        yield f"sliding_window: {right['architecture']} has none, only mistral. Set it to null."
    elif window and context and window >= context:
        yield (
            f"sliding_window: {window} never cuts anything off at context = {context}. "
            "Make it smaller, or null for no window."
        )
