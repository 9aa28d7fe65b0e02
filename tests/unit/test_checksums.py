"""One changed bit anywhere in a file of ours is refused by whoever reads it, or says nothing."""

from __future__ import annotations

import json
import random
import zlib

import h5py
import numpy as np
import pytest
from test_store import states

from syncr2 import files, open_states
from syncr2.checksums import json_line, take_checksum
from syncr2.commands.compare import contents, differences
from syncr2.errors import SyncR2Error
from syncr2.hdf5 import row_checksums
from syncr2.ids import DIRECTIONS
from syncr2.journal import Journal, journal_path
from syncr2.store import AGENTS, DirectionR2, read_r2, write_r2, write_states

RECORDS = [{"episode_id": "e1", "text": "ä “{1}”\u2028"}, {"n": 0.1, "crc": None}, {}]


def flip(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class TestLines:
    def test_each_line_ends_with_the_crc_of_what_is_before(self, tmp_path):
        files.write_jsonl(tmp_path / "a.jsonl", RECORDS)
        for line, record in zip((tmp_path / "a.jsonl").read_bytes().splitlines(), RECORDS, strict=True):
            before, _, rest = line.rpartition(b'"crc32"')
            assert rest == f': "{zlib.crc32(before):08x}"}}'.encode()
            said = json.loads(line)
            del said["crc32"]
            assert said == record

    def test_every_bit_that_is_flipped_is_noticed(self, tmp_path):
        path = tmp_path / "a.jsonl"
        files.write_jsonl(path, RECORDS[:2])
        content = path.read_bytes()
        said = []
        for bit in range(8 * len(content)):
            path.write_bytes(flip(content, bit))
            try:
                found = files.read_jsonl(path)
            except SyncR2Error as error:
                said.append(str(error))
                continue
            # What is left: the name of the checksum itself. All that the record says is there.
            kept = [{key: each[key] for key in old} for each, old in zip(found, RECORDS[:2], strict=True)]
            assert kept == RECORDS[:2]
        assert len(said) > 7 * len(content)
        assert all("a.jsonl" in each for each in said)

    def test_lines_of_an_earlier_version_are_read(self, tmp_path):
        (tmp_path / "a.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
        assert files.read_jsonl(tmp_path / "a.jsonl") == [{"n": 1}, {"n": 2}]

    def test_words_that_look_like_a_checksum_are_words(self):
        record = {"text": '"crc32": "00000000"}'}
        line = json_line(record)
        said = json.loads(line)
        assert take_checksum(line.removesuffix("\n"), said)
        assert said == record

    def test_a_journal_takes_nothing_from_a_changed_line_on(self, tmp_path):
        output = tmp_path / "a.jsonl"
        with Journal(output) as journal:
            journal.resume({})
            journal.add([{"text": "one"}, {"text": "two"}, {"text": "three"}])
        path = journal_path(output)
        path.write_bytes(path.read_bytes().replace(b"two", b"twp"))
        with Journal(output) as journal:
            assert journal.resume({}) == [{"text": "one"}]


def all_states(path):
    opened = open_states(path)
    return [
        (opened[agent].rows, [opened[agent][layer].tobytes() for layer in range(len(opened[agent]))])
        for agent in AGENTS
    ]


def maps(value: float = 0.25) -> dict[str, DirectionR2]:
    r2 = np.linspace(-1, value, 12).reshape(2, 3, 2)
    groups = {"stakes": {"low": (r2[..., 0], np.array([3, 4]))}}
    return {name: DirectionR2(r2, np.array([8, 8]), np.array([2, 2]), 10, groups) for name in DIRECTIONS}


def all_maps(path):
    return [
        (
            *(name, found.r2.tolist(), found.n_train.tolist(), found.n_test.tolist(), found.n_available),
            *((value, r2.tolist(), n.tolist()) for value, (r2, n) in found.groups["stakes"].items()),
        )
        for name, found in read_r2(path).items()
    ]


class TestHdf5:
    @pytest.mark.parametrize(
        ("write", "read", "times"),
        [
            (lambda path: write_states(path, states(6), {"stage": "states"}), all_states, 150),
            (lambda path: write_r2(path, maps(), {"stage": "r2"}), all_maps, 100),
        ],
        ids=["states", "r2"],
    )
    def test_a_flipped_bit_is_refused_or_says_nothing(self, tmp_path, write, read, times):
        path = tmp_path / "a.h5"
        write(path)
        content, sound = path.read_bytes(), read(path)
        draw, said = random.Random(0), []
        for _ in range(times):
            path.write_bytes(flip(content, draw.randrange(8 * len(content))))
            try:
                assert read(path) == sound
            except SyncR2Error as error:
                said.append(str(error))
        assert len(said) > times / 20
        assert all("a.h5" in each and "run again" in each for each in said)

    def test_a_state_that_was_changed_is_named_with_its_place(self, tmp_path):
        path = tmp_path / "s.h5"
        write_states(path, states(6), {})
        with h5py.File(path, "a") as file:
            file["agent2/hidden"][1, 3, 2] += 1
        opened = open_states(path)
        assert opened["agent2"][0].shape == (5, 4)
        with pytest.raises(SyncR2Error, match=r"s\.h5: agent2, layer 1, row 3 does not fit .* Delete it"):
            opened["agent2"][1]

    @pytest.mark.parametrize("change", ["attribute", "row", "checksum", "name"])
    def test_whatever_else_was_changed_is_refused_when_the_file_is_opened(self, tmp_path, change):
        path = tmp_path / "s.h5"
        write_states(path, states(6), {})
        with h5py.File(path, "a") as file:
            if change == "attribute":
                file["agent1"].attrs["self_check_rows"] = 0
            elif change == "row":
                table = file["agent1/rows"][()]
                table["turn"][0] += 1
                file["agent1/rows"][...] = table
            elif change == "checksum":
                file["agent1/hidden_crc32"][0, 0] += 1
            else:
                file.move("agent1/hidden_crc32", "agent1/hidden_crc33")
        with pytest.raises(SyncR2Error, match=r"s\.h5: its content does not fit its checksum"):
            open_states(path)

    def test_a_number_of_a_map_that_was_changed(self, tmp_path):
        path = tmp_path / "r.h5"
        write_r2(path, maps(), {})
        with h5py.File(path, "a") as file:
            file[f"{DIRECTIONS[1]}/groups/stakes/0/n_test"][1] = 5
        with pytest.raises(SyncR2Error, match="does not fit its checksum"):
            read_r2(path)

    def test_files_of_an_earlier_version_are_read(self, tmp_path):
        path = tmp_path / "s.h5"
        write_states(path, states(6), {})
        sound = all_states(path)
        with h5py.File(path, "a") as file:
            del file.attrs["sha256"]
            for agent in AGENTS:
                del file[f"{agent}/hidden_crc32"]
        assert all_states(path) == sound

    def test_checksums_are_those_of_the_bytes_on_disk(self):
        values = np.random.default_rng(0).standard_normal((2, 3, 5)).astype(np.float16)
        expected = [[zlib.crc32(row.astype("<f2").tobytes()) for row in layer] for layer in values]
        assert row_checksums(values).tolist() == expected
        assert row_checksums(values.astype(">f2")).tolist() == expected
        assert row_checksums(values[:, :0]).shape == (2, 0)


class TestCompare:
    def test_what_made_a_file_is_no_content_and_a_number_is(self, tmp_path):
        for name, made, value in (("a", {"written": 1}, 0.25), ("b", {"written": 2}, 0.25), ("c", {}, 0.5)):
            folder = tmp_path / name
            write_r2(folder / "r2.h5", maps(value), made)
            files.write_jsonl(folder / "said.jsonl", [{"text": "hello", "made_by": made}])
            files.write_text(folder / "table.tsv", "a\n1\n")
            files.write_text(folder / "logs/table.tsv", name)
        assert set(contents(tmp_path / "a")) == {"r2.h5", "said.jsonl", "table.tsv"}
        assert differences(tmp_path / "a", tmp_path / "b") == []
        assert differences(tmp_path / "a", tmp_path / "c") == ["r2.h5: differs"]
        (tmp_path / "b/table.tsv").unlink()
        assert differences(tmp_path / "a", tmp_path / "b") == [f"table.tsv: only in {tmp_path / 'a'}"]

    def test_nothing_to_compare(self, tmp_path):
        with pytest.raises(SyncR2Error, match="no results there"):
            contents(tmp_path)
