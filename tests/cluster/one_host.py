"""A real Slurm cluster of several nodes on this host, in one folder, on loopback only.

Debian's slurm-wlm and munge are needed, and root, since the scheduler starts jobs for users and the stand-in
GPUs are device nodes. Nothing outside the folder is touched. Run as a program it keeps a cluster up until it
is interrupted: `python tests/cluster/one_host.py FOLDER`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
GPUS_PER_NODE = 2
# The same device as /dev/null: a thing to be counted and given, not to compute on.
NULL_DEVICE = os.makedev(1, 3)


class Record(NamedTuple):
    """A job as the scheduler has it on record."""

    job: int
    rule: str
    state: str
    partition: str
    gpus: int
    memory: str
    limit: str


def missing() -> str | None:
    """Why no cluster can be started here, or None."""
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} not found: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "root is needed to start Slurm's daemons"


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Cluster:
    """A cluster that runs while the block does.

    Attributes
    ----------
    folder : Path
        Empty; everything that the cluster writes goes there.
    nodes : tuple of str
    cpus, memory_mb : int
        Of each node, as the scheduler counts them, whatever the host has.
    """

    folder: Path
    nodes: tuple[str, ...] = ("node1", "node2")
    cpus: int = 4
    memory_mb: int = 16000
    _daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for whoever submits jobs."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLURM_")},
            "SLURM_CONF": str(self.folder / "etc/slurm.conf"),
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]]),
        }

    def __enter__(self) -> Cluster:
        self._write()
        try:
            self._start("munged", self._munged())
            socket_file = self.folder / "munge/munge.sock"
            wait_for(lambda: self._quiet(["munge", "-n", "-S", str(socket_file)]), "munge")
            self._start("slurmctld", ["slurmctld", "-D"])
            for node in self.nodes:
                self.start_node(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if "slurmctld" in self._daemons:
            subprocess.run(["scancel", "-u", "root"], env=self.environment, capture_output=True, timeout=60)
        for name in reversed(list(self._daemons)):
            self._stop(name)

    def start_node(self, node: str) -> None:
        """Start a node's daemon and wait until jobs can go there."""
        self._start(node, ["slurmd", "-D", "-N", node])
        ready = ("idle", "mix", "alloc")
        wait_for(lambda: self.state(node) in ready, node)

    def kill_node(self, node: str) -> list[int]:
        """Let a node crash: its daemon and all that runs there die at once. Gives the jobs that it had."""
        jobs = self.on(node)
        processes = _processes()
        self._daemons.pop(node).send_signal(signal.SIGKILL)
        for job in jobs:
            steps = [pid for pid, (_, args) in processes.items() if f"slurmstepd: [{job}." in args]
            for pid in [*_descendants(steps, processes), *steps]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return jobs

    def on(self, node: str) -> list[int]:
        """Jobs that run on a node."""
        return [int(job) for job in self.ask("squeue", "-h", "-w", node, "-t", "R", "-o", "%A").split()]

    def state(self, node: str) -> str:
        """What the scheduler thinks of a node, in its own word, such as `idle` or `down`."""
        return self.ask("sinfo", "-h", "-n", node, "-p", "cpu", "-o", "%t").strip()

    def signal(self, job: int, number: signal.Signals) -> None:
        """Send a signal to every process of a running job."""
        processes = _processes()
        steps = [pid for pid, (_, args) in processes.items() if f"slurmstepd: [{job}." in args]
        for pid in _descendants(steps, processes):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def ask(self, *command: str) -> str:
        """Output of one of Slurm's commands; empty if it fails."""
        found = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        return found.stdout if found.returncode == 0 else ""

    def records(self, *states: str) -> list[Record]:
        """Every job of this cluster, or those in one of these states."""
        found = [
            _record(line)
            for line in self.ask("scontrol", "show", "job", "-d", "-o").splitlines()
            if "=" in line
        ]
        return [record for record in found if not states or record.state in states]

    def _quiet(self, command: Sequence[str]) -> bool:
        return subprocess.run(command, capture_output=True).returncode == 0

    def _start(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / f"log/{name}.out").open("a") as log:
            self._daemons[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )

    def _stop(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(timeout=15)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _munged(self) -> list[str]:
        munge = self.folder / "munge"
        names = {
            "key-file": "key",
            "socket": "sock",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }
        files = [f"--{option}={munge}/munge.{ending}" for option, ending in names.items()]
        return ["munged", "--foreground", "--force", *files]

    def _write(self) -> None:
        for name in ("etc", "log", "run", "state", "spool", "munge", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "state").chmod(0o700)
        key = self.folder / "munge/munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        # Snakemake's job step drops SLURM_CONF before it calls srun; this puts it back.
        srun = self.folder / "bin/srun"
        srun.write_text(
            f'#!/bin/sh\nexport SLURM_CONF={self.folder}/etc/slurm.conf\nexec /usr/bin/srun "$@"\n'
        )
        srun.chmod(0o755)
        for node in self.nodes:
            (self.folder / "spool" / node).mkdir(exist_ok=True)
            for gpu in range(GPUS_PER_NODE):
                device = self.folder / f"spool/{node}-gpu{gpu}"
                if not device.exists():
                    os.mknod(device, 0o666 | stat.S_IFCHR, NULL_DEVICE)
        last = GPUS_PER_NODE - 1
        gpus = [
            f"NodeName={node} Name=gpu Type=standin File={self.folder}/spool/{node}-gpu[0-{last}]"
            for node in self.nodes
        ]
        (self.folder / "etc/gres.conf").write_text("\n".join(gpus) + "\n")
        (self.folder / "etc/slurm.conf").write_text(self._configuration())

    def _configuration(self) -> str:
        host, folder = socket.gethostname().partition(".")[0], self.folder
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={_free_port()} CPUs={self.cpus} "
            f"Boards=1 SocketsPerBoard=1 CoresPerSocket={self.cpus} ThreadsPerCore=1 "
            f"RealMemory={self.memory_mb} Gres=gpu:standin:{GPUS_PER_NODE} State=UNKNOWN"
            for node in self.nodes
        ]
        everywhere = f"Nodes={','.join(self.nodes)} MaxTime=1-00:00:00 DefMemPerCPU=100 State=UP"
        return "\n".join(
            [
                "ClusterName=syncr2",
                f"SlurmctldHost={host}(127.0.0.1)",
                f"SlurmctldPort={_free_port()}",
                "AuthType=auth/munge",
                f"AuthInfo=socket={folder}/munge/munge.sock",
                "CredType=cred/munge",
                "SlurmUser=root",
                "SlurmdUser=root",
                f"StateSaveLocation={folder}/state",
                f"SlurmdSpoolDir={folder}/spool/%n",
                f"SlurmctldPidFile={folder}/run/slurmctld.pid",
                f"SlurmdPidFile={folder}/run/slurmd-%n.pid",
                f"SlurmctldLogFile={folder}/log/slurmctld.log",
                f"SlurmdLogFile={folder}/log/slurmd-%n.log",
                "ProctrackType=proctrack/linuxproc",
                "TaskPlugin=task/none",
                "JobAcctGatherType=jobacct_gather/linux",
                # A job beyond its memory is killed, as clusters with control groups do.
                "JobAcctGatherFrequency=task=1",
                "JobAcctGatherParams=OverMemoryKill",
                "MpiDefault=none",
                "SwitchType=switch/none",
                "PropagateResourceLimits=NONE",
                "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny",
                "SlurmdParameters=config_overrides",
                "SelectType=select/cons_tres",
                "SelectTypeParameters=CR_Core_Memory",
                "GresTypes=gpu",
                "SchedulerType=sched/backfill",
                "SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0,sched_min_interval=100000",
                "SlurmctldTimeout=60",
                "SlurmdTimeout=10",
                "InactiveLimit=0",
                "KillWait=3",
                # All jobs of a test stay on record.
                "MinJobAge=36000",
                "ReturnToService=2",
                "JobCompType=jobcomp/none",
                "AccountingStorageType=accounting_storage/none",
                *nodes,
                f"PartitionName=cpu Default=YES {everywhere}",
                f"PartitionName=gpu Default=NO {everywhere}",
                "",
            ]
        )


def _record(line: str) -> Record:
    fields = dict(each.split("=", 1) for each in line.split() if "=" in each)
    resources = dict(each.split("=", 1) for each in fields["TRES"].split(",") if "=" in each)
    return Record(
        job=int(fields["JobId"]),
        rule=fields.get("Comment", "").removeprefix("rule_").partition("_wildcards_")[0],
        state=fields["JobState"],
        partition=fields["Partition"],
        # What was given, not what was asked for.
        gpus=0
        if fields.get("JOB_GRES", "(null)") == "(null)"
        else int(fields["JOB_GRES"].rpartition(":")[2]),
        memory=resources["mem"],
        limit=fields["TimeLimit"],
    )


def _processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process, by number."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    split = (line.split(None, 2) for line in listed.stdout.splitlines())
    return {int(pid): (int(parent), args) for pid, parent, args in (each for each in split if len(each) == 3)}


def _descendants(of: Sequence[int], processes: dict[int, tuple[int, str]]) -> list[int]:
    children = [pid for pid, (parent, _) in processes.items() if parent in of]
    return [*_descendants(children, processes), *children] if children else []


if __name__ == "__main__":
    if problem := missing():
        sys.exit(problem)
    with Cluster(Path(sys.argv[1]).absolute()) as cluster:
        print(cluster.ask("sinfo", "-N", "-o", "%N %P %t %c %m %G"))
        print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']} PATH={cluster.folder}/bin:$PATH")
        signal.sigwait([signal.SIGINT, signal.SIGTERM])
