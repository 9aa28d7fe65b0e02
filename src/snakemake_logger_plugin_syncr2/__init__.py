"""Progress that a human can follow: ``snakemake --logger syncr2``.

Only what is written to the screen changes; Snakemake's own log file stays complete.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from .progress import Progress, plan_text, status_text, summary_text

LINE_SECONDS, LINE_PERCENT, SIGN_OF_LIFE_SECONDS = 10, 5, 60  # where the output is not a terminal
TAIL_LINES = 20
CHATTER = re.compile(
    r"Assuming unrestricted|Using shell:|Select jobs|Conda environments: ign|Singularity containers: ign"
    r"|Group jobs:|Removing temp|Elapsed time:|Job rate limit|Job \d+ has been submitted|Submitted array"
    r"|Auto-selected partition"
)


def log_tail(path: str) -> str:
    """Quote the end of a job's log file, or say why that cannot be done."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace", newline="\n") as file:
            # A progress bar rewrites its line by carriage returns: only what stood there last counts.
            lines = [line.rstrip().rpartition("\r")[2] for line in deque(file, TAIL_LINES)]
    except OSError as error:
        return f"    {path}: {error.strerror or error}\n"
    return "\n".join([f"    end of {path}:", *(f"    | {line}" for line in lines or ["(empty)"])]) + "\n"


class LogHandler(LogHandlerBase):
    """Writes the plan, the progress and, at once and in full, whatever went wrong."""

    writes_to_stream = True  # so Snakemake adds no stream handler of its own
    writes_to_file = False
    has_filter = True  # none: the default one would drop job errors under --quiet
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        options: Any = self.common_settings
        self.stream = sys.stdout if options.stdout else sys.stderr
        self.terminal = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self.quiet = set(options.quiet or ())
        self.silent = options.dryrun or bool(self.quiet & {Quietness.ALL, Quietness.PROGRESS})
        self.tails = not options.show_failed_logs  # that option prints the logs in full
        formatter = DefaultFormatter(self.quiet, options.show_failed_logs)
        self.default = ColorizingTextHandler(options.nocolor, self.stream, formatter)
        self.default_filter = DefaultFilter(
            self.quiet, options.debug_dag, options.verbose, options.dryrun, options.printshellcmds
        )
        self.everything = options.dryrun or options.verbose or options.debug_dag
        self.progress: Progress | None = None
        self.cores: int | None = None
        self.last_line = (0.0, 0)  # when, and how many jobs were done then
        self.drawn = False
        self.ended = threading.Event()
        self.guard = threading.RLock()  # records, the ticking clock and the end come from three threads

    def emit(self, record: logging.LogRecord) -> None:
        try:
            with self.guard:
                if self._shown(record):
                    self._clear()
                    self.default.emit(record)
                    if self.tails and getattr(record, "event", None) == LogEvent.JOB_ERROR:
                        self._write("".join(map(log_tail, getattr(record, "log", ()))))
                self._follow(record)
                self._show_status(record.created)
        except Exception:  # an error here would end the thread through which all records come
            self.handleError(record)

    def close(self) -> None:
        with self.guard:
            if not self.ended.is_set():
                self.ended.set()
                self._clear()
                if self.progress:
                    self.progress.advance(time.time())
                    self._write(summary_text(self.progress) + "\n")
        super().close()

    def _shown(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            return record.levelno >= logging.ERROR or Quietness.ALL not in self.quiet
        if self.everything or not self.default_filter.filter(record):
            return self.default_filter.filter(record)
        event = getattr(record, "event", None)
        if event == LogEvent.SHELLCMD:  # asked for by --printshellcmds, but many jobs have none
            return bool(getattr(record, "cmd", None) or getattr(record, "shellcmd", None))
        return event is None and not CHATTER.match(str(record.msg))

    def _follow(self, record: logging.LogRecord) -> None:
        event, fields, now = getattr(record, "event", None), record.__dict__, record.created
        if event == LogEvent.RESOURCES_INFO:
            self.cores = fields.get("cores", self.cores)
        elif event == LogEvent.RUN_INFO and not self.silent:
            if self.progress is None:
                threading.Thread(target=self._tick, daemon=True).start()
            self.progress, self.last_line = Progress(fields["stats"], now), (now, 0)
            self._write(plan_text(self.progress, self.cores) + "\n")
        elif self.progress is None:
            return
        elif event == LogEvent.JOB_INFO:
            self.progress.start(fields["jobid"], fields["rule_name"], now)
        elif event == LogEvent.JOB_FINISHED:
            self.progress.finish(fields["job_id"], now)
        elif event == LogEvent.JOB_ERROR:
            self.progress.fail(fields["jobid"], now)
        elif event == LogEvent.PROGRESS:
            self.progress.total = fields["total"]

    def _tick(self) -> None:
        while not self.ended.wait(1.0):
            with self.guard:
                self._show_status(time.time())

    def _show_status(self, now: float) -> None:
        progress = self.progress
        if progress is None or self.ended.is_set():
            return
        progress.advance(now)
        n_new, seconds = progress.done - self.last_line[1], now - self.last_line[0]
        if progress.done >= progress.total:
            self._clear()  # what the workflow's own handlers print next starts on a clean line
        elif self.terminal:
            width = 0
            with contextlib.suppress(OSError, ValueError):  # the size may not be known
                width = os.get_terminal_size(self.stream.fileno()).columns
            self._write("\r\x1b[2K" + status_text(progress, (width or 80) - 1))
            self.drawn = True
        elif seconds >= SIGN_OF_LIFE_SECONDS or (
            n_new and (seconds >= LINE_SECONDS or 100 * n_new >= LINE_PERCENT * progress.total)
        ):
            self._write(status_text(progress) + "\n")
            self.last_line = (now, progress.done)

    def _clear(self) -> None:
        if self.drawn:
            self._write("\r\x1b[2K")
        self.drawn = False

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed pipe must not stop the workflow
            self.stream.write(text)
            self.stream.flush()
