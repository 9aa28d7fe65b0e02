"""The shape of a miniature model, checked before anything is built from it."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
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
        If a value has the wrong type or the shape is impossible; the message begins with the key.
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
        self._check_types()
        self._check_shape()

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
            If a key is unknown or missing, or a value is not allowed.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for key in values:
            if key not in fields:
                near = difflib.get_close_matches(str(key), fields, n=1)
                hint = f" Did you mean `{near[0]}`?" if near else ""
                raise SyncR2Error(f"{where}: unknown key `{key}`.{hint} Allowed: {', '.join(fields)}.")
        missing = [k for k, f in fields.items() if f.default is dataclasses.MISSING and k not in values]
        if missing:
            raise SyncR2Error(f"{where}: add the missing {', '.join(f'`{key}`' for key in missing)}.")
        try:
            return cls(**values)
        except SyncR2Error as error:
            raise SyncR2Error(f"{where}: {error}") from None

    @property
    def weight_range(self) -> float:
        """Standard deviation of the weights, with the default filled in."""
        return 0.5 / math.sqrt(self.hidden_size) if self.initializer_range is None else self.initializer_range

    def _check_types(self) -> None:
        for key in _WHOLE_NUMBERS:
            _check_whole(key, getattr(self, key), least=0 if key == "seed" else 1)
        if self.sliding_window is not None:
            _check_whole("sliding_window", self.sliding_window, least=1)
        for key, allowed in (("architecture", ARCHITECTURES), ("chat_format", tuple(SPECIAL_TOKENS))):
            if getattr(self, key) not in allowed:
                raise SyncR2Error(f"{key}: found {getattr(self, key)!r}; allowed: {', '.join(allowed)}.")
        if not isinstance(self.tied, bool):
            raise SyncR2Error(f"tied: found {self.tied!r}; true or false is needed.")
        scale = self.initializer_range
        if scale is not None and (
            isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= 1
        ):
            raise SyncR2Error(
                f"initializer_range: found {scale!r}; a number above 0 and at most 1 is needed, or null."
            )

    def _check_shape(self) -> None:
        if self.hidden_size % self.heads:
            raise SyncR2Error(f"hidden_size: {self.hidden_size} is not a multiple of heads = {self.heads}.")
        if self.hidden_size // self.heads % 2:
            raise SyncR2Error(
                f"hidden_size: {self.hidden_size} over {self.heads} heads is an odd number a head, "
                f"{self.hidden_size // self.heads}; rotary positions turn dimensions in twos. "
                "Change hidden_size or heads."
            )
        if self.heads % self.kv_heads:
            raise SyncR2Error(f"kv_heads: {self.kv_heads} does not divide heads = {self.heads}.")
        least = N_BYTES + len(SPECIAL_TOKENS[self.chat_format])
        if self.vocabulary < least:
            raise SyncR2Error(
                f"vocabulary: found {self.vocabulary}; at least {least} is needed for the {N_BYTES} bytes, "
                "without which some text could not be encoded, and the special tokens."
            )
        if self.sliding_window is None:
            return
        if self.architecture != "mistral":
            raise SyncR2Error(f"sliding_window: {self.architecture} has none, only mistral. Set it to null.")
        if self.sliding_window >= self.context:
            raise SyncR2Error(
                f"sliding_window: {self.sliding_window} never cuts anything off at context = {self.context}. "
                "Make it smaller, or null for no window."
            )


def _check_whole(key: str, value: object, least: int) -> None:
    # In Python a bool is an int, and in YAML `yes` is a bool.
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SyncR2Error(f"{key}: found {value!r}; a whole number of at least {least} is needed.")
