"""One number a stage, raised by hand when the stage's results change.

Snakemake sees changes of scripts, inputs and params, but not of the package. Each rule takes its stage's
number as a param, so raising it makes that stage and what follows run again, and a comment in the package
makes nothing run again.
"""

from __future__ import annotations

REVISIONS = {
    "scenarios": 1,
    "miniatures": 1,
    "dialogues": 1,
    "states": 2,
    "r2": 2,
    "synchrony": 1,
    "corrected": 1,
    "nulls": 2,
    "baselines": 1,
    "controls": 1,
    "calibration": 1,
    "judgements": 2,
    "performance": 2,
    "outcomes": 1,
    "labels": 1,
    "probes": 2,
    "statistics": 3,
    "figures": 4,
    "pages": 4,
    "provenance": 1,
}
