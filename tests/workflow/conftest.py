"""The real workflow, run in this process on two tiny models."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    DeploymentSettings,
    ExecutionSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
    StorageSettings,
    WorkflowSettings,
)
from snakemake.utils import update_config
from snakemake_interface_logger_plugins.common import LogEvent

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """What one call of Snakemake did, or would do."""

    error: Exception | None = None
    jobs: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    # All that Snakemake told of each: resources, threads, output, log.
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def count(self) -> Counter[str]:
        """Jobs by rule."""
        return Counter(rule for rule, _ in self.jobs)

    def wildcards(self, rule: str, name: str) -> set[str]:
        """Values of a wildcard among the jobs of a rule."""
        return {wildcards[name] for found, wildcards in self.jobs if found == rule}


class JobList(logging.Handler):
    """Collects the jobs that Snakemake announces."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            self.run.jobs.append((record.rule_name, dict(record.wildcards or {})))
            self.run.told.append(vars(record))


def snakemake(
    config: Mapping[str, Any],
    folder: Path,
    *,
    dry: bool = False,
    cores: int = 2,
    targets: tuple[str, ...] = (),
    latency_wait: int = 3,
) -> Run:
    """Call Snakemake in `folder` with this configuration in place of config.yaml."""
    run = Run()
    folder.mkdir(exist_ok=True)
    configfile = folder / "test.yaml"
    configfile.write_text(yaml.safe_dump(dict(config)))
    handler = JobList(run)
    logger = logging.getLogger("snakemake.logging")
    try:
        with SnakemakeApi(
            OutputSettings(quiet={Quietness.ALL}, dryrun=dry, enable_file_logging=False)
        ) as api:
            logger.addHandler(handler)
            workflow = api.workflow(
                ResourceSettings(cores=cores),
                ConfigSettings(configfiles=[configfile], replace_workflow_config=True),
                StorageSettings(),
                WorkflowSettings(),
                DeploymentSettings(),
                snakefile=REPOSITORY / "Snakefile",
                workdir=folder,
            )
            dag = workflow.dag(DAGSettings(targets=set(targets), force_incomplete=True))
            dag.execute_workflow(
                executor="dryrun" if dry else "local",
                execution_settings=ExecutionSettings(lock=False, latency_wait=latency_wait),
            )
    except Exception as error:
        run.error = error
    finally:
        logger.removeHandler(handler)
    return run


def miniature(name: str, seed: int, family: str, **changes: Any) -> dict[str, Any]:
    """An entry of `models:`."""
    spec = {
        "seed": seed,
        "architecture": "llama",
        "layers": 2,
        "hidden_size": 16,
        "intermediate_size": 16,
        "heads": 2,
        "kv_heads": 1,
        "vocabulary": 700,
        "context": 2048,
        "chat_format": "llama-3",
        **changes,
    }
    return {"name": name, "family": family, "dtype": "float32", "gpus": 0, "memory_gb": 1, "miniature": spec}


def published() -> dict[str, Any]:
    """config.yaml."""
    return yaml.safe_load((REPOSITORY / "config.yaml").read_text())


def demo(changes: str = "demo.yaml") -> dict[str, Any]:
    """config.yaml as another file changes it, to be planned in another folder than the project's."""
    config = published()
    update_config(config, yaml.safe_load((REPOSITORY / changes).read_text()))
    config["scenarios"]["folder"] = str(REPOSITORY / config["scenarios"]["folder"])
    for model in config["models"]:
        model["path"] = str(REPOSITORY / model["path"])
    return config


def with_changes(config: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy in which `section__key` is replaced."""
    changed = copy.deepcopy(dict(config))
    for path, value in changes.items():
        *sections, key = path.split("__")
        place = changed
        for section in sections:
            place = place[section]
        place[key] = value
    return changed


def tiny_experiment() -> dict[str, Any]:
    """Two tiny models, 8 bundled episodes, one seed, 8 turns: the whole workflow in half a minute."""
    return with_changes(
        published(),
        results="results",
        scenarios__source="bundled",
        scenarios__episodes=8,
        models=[
            miniature("red", 1, "warm"),
            miniature(
                "blue", 2, "cold", architecture="mistral", chat_format="mistral", layers=3, sliding_window=64
            ),
        ],
        seeds=[0],
        prompts=str(REPOSITORY / "resources" / "prompts"),
        dialogue__max_turns=8,
        dialogue__max_new_tokens=5,
        dialogue__batch_size=8,
        dialogue__shard_size=4,
        synchrony__samples="auto",
        synchrony__lags=[3],
        synchrony__split_seeds=[0, 1],
        synchrony__group_by=["stakes"],
        synchrony__folds=3,
        synchrony__penalties=[0.1, 10],
        synchrony__bootstrap_draws=100,
        synchrony__null_draws=19,
        synchrony__profile_lags=[1, 2, 3],
        judges=[{"name": "surface", "engine": "surface"}],
        labels=[],
        probes=[],
        statistics__covariates=[],
        resources={"threads": 1, "runtime": 10, "warm_start": True},
        report__notice="A test.",
    )


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """The tiny experiment's configuration."""
    return tiny_experiment()


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory) -> Path:
    """A folder in which the tiny experiment has run."""
    folder = tmp_path_factory.mktemp("tiny")
    run = snakemake(tiny, folder)
    assert run.error is None, run.error
    return folder
