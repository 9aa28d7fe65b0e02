"""A replay that went wrong is noticed by itself; one that did not is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import growing_prompts, tiny_model, with_weights_of

from syncr2.errors import SyncR2Error
from syncr2.replay import packed, self_check, states
from syncr2.replay.rounding import TOLERANCES, relative_difference
from syncr2.replay.self_check import SelfCheck, chosen_rows, seed_of
from syncr2.replay.states import replay
from syncr2.store import StateRow


def rows(n):
    return [StateRow(f"episode-{i}", "env", 3, i % 4, 0, 0) for i in range(n)]


def checked(model, dialogues, n, seed=0, change=lambda batch: batch):
    check = SelfCheck(model, dialogues, rows(sum(map(len, dialogues))), n, seed)
    for batch in replay(model, dialogues, batch_tokens=200):
        check.look(change(batch))
    return check.result


@pytest.mark.parametrize("kind", ["llama", "mistral, window", "gemma3", "falcon", "bloom"])
def test_a_right_replay_passes(kind):
    found = checked(tiny_model(kind), growing_prompts(1, (4, 0, 3, 4)), 5)
    assert found.rows == 5
    assert 0 <= found.largest_relative_difference < 1e-5
    assert found.largest_difference < 3e-5
    assert found.tolerance == TOLERANCES["float32"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_has_a_tolerance_of_its_own(dtype):
    model = with_weights_of("gemma3").to(getattr(torch, dtype))
    found = checked(model, growing_prompts(1, (4, 3)), 7)
    assert found.tolerance == TOLERANCES[dtype]
    assert TOLERANCES["float32"] / 10 < found.largest_relative_difference < found.tolerance


def test_one_wrong_state_among_those_checked_fails_the_job():
    """Moved by two thousandths of its size, in one layer of one row."""

    def change(batch):
        hidden = batch.hidden.clone()
        if batch.begin == 0:
            hidden[1, 2] *= 1.002
        return states.Batch(batch.begin, hidden)

    dialogues = growing_prompts(2, (3, 3))
    with pytest.raises(
        SyncR2Error, match="LlamaForCausalLM: the states of episode episode-2, seed 3, turn 2"
    ):
        checked(tiny_model("llama"), dialogues, 6, change=change)
    with pytest.raises(
        SyncR2Error, match=r"by 0\.002 of their size .* rounding in float32 explains up to 0\.001"
    ):
        checked(tiny_model("llama"), dialogues, 6, change=change)
    assert checked(tiny_model("llama"), dialogues, 0, change=change).rows == 0


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_windows_taken_from_a_wrong_place_fail_it(dtype, monkeypatch):
    """The mistake that a trial of such replays once made: it passes with every short prompt."""
    monkeypatch.setattr(
        packed, "_sight", lambda layout, own, **_: packed._Sight(layout, own, lambda q, k: k <= q)
    )
    model = with_weights_of("mistral, window").to(getattr(torch, dtype))
    with pytest.raises(SyncR2Error, match="differ from those of the same prompt read alone"):
        checked(model, growing_prompts(1, (4, 4)), 2)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_positions_off_by_one_in_the_branches_fail_it(dtype, monkeypatch):
    class Shifted(states.Layout):
        def __init__(self, dialogues):
            super().__init__(dialogues)
            for part in self.parts:
                begin, end = part.begin + part.n_trunk, part.begin + len(part.positions)
                self.positions[0, begin:end] += 1

    monkeypatch.setattr(states, "Layout", Shifted)
    with pytest.raises(SyncR2Error, match="differ from those"):
        checked(with_weights_of("llama").to(getattr(torch, dtype)), growing_prompts(1, (4, 4)), 8)


def test_states_that_are_no_numbers_are_left_to_the_writer():
    def change(batch):
        return states.Batch(batch.begin, torch.full_like(batch.hidden, torch.nan))

    assert checked(tiny_model("llama"), growing_prompts(1, (2,)), 2, change=change).rows == 0


def lengths(*dialogues):
    return [[[0] * n for n in numbers] for numbers in dialogues]


def test_the_longest_prompt_is_always_among_the_rows():
    dialogues = lengths((3, 4, 5), (2, 9, 4), (), (7,))
    for seed in range(20):
        assert 4 in chosen_rows(dialogues, 1, seed)
        assert 4 in chosen_rows(dialogues, 3, seed)


def test_rows_are_spread_over_dialogues_and_turns():
    dialogues = lengths(*[range(10, 18)] * 50)
    for seed in range(20):
        found = chosen_rows(dialogues, 9, seed)
        assert found == sorted(set(found))
        assert len(found) == 9
        # 8 drawn ones beside the longest: each from another dialogue, one from each eighth of a dialogue.
        drawn = [row for row in found if row != 7]
        assert len({row // 8 for row in drawn}) >= 7
        assert len({row % 8 for row in drawn}) >= 7


def test_rows_come_from_the_seed():
    dialogues = lengths(*[range(10, 18)] * 50)
    assert chosen_rows(dialogues, 8, 1) == chosen_rows(dialogues, 8, 1)
    assert len({tuple(chosen_rows(dialogues, 8, seed)) for seed in range(20)}) == 20
    assert seed_of("a", 1) == seed_of("a", 1) != seed_of("a1")


@pytest.mark.parametrize("n", [0, 1, 2, 5, 6, 100])
def test_as_many_rows_as_asked_for_or_all(n):
    for seed in range(10):
        assert len(chosen_rows(lengths((3, 4), (), (1, 1, 1), (9,)), n, seed)) == min(n, 6)
    assert chosen_rows([[], []], n, 0) == []


def test_relative_difference_is_that_of_the_worst_state():
    reference = torch.zeros(2, 3, 4)
    reference[..., 0] = 10.0
    found = reference.clone()
    found[1, 2, 3] = 0.3
    found[0, 0, 0] = 10.1
    assert relative_difference(found, reference) == pytest.approx(0.03)
    assert relative_difference(reference, reference) == 0
    assert relative_difference(torch.zeros(3), torch.zeros(3)) == 0
    assert np.isnan(relative_difference(torch.full((3,), torch.nan), torch.ones(3)))


def test_nothing_checked_is_no_difference():
    assert self_check.SelfCheck(tiny_model("llama"), [[]], [], 8, 0).result[:3] == (0, 0.0, 0.0)
