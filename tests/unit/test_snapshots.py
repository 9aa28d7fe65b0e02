"""Which bytes a model is, taken once and looked at again."""

from __future__ import annotations

import hashlib
import json

import pytest

from syncr2.errors import SyncR2Error
from syncr2.models.snapshots import (
    ModelFile,
    Snapshot,
    files_of_folder,
    files_sha256,
    hashed,
    read_snapshot,
    write_snapshot,
)

CONTENT = {"config.json": b"{}", "tokenizer.json": b"{ }", "model.safetensors": b"\x00" * 1000}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


def recorded(folder, path):
    files = hashed(folder, files_of_folder(folder))
    snapshot = Snapshot("mini", str(folder), None, None, str(folder), files)
    write_snapshot(path, snapshot)
    return snapshot


def test_a_record_comes_back_as_it_was(folder, tmp_path):
    snapshot = recorded(folder, tmp_path / "record.json")
    assert read_snapshot(tmp_path / "record.json") == snapshot
    for name, content in CONTENT.items():
        assert snapshot.files[name] == (len(content), hashlib.sha256(content).hexdigest())
    snapshot.check()


def test_the_sum_is_of_names_sizes_and_contents_and_of_no_place(folder, tmp_path):
    before = recorded(folder, tmp_path / "record.json").sha256
    moved = folder.rename(tmp_path / "elsewhere")
    assert recorded(moved, tmp_path / "record.json").sha256 == before
    (moved / "model.safetensors").write_bytes(b"\x01" + b"\x00" * 999)
    assert recorded(moved, tmp_path / "record.json").sha256 != before, "same size, other weights"
    one, two = ModelFile(1, "a"), ModelFile(1, "b")
    sums = {files_sha256({"x": one, "y": two}), files_sha256({"x": two, "y": one})}
    assert sums.isdisjoint({files_sha256({"y": two, "x": one})} - {files_sha256({"x": one, "y": two})})
    assert len(sums) == 2


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"short"), "has 5 bytes, and had 1000"),
    ],
)
def test_a_file_that_is_gone_or_another_is_noticed(folder, tmp_path, damage, said):
    snapshot = recorded(folder, tmp_path / "record.json")
    damage(folder / "model.safetensors")
    with pytest.raises(SyncR2Error, match=rf"Model mini: .*model\.safetensors {said} since .*run again"):
        snapshot.check()


def test_copies_in_other_formats_and_notes_do_not_count(folder):
    for name in ("README.md", "pytorch_model.bin", "pytorch_model.bin.index.json", "notes.txt", "run.py"):
        (folder / name).write_bytes(b"{}")
    (folder / "original").mkdir()
    (folder / "original" / "params.json").write_bytes(b"{}")
    assert files_of_folder(folder) == sorted(CONTENT)
    assert files_of_folder(folder, remote_code=True) == sorted([*CONTENT, "run.py"])


def test_weights_in_parts_are_those_that_the_index_names(folder):
    (folder / "model.safetensors").unlink()
    index = {
        "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in ("model-1.safetensors", "consolidated.safetensors"):
        (folder / name).write_bytes(b"weights")
    with pytest.raises(SyncR2Error, match=r"model: lacks model-2\.safetensors, which its .* names"):
        files_of_folder(folder)
    (folder / "model-2.safetensors").write_bytes(b"weights")
    assert {name for name in files_of_folder(folder) if name.startswith(("model-", "cons"))} == {
        "model-1.safetensors",
        "model-2.safetensors",
    }


def test_a_folder_without_weights_or_configuration(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SyncR2Error, match=r"model: has no weights as safetensors .*only pytorch_model\.bin"):
        files_of_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(SyncR2Error, match=r"model: has no config\.json"):
        files_of_folder(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"files": {"a": 3}}'])
def test_what_is_no_record(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(SyncR2Error, match=r"record\.json: no record of a model .*run again"):
        read_snapshot(tmp_path / "record.json")


def test_a_record_that_somebody_changed(folder, tmp_path):
    recorded(folder, tmp_path / "record.json")
    text = (tmp_path / "record.json").read_text()
    (tmp_path / "record.json").write_text(text.replace('"size": 1000', '"size": 1001'))
    with pytest.raises(SyncR2Error, match="do not belong together"):
        read_snapshot(tmp_path / "record.json")
