"""The published rules of text, leaving, seeds and chat formats, beside the corrected ones."""

from __future__ import annotations

import pytest
from test_dialogue import PAIR, episodes, played, prompts  # noqa: F401
from tiny_models import byte_tokenizer, with_weights_of

from syncr2.dialogues.conventions import (
    CONVENTIONS,
    CORRECTED,
    PAPER,
    paper_leaves,
    paper_seed,
    paper_utterance,
)
from syncr2.dialogues.dialogue import Listener, Match
from syncr2.dialogues.paper_chat import PaperEncoder
from syncr2.dialogues.playing import play
from syncr2.dialogues.turns import StoppingRule
from syncr2.errors import SyncR2Error
from syncr2.ids import OrderedPair
from syncr2.speakers import Answer, Sampling
from syncr2.speakers.lines import AnswerForm
from syncr2.speakers.local import LocalSpeaker


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("My offer is simple: $50", "$50"),
        ("Turn 3 | Ada: Hello: there: you.", "Hellothereyou."),
        ("Ada Stone: Hi.\nBen Reed: No.", "Hi."),
        ("It is 10:30 now.", "It is 10:30 now."),
        ("\n\n Well. \nmore", "Well."),
        ("Ada: ", "Ada:"),
        ("", ""),
    ],
)
def test_the_published_utterance(raw, text):
    assert paper_utterance(raw, "Ada Stone") == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("I only have 2 left.", True),
        ("LEAVE. Nice meeting you!", False),
        ("Please do not leave", True),
        ("leave it on the table", False),
        ("[leaves]", True),
        ("I will leave right now.", False),
        ("left", True),
        ("", False),
    ],
)
def test_the_published_way_to_leave(text, left):
    assert paper_leaves(text) is left


def test_the_published_seed_is_the_same_in_every_episode():
    other = OrderedPair("model-b", "model-b")
    assert paper_seed(PAIR, "e1", 0, 3) == paper_seed(other, "e2", 0, 3)
    assert len({paper_seed(PAIR, "e", seed, turn) for seed in (0, 1) for turn in (0, 1, 2)}) == 6
    assert CORRECTED.seed(PAIR, "e1", 0, 3) != CORRECTED.seed(PAIR, "e2", 0, 3)
    assert set(CONVENTIONS) == {"corrected", "paper"}


class _Named:
    """A tokenizer with begin token and, for the headers, the tokens of Llama-3."""

    def __init__(self, *specials):
        from transformers import PreTrainedTokenizerFast

        like = byte_tokenizer().backend_tokenizer.to_str()
        from tokenizers import Tokenizer

        self.fast = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_str(like), bos_token="<s>", eos_token="<end>"
        )
        self.fast.add_special_tokens({"additional_special_tokens": list(specials)})


def test_wrappers():
    plain = _Named().fast
    encoder = PaperEncoder(plain, "m", "mistral")
    ids = encoder.encode("Hi <s> there")
    assert plain.decode(ids) == "<s>[INST] Hi < s> there [/INST]"
    headers = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    llama = _Named(*headers).fast
    text = llama.decode(PaperEncoder(llama, "m", "llama").encode("Hi"))
    assert text == (
        "<s><s><|start_header_id|>user<|end_header_id|>\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n"
    )
    assert PaperEncoder(llama, "m", "llama").template_sha256 != encoder.template_sha256
    with pytest.raises(
        SyncR2Error, match=r"Model m: .* for Mistral, Llama-2 and Llama-3 alone, and this is a qwen2"
    ):
        PaperEncoder(plain, "m", "qwen2")


def test_published_dialogues(prompts):  # noqa: F811
    """Answers run to the limit, and all that stands behind the first line is thrown away."""
    sampling = Sampling(0.9, 1.0, 50, 30)
    model = with_weights_of("llama")
    model.lm_head.weight.data[byte_tokenizer()("\n")["input_ids"][0]] *= 1.2
    speaker = LocalSpeaker(model, byte_tokenizer(), sampling, whole=True)
    from syncr2.dialogues.chat import ChatEncoder

    listener = Listener(ChatEncoder(byte_tokenizer(), "m"), 4000)
    match = Match(
        *(PAIR, 0, (listener, listener), (speaker, speaker), prompts),
        *(StoppingRule(4, 0, PAPER.leaves), (sampling, sampling._replace(top_k=7)), PAPER),
    )
    (records,) = play(match, episodes(3), 8)
    turns = [turn for record in records for turn in record["turns"]]
    assert {turn["n_new_tokens"] for turn in turns} == {30}
    assert "line" in {turn["finish_reason"] for turn in turns}
    assert any("\n" in turn["raw"].strip() for turn in turns)
    assert all("\n" not in turn["text"] for turn in turns)
    assert records[0]["protocol"] == "paper"
    assert records[0]["sampling"] == {
        **{"temperature": 0.9, "top_p": 1.0, "top_k": [50, 7], "max_new_tokens": 30}
    }


def test_whole_answers_are_cut_off_only_within_the_first_line():
    form = AnswerForm(byte_tokenizer(), 300, frozenset(), whole=True)
    for text, reason in (("Hm\n", "line"), ("\nHm", "length"), ("Hm\nNo", "line"), ("Hm", "length")):
        grown = form.open([1])
        for token in byte_tokenizer()(text)["input_ids"]:
            grown.take(token)
        assert grown.answer() == Answer(text, len(grown.tokens), reason)
