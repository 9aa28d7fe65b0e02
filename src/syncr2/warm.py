"""Jobs forked from one process that has imported all that they need already.

Importing torch, transformers and what draws and computes takes seconds, and a laptop run has hundreds of
short jobs. With `resources.warm_start`, the Snakefile starts a server that imports them once; a job's script
asks it to fork and run the stage function in the child. The child is an ordinary process of its own: it dies
when the script that asked for it dies, and a script that finds no server does the work itself. Local runs
only, for a cluster must account for a job's memory where the job is.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ADDRESS_VARIABLE = "SYNCR2_WARM"
CLUSTER_VARIABLE = "SLURM_JOB_ID"
START_DEADLINE = 10.0  # seconds
# A job frees and takes again the same few megabytes at every layer. By default glibc hands them back to the
# system each time, and to get them anew took a tenth of a replay's time.
MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**31),
    "MALLOC_TOP_PAD_": str(2**26),
}
# What stages import when they come to it; the stages themselves come on top.
PRELOADED = (
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.models.mistral.modeling_mistral",
    "syncr2.speakers.local",
    "syncr2.replay.states",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "pandas.io.formats.csvs",
    "rocrate.rocrate",
    "scipy.stats",
    "sklearn.decomposition",
    "sklearn.feature_extraction.text",
    "statsmodels.api",
)


def start() -> None:
    """Start the server, if there is none yet, and leave its address in the environment, where jobs find it.

    The server ends when this process does, however that happens.
    """
    # macOS forbids much of what a forked process may want to do; there every job starts cold.
    if sys.platform != "linux" or Path(os.environ.get(ADDRESS_VARIABLE, "")).is_socket():
        return
    address = Path(tempfile.mkdtemp(prefix="syncr2-warm-")) / "socket"
    # Not subprocess.Popen: its object would complain that nobody waits for the server.
    command = [sys.executable, "-m", "syncr2.warm", str(address), str(os.getpid())]
    no_input = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    os.posix_spawn(sys.executable, command, {**MEMORY, **os.environ}, file_actions=[no_input])
    os.environ[ADDRESS_VARIABLE] = str(address)
    # Jobs that come before it has bound its socket would think that there is none. It binds at once or never.
    deadline = time.monotonic() + START_DEADLINE
    while not address.is_socket() and time.monotonic() < deadline:
        time.sleep(0.01)


def call(request: Mapping[str, Any]) -> int | None:
    """Let the server run a job; wait for its end.

    Parameters
    ----------
    request : mapping
        JSON-able keyword arguments of `syncr2.jobs.execute`.

    Returns
    -------
    int or None
        The job's exit code (1 if its process died), or None if there is no server to ask.
    """
    address = os.environ.get(ADDRESS_VARIABLE)
    if not address or CLUSTER_VARIABLE in os.environ:
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
        except OSError:
            return None
        message = json.dumps({"folder": str(Path.cwd()), "request": dict(request)})
        connection.sendall(message.encode() + b"\n")
        answer = connection.makefile().readline()
    return int(answer) if answer else 1


def serve(address: Path, parent: int, preload: Sequence[str] | None = None) -> None:
    """Fork a child for every request until `parent` is gone; first import `preload` (default: all)."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for Snakemake, which ends its jobs in good order
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        server.listen(64)
        # Jobs that ask meanwhile wait. Only imported and looked up: nothing is computed here, so that no pool
        # of threads exists yet when a child is forked.
        for module in [*PRELOADED, *_stages()] if preload is None else preload:
            importlib.import_module(module)
        if preload is None:
            _prepare()
        # What is here stays: a child's collector need not go through it, and copy its pages on the way.
        gc.freeze()
        while os.getppid() == parent:
            if select.select([server], [], [], 1.0)[0]:
                connection, _ = server.accept()
                if os.fork() == 0:
                    server.close()
                    _child(connection)
                connection.close()
    address.unlink()
    address.parent.rmdir()


def _stages() -> list[str]:
    from syncr2 import stages

    return [module.name for module in pkgutil.iter_modules(stages.__path__, f"{stages.__name__}.")]


def _prepare() -> None:
    """Find out once what every job would find out by itself, and what is the same for all of them."""
    from syncr2.config import schema
    from syncr2.provenance import code_version, library_versions
    from syncr2.world.setting import read_game

    schema()
    library_versions()
    code_version()  # of the code that is imported here, whatever becomes of the checkout meanwhile
    read_game("no situation", ("", ""))  # the world's patterns, half of what an oracle's job takes
    # An inner part of transformers: where a version has it elsewhere, each job takes its 0.3 seconds itself.
    with suppress(ImportError):
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("llama")


def _child(connection: socket.socket) -> None:
    from syncr2.jobs import execute

    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        message = json.loads(connection.makefile().readline())
        threading.Thread(target=_die_with, args=(connection,), daemon=True).start()
        os.chdir(message["folder"])
        code = execute(**message["request"])
        connection.sendall(f"{code}\n".encode())
    finally:
        # Not sys.exit: what the server had registered for its own end is not the child's to run.
        os._exit(code)


def _die_with(connection: socket.socket) -> None:
    """End this process when the script at the other end is gone: nobody is left to take its result."""
    if not connection.recv(1):
        os._exit(1)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
