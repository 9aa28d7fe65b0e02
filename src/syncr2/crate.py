"""A Workflow Run RO-Crate of a run: what other tools read to learn what made the results.

The crate's folder is `provenance` of the results, so that it stays small: the workflow, the configuration and
the manifest lie in it, and everything else is named by what it holds, as `ni:///sha-256;…` (RFC 6920), with
its path as alternate name. Files of one rule by the dozen are one collection; the manifest has their hashes.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncr2 import job_records
from syncr2.config import REPOSITORY, Experiment
from syncr2.pages.layout import counted

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_KINDS = {
    ".tsv": "text/tab-separated-values",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".h5": "application/x-hdf5",
}
# A rule with more outputs than these has one entry for all of them.
_ENTRIES = 50
_LICENSE = "Not chosen: whoever publishes these results adds one."


def crate_of(experiment: Experiment, results: str | Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The crate's metadata, as JSON-LD.

    Parameters
    ----------
    experiment : Experiment
        The configuration.
    results : str or Path
        Folder with the jobs' records.
    manifest : mapping
        From `manifest.build`.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    records = [record for _, record in job_records.read_all(results)]
    crate.name = experiment.title
    crate.description = (
        f"Run of the syncr2 workflow: {counted(len(experiment.pairs), 'pair')} of "
        f"{counted(len(experiment.models), 'model')}, {experiment.scenarios.episodes} episodes, "
        f"{counted(len(experiment.seeds), 'seed')}; {counted(len(records), 'job')}." + _warning(experiment)
    )
    crate.license = crate.add(
        ContextEntity(crate, "#license", properties={"@type": "CreativeWork", "name": _LICENSE})
    )
    _add_profiles(crate)
    workflow = crate.add_workflow(
        REPOSITORY / "Snakefile",
        "Snakefile",
        main=True,
        lang="snakemake",
        properties={"name": "syncr2", "license": "https://spdx.org/licenses/MIT"},
    )
    versions = [record["code"] for record in records]
    workflow["version"] = "; ".join(
        dict.fromkeys(
            f"{code['version']}, commit {code['commit'] or 'unknown'}{', changed' if code['dirty'] else ''}"
            for code in versions
        )
    )
    configured = crate.add_file(
        Path(results) / "provenance" / "config.json",
        "config.json",
        properties={"name": "configuration", "encodingFormat": _KINDS[".json"]},
    )
    hashes = crate.add_file(
        Path(results) / "provenance" / "manifest.json",
        "manifest.json",
        properties={"name": "every output with its hash", "encodingFormat": _KINDS[".json"]},
    )
    read = [_file(crate, path, sha, None) for path, sha in manifest["read"].items()]
    crate.add_action(
        workflow,
        "#run",
        object=[configured, *read],
        result=[hashes, *_results(crate, manifest["files"])],
        properties={
            "name": f"syncr2: {experiment.title}",
            "startTime": min(record["started"] for record in records),
            "endTime": max(record["ended"] for record in records),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    return dict(crate.metadata.generate())


def _warning(experiment: Experiment) -> str:
    return f" {experiment.notice}" if experiment.notice else ""


def _add_profiles(crate: Any) -> None:
    from rocrate.model.contextentity import ContextEntity

    crate.root_dataset["conformsTo"] = [
        crate.add(
            ContextEntity(crate, url, properties={"@type": "CreativeWork", "name": name, "version": version})
        )
        for url, (name, version) in _PROFILES.items()
    ]


def _results(crate: Any, files: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    from rocrate.model.contextentity import ContextEntity

    by_rule: dict[str, list[str]] = defaultdict(list)
    for path, made in files.items():
        by_rule[made["rule"]].append(path)
    found = []
    for rule, paths in by_rule.items():
        if len(paths) <= _ENTRIES:
            found += [_file(crate, path, files[path]["sha256"], files[path]["bytes"]) for path in paths]
            continue
        properties = {
            "@type": "Collection",
            "name": f"{counted(len(paths), 'file')} of {rule}",
            "description": f"From {min(paths)} to {max(paths)}; manifest.json has the hash of each.",
            "contentSize": str(sum(files[path]["bytes"] for path in paths)),
        }
        found.append(crate.add(ContextEntity(crate, f"#{rule}", properties=properties)))
    return found


def _file(crate: Any, path: str, sha256: str, size: int | None) -> Any:
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    properties: dict[str, Any] = {"name": Path(path).name, "alternateName": path, "sha256": sha256}
    if size is not None:
        properties["contentSize"] = str(size)
    if kind := _KINDS.get(Path(path).suffix):
        properties["encodingFormat"] = kind
    # Two files of the same bytes are one entry with both names.
    known = crate.get(f"ni:///sha-256;{digest}")
    if known is not None:
        known["alternateName"] = [*_listed(known["alternateName"]), path]
        return known
    return crate.add_file(f"ni:///sha-256;{digest}", properties=properties)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
