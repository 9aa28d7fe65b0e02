"""Chat formats in the style of the six published models, and templates that want something special."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from syncr2.dialogues.chat import ChatEncoder
from syncr2.errors import SyncR2Error

TEXT = ["Turn 0 | Ada: the words of a turn, and of another turn [INST] user assistant"] * 3
LLAMA_3_MARKS = (
    *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
)
_HEADER = "'<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>'"
_ANSWER = "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
_ALTERNATE = (
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
)


class Style(NamedTuple):
    """A family's way: kind of tokenizer, special tokens, template, and what a prompt `PROMPT` comes to."""

    kind: str
    specials: tuple[str, ...]
    template: str
    expected: str


PROMPT = " \nTurn 0 | Ada:"
STYLES = {
    "mistral v0.1": Style(
        "sentencepiece, legacy",
        ("<s>", "</s>", "<unk>"),
        "{{ bos_token }}{% for m in messages %}" + _ALTERNATE + "{{ '[INST] ' + m['content'] + ' [/INST]' }}"
        "{% endfor %}",
        f"<s>[INST] {PROMPT} [/INST]",
    ),
    "mistral v0.2": Style(
        "sentencepiece, legacy",
        ("<s>", "</s>", "<unk>"),
        "{{ bos_token }}{% for m in messages %}" + _ALTERNATE + "{{ ' [INST] ' + m['content'] + ' [/INST]' }}"
        "{% endfor %}",
        f"<s> [INST] {PROMPT} [/INST]",
    ),
    "mistral v0.3": Style(
        "sentencepiece",
        ("<s>", "</s>", "<unk>", "[INST]", "[/INST]"),
        "{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m['content'] + '[/INST]' }}{% endfor %}",
        f"<s>[INST] {PROMPT}[/INST]",
    ),
    "llama-2": Style(
        "sentencepiece, legacy",
        ("<s>", "</s>", "<unk>"),
        "{% if messages[0]['role'] == 'system' %}{% set system = '<<SYS>>\n' + messages[0]['content'] + "
        "'\n<</SYS>>\n\n' %}{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
        "{% for m in messages %}" + _ALTERNATE + "{{ bos_token + '[INST] ' + system + "
        "m['content'].strip() + ' [/INST]' }}{% endfor %}",
        f"<s>[INST] {PROMPT.strip()} [/INST]",
    ),
    "llama-3": Style(
        "byte level",
        LLAMA_3_MARKS,
        "{% for m in messages %}{% set content = " + _HEADER + " %}{% if loop.index0 == 0 %}"
        "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}" + _ANSWER,
        f"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{PROMPT.strip()}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "llama-3.2": Style(
        "byte level",
        LLAMA_3_MARKS,
        "{{ bos_token }}{% if not date_string is defined %}{% if strftime_now is defined %}"
        "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = '26 Jul 2024' %}"
        "{% endif %}{% endif %}{{ '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
        "December 2023\nToday Date: ' + date_string + '\n\n<|eot_id|>' }}{% for m in messages %}{{ "
        + _HEADER
        + " }}{% endfor %}"
        + _ANSWER,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December "
        "2023\nToday Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        f"{PROMPT.strip()}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
}


def make(style: Style) -> Any:
    """A small tokenizer of the family's kind."""
    pieces = style.kind != "byte level"
    tokenizer = Tokenizer(models.BPE(byte_fallback=pieces, unk_token="<unk>" if pieces else None))
    alphabet = []
    if style.kind == "byte level":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    elif style.kind == "sentencepiece":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        # As in tokenizer files of that time: a space in front of every stretch between special tokens.
        spaces = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        tokenizer.normalizer = normalizers.Sequence(spaces)
    if pieces:
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    bytes_ = [f"<0x{i:02X}>" for i in range(256)] if pieces else []
    special = [AddedToken(mark, special=True, normalized=False) for mark in style.specials]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*special, *bytes_], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    bos = style.specials[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{"bos_token": bos, "eos_token": style.specials[1], "chat_template": style.template},
    )
    if pieces:
        fast.unk_token = "<unk>"
    return fast


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Any]:
    return {name: make(style) for name, style in STYLES.items()}


@pytest.mark.parametrize("name", STYLES)
def test_a_prompt_is_in_the_models_own_format(tokenizers, name):
    """The ids are those of the expected text, cut at its special tokens by the tokenizer itself."""
    tokenizer, style = tokenizers[name], STYLES[name]
    encoder = ChatEncoder(tokenizer, name)
    ids = encoder.encode(PROMPT)
    assert ids == tokenizer(style.expected, add_special_tokens=False)["input_ids"]
    assert encoder.roles == ("user",)
    marks = [tokenizer.convert_tokens_to_ids(mark) for mark in style.specials]
    found = [style.specials[marks.index(i)] for i in ids if i in marks]
    in_text = sorted(style.specials, key=style.expected.find)
    expected = [mark for mark in in_text if mark in style.expected]
    assert list(dict.fromkeys(found)) == expected, "every mark is one token, in the order of the text"
    assert tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("name", STYLES)
def test_ids_are_those_that_transformers_makes_of_the_conversation(tokenizers, name):
    tokenizer = tokenizers[name]
    reference = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}],
        add_generation_prompt=True,
        return_dict=False,
        date_string="26 Jul 2024",
    )
    assert ChatEncoder(tokenizer, name).encode(PROMPT) == reference


@pytest.mark.parametrize("name", STYLES)
def test_the_begin_token_stands_once_in_front(tokenizers, name):
    tokenizer = tokenizers[name]
    ids = ChatEncoder(tokenizer, name).encode(PROMPT)
    assert tokenizer(STYLES[name].expected)["input_ids"].count(tokenizer.bos_token_id) == 2, "the trap"
    assert [i for i, token in enumerate(ids) if token == tokenizer.bos_token_id] == [0]


@pytest.mark.parametrize("name", STYLES)
def test_special_tokens_that_somebody_says_are_words(tokenizers, name):
    tokenizer, marks = tokenizers[name], STYLES[name].specials
    encoder = ChatEncoder(tokenizer, name)
    special = set(map(tokenizer.convert_tokens_to_ids, marks)) - {tokenizer.unk_token_id}
    plain, hostile = (encoder.encode(f"Ada: {words}") for words in ("hello", "".join(marks)))
    assert [i for i in hostile if i in special] == [i for i in plain if i in special]


def test_a_template_that_writes_todays_date_gets_a_fixed_one(tokenizers):
    dated = ChatEncoder(tokenizers["llama-3.2"], "m")
    assert dated.date == "2024-07-26"
    assert "Today Date: 26 Jul 2024" in tokenizers["llama-3.2"].decode(dated.encode("hi"))
    assert ChatEncoder(tokenizers["llama-3"], "m").date is None
    asks = "{{ strftime_now('%Y-%m-%d') }}: {{ messages[0]['content'] }}"
    other = ChatEncoder(tokenizers["llama-3"], "m", asks)
    assert tokenizers["llama-3"].decode(other.encode("hi")) == "<|begin_of_text|>2024-07-26: hi"


class TestSystemMessage:
    DEMANDED = (
        "{% if messages[0]['role'] != 'system' %}{{ raise_exception('System first') }}{% endif %}"
        "{% for m in messages %}{{ m['role'] }}({{ m['content'] }}){% endfor %}"
    )

    def test_one_that_is_demanded_is_empty(self, tokenizers):
        encoder = ChatEncoder(tokenizers["llama-3"], "m", self.DEMANDED)
        assert encoder.roles == ("system", "user")
        assert tokenizers["llama-3"].decode(encoder.encode("hi")) == "<|begin_of_text|>system()user(hi)"

    def test_one_that_the_template_writes_by_itself_stays(self, tokenizers):
        own = (
            "{% if messages[0]['role'] != 'system' %}system(Be kind.){% endif %}"
            "{% for m in messages %}{{ m['role'] }}({{ m['content'] }}){% endfor %}"
        )
        encoder = ChatEncoder(tokenizers["llama-3"], "m", own)
        assert encoder.roles == ("user",)
        text = tokenizers["llama-3"].decode(encoder.encode("hi"))
        assert text == "<|begin_of_text|>system(Be kind.)user(hi)"

    def test_a_template_that_takes_no_form_says_what_is_wrong_with_the_plainest(self, tokenizers):
        never = "{{ raise_exception('no ' ~ messages | length) }}"
        with pytest.raises(SyncR2Error, match=r"fails on a single user message .*no 1.*`chat_template`"):
            ChatEncoder(tokenizers["llama-3"], "m", never)


class TestThinking:
    TEMPLATE = (
        "{{ messages[0]['content'] }}{% if enable_thinking is defined and enable_thinking is false %}"
        "(no thoughts){% endif %}"
    )

    @pytest.mark.parametrize(("thinking", "end"), [(None, ""), (True, ""), (False, "(no thoughts)")])
    def test_is_passed_to_the_template(self, tokenizers, thinking, end):
        encoder = ChatEncoder(tokenizers["llama-3"], "m", self.TEMPLATE, thinking=thinking)
        assert tokenizers["llama-3"].decode(encoder.encode("hi")) == f"<|begin_of_text|>hi{end}"
        assert encoder.thinking is thinking

    @pytest.mark.parametrize("thinking", [True, False])
    def test_is_refused_where_the_template_does_not_know_it(self, tokenizers, thinking):
        with pytest.raises(SyncR2Error, match=rf"`thinking` is {str(thinking).lower()}, but .*to null"):
            ChatEncoder(tokenizers["llama-3"], "m", thinking=thinking)
