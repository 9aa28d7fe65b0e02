"""What every script of the workflow does: call one stage function, with its messages in the job's log."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncr2 import warm
from syncr2.errors import SyncR2Error


def run(log: str, threads: int, function: str, **arguments: Any) -> None:
    """Run a stage function and end the process with its exit code.

    Parameters
    ----------
    log : str
        File that takes everything that the job prints.
    threads : int
        CPU threads that it may use.
    function : str
        `module:function` within `syncr2.stages`.
    **arguments
        Its keyword arguments; paths and lists of paths as Snakemake gives them, the rest JSON-able.
    """
    plain = json.loads(json.dumps(arguments, default=_plain))
    request = {"log": str(log), "threads": threads, "function": function, "arguments": plain}
    code = warm.call(request)
    sys.exit(execute(**request) if code is None else code)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value)


def execute(log: str, threads: int, function: str, arguments: Mapping[str, Any]) -> int:
    """Call the function with standard output and error in the log; give the exit code."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("w", encoding="utf-8") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    _limit_threads(threads)
    module, name = function.split(":")
    try:
        getattr(importlib.import_module(f"syncr2.stages.{module}"), name)(**arguments)
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
