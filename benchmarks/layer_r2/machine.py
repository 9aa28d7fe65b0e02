"""What the machine is and can do, and how many operations the algorithm asks of it."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MATRIX = 4096


def threads_here() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def synchronise(device: str) -> None:
    """Wait for the GPU, whose work would otherwise still be under way when the clock is read."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def timed(run: Callable[[], Any], device: str = "cpu") -> tuple[Any, float]:
    """A function's result and its wall time in seconds."""
    synchronise(device)
    begin = time.perf_counter()
    result = run()
    synchronise(device)
    return result, time.perf_counter() - begin


def matmul_rates(device: str, size: int = MATRIX, tries: int = 3) -> dict[str, dict[str, float]]:
    """Best rate of a square matrix product, in GFLOP/s, by library and number format.

    Both numpy's and torch's products are measured on the CPU: they do not use the same library.
    """
    import torch

    rng = np.random.default_rng(0)
    rates: dict[str, dict[str, float]] = {}
    for dtype in ("float64", "float32"):
        matrix = rng.standard_normal((size, size)).astype(dtype)
        tensor = torch.from_numpy(matrix).to(device)
        products: dict[str, Callable[[], Any]] = {"torch": lambda tensor=tensor: tensor @ tensor}
        if device == "cpu":
            products["numpy"] = lambda matrix=matrix: matrix @ matrix
        for library, product in products.items():
            timed(product, device)
            best = min(timed(product, device)[1] for _ in range(tries))
            rates.setdefault(library, {})[dtype] = 2 * size**3 / best / 1e9
    return rates


def flops(n_train: int, n_test: int, width: int, n_source: int, n_target: int) -> float:
    """Floating-point operations of our algorithm for one split, as few as they can be.

    A source layer costs, with n = n_train, t = n_test and d = width, the cheaper of

        primal  n d² (XᵀX, symmetric) + d³/3 (Cholesky) + 2 d² t (two triangular solves) + 2 t d n (H = … Xᵀ)
        dual    n² d (XXᵀ, symmetric) + 2 t n d (X_te Xᵀ) + n³/3 + 2 n² t

    and n² t for HᵀH (symmetric); a target layer costs n² d (Z Zᵀ, symmetric) + 2 t n d. Half of a
    symmetric product is counted, whether or not the code makes use of it. Left out are the inner products of
    layer pairs (below 1 % from the small size up) and all work that grows like a matrix, not like a product.
    """
    n, t, d = float(n_train), float(n_test), float(width)
    primal = n * d**2 + d**3 / 3 + 2 * d**2 * t + 2 * t * d * n
    dual = n**2 * d + 2 * t * n * d + n**3 / 3 + 2 * n**2 * t
    return n_source * (min(primal, dual) + n**2 * t) + n_target * (n**2 * d + 2 * t * n * d)


def peak_memory_gb() -> float | None:
    """Most memory that this process has held at any time, where the system tells it (Linux)."""
    return _status_gb("VmHWM")


def memory_gb() -> float | None:
    """Memory that this process holds now, where the system tells it (Linux)."""
    return _status_gb("VmRSS")


def _status_gb(field: str) -> float | None:
    # Not resource.getrusage: its maximum is inherited from the process that started this one.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith(f"{field}:")), None)


def linear_algebra() -> list[str]:
    """Libraries that do the matrix products in this process, with their threads."""
    from threadpoolctl import threadpool_info

    found = [
        f"{Path(pool['filepath']).parent.name}: {pool['internal_api']} {pool['version'] or ''}".strip()
        + f", {pool['num_threads']} threads"
        for pool in threadpool_info()
    ]
    if "torch" in sys.modules:
        import torch

        mkl = "MKL" if torch.backends.mkl.is_available() else "no MKL"
        found.append(f"torch {torch.__version__}: {mkl}, {torch.get_num_threads()} threads")
        if torch.cuda.is_available():
            found.append(f"GPU: {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    return found


def machine_record(threads: int) -> dict[str, Any]:
    """Processor, memory and system."""
    import psutil
    from demo import processor

    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        # Above 0 other work was under way, and times are not to be trusted.
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
    }
