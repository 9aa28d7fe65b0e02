"""A small process between a job and a server that it started, so that no server outlives its job.

A server such as vLLM's starts processes of its own, and a job can be killed without a chance to stop them.
So the job starts this file as a program and holds a pipe to its standard input; it starts the server in a
session of its own, and ends all that came of it when the pipe closes (the job is gone, or wants no more of
it) or when it is told to end (SIGTERM). It ends itself, with the server's exit code, when the server does.

Only the standard library is used, and nothing of this package, so that it starts in milliseconds:

    python -I -S keeper.py GRACE COMMAND …

GRACE is how many seconds the server has between SIGTERM and SIGKILL.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PIPE = 0
NOT_STARTED = 127
# How often the processes that are left are looked at, in seconds.
_STEP = 0.02
# From <sys/prctl.h>.
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LINUX = sys.platform == "linux"


def main(grace: float, command: Sequence[str]) -> int:
    """Run a command until it ends, the pipe closes, or a signal comes.

    Parameters
    ----------
    grace : float
        Seconds from SIGTERM to SIGKILL.
    command : sequence of str
        Program and arguments.

    Returns
    -------
    int
        The command's exit code, 128 and the signal's number where one ended it, as shells have it.
    """
    wake, wake_end = os.pipe()
    for end in (wake, wake_end):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_end)
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: told.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)  # only wakes the select below
    if _LINUX:
        # What the server's processes leave behind when they die becomes ours, whatever session it chose.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    server = _start(command)
    status = None
    while status is None and not told:
        ready, _, _ = select.select([PIPE, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
        status = _reaped(server)
        if PIPE in ready and not os.read(PIPE, 4096):
            break
    ended = _end_all(server, grace)
    status = ended if status is None else status
    return 0 if status is None else _shell_code(status)


def _prctl(option: int, value: int) -> None:
    # Where it is refused (an odd sandbox), the process group and the pipe still do most of the work.
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _start(command: Sequence[str]) -> int:
    """Fork the command into a session of its own; give its process id, which is its group's, too."""
    keeper = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        if _LINUX:
            # Should somebody kill the keeper itself, the server's first process goes with it.
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(NOT_STARTED)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (nothing is imported between fork and exec)
            os.dup2(nothing.fileno(), PIPE)
        os.execvp(command[0], list(command))
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(NOT_STARTED)


def _reaped(server: int) -> int | None:
    """Take leave of every child that has ended; the server's wait status, if it was among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                break
            if child == server:
                found = status
    return found


def _end_all(server: int, grace: float) -> int | None:
    """End the server's group, kindly at first, and then whatever has become ours."""
    status = None
    asked: set[int] = set()
    _signal_group(server, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while (left := _left(server)) and time.monotonic() < deadline:
        # The group has been asked; those in groups of their own become ours, one generation after another.
        for child, group in left.items():
            if group != server and child not in asked:
                _signal(child, signal.SIGTERM)
            asked.add(child)
        time.sleep(_STEP)
        status = _first(_reaped(server), status)
    # Each killed process may hand us its children, so that several rounds can be needed.
    deadline = time.monotonic() + grace + 5.0
    while left and time.monotonic() < deadline:
        _signal_group(server, signal.SIGKILL)
        for child in left:
            _signal(child, signal.SIGKILL)
        time.sleep(_STEP)
        status = _first(_reaped(server), status)
        left = _left(server)
    return _first(_reaped(server), status)


def _left(server: int) -> dict[int, int]:
    """What is still to be ended, process to group: the server's group, and children of ours in any group."""
    if not _LINUX:
        return {server: server} if _signal_group(server, 0) else {}
    own, found = os.getpid(), {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in parentheses may hold anything, spaces and parentheses too.
            state, parent, group = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[:3]
            if state not in "ZX" and (int(parent) == own or int(group) == server):
                found[int(entry.name)] = int(group)
    return found


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; whether there was one."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True


def _signal(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


def _shell_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
