"""What is said of a file's making is true, and nothing is said that is not known."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pytest

from syncr2 import files, provenance
from syncr2.revisions import REVISIONS

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed here")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Each test asks anew."""
    provenance.code_version.cache_clear()
    provenance.library_versions.cache_clear()
    yield
    provenance.code_version.cache_clear()
    provenance.library_versions.cache_clear()


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, taken for the package's own."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "code.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    monkeypatch.setattr(provenance, "REPOSITORY", folder)
    return folder


def code() -> dict:
    provenance.code_version.cache_clear()
    return provenance.code_version()


@needs_git
class TestCheckout:
    def test_commit_and_whether_files_differ_from_it(self, checkout):
        commit = git(checkout, "rev-parse", "HEAD")
        assert (code()["commit"], code()["dirty"]) == (commit, False)
        (checkout / "results.tsv").write_text("new file, not tracked\n")
        assert code()["dirty"] is False
        (checkout / "code.py").write_text("x = 2\n")
        assert (code()["commit"], code()["dirty"]) == (commit, True)

    def test_no_commit_yet(self, tmp_path, monkeypatch):
        git(tmp_path, "init", "--quiet")
        monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
        assert (code()["commit"], code()["dirty"]) == (None, None)

    def test_copy_inside_another_checkout_has_no_commit(self, checkout, monkeypatch):
        """As when the package is installed in an environment that lies in somebody's repository."""
        inner = checkout / "site-packages"
        inner.mkdir()
        monkeypatch.setattr(provenance, "REPOSITORY", inner)
        assert (code()["commit"], code()["dirty"]) == (None, None)

    def test_inside_a_hook_of_another_repository(self, checkout, tmp_path, monkeypatch):
        other = tmp_path / "other"
        other.mkdir()
        git(other, "init", "--quiet")
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(other))
        assert code()["commit"] == git(checkout, "rev-parse", "HEAD")

    def test_reached_through_a_link(self, checkout, tmp_path, monkeypatch):
        (tmp_path / "link").symlink_to(checkout)
        monkeypatch.setattr(provenance, "REPOSITORY", tmp_path / "link")
        assert code()["commit"] == git(checkout, "rev-parse", "HEAD")

    def test_asking_changes_nothing_in_the_repository(self, checkout):
        """Many jobs ask at once, and a lock of the index would make one of them fail."""
        (checkout / ".git" / "index.lock").touch()
        assert code()["dirty"] is False


class TestWithoutGit:
    def test_git_is_not_installed(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        assert (code()["commit"], code()["dirty"]) == (None, None)

    def test_not_a_checkout(self, tmp_path, monkeypatch):
        monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert (code()["commit"], code()["dirty"]) == (None, None)

    def test_git_that_hangs(self, monkeypatch):
        def hangs(command: list[str], **_options: object) -> None:
            raise subprocess.TimeoutExpired(command, 20)

        monkeypatch.setattr(subprocess, "run", hangs)
        assert (code()["commit"], code()["dirty"]) == (None, None)


class TestVersions:
    def test_package_is_as_installed(self):
        assert provenance.code_version()["version"] == metadata.version("syncr2")

    def test_package_that_is_not_installed(self, monkeypatch):
        def absent(name: str) -> str:
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "version", absent)
        assert provenance.code_version()["version"] is None
        assert list(provenance.library_versions()) == ["python"]

    def test_libraries_are_as_imported(self):
        import numpy as np
        import sklearn

        found = provenance.library_versions()
        assert found["numpy"] == np.__version__
        assert found["scikit-learn"] == sklearn.__version__

    def test_absent_library_is_left_out(self, monkeypatch):
        monkeypatch.setattr(provenance, "LIBRARIES", ("numpy", "no-such-library"))
        assert set(provenance.library_versions()) == {"python", "numpy"}


class TestMadeBy:
    def test_inputs_are_named_with_the_hash_of_their_bytes(self, tmp_path):
        first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
        first.write_bytes(b"abc")
        second.write_bytes(b"")
        found = provenance.made_by("states", {}, [first, str(second)])["inputs"]
        assert found == {str(first): files.sha256_file(first), str(second): files.sha256_file(second)}
        assert found[str(first)].startswith("ba7816bf")
        first.write_bytes(b"abcd")
        assert provenance.made_by("states", {}, [first])["inputs"][str(first)] != found[str(first)]

    @pytest.mark.parametrize("stage", REVISIONS)
    def test_record_can_be_written_and_holds_stage_revision_and_settings(self, stage):
        settings = {"penalty": 0.1, "split_seeds": [0, 1]}
        record = provenance.made_by(stage, settings)
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert (record["stage"], record["revision"]) == (stage, REVISIONS[stage])
        assert record["settings"] == settings
        assert record["settings"] is not settings

    def test_time_is_utc_and_now(self):
        before = datetime.now(UTC).replace(microsecond=0)
        written = datetime.fromisoformat(provenance.made_by("states", {})["written"])
        assert before <= written <= datetime.now(UTC)

    def test_unknown_stage_is_a_mistake_of_ours(self):
        with pytest.raises(KeyError):
            provenance.made_by("stats", {})

    def test_of_the_machine_only_its_kind_is_kept(self):
        """Records are published with results; a machine's or a user's name has no place there."""
        host = provenance.made_by("states", {})["host"]
        assert set(host) == {"system", "machine", "processors", "accelerator"}

    def test_within_a_job_records_tell_when_it_began(self, tmp_path):
        (tmp_path / "read.tsv").write_text("a\n")
        read = str(tmp_path / "read.tsv")
        job = provenance.Job("draw_summary", {"notice": None}, (read,), "2026-01-02T03:04:05+00:00")
        assert provenance.made_by("figures", {})["started"] is None
        assert provenance.made_by_job("figures") is None
        with provenance.within(job):
            assert provenance.made_by("states", {})["started"] == job.started
            found = provenance.made_by_job("figures")
        assert found is not None
        assert (found["rule"], found["settings"], list(found["inputs"])) == (job.rule, job.settings, [read])
        assert provenance.made_by_job("figures") is None


class TestSha256Of:
    def test_folder_is_its_files_and_their_names(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.json").write_text("{}")
        assert provenance.sha256_of(tmp_path / "a") == provenance.sha256_of(tmp_path / "b")
        (tmp_path / "b" / ".snakemake_timestamp").touch()
        assert provenance.sha256_of(tmp_path / "a") == provenance.sha256_of(tmp_path / "b")
        (tmp_path / "b" / "config.json").rename(tmp_path / "b" / "other.json")
        assert provenance.sha256_of(tmp_path / "a") != provenance.sha256_of(tmp_path / "b")
