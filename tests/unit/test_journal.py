"""Finished records survive a kill, are taken once and by the same parameters alone, and belong to one job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from syncr2.errors import SyncR2Error
from syncr2.journal import Journal, fingerprint, journal_path

SETTINGS = {"temperature": 0.7, "model": {"name": "a"}}
RECORDS = [{"episode_id": f"e{i}", "text": f"ä “{i}”\u2028"} for i in range(4)]


@pytest.fixture
def output(tmp_path):
    return tmp_path / "seed-0" / "shard-0.jsonl"


def written(output, records=RECORDS, settings=SETTINGS):
    with Journal(output) as journal:
        assert journal.resume(settings) == []
        for record in records:
            journal.add([record])


def resumed(output, settings=SETTINGS):
    with Journal(output) as journal:
        return journal.resume(settings)


def test_what_was_added_is_taken_up(output):
    written(output)
    assert resumed(output) == RECORDS
    with Journal(output) as journal:
        journal.resume(SETTINGS)
        journal.add([{"episode_id": "e4"}])
    assert resumed(output)[4:] == [{"episode_id": "e4"}]
    assert not output.exists()


def test_its_name_looks_like_no_output(output):
    written(output)
    assert journal_path(output).name == ".shard-0.jsonl.journal"
    assert list(output.parent.glob("*.jsonl")) == []


def test_every_cut_keeps_the_whole_lines_before_it(output):
    written(output)
    whole = journal_path(output).read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole)):
        journal_path(output).write_bytes(whole[:cut])
        n_lines = sum(end <= cut for end in ends)
        with Journal(output) as journal:
            assert journal.resume(SETTINGS) == RECORDS[: max(n_lines - 1, 0)]
            # What is added then stands on a line of its own.
            journal.add(RECORDS[max(n_lines - 1, 0) :])
        assert journal_path(output).read_bytes() == whole


def test_lines_after_a_broken_one_are_not_taken(output):
    """A machine that crashes can leave zeros where a line was."""
    written(output)
    lines = journal_path(output).read_bytes().split(b"\n")
    lines[2] = b"\0" * len(lines[2])
    journal_path(output).write_bytes(b"\n".join(lines))
    assert resumed(output) == RECORDS[:1]
    assert resumed(output) == RECORDS[:1]


@pytest.mark.parametrize(
    "other", [{**SETTINGS, "temperature": 0.8}, {**SETTINGS, "top_k": 0}, {"model": {"name": "a"}}]
)
def test_other_parameters_begin_anew(output, other):
    written(output)
    assert resumed(output, other) == []
    assert resumed(output, SETTINGS) == []


def test_the_order_of_keys_is_no_parameter():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1, "b": [2, 1]}) != fingerprint({"a": 1, "b": [1, 2]})


def test_what_is_no_journal_is_not_taken(output):
    output.parent.mkdir(parents=True)
    journal_path(output).write_text('{"format": "syncr2/journal/0"}\n{"episode_id": "e1"}\n')
    assert resumed(output) == []


def test_removed_when_the_output_is_there(output):
    with Journal(output) as journal:
        journal.resume(SETTINGS)
        journal.add(RECORDS)
        journal.remove()
        assert list(output.parent.iterdir()) == []
    assert resumed(output) == []


HOLDER = """
import sys, time
from syncr2.journal import Journal
with Journal(sys.argv[1]) as journal:
    journal.resume({settings})
    journal.add([{{"episode_id": "theirs"}}])
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(output):
    script = textwrap.dedent(HOLDER).format(settings=SETTINGS)
    process = subprocess.Popen([sys.executable, "-c", script, str(output)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_two_jobs_never_share_one(output, holder):
    with pytest.raises(SyncR2Error, match=r"another job is making the same output"), Journal(output):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert resumed(output) == [{"episode_id": "theirs"}]


def test_a_process_that_the_job_started_does_not_hold_it(output):
    """A server outlives a killed job for a moment; the job that is started again need not wait for it."""
    script = textwrap.dedent(
        """
        import os, sys, time
        from syncr2.journal import Journal
        with Journal(sys.argv[1]) as journal:
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            print(child, flush=True)
            time.sleep(60)
        """
    )
    job = subprocess.Popen([sys.executable, "-c", script, str(output)], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    child = int(job.stdout.readline())
    try:
        job.kill()
        job.wait()
        assert resumed(output) == []
    finally:
        os.kill(child, signal.SIGKILL)
        job.communicate()


def test_a_journal_that_was_removed_while_waiting_is_not_written(output, monkeypatch):
    """One job finishes and removes its journal between another's opening of the file and its lock."""
    lock, calls = Journal._lock, []

    def late(self, stream):
        if not calls:
            journal_path(output).unlink()
        calls.append(1)
        lock(self, stream)

    monkeypatch.setattr(Journal, "_lock", late)
    written(output)
    assert len(calls) == 2
    assert resumed(output) == RECORDS


def test_killed_at_any_moment(output):
    """A writer that is killed again and again: what it said was kept is there, and nothing else."""
    script = textwrap.dedent(
        """
        import sys, itertools
        from syncr2.journal import Journal
        with Journal(sys.argv[1]) as journal:
            n = len(journal.resume({"a": 1}))
            for i in itertools.count(n):
                journal.add([{"episode_id": str(i), "text": "x" * 3000}])
                print(i, flush=True)
        """
    )
    told = -1
    for wait in (0.0, 0.013, 0.031):
        job = subprocess.Popen([sys.executable, "-c", script, str(output)], stdout=subprocess.PIPE, text=True)
        assert job.stdout is not None
        first = job.stdout.readline()
        time.sleep(wait)
        job.kill()
        rest, _ = job.communicate()
        lines = [first, *rest.splitlines(keepends=True)]
        told = max(told, *(int(line) for line in lines if line.endswith("\n")))
        found = [int(record["episode_id"]) for record in resumed(output, {"a": 1})]
        assert found == list(range(len(found)))
        assert len(found) in (told + 1, told + 2)
    assert json.loads(journal_path(output).read_bytes().split(b"\n")[0])["format"] == "syncr2/journal/1"
