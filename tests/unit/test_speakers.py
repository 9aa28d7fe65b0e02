"""How tokens are drawn, where answers end, and that an answer depends on its prompt and seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from tiny_models import LONGER_TOKENS, VOCABULARY, alone, byte_tokenizer, growing_prompts, with_weights_of

from syncr2.errors import SyncR2Error
from syncr2.speakers import Answer, Sampling
from syncr2.speakers.drawing import draw_tokens
from syncr2.speakers.lines import GrowingAnswer, LineEnds, closing_tokens
from syncr2.speakers.local import LocalSpeaker

PLAIN = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=8)


def draw(probabilities, uniform, **changes):
    """One row, drawn with each of the numbers."""
    logits = torch.log(torch.tensor([probabilities], dtype=torch.float64)).repeat(len(uniform), 1) + 3.0
    return draw_tokens(logits, np.asarray(uniform, dtype=float), PLAIN._replace(**changes))


def test_inverse_of_the_cumulative_distribution():
    # 0.125 | 0.5 | 0 | 0.25 | 0.125: every border is exact in binary.
    row = [0.125, 0.5, 0.0, 0.25, 0.125]
    below = np.nextafter(0.125, 0)
    assert draw(row, [0.0, below, 0.126, 0.624, 0.626, 0.874, 0.876, np.nextafter(1, 0)]) == [
        0,
        0,
        1,
        1,
        3,
        3,
        4,
        4,
    ]


def test_tokens_of_no_probability_are_never_drawn():
    row = [0.0, 0.0, 1.0, 0.0]
    # 1 itself: what a number just below it becomes where there is only float32.
    assert draw(row, [0.0, 0.5, np.nextafter(1, 0), 1.0]) == [2, 2, 2, 2]


def test_temperature():
    # p^(1/T), normalised: for T = 1/2 squares, 0.04 : 0.64 of 0.68.
    assert draw([0.2, 0.8], [0.058, 0.060], temperature=0.5) == [0, 1]
    assert draw([0.2, 0.5, 0.3], [0.0, 0.99], temperature=0.0) == [1, 1]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"top_k": 2}, [1, 3]),
        ({"top_k": 4}, [0, 1, 3, 4]),
        ({"top_k": 99}, [0, 1, 2, 3, 4]),
        # 0.4 + 0.3 < 0.75: the token that crosses it stays.
        ({"top_p": 0.75}, [1, 3, 4]),
        ({"top_p": 0.69}, [1, 3]),
        ({"top_p": 0.39}, [1]),
        ({"top_p": 1e-9}, [1]),
        # Of the two that top_k leaves, the first holds 0.57 of the rest.
        ({"top_k": 2, "top_p": 0.56}, [1]),
        ({"top_k": 2, "top_p": 0.58}, [1, 3]),
    ],
)
def test_cut_distributions(changes, kept):
    row = np.array([0.06, 0.4, 0.04, 0.3, 0.2])
    cut = np.where(np.isin(range(5), kept), row, 0)
    borders = np.cumsum(cut) / cut.sum()
    uniform = (np.arange(2000) + 0.5) / 2000
    expected = np.searchsorted(borders, uniform, side="right")
    clear = np.abs(uniform[:, None] - borders).min(axis=1) > 1e-9
    found = np.array(draw(row.tolist(), uniform, **changes))
    assert (found[clear] == expected[clear]).all()
    assert set(found) == set(kept)


def test_a_tie_at_the_border_stays_whole():
    found = draw([0.25, 0.25, 0.25, 0.25], (np.arange(100) + 0.5) / 100, top_p=0.3)
    assert set(found) == {0, 1, 2, 3}


def test_frequencies_are_the_probabilities():
    rng = np.random.default_rng(11)
    logits = rng.normal(size=40) * 1.5
    scaled = np.exp(logits / 0.7)
    probabilities = scaled / scaled.sum()
    order = np.argsort(-probabilities)
    n_kept = int(np.searchsorted(np.cumsum(probabilities[order]), 0.9)) + 1
    kept = np.sort(order[:n_kept])
    n = 20_000
    rows = torch.tensor(logits, dtype=torch.float32).repeat(n, 1)
    drawn = draw_tokens(rows, rng.random(n), Sampling(0.7, 0.9, 0, 1))
    counts = np.bincount(drawn, minlength=40)
    assert counts.sum() == counts[kept].sum() == n
    expected = n * probabilities[kept] / probabilities[kept].sum()
    assert chisquare(counts[kept], expected).pvalue > 1e-3
    # And the test can tell: without top_p's cut the same counts are impossible.
    assert chisquare(counts + 1e-9, probabilities * counts.sum(), sum_check=False).pvalue < 1e-9


def test_rows_do_not_touch_each_other():
    rng = np.random.default_rng(12)
    logits = torch.tensor(rng.normal(size=(6, 50)) * 3)
    uniform = rng.random(6)
    sampling = Sampling(0.8, 0.7, 20, 1)
    together = draw_tokens(logits, uniform, sampling)
    assert together == [draw_tokens(logits[i : i + 1], uniform[i : i + 1], sampling)[0] for i in range(6)]


@pytest.fixture(scope="module")
def line_ends():
    return LineEnds(byte_tokenizer(), VOCABULARY)


def tokens(text):
    return byte_tokenizer()(text, add_special_tokens=False)["input_ids"]


def take_all(line_ends, ids, closing=frozenset()):
    answer = GrowingAnswer(line_ends, closing)
    for token in ids:
        answer.take(token)
    return answer


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("Yes.\nNo", "Yes.\n"),
        ("Hm\nNo", "Hm\n"),
        ("\n \n\tHm\nNo", "\n \n\tHm\n"),
        ("\n\nHm\n\nNo", "\n\nHm\n\n"),
        ("\n\nYes.\nNo way", "\n\nYes.\nNo"),
        ("Hm \nNo", "Hm \n"),
        ("\nWell, no\nYes", "\nWell, no\n"),
        ("Hm\nWell", "Hm\nWell"),
        ("é\nNo", "é\n"),
    ],
)
def test_an_answer_ends_with_its_first_line_that_has_words(line_ends, text, taken):
    ids = tokens(text)
    answer = take_all(line_ends, ids)
    assert answer.finish_reason == "line"
    assert answer.answer().raw == taken
    assert len(answer.tokens) < len(ids) or text == taken


def test_tokens_of_several_lines_are_single_ones():
    """Or the test above would not test them."""
    assert [len(tokens(text)) for text in LONGER_TOKENS] == [1] * 5


def test_an_open_answer_has_no_reason(line_ends):
    assert take_all(line_ends, tokens("\n\n Hm")).finish_reason is None
    assert take_all(line_ends, tokens("\n\n\n \n ")).finish_reason is None


def test_closing_token(line_ends):
    end = byte_tokenizer().eos_token_id
    answer = take_all(line_ends, [*tokens("Hm"), end, *tokens("more\n")], frozenset([end]))
    assert answer.finish_reason == "eos"
    assert answer.answer() == Answer("Hm", 3, "eos")
    assert answer.tokens == [*tokens("Hm"), end]


def test_closing_tokens_of_model_and_tokenizer():
    model = with_weights_of("llama")
    end = byte_tokenizer().eos_token_id
    for named, expected in ((None, {end}), (7, {7, end}), ([7, 8], {7, 8, end})):
        model.generation_config.eos_token_id = named
        assert closing_tokens(model.generation_config, byte_tokenizer()) == expected


@pytest.fixture(scope="module")
def model():
    """Answers of words, now and then a line end."""
    model = with_weights_of("llama")
    with torch.no_grad():
        weight = model.lm_head.weight
        weight[len(byte_tokenizer()) :] = 0
        # The line end is half as likely again as the likeliest letters, so answers have many lengths.
        line_end = tokens("\n")[0]
        weight[line_end] = weight[tokens("e")[0]] * 1.5
    return model


def speaker(model, **changes):
    return LocalSpeaker(model, byte_tokenizer(), Sampling(0.9, 0.95, 0, 12)._replace(**changes))


def answers(model, dialogues, groups, seed=0, **changes):
    """{dialogue: answers to its prompts in turn}, with these groups of dialogues read together."""
    found = {}
    for group in groups:
        side = speaker(model, **changes).join()
        for step in range(max(len(dialogues[i]) for i in group)):
            named = [i for i in group if step < len(dialogues[i])]
            seeds = [1000 * seed + 100 * i + step for i in named]
            for i, answer in zip(
                named, side.answer(named, [dialogues[i][step] for i in named], seeds), strict=True
            ):
                found.setdefault(i, []).append(answer)
    return found


def test_an_answer_depends_on_its_prompt_and_seed_alone(model):
    dialogues = growing_prompts(13, (3, 1, 3, 2, 3))
    together = answers(model, dialogues, [range(5)])
    given = [answer for each in together.values() for answer in each]
    assert {answer.finish_reason for answer in given} == {"line", "length"}
    assert len({answer.n_new_tokens for answer in given}) > 3
    assert len({answer.raw for answer in given}) == 12
    assert answers(model, dialogues, [[0], [1], [2], [3], [4]]) == together
    assert answers(model, dialogues, [[4, 1], [3, 0, 2]]) == together
    other = answers(model, dialogues, [range(5)], seed=1)
    assert sum(other[i] == together[i] for i in range(5)) == 0


def test_answers_are_those_of_an_inverse_distribution_read_token_by_token(model):
    """A reference that shares nothing with the speaker but `draw_tokens`."""
    (prompts,) = growing_prompts(14, (3,))
    sampling = Sampling(0.9, 0.95, 0, 12)
    side = speaker(model).join()
    line_end = {i for i in range(len(byte_tokenizer())) if "\n" in byte_tokenizer().decode([i])}
    for seed, prompt in enumerate(prompts):
        uniform = np.random.Generator(np.random.Philox(seed)).random(12)
        sequence = []
        for number in uniform:
            logits = alone(model, [*prompt, *sequence])[None]
            sequence += draw_tokens(logits, np.array([number]), sampling)
            if sequence[-1] in line_end and byte_tokenizer().decode(sequence).strip():
                break
        (found,) = side.answer(["x"], [prompt], [seed])
        assert found.raw == byte_tokenizer().decode(sequence, skip_special_tokens=True)
        assert found.n_new_tokens == len(sequence)
        assert found.finish_reason == ("line" if sequence[-1] in line_end else "length")


def test_two_sides_of_one_model_do_not_mix(model):
    one, other = growing_prompts(15, (2, 2))
    talker = speaker(model)
    sides = talker.join(), talker.join()
    mixed = [
        side.answer(["x"], [prompts[step]], [step])
        for step in (0, 1)
        for side, prompts in zip(sides, (one, other), strict=True)
    ]
    for i, prompts in enumerate((one, other)):
        side = talker.join()
        assert [side.answer(["x"], [prompt], [step]) for step, prompt in enumerate(prompts)] == mixed[i::2]


def test_greedy_needs_no_seed(model):
    dialogues = growing_prompts(16, (2, 2))
    found = answers(model, dialogues, [range(2)], seed=0, temperature=0.0)
    assert found == answers(model, dialogues, [range(2)], seed=5, temperature=0.0)


def test_the_limit_cuts_an_answer_off(model):
    (prompts,) = growing_prompts(17, (1,))
    # Without line ends nothing but the limit can end it.
    quiet = with_weights_of("llama")
    with torch.no_grad():
        quiet.lm_head.weight[:] = model.lm_head.weight
        quiet.lm_head.weight[
            [i for i in range(len(byte_tokenizer())) if "\n" in byte_tokenizer().decode([i])]
        ] = 0
    for limit in (1, 5):
        (answer,) = speaker(quiet, max_new_tokens=limit, temperature=0.0).join().answer(["x"], prompts, [0])
        assert (answer.n_new_tokens, answer.finish_reason) == (limit, "length")


def test_special_tokens_are_not_text_and_nothing_is_cleaned_up(model):
    grown = speaker(model).form.open([1])
    for token in [*tokens("it is n't , is it ?"), byte_tokenizer().eos_token_id]:
        grown.take(token)
    assert grown.answer() == Answer("it is n't , is it ?", 20, "eos")


def test_logits_that_are_no_numbers_are_an_error():
    broken = with_weights_of("llama")
    with torch.no_grad():
        broken.model.norm.weight[0] = torch.nan
    with pytest.raises(SyncR2Error, match=r"LlamaForCausalLM in torch.float32 gives logits"):
        speaker(broken).join().answer(["x"], [[1, 2, 3]], [0])
