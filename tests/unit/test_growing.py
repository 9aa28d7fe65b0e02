"""Reading growing prompts with what was kept gives what reading each of them alone and whole gives."""

from __future__ import annotations

import logging

import pytest
import torch
from tiny_models import (
    COMMON,
    ROPE_LIMIT,
    VOCABULARY,
    WINDOW,
    alone,
    growing_prompts,
    tiny_model,
    with_weights_of,
)
from transformers import DynamicCache

from syncr2.errors import SyncR2Error
from syncr2.replay import growing
from syncr2.replay.growing import UNLIMITED, Reader, reuse_limit, warn_if_slow
from syncr2.replay.key_values import ROOM, RoomyCache

# Three blocks in float32; the outputs are of size 1 to 10.
CLOSE = {"rtol": 0, "atol": 3e-5}
KEPT = (
    "llama",
    "tied llama",
    "mistral",
    "mistral, window",
    "mistral, wide window",
    "qwen2",
    "qwen2, window in some layers",
    "gemma2",
    "phi3",
    "gpt-neox",
)


def steps(dialogues):
    """(step, dialogues with a prompt at this step, their prompts)."""
    for step in range(max(map(len, dialogues))):
        named = [i for i, prompts in enumerate(dialogues) if step < len(prompts)]
        yield step, named, [dialogues[i][step] for i in named]


def count_tokens(network, monkeypatch):
    """A list that gets the shape of every block of ids that the network computes."""
    shapes = []
    forward = network.forward

    def counted(*args, **kwargs):
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    counted.__wrapped__ = forward
    monkeypatch.setattr(network, "forward", counted)
    return shapes


@pytest.mark.parametrize("kind", [*KEPT, "bloom", "mamba"])
def test_same_logits_as_each_prompt_alone(kind):
    model = tiny_model(kind)
    dialogues = growing_prompts(1, (5, 2, 5, 1, 4))
    reader = Reader(model, room=3)
    for step, named, prompts in steps(dialogues):
        found = reader.read(named, prompts)
        assert found.shape == (len(named), VOCABULARY)
        sequences = [list(prompt) for prompt in prompts]
        for token in (50 + step, 60, 70):
            for row, sequence in enumerate(sequences):
                torch.testing.assert_close(found[row], alone(model, sequence), **CLOSE)
                sequence.append(token + row)
            found = reader.extend([sequence[-1] for sequence in sequences])
        torch.testing.assert_close(found[0], alone(model, sequences[0]), **CLOSE)


@pytest.mark.parametrize("kind", [*KEPT, "bloom", "mamba"])
def test_rows_that_are_done_are_left_out_of_an_answer_and_come_back_with_the_next_prompt(kind):
    model = tiny_model(kind)
    dialogues = growing_prompts(3, (4, 4, 4, 4))
    reader = Reader(model, room=4)
    for named, prompts in (
        ([0, 1, 2, 3], [each[0] for each in dialogues]),
        (
            [1, 0, 3, 2],
            [dialogues[i][2] for i in (1, 0, 3, 2)],
        ),
    ):
        reader.read(named, prompts)
        sequences = {row: list(prompt) for row, prompt in enumerate(prompts)}
        for token, places in (41, None), (42, [0, 2, 3]), (43, None), (44, [0, 2]):
            rows = list(sequences)
            sequences = {rows[place]: sequences[rows[place]] for place in places or range(len(rows))}
            for row in sequences:
                sequences[row].append(token + row)
            found = reader.extend([token + row for row in sequences], places)
            for one, sequence in zip(found, sequences.values(), strict=True):
                torch.testing.assert_close(one, alone(model, sequence), **CLOSE)
        assert list(sequences) == [0, 3]


def test_a_window_is_exceeded_and_matters():
    """The test above would pass with any window if none cut something off."""
    prompt = growing_prompts(1, (3,))[0][-1]
    assert len(prompt) > WINDOW + 20
    windowed, full = tiny_model("mistral, window"), with_weights_of("mistral, window", sliding_window=None)
    assert (alone(windowed, prompt) - alone(full, prompt)).abs().max() > 0.1
    some = with_weights_of("qwen2, window in some layers", use_sliding_window=False)
    difference = alone(tiny_model("qwen2, window in some layers"), prompt) - alone(some, prompt)
    assert difference.abs().max() > 0.1


@pytest.mark.parametrize("kind", ["llama", "mistral, window"])
def test_only_what_is_new_is_computed(kind, monkeypatch):
    model = tiny_model(kind)
    dialogues = growing_prompts(2, (4, 4, 3))
    computed = count_tokens(model, monkeypatch)
    reader = Reader(model)
    for _, named, prompts in steps(dialogues):
        reader.read(named, prompts)
    expected = [(3, max(len(prompts[0]) for prompts in dialogues))]
    for step in (1, 2, 3):
        # A prompt repeats all of the one before but its three closing tokens.
        new = [len(d[step]) - (len(d[step - 1]) - 3) for d in dialogues if step < len(d)]
        expected.append((len(new), max(new)))
    assert computed == expected


def test_prompts_that_do_not_just_grow():
    """Changed in the middle, cut short, the same again, in another order, new, and forgotten for a while."""
    model = tiny_model("mistral, window")
    a, b, c = ([*prompts[0]] for prompts in growing_prompts(3, (1, 1, 1), length=60))
    readings = [
        {"a": a, "b": b},
        {"b": [*b, 11, 12], "a": [*a[:20], 99, *a[21:]]},
        {"a": a[:5], "b": [*b, 11, 12]},
        {"c": c, "a": [*a[:5], *c]},
        {"a": [*a[:5], *c], "c": c},
        {"b": [*b, 11, 12, 13], "c": c[:1]},
        {"c": c},
    ]
    reader = Reader(model, room=1)
    for reading in readings:
        found = reader.read(list(reading), list(reading.values()))
        reader.extend([5] * len(reading))
        for row, prompt in enumerate(reading.values()):
            torch.testing.assert_close(found[row], alone(model, prompt), **CLOSE)


def test_prompts_may_be_changed_by_their_owner():
    model = tiny_model("llama")
    prompt = list(range(20, 60))
    reader = Reader(model)
    reader.read(["a"], [prompt])
    prompt[3] = 200
    torch.testing.assert_close(reader.read(["a"], [prompt])[0], alone(model, prompt), **CLOSE)


def test_a_base_model_gives_the_last_hidden_state():
    network = tiny_model("llama").base_model
    (prompts,) = growing_prompts(4, (2,))
    reader = Reader(network)
    for prompt in prompts:
        found = reader.read([0], [prompt])
        assert found.shape == (1, COMMON["hidden_size"])
        torch.testing.assert_close(found[0], alone(network, prompt), **CLOSE)


@pytest.mark.parametrize("kind", KEPT)
def test_no_limit_to_what_is_kept(kind):
    assert reuse_limit(tiny_model(kind)) == UNLIMITED
    assert reuse_limit(tiny_model(kind).base_model) == UNLIMITED


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("bloom", 0), ("mamba", 0), ("phi3, longrope", ROPE_LIMIT), ("llama, dynamic rope", ROPE_LIMIT)],
)
def test_limits(kind, limit):
    assert reuse_limit(tiny_model(kind)) == limit


def test_models_with_other_kinds_of_layers_keep_nothing():
    """Chunks of attention, and hybrids that take all arguments but whose state cannot be cut back."""
    import transformers

    small = {**COMMON, "num_hidden_layers": 4, "head_dim": 4}
    with torch.device("meta"):
        chunked = transformers.Llama4ForCausalLM(
            transformers.Llama4TextConfig(**small, intermediate_size_mlp=24, num_local_experts=2)
        )
        hybrid = transformers.Lfm2ForCausalLM(
            transformers.Lfm2Config(**small, layer_types=["conv", "conv", "full_attention", "conv"])
        )
        stateful = transformers.Qwen3NextForCausalLM(transformers.Qwen3NextConfig(**small, num_experts=2))
    assert [reuse_limit(model) for model in (chunked, hybrid, stateful)] == [0, 0, 0]


def test_a_model_that_calls_itself_stateful_keeps_nothing(monkeypatch):
    model = tiny_model("llama")
    monkeypatch.setattr(model, "_is_stateful", True, raising=False)
    assert reuse_limit(model) == 0


def test_an_argument_lost_in_kwargs_does_not_count(monkeypatch):
    model = tiny_model("llama")
    forward = model.forward

    def without_positions(input_ids, attention_mask=None, past_key_values=None, **kwargs):
        raise AssertionError

    monkeypatch.setattr(model, "forward", without_positions)
    assert reuse_limit(model) == 0
    monkeypatch.setattr(model, "forward", forward)
    assert reuse_limit(model) == UNLIMITED


def test_rotary_positions_that_change_with_the_length(monkeypatch):
    """Past the border every prompt is read anew; what was kept would be wrong there."""
    model = tiny_model("phi3, longrope")
    short, border, longer = (
        list(range(20, 20 + n)) for n in (ROPE_LIMIT - 8, ROPE_LIMIT - 2, ROPE_LIMIT + 9)
    )
    computed = count_tokens(model, monkeypatch)
    reader = Reader(model, room=2)
    for prompt in (short, border, longer, border, [*border, 9]):
        found = reader.read(["a"], [prompt])
        torch.testing.assert_close(found[0], alone(model, prompt), **CLOSE)
        torch.testing.assert_close(reader.extend([5])[0], alone(model, [*prompt, 5]), **CLOSE)
        torch.testing.assert_close(reader.extend([6])[0], alone(model, [*prompt, 5, 6]), **CLOSE)
    # Each time the prompt, two tokens of the answer, and three readings for comparison. 40 tokens; 6 more;
    # anew; again within the border, so the last token alone; one more, but with no room for two: anew.
    assert [n for _, n in computed][::6] == [40, 6, ROPE_LIMIT + 9, 1, ROPE_LIMIT - 1]

    monkeypatch.setattr(growing, "reuse_limit", lambda network: UNLIMITED)
    careless = Reader(model)
    careless.read(["a"], [border])
    assert (careless.read(["a"], [longer])[0] - alone(model, longer)).abs().max() > 1e-3


def test_dynamic_rotary_positions_are_refused_where_they_depend_on_the_past():
    model = tiny_model("llama, dynamic rope")
    reader = Reader(model, room=2)
    prompt = list(range(20, 20 + ROPE_LIMIT - 2))
    torch.testing.assert_close(reader.read([0], [prompt])[0], alone(model, prompt), **CLOSE)
    with pytest.raises(SyncR2Error, match=f"{ROPE_LIMIT + 1} tokens .* beyond {ROPE_LIMIT} .*`context`"):
        reader.read([0], [[*prompt, 1]])


def test_slow_models_are_named_in_the_log(caplog):
    with caplog.at_level(logging.WARNING):
        warn_if_slow(tiny_model("llama"))
        assert not caplog.records
        warn_if_slow(tiny_model("bloom"))
    assert "BloomForCausalLM" in caplog.text


def test_roomy_cache_holds_what_a_dynamic_one_does():
    generator = torch.Generator().manual_seed(5)
    roomy, dynamic = RoomyCache(), DynamicCache()
    for n_new in (7, 1, 1, ROOM, 1, 3 * ROOM, 1):
        for layer in (0, 1):
            keys, values = torch.randn(3, 2, n_new, 4, generator=generator), torch.randn(3, 2, n_new, 6)
            for found, expected in zip(
                roomy.update(keys, values, layer), dynamic.update(keys, values, layer), strict=True
            ):
                assert torch.equal(found, expected)
        assert roomy.get_seq_length() == dynamic.get_seq_length()


def test_rearranged_cache():
    cache = RoomyCache()
    keys = torch.arange(2 * 1 * 4 * 1.0).reshape(2, 1, 4, 1)
    cache.update(keys, -keys, 0)
    cache.rearrange(torch.tensor([1, 0, 1]), torch.tensor([[0, 1], [3, 3], [2, 3]]))
    new = torch.full((3, 1, 1, 1), 100.0)
    found, values = cache.update(new, -new, 0)
    assert found[:, 0, :, 0].tolist() == [[4, 5, 100], [3, 3, 100], [6, 7, 100]]
    assert torch.equal(values, -found)
