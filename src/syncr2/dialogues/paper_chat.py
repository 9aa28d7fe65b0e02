"""The chat formats that the published code wrote by hand, for `dialogue.protocol: paper`.

Mistral and Llama-2 get `[INST] … [/INST]`. Llama-3 gets single line ends behind its headers, where its
template has two, and a second begin token: the wrapper's own and the tokenizer's.
"""

from __future__ import annotations

from typing import Any

from syncr2.dialogues.chat import ChatEncoder
from syncr2.errors import SyncR2Error
from syncr2.models.loading import load_config
from syncr2.models.sources import ModelSource

_TEXT = "{{ messages[0]['content'] }}"
# Each with the begin tokens that its prompts start with.
INSTRUCTION = (f"[INST] {_TEXT} [/INST]", 1)
HEADERS = (
    "<|start_header_id|>user<|end_header_id|>\n"
    f"{_TEXT}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
    # Jinja drops one line end at the very end of a template.
    "\n",
    2,
)
_KNOWN = ("llama", "mistral")


class PaperEncoder(ChatEncoder):
    """A model's prompts in the published wrapper of its family; otherwise as `ChatEncoder`.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    model_name : str
        Name in the configuration, for messages.
    model_type : str
        `model_type` of the model's config.

    Raises
    ------
    SyncR2Error
        If there is no published wrapper for such a model.
    """

    def __init__(self, tokenizer: Any, model_name: str, model_type: str) -> None:
        if model_type not in _KNOWN or tokenizer.bos_token_id is None:
            raise SyncR2Error(
                f"Model {model_name}: dialogue.protocol is `paper`, which has chat formats for Mistral, "
                f"Llama-2 and Llama-3 alone, and this is a {model_type}. Take the model out, or set "
                "dialogue.protocol to corrected."
            )
        wrapper, self._n_bos = HEADERS if "<|start_header_id|>" in tokenizer.get_vocab() else INSTRUCTION
        super().__init__(tokenizer, model_name, chat_template=wrapper)

    def _with_one_bos(self, ids: list[int]) -> list[int]:
        """The ids behind as many begin tokens as were published."""
        return [self.tokenizer.bos_token_id] * self._n_bos + ids


def paper_encoder(source: ModelSource, encoder: ChatEncoder) -> PaperEncoder:
    """The published format of a model, with the tokenizer of its own.

    Parameters
    ----------
    source : ModelSource
    encoder : ChatEncoder
        Of the same model, for its tokenizer.
    """
    return PaperEncoder(encoder.tokenizer, source.name, load_config(source).model_type)
