"""The progress plugin: estimates against hand-made schedules, text, and real Snakemake runs."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("snakemake")

from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_syncr2 import LogHandler, log_tail
from snakemake_logger_plugin_syncr2.progress import Progress, clock, estimate_text, plan_text, status_text

SRC = Path(__file__).parents[2] / "src"
NOON = datetime(2031, 5, 7, 12, 0).timestamp()  # local time, so that the texts are the same in every zone


def simulate(plan: list[tuple[str, int, float, int]], until: float) -> tuple[Progress, float]:
    """Run stages after one another, each (rule, jobs, seconds a job, jobs at a time).

    Returns the state at `until` and the true time left; 1e-9 breaks ties, so starts follow finishes.
    """
    progress = Progress({rule: n for rule, n, _, _ in plan}, NOON)
    events, start, number = [], 0.0, 0
    for rule, n, seconds, at_a_time in plan:
        for i in range(n):
            begin = start + (i // at_a_time) * seconds
            events += [(begin + 1e-9, "start", number, rule), (begin + seconds, "finish", number, rule)]
            number += 1
        start += -(-n // at_a_time) * seconds
    for when, what, job, rule in sorted(events):
        if when > until:
            break
        if what == "start":
            progress.start(job, rule, NOON + when)
        else:
            progress.finish(job, NOON + when)
    progress.advance(NOON + until)
    return progress, start - until


@pytest.mark.parametrize("until", [12.0, 25.0, 39.0])
def test_estimate_is_exact_for_equal_jobs_in_parallel(until: float) -> None:
    progress, truth = simulate([("a", 8, 10.0, 2)], until)
    assert progress.seconds_left() == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("until", [71.0, 105.0, 131.0])
def test_estimate_costs_each_stage_at_its_own_concurrency(until: float) -> None:
    # 16 cheap jobs at a time, then long ones one at a time: a mean over all jobs would be far off.
    progress, truth = simulate([("cheap", 160, 4.0, 16), ("gpu", 5, 20.0, 1)], until)
    assert progress.seconds_left() == pytest.approx(truth, abs=1e-2)


def test_unseen_rule_costs_the_overall_mean_until_it_shows_to_cost_more() -> None:
    progress, _ = simulate([("a", 4, 10.0, 1), ("b", 3, 100.0, 1)], 40.0 - 1e-6)
    progress.finish(3, NOON + 40)
    assert progress.seconds_left() == pytest.approx(3 * 10, rel=1e-3)
    progress.start(4, "b", NOON + 40)
    progress.advance(NOON + 100)  # 60 s and not done: the two that wait will take at least as long
    assert progress.seconds_left() == pytest.approx(2 * 60)


def test_no_estimate_without_a_finished_job_or_when_only_an_overdue_job_is_left() -> None:
    progress = Progress({"a": 2, "total": 2}, NOON)
    progress.start(1, "a", NOON)
    progress.advance(NOON + 5)
    assert progress.seconds_left() is None
    progress.finish(1, NOON + 10)
    progress.start(2, "a", NOON + 10)
    progress.advance(NOON + 14)
    assert progress.seconds_left() == pytest.approx(6)
    progress.advance(NOON + 30)
    assert progress.seconds_left() is None
    assert "end not known yet" in status_text(progress)


def test_failure_retry_and_new_jobs_of_a_checkpoint() -> None:
    progress = Progress({"a": 2}, NOON)
    progress.start(1, "a", NOON)
    progress.fail(1, NOON + 1)
    assert (progress.left, "1 failed" in status_text(progress)) == (1, True)
    progress.start(1, "a", NOON + 1)
    assert (progress.left, "failed" in status_text(progress)) == (2, False)
    progress.finish(1, NOON + 2)
    for job in (2, 3):
        progress.start(job, "a", NOON + 2)
    progress.start(4, "b", NOON + 2)
    assert [(s.done, s.total) for s in progress.stages.values()] == [(1, 3), (0, 1)]


def test_clock_set_back_adds_no_negative_cost() -> None:
    progress = Progress({"a": 2}, NOON)
    progress.start(1, "a", NOON)
    progress.advance(NOON - 3600)
    progress.finish(1, NOON - 3590)
    assert progress.stages["a"].cost == pytest.approx(10)


def test_status_line_names_stages_jobs_left_and_end() -> None:
    progress = Progress({"dialogues": 72, "states": 144, "report": 1}, NOON)
    for job in range(91):
        rule = "dialogues" if job < 60 else "states"
        progress.start(job, rule, NOON + job)
        progress.finish(job, NOON + job + 1)
    progress.start(91, "dialogues", NOON + 91)
    assert (
        status_text(progress)
        == "[01:31] 41 %  dialogues 60/72 · states 31/144 · 126 jobs left · about 2 min (until 12:03)"
    )
    narrow = status_text(progress, 75)
    assert len(narrow) <= 75
    assert narrow.endswith("dialogues 60/72 · 126 jobs left · about 2 min (until 12:03)")
    assert len(status_text(progress, 20)) == 20


def test_percent_is_100_only_when_all_is_done() -> None:
    progress = Progress({"a": 1000}, NOON)
    progress.stages["a"].done = 999
    assert "99 %  1 job left" in status_text(progress)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "end not known yet"),
        (20, "under 1 min (until 12:00)"),
        (180, "about 3 min (until 12:03)"),
        (3 * 3600 + 300, "about 3 h 5 min (until 15:05)"),
        (20 * 3600, f"about 20 h 0 min (until {datetime(2031, 5, 8):%a %d %b} 08:00)"),
    ],
)
def test_estimate_text(seconds: float | None, text: str) -> None:
    assert estimate_text(seconds, NOON) == text


def test_clock_and_plan() -> None:
    assert [clock(s) for s in (0, 161.9, 3599, 3600, 36061)] == [
        "00:00",
        "02:41",
        "59:59",
        "1:00:00",
        "10:01:01",
    ]
    plan = plan_text(Progress({"a": 1, "long_name": 144, "total": 145}, NOON), 2)
    assert plan.splitlines() == ["Plan: 145 jobs on 2 cores", "  a              1", "  long_name    144"]


def test_log_tail(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_bytes(b"".join(b"line %d\n" % i for i in range(50)) + b"10%\r55%\r100%\nb\xffd")
    lines = log_tail(str(log)).splitlines()
    assert lines[0] == f"    end of {log}:"
    assert len(lines) == 21
    assert lines[1] == "    | line 32"
    assert lines[-2:] == ["    | 100%", "    | b\ufffdd"]
    assert "No such file" in log_tail(str(tmp_path / "none"))
    log.write_text("")
    assert "(empty)" in log_tail(str(log))


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def handler_on(screen: Screen, monkeypatch: pytest.MonkeyPatch, **options: Any) -> LogHandler:
    defaults = dict.fromkeys(
        ["printshellcmds", "nocolor", "debug_dag", "verbose", "show_failed_logs", "stdout", "dryrun"], False
    )
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    settings = SimpleNamespace(**{**defaults, "quiet": None, "nocolor": True, **options})
    handler = LogHandler(settings, None)  # type: ignore[arg-type]
    monkeypatch.setattr(handler, "_tick", lambda: None)
    return handler


def send(handler: LogHandler, seconds: float, event: Any, level: int = logging.INFO, **fields: Any) -> None:
    record = logging.LogRecord("snakemake", level, __file__, 1, fields.pop("msg", "None"), (), None)
    record.created = NOON + seconds
    record.__dict__.update(fields, **({"event": event} if event else {}))
    handler.handle(record)


def run_jobs(handler: LogHandler, n: int, seconds: float) -> None:
    send(handler, 0, LogEvent.RUN_INFO, msg="Job stats", stats={"states": n, "total": n})
    for job in range(n):
        send(handler, job * seconds, LogEvent.JOB_INFO, jobid=job, rule_name="states")
        send(handler, (job + 1) * seconds, LogEvent.JOB_FINISHED, job_id=job)


def test_lines_in_a_file_are_spaced_by_time_or_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = Screen(False), Screen(False)
    run_jobs(handler_on(fast, monkeypatch), 400, 0.1)
    stamps = re.findall(r"(\d+) %", fast.getvalue())
    assert stamps == [str(p) for p in range(5, 100, 5)]
    run_jobs(handler_on(slow, monkeypatch), 400, 4)  # 5 % is 80 s here, so the 10 s decide: every third job
    assert len(re.findall(r" %  states", slow.getvalue())) == 133
    assert "\x1b" not in fast.getvalue() + slow.getvalue()


def test_sign_of_life_while_no_job_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(False)
    handler = handler_on(screen, monkeypatch)
    send(handler, 0, LogEvent.RUN_INFO, stats={"states": 2})
    send(handler, 0, LogEvent.JOB_INFO, jobid=1, rule_name="states")
    for seconds in range(1, 150):
        handler._show_status(NOON + seconds)
    assert re.findall(r"\[(\d+:\d+)\]", screen.getvalue()) == ["01:00", "02:00"]


def test_terminal_has_one_line_and_messages_do_not_run_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(True)
    handler = handler_on(screen, monkeypatch)
    run_jobs(handler, 3, 1.0)
    after_plan = screen.getvalue().partition("states      3\n")[2]
    assert "\n" not in after_plan
    assert after_plan.endswith("\r\x1b[2K")  # all done: a clean line for what comes next
    send(handler, 0, LogEvent.RUN_INFO, stats={"states": 2})
    send(handler, 1, None, logging.WARNING, msg="disk nearly full")
    assert "\r\x1b[2Kdisk nearly full\n\r\x1b[2K[00:01]" in screen.getvalue()
    handler.close()
    handler.close()
    assert screen.getvalue().count("Stopped:") == 1


@pytest.mark.parametrize(
    "quiet", [None, {Quietness.RULES}, {Quietness.PROGRESS, Quietness.RULES}, {Quietness.ALL}]
)
def test_errors_are_never_hidden(monkeypatch: pytest.MonkeyPatch, quiet: set[Quietness] | None) -> None:
    screen = Screen(False)
    handler = handler_on(screen, monkeypatch, quiet=quiet)
    send(handler, 1, None, logging.ERROR, msg="plain error")
    send(handler, 1, "an_event_of_a_later_snakemake", logging.ERROR, msg="new kind of error")
    fields: dict[str, Any] = {
        "input": [],
        "output": [],
        "log": ["gone.log"],
        "conda_env": None,
        "shellcmd": None,
    }
    fields |= {"aux": {}, "rule_msg": "why", "rule_name": "states", "jobid": 3}
    send(handler, 1, LogEvent.JOB_ERROR, logging.ERROR, msg="x", **fields)
    for text in (
        "plain error",
        "new kind of error",
        "Error in rule states",
        "message: why",
        "gone.log: No such",
    ):
        assert text in screen.getvalue()


def test_chatter_is_hidden_and_everything_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(False)
    handler = handler_on(screen, monkeypatch)
    said = [
        "Nothing to be done (all is there).",
        "Shutting down, this might take some time.",
        "Trying to restart job 4.",
    ]
    for text in ["Select jobs to execute...", "Job 3 has been submitted with SLURM jobid 9 (log: x).", *said]:
        send(handler, 0, None, msg=text)
    handler.close()
    assert screen.getvalue().splitlines() == said


def test_record_without_its_fields_does_not_end_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen(False)
    handler = handler_on(screen, monkeypatch)
    send(handler, 0, LogEvent.RUN_INFO, stats={"states": 2})
    send(handler, 1, LogEvent.JOB_INFO)  # no job id
    send(handler, 2, None, logging.ERROR, msg="still here")
    assert "KeyError" in screen.getvalue()
    assert "still here" in screen.getvalue()


WORKFLOW = """
import time
rule all:
    input: expand("b{i}", i=range(2)),
rule first:
    output: "a{i}"
    log: "logs/a{i}.log"
    shell: "for k in $(seq 30); do echo said $k; done > {log}; test -e fine && touch {output}"
rule second:
    input: "a{i}"
    output: "b{i}"
    shell: "touch {output}"
rule last:
    input: "b0", "b1"
    output: "c"
    shell: "touch {output}"
onsuccess:
    print("ONSUCCESS")
"""


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "Snakefile").write_text(WORKFLOW)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *options, "--", "c", "all"]
    environment = {**os.environ, "PYTHONPATH": str(SRC), "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )


def test_run_shows_plan_progress_and_end(tmp_path: Path) -> None:
    (tmp_path / "fine").touch()
    run = snakemake(tmp_path, "--logger", "syncr2")
    assert run.returncode == 0, run.stdout
    plan = [line.split() for line in run.stdout.partition("Plan: 6 jobs on 2 cores\n")[2].splitlines()[:4]]
    assert sorted(plan) == [["all", "1"], ["first", "2"], ["last", "1"], ["second", "2"]]
    lines = re.findall(r"^\[00:\d\d\] +(\d+) %  .* · (\d) jobs? left · .+$", run.stdout, re.MULTILINE)
    assert lines == [("16", "5"), ("33", "4"), ("50", "3"), ("66", "2"), ("83", "1")]
    assert "first 2/2" in run.stdout
    assert re.search(r"^\[00:\d\d\] Finished: 6 jobs done\.$", run.stdout, re.MULTILINE)
    assert "rule first" not in run.stdout


def test_failed_run_shows_error_and_log_tail(tmp_path: Path) -> None:
    run = snakemake(tmp_path, "--logger", "syncr2", "--keep-going")
    assert run.returncode != 0
    assert run.stdout.count("Error in rule first:") == 2
    assert "log: logs/a0.log" in run.stdout
    assert run.stdout.count("    | said 30") == 2
    assert run.stdout.count("    | said 11") == 2
    assert "said 10\n" not in run.stdout
    assert "Exiting because a job execution failed" in run.stdout
    assert re.search(r"Stopped: 0 of 6 jobs done, 2 failed, 4 not finished\.", run.stdout)


def test_dry_run_is_the_default_one(tmp_path: Path) -> None:
    def comparable(text: str) -> list[list[str]]:  # Snakemake lists the files of a reason in any order
        lines = [s for s in text.splitlines() if not re.match(r"\[|  (Date|Workflow ID|Command):", s)]
        return sorted(sorted(re.split(r"[ ,]+", line)) for line in lines)

    ours, default = (snakemake(tmp_path, "-n", *extra).stdout for extra in (["--logger", "syncr2"], []))
    assert "Reasons:" in ours
    assert comparable(ours) == comparable(default)
