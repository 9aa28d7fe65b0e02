"""What every script of the workflow does: call one stage function, with its messages in the job's log.

A script that hands its work to the warm process (`syncr2.warm`) needs little else, and there are hundreds of
them: what only the work needs is imported where it is done.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from syncr2 import warm
from syncr2.errors import SyncR2Error
from syncr2.ids import JOB_RECORDS

if TYPE_CHECKING:
    from syncr2.provenance import Job


class Script(Protocol):
    """What Snakemake gives to a script, as far as it is needed here."""

    rule: str
    input: Any
    output: Any
    params: Any
    wildcards: Any
    log: Any
    threads: int
    config: Mapping[str, Any]


def run(script: Script, function: str, **arguments: Any) -> None:
    """Run a stage function and end the process with its exit code.

    Parameters
    ----------
    script : Script
        The object `snakemake` of the script: its log takes everything that the job prints, and what it says
        of the rule goes into the job's record.
    function : str
        `module:function` within `syncr2.stages`.
    **arguments
        Its keyword arguments; paths and lists of paths as Snakemake gives them, the rest JSON-able.
    """
    request = {
        "log": str(script.log[0]),
        "threads": script.threads,
        "function": function,
        "arguments": arguments,
        "described": describe(script),
    }
    plain = json.loads(json.dumps(request, default=_plain))
    code = warm.call(plain)
    sys.exit(execute(**plain) if code is None else code)


def describe(script: Script) -> dict[str, Any]:
    """What a rule's script knows of its job, before the work.

    Parameters
    ----------
    script : Script
        The object `snakemake` of the script.
    """
    results = Path(script.config["results"]).expanduser()
    name = Path(script.log[0]).relative_to(results / "logs").with_suffix(".json")
    return {
        "record": str(results / JOB_RECORDS / name),
        "results": results.as_posix(),
        "rule": script.rule,
        "wildcards": dict(script.wildcards.items()),
        "params": dict(script.params.items()),
        "threads": script.threads,
        "inputs": list(dict.fromkeys(map(str, script.input))),
        "outputs": list(dict.fromkeys(map(str, script.output))),
    }


def asking(script: Script, section: str, name: str) -> dict[str, Any]:
    """What a job that asks a judge or labeller tells `stages.asking.ask`, but for the folder of its cache.

    Parameters
    ----------
    script : Script
    section : {"judges", "labels"}
    name : str
        Who is asked.
    """
    from syncr2.judges.base import KNOBS

    configured = next(each for each in script.config[section] if each["name"] == name)
    return {
        "section": section,
        "scenarios": script.input.scenarios,
        "dialogues": script.input.dialogues,
        "weights": list(script.input.weights),
        "output": script.output[0],
        "shard": int(script.wildcards.shard),
        "shard_size": script.params.shard_size,
        "settings": script.params.settings,
        # From the config and not from params: they cannot change an answer, so changing them reruns nothing.
        "knobs": {key: configured[key] for key in KNOBS if key in configured},
        "prompts": script.config["prompts"],
        "vllm": script.config["vllm"],
        "log_folder": script.log[0].removesuffix(".log"),
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value)


def execute(
    log: str,
    threads: int,
    function: str,
    arguments: Mapping[str, Any],
    described: Mapping[str, Any] | None = None,
) -> int:
    """Call the function with standard output and error in the log; give the exit code.

    With `described` (from `describe`), a job that ends well leaves its record.
    """
    from syncr2 import job_records, provenance
    from syncr2.serving.endpoints import CHATTY_LOGGERS

    usage = job_records.Usage()
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("w", encoding="utf-8") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    for chatty in CHATTY_LOGGERS:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _limit_threads(threads)
    module, name = function.split(":")
    try:
        job = _job(described) if described else None
        with provenance.within(job):
            getattr(importlib.import_module(f"syncr2.stages.{module}"), name)(**arguments)
        if described and job:
            job_records.write(described, job.started, usage)
    except SyncR2Error as error:
        logging.error("Error: %s", error)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        # A forked job leaves without the interpreter's own farewell.
        sys.stdout.flush()
    return 0


def _job(described: Mapping[str, Any]) -> Job:
    from syncr2.provenance import Job

    seed = described["wildcards"].get("seed")
    inputs = tuple(described["inputs"])
    return Job(described["rule"], described["params"], inputs, seed=None if seed is None else int(seed))


def _limit_threads(threads: int) -> None:
    # For libraries that are still to be imported …
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # … and for those that are there already, in a process forked from the warm one.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)
