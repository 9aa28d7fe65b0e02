"""The states are those of the blocks, whatever they are read together with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from judging import dialogue, scenario_set
from tiny_models import (
    COMMON,
    ROPE_LIMIT,
    WINDOW,
    byte_tokenizer,
    growing_prompts,
    tiny_model,
    with_weights_of,
)

from syncr2.dialogues.chat import ChatEncoder
from syncr2.dialogues.dialogue import prompt_ids
from syncr2.dialogues.prompts import Prompts
from syncr2.models.loading import find_blocks
from syncr2.replay import states
from syncr2.replay.growing import UNLIMITED
from syncr2.replay.states import (
    CPU_NUMBERS,
    engaged_prompts,
    groups,
    passive_prompts,
    replay,
    state_rows,
    states_alone,
    states_at,
)
from syncr2.replay.tokens import ids_sha256

LAYERS, SIZE = COMMON["num_hidden_layers"], COMMON["hidden_size"]
N_TURNS = (4, 1, 0, 4, 3)


def replayed(model, dialogues, batch_tokens):
    """All batches of a replay put together: (n_layers, n_prompts, hidden_size)."""
    batches = list(replay(model, dialogues, batch_tokens))
    values = np.concatenate([batch.values() for batch in batches], axis=1)
    ends = np.cumsum([batch.values().shape[1] for batch in batches]).tolist()
    assert [batch.begin for batch in batches] == [0, *ends[:-1]]
    assert values.dtype == np.float32
    return values


@torch.inference_mode()
def one_at_a_time(model, prompts):
    """(n_layers, n_prompts, hidden_size), by hooks, without cache, padding or batch."""
    states = np.empty((LAYERS, len(prompts), SIZE), np.float32)
    for column, prompt in enumerate(prompts):
        for layer, block in enumerate(find_blocks(model)):

            def keep(block, inputs, output, layer=layer, column=column):
                states[layer, column] = (output[0] if isinstance(output, tuple) else output)[0, -1].float()

            block._test_handle = block.register_forward_hook(keep)
        model(input_ids=torch.tensor([prompt]), use_cache=False)
        for block in find_blocks(model):
            block._test_handle.remove()
    return states


def flat(dialogues):
    return [prompt for prompts in dialogues for prompt in prompts]


@pytest.mark.parametrize(
    "kind",
    [
        "llama",
        "tied llama",
        "mistral",
        "mistral, window",
        "qwen2",
        "qwen2, window in some layers",
        "gemma2",
        "gemma3",
        "gpt-neox",
        "gpt-2",
        "opt",
        "falcon",
        "phi3",
        "phi3, longrope",
        "bloom",
        "mamba",
    ],
)
def test_same_states_as_each_prompt_alone(kind):
    model = tiny_model(kind)
    dialogues = growing_prompts(7, N_TURNS)
    assert max(map(len, flat(dialogues))) > WINDOW + 20
    found = replayed(model, dialogues, batch_tokens=250)
    assert found.shape == (LAYERS, sum(N_TURNS), SIZE)
    reference = one_at_a_time(model, flat(dialogues))
    np.testing.assert_allclose(found, reference, rtol=0, atol=3e-5)
    np.testing.assert_allclose(states_alone(model, dialogues[3][2]), reference[:, 7], rtol=0, atol=3e-5)


def test_prompts_on_both_sides_of_a_limit():
    """Side by side only where all are short enough that their positions turn as in a short prompt."""
    model = tiny_model("phi3, longrope")
    short = [[list(range(20, 20 + n)) for n in (9, 12)] for _ in range(3)]
    long = [[list(range(30, 30 + n)) for n in (ROPE_LIMIT - 3, ROPE_LIMIT + 9)]]
    dialogues = [*short[:2], *long, *short[2:]]
    found = replayed(model, dialogues, batch_tokens=1000)
    np.testing.assert_allclose(found, one_at_a_time(model, flat(dialogues)), rtol=0, atol=3e-5)


def test_states_stand_before_the_final_norm():
    model = tiny_model("llama")
    dialogues = growing_prompts(8, (3, 2))
    found = replayed(model, dialogues, batch_tokens=10_000)
    for column, prompt in enumerate(flat(dialogues)):
        with torch.inference_mode():
            output = model(input_ids=torch.tensor([prompt]), output_hidden_states=True, use_cache=False)
            normed = model.model.norm(torch.from_numpy(found[-1, column])).numpy()
        reference = [hidden[0, -1].numpy() for hidden in output.hidden_states]
        assert len(reference) == LAYERS + 1
        for layer in range(LAYERS - 1):
            np.testing.assert_allclose(found[layer, column], reference[layer + 1], rtol=0, atol=3e-5)
        assert np.abs(found[-1, column] - reference[-1]).max() > 0.1
        np.testing.assert_allclose(normed, reference[-1], rtol=0, atol=3e-5)


@pytest.mark.parametrize("batch_tokens", [1, 150, 100_000])
def test_the_batch_does_not_matter(batch_tokens):
    model = tiny_model("mistral, window")
    dialogues = growing_prompts(9, (3, 2, 3, 1))
    reference = replayed(model, dialogues, batch_tokens=300)
    found = replayed(model, dialogues, batch_tokens)
    np.testing.assert_allclose(found, reference, rtol=0, atol=3e-5)
    turned = replayed(model, dialogues[::-1], batch_tokens)
    # Prompts 0-2, 3-4, 5-7, 8 stand as 8, 5-7, 3-4, 0-2 when the dialogues are turned round.
    np.testing.assert_allclose(turned[:, [6, 7, 8, 4, 5, 1, 2, 3, 0]], reference, rtol=0, atol=3e-5)


def test_bfloat16_comes_as_float32():
    model = with_weights_of("llama").to(torch.bfloat16)
    dialogues = growing_prompts(10, (2,))
    found = replayed(model, dialogues, batch_tokens=1000)
    exact = replayed(tiny_model("llama"), dialogues, batch_tokens=1000)
    # 8 bits of each number; an error of the wrong token or layer would be of the size of the states.
    assert np.abs(found - exact).mean() < 0.05 * np.abs(exact).mean()


def test_nothing_to_replay():
    assert list(replay(tiny_model("llama"), [[], []], batch_tokens=10)) == []


@pytest.mark.parametrize("kind", ["llama", "bloom"])
def test_hooks_are_removed_even_after_an_error(kind):
    model = tiny_model(kind)
    blocks = find_blocks(model)
    before = [len(block._forward_hooks) for block in blocks]
    with pytest.raises(IndexError):
        list(replay(model, [[[1, 2, 10**6]]], batch_tokens=10))
    assert [len(block._forward_hooks) for block in blocks] == before
    assert model.config._attn_implementation != "syncr2_packed"


def test_a_block_with_an_unknown_output_is_not_read():
    blocks = [torch.nn.Flatten()]
    with pytest.raises(RuntimeError, match=r"Flatten gave shape \(2, 12\)"), states_at(blocks):
        blocks[0](torch.zeros(2, 3, 4))


def test_no_logits_are_computed():
    model = with_weights_of("llama")
    model.lm_head.register_forward_hook(lambda *given: pytest.fail("the head was used"))
    assert replayed(model, growing_prompts(7, (2, 1)), 1000).shape[1] == 3


def prompts_of(*lengths):
    """A dialogue without anything in common between its prompts."""
    return [[100 * i + k for k in range(n)] for i, n in enumerate(lengths)]


def test_groups_are_bounded_and_complete():
    dialogues = [prompts_of(n) for n in (10, 40, 7, 100, 33, 33, 8, 250)]
    dialogues.insert(2, [])
    found = list(groups(dialogues, 100, UNLIMITED))
    lengths = [[len(prompts[0]) for prompts in group.dialogues] for group in found]
    assert lengths == [[10, 40, 7], [100], [33, 33, 8], [250]]
    assert [len(group.bundled) for group in found] == [3, 1, 3, 1]
    assert list(groups([], 100, UNLIMITED)) == []


def test_what_a_dialogue_has_in_common_counts_once():
    grown = [list(range(60)), [*range(58), 7, 7, 7]]
    assert [len(group.dialogues) for group in groups([grown] * 4, 126, UNLIMITED)] == [2, 2]
    assert [len(group.dialogues) for group in groups([grown] * 4, 125, UNLIMITED)] == [1] * 4


def test_dialogues_beyond_the_limit_are_groups_of_their_own():
    dialogues = [prompts_of(3, 5), prompts_of(5, 6), prompts_of(2), prompts_of(1)]
    found = list(groups(dialogues, 1000, 5))
    assert [(len(group.dialogues), bool(group.bundled)) for group in found] == [
        (1, True),
        (1, False),
        (2, True),
    ]
    assert not any(group.bundled for group in groups(dialogues, 1000, 0))


def test_passes_on_a_cpu_are_not_too_wide(monkeypatch):
    seen = []

    def recorded(dialogues, batch_tokens, limit):
        seen.append(batch_tokens)
        return iter(())

    monkeypatch.setattr(states, "groups", recorded)
    list(replay(tiny_model("llama"), [], 10**9))
    list(replay(tiny_model("llama"), [], 500))
    assert seen == [CPU_NUMBERS // (4 * SIZE), 500]


@pytest.fixture
def prompts(tmp_path):
    (tmp_path / "engaged.jinja").write_text("{{ cue }}")
    for unused in ("judge", "labels"):
        (tmp_path / f"{unused}.jinja").write_text("")
    (tmp_path / "bystander.jinja").write_text(
        "{{ view.speaker.own.name if view.speaker }}:{% for line in history %}{{ line }};{% endfor %}"
    )
    return Prompts(tmp_path)


class Upper(ChatEncoder):
    """An encoder that can be told from the other."""

    def encode(self, text):
        return super().encode(text.upper())


@pytest.mark.parametrize(("private", "names"), [(True, ("Ada Stone", "BEN REED")), (False, ("", ""))])
def test_a_passive_reader_gets_the_history_in_the_tokens_of_who_speaks(prompts, private, names):
    record = dialogue("Hello.", "Hm.", "Bye.")
    encoders = (ChatEncoder(byte_tokenizer(), "a"), Upper(byte_tokenizer(), "b"))
    found = passive_prompts(record, scenario_set().episodes[0], encoders, prompts, private)
    lines = ["Turn 0 | Ada Stone: Hello.;", "Turn 1 | Ben Reed: Hm.;"]
    assert [byte_tokenizer().decode(ids) for ids in found] == [
        f"<ask>{names[0]}:<answer>",
        f"<ask>{names[1]}:{lines[0].upper()}<answer>",
        f"<ask>{names[0]}:{lines[0]}{lines[1]}<answer>",
    ]


def test_rows_say_what_was_read():
    record = dialogue("Hello.", "Hm.")
    read = [[4, 5, 6], [4, 5, 6, 7, 8]]
    for turn, ids in zip(record["turns"], read, strict=True):
        turn |= {"prompt": {"keep": 0, "ids": ids}, "prompt_sha256": ids_sha256(ids)}
    assert engaged_prompts(record) == prompt_ids(record) == read
    rows = state_rows(record, read)
    assert [row.turn for row in rows] == [0, 1]
    assert [row.n_prompt_tokens for row in rows] == [3, 5]
    assert [row.last_token_id for row in rows] == [6, 8]
    assert {(row.episode_id, row.environment_id, row.seed) for row in rows} == {("episode-0", "env", 0)}
    with pytest.raises(ValueError, match="zip"):
        state_rows(record, read[:1])
