"""A file is whole or absent, and what is read back is what was written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from syncr2 import files
from syncr2.errors import SyncR2Error

# As in utterances: line separators of Unicode, quotes, another script, an emoji, a NUL.
HOSTILE = [
    *(
        "a\u2028b\u2029c",
        "a\x85b\x0bc\x0cd",
        "tab\tand\nline",
        "\r",
        '"quoted" \\',
        "日本語 🙂",
        "\x00",
        "",
        " ",
    ),
]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestAtomicPath:
    def test_becomes_the_target_when_the_block_ends(self, tmp_path):
        target = tmp_path / "new" / "folder" / "file.txt"
        with files.atomic_path(target) as temporary:
            assert temporary.parent == target.parent
            temporary.write_text("whole")
            assert not target.exists()
        assert target.read_text() == "whole"
        assert names_in(target.parent) == ["file.txt"]

    @pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt(), SystemExit(3)])
    @pytest.mark.parametrize("old", [None, "old"])
    def test_error_inside_leaves_nothing_and_the_old_file_untouched(self, tmp_path, error, old):
        target = tmp_path / "file.txt"
        if old:
            target.write_text(old)

        def write_half() -> None:
            with files.atomic_path(target) as temporary:
                temporary.write_text("half")
                raise error

        with pytest.raises(type(error)):
            write_half()
        assert names_in(tmp_path) == (["file.txt"] if old else [])
        assert not old or target.read_text() == old

    def test_block_that_removes_its_file_fails_and_leaves_nothing(self, tmp_path):
        with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "file") as temporary:
            temporary.unlink()
        assert names_in(tmp_path) == []

    @pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
    def test_file_has_the_rights_that_the_user_wants(self, tmp_path, umask, mode):
        before = os.umask(umask)
        try:
            files.write_text(tmp_path / "file", "text")
            assert os.umask(umask) == umask
        finally:
            os.umask(before)
        assert (tmp_path / "file").stat().st_mode & 0o777 == mode

    def test_disk_that_refuses_to_flush(self, tmp_path, monkeypatch):
        """Some disks say only then that they are full."""
        (tmp_path / "file").write_text("old")

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            files.write_text(tmp_path / "file", "new")
        assert names_in(tmp_path) == ["file"]
        assert (tmp_path / "file").read_text() == "old"

    @pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are a Unix thing")
    @pytest.mark.parametrize("kind", ["text", "jsonl", "table"])
    def test_full_disk(self, tmp_path, kind):
        """In a process that may write no more than 64 KiB to a file: a write really fails half-way."""
        (tmp_path / "file").write_text("old")
        write = {
            "text": "files.write_text(target, 'x' * 10**6)",
            "jsonl": "files.write_jsonl(target, ({'line': 'x' * 1000} for _ in range(1000)))",
            "table": "files.write_table(target, pd.DataFrame({'a': ['x' * 1000] * 1000}))",
        }[kind]
        code = (
            "import resource, signal, sys; from syncr2 import files\n"
            + ("import pandas as pd\n" if kind == "table" else "")
            + "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)); target = sys.argv[1]\n"
            f"try: {write}\n"
            "except OSError as error: sys.exit(0 if error.errno == 27 else 'other error')\n"
            "sys.exit('no error')"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert names_in(tmp_path) == ["file"]
        assert (tmp_path / "file").read_text() == "old"

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a Unix thing")
    def test_kill_leaves_no_file_of_the_target_name(self, tmp_path):
        code = (
            "import os, signal, sys; from syncr2 import files\n"
            "with files.atomic_path(sys.argv[1]) as temporary:\n"
            "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file.jsonl")], check=False)
        assert done.returncode == -9
        (left,) = names_in(tmp_path)
        assert left.startswith(".file.jsonl.")
        assert left.endswith(".tmp")
        # The next try is not hindered by what is left.
        files.write_text(tmp_path / "file.jsonl", "whole")
        assert (tmp_path / "file.jsonl").read_text() == "whole"


class TestJson:
    @pytest.mark.parametrize("value", [HOSTILE, {"b": 1, "a": None}, 0.1 + 0.2, 2**70, [], "text"])
    def test_round_trip(self, tmp_path, value):
        files.write_json(tmp_path / "file.json", value)
        found = files.read_json(tmp_path / "file.json")
        assert found == value
        assert not isinstance(value, dict) or list(found) == list(value)

    @pytest.mark.parametrize("number", [float("nan"), float("inf")])
    def test_what_is_no_json_number_is_not_written(self, tmp_path, number):
        with pytest.raises(ValueError, match="JSON"):
            files.write_json(tmp_path / "file.json", {"r2": number})
        assert names_in(tmp_path) == []

    @pytest.mark.parametrize("content", [b'{"a": 1', b"", b'{"a": "\xe6\x97'])
    def test_cut_off(self, tmp_path, content):
        (tmp_path / "file.json").write_bytes(content)
        with pytest.raises(SyncR2Error, match=r"file\.json: not valid JSON .*cut off"):
            files.read_json(tmp_path / "file.json")

    def test_missing(self, tmp_path):
        with pytest.raises(SyncR2Error, match=r"file\.json: no such file"):
            files.read_json(tmp_path / "file.json")


class TestJsonl:
    def test_round_trip_of_hostile_texts(self, tmp_path):
        records = [{"text": text, "n": i, "none": None} for i, text in enumerate(HOSTILE)]
        files.write_jsonl(tmp_path / "file.jsonl", records)
        assert files.read_jsonl(tmp_path / "file.jsonl") == records
        assert (tmp_path / "file.jsonl").read_bytes().count(b"\n") == len(records)

    def test_no_record(self, tmp_path):
        files.write_jsonl(tmp_path / "file.jsonl", [])
        assert files.read_jsonl(tmp_path / "file.jsonl") == []

    def test_records_that_fail_half_way_leave_nothing(self, tmp_path):
        with pytest.raises(ZeroDivisionError):
            files.write_jsonl(tmp_path / "file.jsonl", ({"n": 1 / n} for n in (2, 1, 0)))
        assert names_in(tmp_path) == []

    @pytest.mark.parametrize("keep", range(1, 60))
    def test_cut_off_anywhere_within_a_line(self, tmp_path, keep):
        whole = "".join(
            json.dumps({"n": n, "text": "日本\u2028語"}, ensure_ascii=False) + "\n" for n in (1, 2)
        )
        content = whole.encode()
        cut = content[:keep]
        assert keep < len(content)
        (tmp_path / "file.jsonl").write_bytes(cut)
        if cut.endswith(b"\n"):
            # At a line's end nothing shows; who reads compares the number of records.
            assert len(files.read_jsonl(tmp_path / "file.jsonl")) == 1
            return
        with pytest.raises(SyncR2Error, match=r"file\.jsonl.*Delete the file and run again"):
            files.read_jsonl(tmp_path / "file.jsonl")

    def test_last_line_that_is_whole_but_not_ended(self, tmp_path):
        (tmp_path / "file.jsonl").write_text('{"n": 1}\n{"n": 2}')
        with pytest.raises(SyncR2Error, match=r"the last line \(2\) has no line end"):
            files.read_jsonl(tmp_path / "file.jsonl")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ('{"n": 1}\n{"n": }\n', "line 2: not valid JSON .*column 7"),
            ('{"n": 1}\n\n{"n": 2}\n', "line 2: not valid JSON"),
            ('{"n": 1}\n[1]\n', "line 2: a JSON object is needed, found list"),
        ],
    )
    def test_bad_line_is_named(self, tmp_path, content, message):
        (tmp_path / "file.jsonl").write_text(content)
        with pytest.raises(SyncR2Error, match=message):
            files.read_jsonl(tmp_path / "file.jsonl")

    def test_missing(self, tmp_path):
        with pytest.raises(SyncR2Error, match="no such file"):
            files.read_jsonl(tmp_path / "file.jsonl")


class TestTable:
    def round_trip(self, folder: Path, table: pd.DataFrame) -> pd.DataFrame:
        files.write_table(folder / "table.tsv", table)
        return files.read_table(folder / "table.tsv")

    def test_floats_keep_every_bit(self, tmp_path):
        rng = np.random.default_rng(0)
        bits = rng.integers(0, 2**64, 5000, dtype=np.uint64).view(np.float64)
        extremes = [0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308, np.inf, -np.inf, 1 / 3]
        wanted = np.concatenate([bits[np.isfinite(bits)], extremes])
        found = self.round_trip(tmp_path, pd.DataFrame({"r2": wanted}))["r2"].to_numpy()
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found.view(np.uint64), wanted.view(np.uint64))

    def test_missing_values_are_empty_fields_and_words_stay_words(self, tmp_path):
        table = pd.DataFrame({"word": ["nan", "None", "NA", None], "number": [1.0, np.nan, 0.0, 2.5]})
        found = self.round_trip(tmp_path, table)
        assert (tmp_path / "table.tsv").read_text() == "word\tnumber\nnan\t1.0\nNone\t\nNA\t0.0\n\t2.5\n"
        assert found["word"].tolist()[:3] == ["nan", "None", "NA"]
        assert found["word"].isna().tolist() == [False, False, False, True]
        assert found["number"].isna().tolist() == [False, True, False, False]

    @pytest.mark.parametrize("column", ["agent1", "model_2", "episode_id", "value", "family", "judge"])
    def test_names_that_look_like_numbers_stay_names(self, tmp_path, column):
        names = ["7", "01", "1e5", "True", "3.10"]
        assert self.round_trip(tmp_path, pd.DataFrame({column: names}))[column].tolist() == names

    def test_whole_numbers_stay_whole(self, tmp_path):
        found = self.round_trip(tmp_path, pd.DataFrame({"seed": [2**53 + 1, 0]}))
        assert found["seed"].tolist() == [2**53 + 1, 0]

    def test_hostile_texts(self, tmp_path):
        texts = [text for text in HOSTILE if text and "\x00" not in text]
        found = self.round_trip(tmp_path, pd.DataFrame({"text": texts, "n": range(len(texts))}))
        assert found["text"].tolist() == texts
        assert found["n"].tolist() == list(range(len(texts)))

    def test_no_row_keeps_the_columns(self, tmp_path):
        found = self.round_trip(tmp_path, pd.DataFrame({"family": [], "r": []}))
        assert list(found) == ["family", "r"]
        assert len(found) == 0

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"a\tb\n1\t2\n3", "the last line has no line end"),
            (b"", "the last line has no line end"),
            (b"\n", "not a tab-separated table"),
            (b"a\tb\n1\t2\n1\t2\t3\n", "not a tab-separated table"),
            (b'a\tb\n1\t"2\n', "not a tab-separated table"),
            (b"a\n\xff\n", "not UTF-8"),
        ],
    )
    def test_what_is_no_table(self, tmp_path, content, message):
        (tmp_path / "table.tsv").write_bytes(content)
        with pytest.raises(SyncR2Error, match=rf"table\.tsv: {message}.*Delete the file and run again"):
            files.read_table(tmp_path / "table.tsv")

    def test_missing(self, tmp_path):
        with pytest.raises(SyncR2Error, match="no such file"):
            files.read_table(tmp_path / "table.tsv")


class TestSha256:
    EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    def test_published_values(self, tmp_path):
        for content, expected in ((b"", self.EMPTY), (b"abc", self.ABC)):
            (tmp_path / "file").write_bytes(content)
            assert files.sha256_file(tmp_path / "file") == expected
            assert files.sha256_text(content.decode()) == expected

    def test_text_is_taken_as_utf_8(self, tmp_path):
        files.write_text(tmp_path / "file", "日本\u2028語 🙂\r\n")
        assert files.sha256_text("日本\u2028語 🙂\r\n") == files.sha256_file(tmp_path / "file")
