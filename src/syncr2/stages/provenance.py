"""The record of a whole run: a manifest of all outputs, and an RO-Crate that tells what made them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from syncr2 import config as configuration
from syncr2.commands import manifest
from syncr2.config import REPOSITORY
from syncr2.crate import crate_of
from syncr2.files import write_json, write_text
from syncr2.provenance import made_by


def record(config: Mapping[str, Any], settings: Mapping[str, Any], output: Mapping[str, str]) -> None:
    """Write the manifest and the crate.

    Parameters
    ----------
    config : mapping
        The configuration as Snakemake merged it.
    settings : mapping
        The rule's params.
    output : mapping
        Paths of `manifest`, `crate`, and what lies in the crate: `config` and `workflow`.

    Raises
    ------
    SyncR2Error
        If jobs left no records.
    """
    experiment = configuration.load(config)
    results = experiment.results
    made = manifest.build(results, made_by("provenance", settings))
    write_json(output["manifest"], made)
    write_json(output["config"], config)
    write_text(output["workflow"], (REPOSITORY / "Snakefile").read_text(encoding="utf-8"))
    write_json(output["crate"], crate_of(experiment, results, made))
    logging.info("%d files, %d read", len(made["files"]), len(made["read"]))
