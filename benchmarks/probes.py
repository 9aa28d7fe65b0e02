"""Probes fitted side by side beside scikit-learn, one after another: `python benchmarks/probes.py`.

Writes benchmarks/results/probes.{json,md}. On made-up states of one layer: all models of one outer fold and
one label (inner folds × penalties), by `syncr2.maps.softmax` and by scikit-learn's LogisticRegression with
default settings, on the same standardised rows. CPU seconds of one thread, so that other load counts little.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

# Before numpy starts its threads: CPU seconds of several that wait for each other mean nothing.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
from demo import RESULTS
from layer_r2.machine import machine_record
from sklearn.linear_model import LogisticRegression

from syncr2.maps.backends import Cpu
from syncr2.maps.softmax import Models, fit, probabilities, rotate
from syncr2.probing.probes import PENALTIES, ROUGHLY, standardised
from syncr2.provenance import code_version, library_versions

INNER = 4
CLASSES = 7
# Training rows and dimensions: the demo, one shard of a pilot, wider than long, towards a real model.
SIZES = {"demo": (216, 12), "pilot": (1000, 256), "wide": (400, 1024), "real": (2000, 1024)}


def problem(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """States whose axes have falling variances, and classes that they tell."""
    generator = np.random.default_rng(0)
    axes = np.linalg.qr(generator.standard_normal((d, d)))[0]
    states = generator.standard_normal((n, d)) / np.sqrt(1 + np.arange(d)) @ axes
    logits = 2 * states @ generator.standard_normal((d, CLASSES))
    return states, (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)


def measured(n: int, d: int) -> dict[str, Any]:
    """CPU seconds and errors of both ways."""
    states, classes = problem(n, d)
    everything = np.arange(n)
    features, _ = standardised(Cpu(), states)(everything, everything)
    fold = everything % INNER
    start = time.process_time()
    data = rotate(Cpu(), features, features)
    grid = [(i, penalty) for i in range(INNER) for penalty in PENALTIES]
    models = Models(
        np.eye(CLASSES)[classes][None],
        np.zeros(len(grid), dtype=int),
        np.array([fold != i for i, _ in grid]),
        np.array([penalty for _, penalty in grid]),
    )
    ours = probabilities(Cpu(), data.train, fit(Cpu(), data, models, ROUGHLY, "float32"))
    seconds = time.process_time() - start
    start = time.process_time()
    theirs = [one_by_one(features, classes, fold != i, penalty) for i, penalty in grid]
    plain = time.process_time() - start
    exact = [one_by_one(features, classes, fold != i, penalty, tol=1e-8) for i, penalty in grid]
    return {
        "rows": n,
        "dimensions": d,
        "seconds": seconds,
        "scikit_learn": plain,
        "error": max(float(np.abs(ours[:, m] - each).max()) for m, each in enumerate(exact)),
        "scikit_learn_error": max(
            float(np.abs(one - each).max()) for one, each in zip(theirs, exact, strict=True)
        ),
    }


def one_by_one(
    features: np.ndarray, classes: np.ndarray, rows: np.ndarray, penalty: float, tol: float = 1e-4
) -> np.ndarray:
    """Probabilities by scikit-learn; its default tolerance unless told otherwise."""
    model = LogisticRegression(C=1 / penalty, max_iter=10_000, tol=tol)
    return model.fit(features[rows], classes[rows]).predict_proba(features)


def main() -> None:
    """Measure all sizes and write the results."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = {name: measured(*size) for name, size in SIZES.items()}
    record = {"machine": machine_record(1), "code": code_version(), "libraries": library_versions()}
    (RESULTS / "probes.json").write_text(json.dumps({**record, "sizes": found}, indent=2) + "\n")
    lines = [
        "# Probes fitted side by side",
        "",
        f"{INNER} inner folds × {len(PENALTIES)} penalties, {CLASSES} classes, one layer and label; "
        "CPU seconds of one thread. Made by `benchmarks/probes.py`.",
        "",
        "| training rows × dimensions | side by side, with rotation | scikit-learn, one by one | ratio | "
        "error side by side | error of scikit-learn |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each['rows']} × {each['dimensions']} | {each['seconds']:.2f} s | {each['scikit_learn']:.2f} s | "
        f"{each['scikit_learn'] / each['seconds']:.1f} | {each['error']:.0e} | "
        f"{each['scikit_learn_error']:.0e} |"
        for each in found.values()
    ]
    lines += [
        "",
        "Errors are the largest of a predicted probability, against scikit-learn with `tol=1e-8`. Side by "
        "side stops as it does where penalties are chosen, scikit-learn at its default tolerance.",
    ]
    (RESULTS / "probes.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
