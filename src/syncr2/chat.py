"""From a prompt's text to token ids, in the chat format of a model and with one begin token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from syncr2.errors import SyncR2Error
from syncr2.files import sha256_text

_REPLACE = "Set `chat_template` of this model to the path of a Jinja file with a chat template that fits."


class ChatEncoder:
    """Puts a prompt into a model's chat format, as one user message with the answer opened.

    The begin token (BOS) stands at position 0 and nowhere else, whether the template or the tokenizer writes
    it. A model that uses none gets none. Special tokens spelled out in the text ("<s>") are data: a space
    after their first character makes them ordinary text, so that no utterance can end a message or open
    another.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    model_name : str
        Name in the configuration, for messages.
    chat_template : str, optional
        Text of a Jinja template that replaces the tokenizer's own.

    Attributes
    ----------
    tokenizer : transformers tokenizer
    model_name : str
        As given.
    template_sha256 : str
        Of the chat template in use.

    Raises
    ------
    SyncR2Error
        If there is no chat template.
    """

    def __init__(self, tokenizer: Any, model_name: str, chat_template: str | None = None) -> None:
        self.tokenizer = tokenizer
        self.model_name = model_name
        self._model = f"model `{model_name}`"
        self._template = chat_template or self._own_template()
        self.template_sha256 = sha256_text(self._template)
        self._bos: int | None = tokenizer.bos_token_id
        self._adds_bos = self._bos is not None and tokenizer("x")["input_ids"][:1] == [self._bos]
        added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        # Longest first: a shorter one may be part of it.
        self._specials = sorted(added | set(tokenizer.all_special_tokens), key=len, reverse=True)

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt.

        Parameters
        ----------
        text : str
            The content of the user message.

        Raises
        ------
        SyncR2Error
            If the chat template fails, loses the message, or begin tokens stand anywhere but once at the
            start.
        """
        message = self._as_plain_text(text)
        try:
            whole = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": message}],
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception as error:  # a template is a program, and may fail in any way
            raise SyncR2Error(
                f"{self._model}: its chat template fails on a single user message ({type(error).__name__}: "
                f"{error}). {_REPLACE}"
            ) from error
        if message.strip() not in whole:
            raise SyncR2Error(
                f"{self._model}: its chat template does not pass on the content of a user message; it gave "
                f"{whole[:80]!r}. {_REPLACE}"
            )
        ids = list(self.tokenizer(whole, add_special_tokens=False, verbose=False)["input_ids"])
        return self._with_one_bos(ids)

    def _own_template(self) -> str:
        try:
            return str(self.tokenizer.get_chat_template())
        except ValueError:
            raise SyncR2Error(
                f"{self._model}: its tokenizer has no chat template, so nobody knows how to address it. "
                f"{_REPLACE} Or choose the instruction-tuned version of the model."
            ) from None

    def _as_plain_text(self, text: str) -> str:
        for special in self._specials:
            if len(special) > 1:
                text = text.replace(special, f"{special[0]} {special[1:]}")
        return text

    def _with_one_bos(self, ids: list[int]) -> list[int]:
        if self._bos is None:
            return ids
        found = [position for position, token in enumerate(ids) if token == self._bos]
        if not found:
            return [self._bos, *ids] if self._adds_bos else ids
        if found != [0]:
            raise SyncR2Error(
                f"{self._model}: the begin token {self.tokenizer.bos_token!r} stands at positions "
                f"{', '.join(map(str, found[:5]))} of the prompt; it may stand once, at position 0. "
                f"{_REPLACE}"
            )
        return ids


def read_chat_template(path: str | Path) -> str:
    """Text of a chat template that the configuration names.

    Raises
    ------
    SyncR2Error
        If the file is missing, empty, or no UTF-8 text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SyncR2Error(f"chat_template: {path} cannot be read ({error}). Name a Jinja file.") from None
    if not text.strip():
        raise SyncR2Error(f"chat_template: {path} is empty. Name a Jinja file.")
    return text
