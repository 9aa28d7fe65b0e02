"""State files: what goes in comes out, and what is not whole is refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from syncr2 import open_states
from syncr2.errors import SyncR2Error
from syncr2.store import AgentStates, StateRow, read_made_by, write_states


def rows(n: int, seed: int = 0) -> list[StateRow]:
    return [StateRow(f"épisode-{i // 2}", "env", seed, i % 2, 100 + i, 7) for i in range(n)]


def states(n: int, layers: int = 3, width: int = 4, seed: int = 0) -> dict[str, AgentStates]:
    hidden = np.random.default_rng(seed).standard_normal((layers, n, width)).astype(np.float16)
    return {
        "agent1": AgentStates(hidden, rows(n, seed)),
        "agent2": AgentStates(hidden[:, : n - 1] * 2, rows(n - 1, seed)),
    }


def test_round_trip_over_files(tmp_path):
    for seed in (0, 1):
        write_states(tmp_path / f"{seed}.h5", states(6, seed=seed), {"stage": "states", "host": "é"})
    opened = open_states([tmp_path / "0.h5", tmp_path / "1.h5"])["agent2"]
    assert opened.shape == (3, 10, 4)
    assert opened.rows == (*rows(5, 0), *rows(5, 1))
    expected = np.concatenate([states(6, seed=seed)["agent2"].hidden for seed in (0, 1)], axis=1)
    for layer in range(3):
        assert (opened[layer] == expected[layer]).all()
    assert (opened.take(np.array([7, 2]))[1] == expected[1][[7, 2]]).all()
    assert read_made_by(tmp_path / "0.h5") == {"stage": "states", "host": "é"}


def test_layout_is_layer_major_with_a_layer_a_chunk(tmp_path):
    write_states(tmp_path / "s.h5", states(6), {})
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["agent1/hidden"].chunks == (1, 6, 4)
        assert file["agent1/hidden"].dtype == np.float16


def test_an_agent_that_never_spoke(tmp_path):
    silent = {"agent1": states(1)["agent1"], "agent2": AgentStates(np.empty((3, 0, 4), np.float16), [])}
    write_states(tmp_path / "s.h5", silent, {})
    assert open_states(tmp_path / "s.h5")["agent2"].shape == (3, 0, 4)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_cut_off_is_refused(tmp_path, share):
    path = tmp_path / "s.h5"
    write_states(path, states(200, width=64), {})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SyncR2Error, match=r"s\.h5: not a whole HDF5 file .* Delete it and run again"):
        open_states(path)


def test_a_file_without_its_last_mark_or_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "s.h5"
    write_states(path, states(4), {})
    with h5py.File(path, "a") as file:
        del file.attrs["complete"]
    with pytest.raises(SyncR2Error, match="expected a finished file"):
        open_states(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(SyncR2Error, match="found None"):
        open_states(tmp_path / "other.h5")
    with pytest.raises(SyncR2Error, match="no such file"):
        open_states(tmp_path / "missing.h5")


def test_files_of_two_models_do_not_mix(tmp_path):
    write_states(tmp_path / "a.h5", states(4, layers=3), {})
    write_states(tmp_path / "b.h5", states(4, layers=2), {})
    with pytest.raises(SyncR2Error, match=r"b\.h5: agent1 has 2 layers"):
        open_states([tmp_path / "a.h5", tmp_path / "b.h5"])


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "s.h5"
    write_states(path, states(4), {"kept": True})
    broken = states(4) | {"agent2": AgentStates(np.zeros((3, 2, 4)), [("not", "a row")])}
    with pytest.raises(ValueError, match="tuple of length 2"):
        write_states(path, broken, {})
    assert read_made_by(path) == {"kept": True}
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]
