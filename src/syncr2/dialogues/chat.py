"""From a prompt's text to token ids, in the chat format of a model and with one begin token."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from syncr2.errors import SyncR2Error
from syncr2.files import sha256_text

# Templates that write today's date get this one, so that a prompt does not depend on the day it is read; it
# is the one that Llama's templates fall back to.
TEMPLATE_DATE = datetime(2024, 7, 26)
# The messages that a prompt is put into, by role, in the order in which they are tried. A template that
# demands a system message gets an empty one: what an agent knows stands in the user message for every model.
FORMS = (("user",), ("system", "user"))
_REPLACE = "Set `chat_template` of this model to the path of a Jinja file with a chat template that fits."


class ChatEncoder:
    """Puts a prompt into a model's chat format, as one user message with the answer opened.

    A system text that the template writes by itself stays; nothing is added to it. The begin token (BOS)
    stands at position 0 and nowhere else, whether the template or the tokenizer writes it. A model that uses
    none gets none. Special tokens spelled out in the text ("<s>") are data: a space after their first
    character makes them ordinary text, so that no utterance can end a message or open another.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    model_name : str
        Name in the configuration, for messages.
    chat_template : str, optional
        Text of a Jinja template that replaces the tokenizer's own.
    thinking : bool, optional
        Given to the template as `enable_thinking`; None leaves that to the template.

    Attributes
    ----------
    tokenizer : transformers tokenizer
    model_name : str
        As given.
    template_sha256 : str
        Of the chat template in use.
    thinking : bool or None
        As given.
    roles : tuple of str
        The messages of a prompt: `("user",)`, or `("system", "user")` with an empty system message for a
        template that takes no other.
    date : str or None
        The date that stands for today's, where the template asks for one.

    Raises
    ------
    SyncR2Error
        If there is no chat template, it fails on a user message or does not pass it on, or `thinking` is
        given and the template does not know it.
    """

    def __init__(
        self,
        tokenizer: Any,
        model_name: str,
        chat_template: str | None = None,
        thinking: bool | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.model_name = model_name
        self.thinking = thinking
        self._model = f"model `{model_name}`"
        self._template = chat_template or self._own_template()
        self.template_sha256 = sha256_text(self._template)
        self.date = TEMPLATE_DATE.date().isoformat() if "strftime_now" in self._template else None
        self._bos: int | None = tokenizer.bos_token_id
        self._adds_bos = self._bos is not None and tokenizer("x")["input_ids"][:1] == [self._bos]
        added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        # Longest first: a shorter one may be part of it.
        self._specials = sorted(added | set(tokenizer.all_special_tokens), key=len, reverse=True)
        self.roles = self._find_form()
        self._check_thinking()

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
        whole = self._render(self._as_plain_text(text), self.roles, self.thinking)
        ids = list(self.tokenizer(whole, add_special_tokens=False, verbose=False)["input_ids"])
        return self._with_one_bos(ids)

    def _render(self, message: str, roles: tuple[str, ...], thinking: bool | None) -> str:
        """The prompt as text, with the template's marks."""
        options: dict[str, Any] = {} if thinking is None else {"enable_thinking": thinking}
        try:
            whole = self.tokenizer.apply_chat_template(
                [{"role": role, "content": message if role == "user" else ""} for role in roles],
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=True,
                strftime_now=TEMPLATE_DATE.strftime,
                **options,
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
        return str(whole)

    def _find_form(self) -> tuple[str, ...]:
        """The first form that the template takes; without one, the error of the plainest."""
        errors = []
        for roles in FORMS:
            try:
                self._render("Hello.", roles, self.thinking)
            except SyncR2Error as error:
                errors.append(error)
            else:
                return roles
        raise errors[0]

    def _check_thinking(self) -> None:
        if self.thinking is None:
            return
        on, off = (self._render("Hello.", self.roles, thinking) for thinking in (True, False))
        if on == off:
            raise SyncR2Error(
                f"{self._model}: `thinking` is {str(self.thinking).lower()}, but its chat template does not "
                "ask for `enable_thinking`: thinking cannot be chosen for this model. Set `thinking` to null."
            )

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
