"""States that are streamed to a file are those that would be written at once, or there is no file."""

from __future__ import annotations

import threading

import h5py
import numpy as np
import pytest
from tiny_models import COMMON, growing_prompts, tiny_model

from syncr2 import open_states
from syncr2.errors import SyncR2Error
from syncr2.replay.state_writer import DEPTH, as_stored, streaming
from syncr2.replay.states import replay
from syncr2.store import AGENTS, AgentStates, StateRow, write_states

LAYERS, SIZE = COMMON["num_hidden_layers"], COMMON["hidden_size"]


def rows(n: int) -> list[StateRow]:
    return [StateRow(f"épisode-{i // 2}", "env", 0, i % 2, 100 + i, 7) for i in range(n)]


def states(n: int) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((LAYERS, n, SIZE)).astype(np.float32)


def same(one, two):
    """Every dataset, bit for bit, its layout and the attributes."""
    with h5py.File(one) as first, h5py.File(two) as second:
        names: list[str] = []
        first.visit(names.append)
        parts = ("", "/hidden", "/hidden_crc32", "/rows")
        assert names == [f"{agent}{part}" for agent in AGENTS for part in parts]
        for name in names:
            if isinstance(first[name], h5py.Dataset):
                assert first[name].dtype == second[name].dtype
                assert first[name].chunks == second[name].chunks
                assert (first[name][()] == second[name][()]).all()
                if name.endswith("hidden"):
                    assert first[name][()].tobytes() == second[name][()].tobytes()
        assert dict(first.attrs) == dict(second.attrs)


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_streamed_as_at_once(tmp_path, precision):
    """A replay in many batches, written as it goes and written whole."""
    model = tiny_model("llama")
    read = {"agent1": growing_prompts(1, (4, 3, 0, 4)), "agent2": growing_prompts(2, (3, 3, 1, 3))}
    at_once = {}
    with streaming(tmp_path / "streamed.h5", precision, {"é": 1}) as writer:
        for agent, dialogues in read.items():
            n_rows = sum(map(len, dialogues))
            writer.begin(agent, rows(n_rows), LAYERS, SIZE)
            parts = []
            for batch in replay(model, dialogues, batch_tokens=60):
                writer.put(agent, batch.begin, batch.values)
                parts.append(batch.values())
            assert len(parts) > DEPTH
            at_once[agent] = AgentStates(np.concatenate(parts, axis=1).astype(precision), rows(n_rows))
    write_states(tmp_path / "at_once.h5", at_once, {"é": 1})
    same(tmp_path / "streamed.h5", tmp_path / "at_once.h5")
    assert open_states(tmp_path / "streamed.h5")["agent1"].rows == tuple(rows(11))


def test_chunks_larger_than_the_cache(tmp_path):
    """Rows reach a layer's chunk in pieces; what HDF5 keeps of a chunk in memory must not matter."""
    wide = np.random.default_rng(0).standard_normal((3, 900, 1200)).astype(np.float32)
    with streaming(tmp_path / "s.h5", "float32", {}) as writer:
        for agent in AGENTS:
            writer.begin(agent, rows(900), 3, 1200)
            for begin in (0, 17, 400):
                end = {0: 17, 17: 400, 400: 900}[begin]
                writer.put(agent, begin, lambda begin=begin, end=end: wide[:, begin:end])
    opened = open_states(tmp_path / "s.h5")["agent2"]
    assert all((opened[layer] == wide[layer]).all() for layer in range(3))
    # Not written twice either.
    assert (tmp_path / "s.h5").stat().st_size < 2.02 * wide.nbytes


def test_an_agent_that_never_spoke(tmp_path):
    with streaming(tmp_path / "s.h5", "float16", {}) as writer:
        writer.begin("agent1", rows(1), LAYERS, SIZE)
        writer.put("agent1", 0, lambda: states(1))
        writer.begin("agent2", [], LAYERS, SIZE)
    assert open_states(tmp_path / "s.h5")["agent2"].shape == (LAYERS, 0, SIZE)


def no_threads():
    """Whether no writer of this process is still at work."""
    return not any(thread.name == "states writer" for thread in threading.enumerate())


def fill(path, n_rows, parts):
    """Stream parts of agent 1's states: the first row, and what gives them."""
    with streaming(path, "float16", {}) as writer:
        writer.begin("agent1", rows(n_rows), LAYERS, SIZE)
        for begin, values in parts:
            writer.put("agent1", begin, values)


def test_what_cannot_be_stored_ends_the_job_and_leaves_no_file(tmp_path):
    """Also where much more waits to be put than the queue holds."""
    huge = states(1) * 1e6
    given = []

    def parts():
        for begin in range(1000):
            given.append(begin)
            yield begin, lambda: huge

    with pytest.raises(SyncR2Error, match=r"beyond float16's 65504\. Set states\.precision: float32"):
        fill(tmp_path / "s.h5", 1000, parts())
    assert len(given) < 999
    assert list(tmp_path.iterdir()) == []
    assert no_threads()


def test_an_error_in_the_last_part_is_not_lost(tmp_path):
    def broken():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill(tmp_path / "s.h5", 1, [(0, broken)])
    assert list(tmp_path.iterdir()) == []
    assert no_threads()


def test_an_error_of_the_replay_leaves_no_file(tmp_path):
    def parts():
        yield 0, lambda: states(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill(tmp_path / "s.h5", 2, parts())
    assert list(tmp_path.iterdir()) == []
    assert no_threads()


def test_rows_that_were_never_put_are_noticed(tmp_path):
    with pytest.raises(RuntimeError, match="agent1: 1 rows were never written"):
        fill(tmp_path / "s.h5", 3, [(0, lambda: states(1)), (2, lambda: states(1))])
    assert list(tmp_path.iterdir()) == []


def test_few_batches_are_in_memory_at_a_time(tmp_path):
    """While the disk is slow, the replay waits."""
    gate, taken = threading.Semaphore(0), []

    def slow(number):
        gate.acquire()
        taken.append(number)
        return states(1)

    ahead = []
    with streaming(tmp_path / "s.h5", "float16", {}) as writer:
        writer.begin("agent1", rows(20), LAYERS, SIZE)

        def fill():
            for number in range(20):
                writer.put("agent1", number, lambda number=number: slow(number))
                ahead.append(number - len(taken))

        filling = threading.Thread(target=fill)
        filling.start()
        filling.join(0.2)
        # One is being written, DEPTH wait.
        assert len(ahead) == DEPTH + 1
        for _ in range(20):
            gate.release()
        filling.join()
    assert taken == list(range(20))
    assert max(ahead) <= DEPTH + 1


def test_attributes_beside_the_states(tmp_path):
    with streaming(tmp_path / "s.h5", "float16", {}) as writer:
        writer.begin("agent1", rows(1), LAYERS, SIZE)
        writer.put("agent1", 0, lambda: states(1))
        writer.note("agent1", self_check_rows=8, self_check_tolerance=0.25)
    with h5py.File(tmp_path / "s.h5") as file:
        assert dict(file["agent1"].attrs) == {"self_check_rows": 8, "self_check_tolerance": 0.25}


def test_overflow_of_float16_is_refused_with_its_place():
    hidden = np.zeros((2, 4, 3), dtype=np.float32)
    hidden[1, 2, 0] = -70000
    with pytest.raises(
        SyncR2Error, match=r"-70000 \(layer 1, unit 0, episode épisode-1, seed 0, turn 0\) .* float32"
    ):
        as_stored(hidden, "float16", rows(4))
    assert as_stored(hidden, "float32", rows(4))[1, 2, 0] == -70000
    hidden[1, 2, 0] = 65504
    assert as_stored(hidden, "float16", rows(4)).dtype == np.float16
    hidden[0, 0, 1] = np.nan
    with pytest.raises(SyncR2Error, match="is nan"):
        as_stored(hidden, "float32", rows(4))
    hidden[0, 0, 1] = np.inf
    for precision in ("float16", "float32"):
        with pytest.raises(SyncR2Error, match=r"is inf .* dtype: float32"):
            as_stored(hidden, precision, rows(4))
