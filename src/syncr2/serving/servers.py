"""vLLM servers that a job starts for itself: one a model, on this machine alone, gone when the job is.

Each server runs below a keeper (`keeper`), which ends it with all its processes when the job ends,
however that happens. vLLM lives in an environment of its own, so it is known here only as a command.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from syncr2.errors import SyncR2Error
from syncr2.serving import keeper
from syncr2.serving.gpus import share_gpus
from syncr2.serving.launch import ServedModel, ServerSettings, arguments_of, environment, get_json, responds

__all__ = ["ServedModel", "Server", "ServerSettings", "serve"]

_log = logging.getLogger(__name__)

HOST = "127.0.0.1"
# Seconds that a server has between SIGTERM and SIGKILL.
GRACE = 10.0
# Other ports that are tried when somebody took the first one between choosing and binding it.
PORT_RETRIES = 3
_STEP = 0.2
_TAIL = 20
_PORT_TAKEN = "address already in use"


class Server:
    """One model's server; `serve` makes them.

    Parameters
    ----------
    model : ServedModel
    settings : ServerSettings
    log : Path
        File that takes everything that the server prints, all its starts one after the other.
    gpus : str
        Value of CUDA_VISIBLE_DEVICES.
    """

    def __init__(self, model: ServedModel, settings: ServerSettings, log: Path, gpus: str) -> None:
        self._served = model
        self._settings = settings
        self._log_file = log
        self._environment = environment(model, gpus)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._reserved: socket.socket | None = None
        self._log_start = 0
        self._port = 0
        self._moves = 0
        self._restarted = False
        self._lock = threading.Lock()
        self._version: str | None = None

    @property
    def model(self) -> str:
        """The name under which the server knows the model."""
        return self._served.name

    @property
    def base_url(self) -> str:
        """Address, ending in /v1; another one after a restart."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def version(self) -> str | None:
        """Of vLLM; None for another program that does not say."""
        return self._version

    def alive(self) -> bool:
        """Whether the server's first process runs."""
        return self._keeper is not None and self._keeper.poll() is None

    def restart(self) -> None:
        """Start the server again, once, if it has died; wait until it answers.

        Raises
        ------
        SyncR2Error
            If it was started again before, or does not come up.
        """
        # Several threads may find out at once; all but the first find it running.
        with self._lock:
            if self.alive():
                return
            if self._restarted:
                raise self._problem("died a second time")
            self._restarted = True
            _log.warning("%s died and is started again\n%s", self._label, self._tail())
            self.stop()
            self.start()
            wait_for([self], self._settings.start_deadline)

    def start(self) -> None:
        """Start the server's processes; `ready` says when it answers."""
        self._port, self._reserved = _choose_port(reserve=self._moves == 0)
        command = [*self._settings.command, *arguments_of(self._served, self._settings, HOST, self._port)]
        program = shutil.which(command[0])
        if program is None:
            raise SyncR2Error(
                f"{self._label}: vllm.command begins with {command[0]!r}, which is no program here. Set up "
                "vLLM (`make vllm`, or envs/vllm.yaml on a cluster), or let vllm.command name a Python that "
                "has it."
            )
        with self._log_file.open("ab") as log:
            log.write(f"$ {shlex.join(command)}\n".encode())
            self._log_start = log.tell()
            self._keeper = _start_keeper(command, self._environment, log)
        _log.info("%s starts at %s; its messages are in %s", self._label, self.base_url, self._log_file)

    def ready(self) -> bool:
        """Whether it answers. A server whose port was taken meanwhile moves to another.

        Raises
        ------
        SyncR2Error
            If it has died.
        """
        if not self.alive():
            taken = _PORT_TAKEN in self._printed().lower()
            self.stop()
            if not taken or self._moves == PORT_RETRIES:
                raise self._problem("died before it answered")
            self._moves += 1
            _log.warning("%s: port %d was taken meanwhile; another is tried", self._label, self._port)
            self.start()
            return False
        # Alive still, after it answered: or else it was somebody else who answered there.
        if not responds(HOST, self._port, "/health") or not self.alive():
            return False
        found = get_json(HOST, self._port, "/version").get("version")
        self._version = None if found is None else str(found)
        return True

    def let_go(self) -> None:
        """Tell the keeper to end the server, without waiting for that."""
        if self._keeper is not None and self._keeper.stdin is not None:
            with suppress(OSError):
                self._keeper.stdin.close()

    def stop(self) -> None:
        """End the server and everything that came of it."""
        self.let_go()
        if self._keeper is not None:
            try:
                self._keeper.wait(3 * GRACE)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()
            self._keeper = None
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    def missed(self, deadline: float) -> SyncR2Error:
        """What to say when it does not answer in time."""
        return self._problem(
            f"did not answer within {deadline:g} s", "Is it still loading? Then raise vllm.start_deadline. "
        )

    @property
    def _label(self) -> str:
        return f"The server of {self._served.name}"

    def _problem(self, what: str, first: str = "") -> SyncR2Error:
        command = [*self._settings.command, *arguments_of(self._served, self._settings, HOST, self._port)]
        return SyncR2Error(
            f"{self._label} {what}. {first}Its last lines say why; all of them are in {self._log_file}. What "
            "it is told stands under vllm.command, vllm.arguments and the model's server_arguments, gpus, "
            f"memory_share, dtype and context.\nCommand: {shlex.join(command)}\nLast lines:\n{self._tail()}"
        )

    def _printed(self) -> str:
        """What it has printed since it was last started."""
        with self._log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _tail(self) -> str:
        lines = [line for line in self._printed().splitlines() if line.strip()]
        return "\n".join(f"  {line}" for line in lines[-_TAIL:]) or "  (it printed nothing)"


@contextmanager
def serve(
    models: Sequence[ServedModel], settings: ServerSettings, log_folder: str | Path
) -> Iterator[dict[str, Server]]:
    """Run a server for each model, side by side.

    Parameters
    ----------
    models : sequence of ServedModel
        With different names.
    settings : ServerSettings
    log_folder : str or Path
        Takes one file a server, `{name}.log`; made if need be.

    Yields
    ------
    dict
        Name of the model to its server, which answers. When the context is left, exactly these servers are
        ended; when this process is killed, too.

    Raises
    ------
    SyncR2Error
        If there are too few GPUs, or a server cannot be started, dies early, or misses the deadline. The
        message ends with its last lines.
    """
    folder = Path(log_folder)
    folder.mkdir(parents=True, exist_ok=True)
    visible = share_gpus(models)
    servers: dict[str, Server] = {}
    with ExitStack() as stack:
        stack.enter_context(_without_proxy())
        for model, gpus in zip(models, visible, strict=True):
            log = folder / f"{_file_name(model.name)}.log"
            log.unlink(missing_ok=True)
            servers[model.name] = server = Server(model, settings, log, gpus)
            stack.callback(server.stop)
            server.start()
        for server in servers.values():
            stack.callback(server.let_go)  # all before the first `stop`, so that they end side by side
        wait_for(list(servers.values()), settings.start_deadline)
        yield servers


def wait_for(servers: Sequence[Server], deadline: float) -> None:
    """Wait until all answer.

    Raises
    ------
    SyncR2Error
        If one dies, or `deadline` seconds pass.
    """
    start = time.monotonic()
    waiting = list(servers)
    while waiting:
        waiting = [server for server in waiting if not server.ready()]
        if waiting and time.monotonic() - start > deadline:
            raise waiting[0].missed(deadline)
        if waiting:
            time.sleep(_STEP)
    _log.info("%d server(s) answer after %.0f s", len(servers), time.monotonic() - start)


@contextmanager
def _without_proxy() -> Iterator[None]:
    """Let clients in this process reach this machine directly, where a cluster's nodes go through a proxy."""
    names = ("NO_PROXY", "no_proxy")
    before = {name: os.environ.get(name) for name in names}
    listed = [value for value in before.values() if value]
    os.environ |= dict.fromkeys(names, ",".join([*dict.fromkeys(listed), HOST]))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_keeper(
    command: Sequence[str], environment: Mapping[str, str], log: BinaryIO
) -> subprocess.Popen[bytes]:
    # Not -m: without site-packages the package may not be found, and its modules must not hide those of
    # the standard library.
    program = [sys.executable, "-I", "-S", keeper.__file__, str(GRACE), *command]
    return subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
    )


def _file_name(name: str) -> str:
    """A model's name without what a file's name may not hold, such as the slash of a Hugging Face id."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "server"


def _choose_port(reserve: bool) -> tuple[int, socket.socket | None]:
    """A free port of this machine.

    With `reserve`, a socket stays bound to it, and closing it gives it back. Linux then hands the port to
    nobody who asks for any, and lets a server bind and listen on it all the same, if it reuses addresses as
    servers do. Where that does not work, the server finds its port taken and comes back without.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((HOST, 0))
    port = int(holder.getsockname()[1])
    if reserve and sys.platform == "linux":
        return port, holder
    holder.close()
    return port, None
