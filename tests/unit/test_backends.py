"""Which device is taken, and that the GPU's code gives what the CPU's does."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from syncr2 import layer_r2
from syncr2.errors import SyncR2Error
from syncr2.maps import backends, nested, nulls, ridge
from syncr2.maps.nested import Clusters, Computing

torch = pytest.importorskip("torch")

from torch_here import TorchHere  # noqa: E402

N_DIALOGUES, TURNS = 24, 5


@pytest.fixture
def gpu(monkeypatch):
    """`device: cuda` is torch on this machine's CPU."""
    monkeypatch.setattr(backends, "Cuda", TorchHere)
    for module in (ridge, nested):
        monkeypatch.setattr(module, "backend", backends.backend)


def planted(d_source=6, d_target=5):
    rng = np.random.default_rng(d_source)
    common = rng.standard_normal((N_DIALOGUES * TURNS, 3))
    source, target = (
        np.stack([common @ rng.standard_normal((3, d)) for _ in range(n_layers)])
        for n_layers, d in ((2, d_source), (3, d_target))
    )
    return source + rng.standard_normal(source.shape), target + rng.standard_normal(target.shape)


@pytest.mark.parametrize(("there", "taken"), [(True, TorchHere), (False, backends.Cpu)])
def test_auto_takes_a_gpu_where_there_is_one(there, taken, monkeypatch):
    monkeypatch.setattr(backends, "Cuda", TorchHere)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert type(backends.backend("auto")) is taken


def test_auto_does_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert type(backends.backend("auto")) is backends.Cpu


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SyncR2Error, match="torch sees no GPU here"):
        layer_r2(*planted(), np.arange(90), np.arange(90, 120), device="cuda")


@pytest.mark.parametrize("d_source", [6, 150])
@pytest.mark.parametrize("penalty", [0.1, [0.5, 50.0]])
def test_the_gpu_s_code_gives_the_same_maps(gpu, d_source, penalty):
    data = *planted(d_source), np.arange(90), np.arange(90, 120), penalty
    np.testing.assert_allclose(layer_r2(*data, device="cuda"), layer_r2(*data), rtol=0, atol=1e-12)


def test_the_gpu_s_code_refuses_singular_systems(gpu):
    source, target = planted()
    twice = np.concatenate([source, source[:, :, :1]], axis=2)
    with pytest.raises(SyncR2Error, match="penalty 0: its columns depend"):
        layer_r2(twice, target, np.arange(90), np.arange(90, 120), 0, device="cuda")


def test_the_gpu_s_code_gives_the_same_nested_choice(gpu):
    source, target = planted()
    fold = np.repeat(np.arange(N_DIALOGUES), TURNS) % 4
    clusters = Clusters(fold, tuple("abcd"))
    found = {}
    for device in ("cpu", "cuda"):
        computing = Computing(device)
        inner = nested.inner_r2({"s": source}, target, fold, [0.1, 10.0], computing)["s"]
        chosen = nested.select(inner, [0.1, 10.0])
        (scored,) = nested.score(source, target, fold, chosen, clusters, computing)
        found[device] = inner, scored.r2
    for here, there in zip(found["cpu"], found["cuda"], strict=True):
        np.testing.assert_allclose(there, here, rtol=0, atol=1e-12)


def test_the_gpu_s_code_gives_the_same_null(gpu, monkeypatch):
    monkeypatch.setattr(nulls, "_by_prediction", nulls._by_kernels)
    monkeypatch.setattr(nulls, "ARRANGEMENTS", 3)
    monkeypatch.setattr(nulls, "COMBINATIONS", 1)
    source, target = planted()
    dialogue, turn = np.divmod(np.arange(N_DIALOGUES * TURNS), TURNS)
    cells = [i % 4 for i in range(N_DIALOGUES)]
    rows = nulls.row_permutations(nulls.dialogue_permutations(cells, 30, "x", cells), dialogue, turn)
    here, there = (
        nulls.r2_null(source, target, dialogue % 4, rows, 0.1, Computing(device))
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(there.draws, here.draws, rtol=0, atol=nulls.TIE)
