"""Probes of one ordered pair and labeller on disk, and the stage's way from files to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from syncr2.hdf5 import reading, writing
from syncr2.ids import DIRECTIONS
from syncr2.probing.probes import Probe, Scores

PROBES_FORMAT = "syncr2/probes/1"


class Wanted(NamedTuple):
    """What is predicted: a label, and which of the partner's utterances bears it."""

    label: str
    target: str


@dataclass(frozen=True)
class Probed:
    """A probe of one direction and what it rests on.

    Attributes
    ----------
    probe : Probe or None
        None where there was nothing to predict; `reason` says why.
    environments : tuple of str
        All of the experiment, in the order of the influences.
    classes : tuple of str
    n_samples, n_environments : int
        Rows with a label, and environments that have some.
    """

    probe: Probe | None
    reason: str
    environments: tuple[str, ...]
    classes: tuple[str, ...]
    n_samples: int
    n_environments: int


def write_probes(
    path: str | Path, found: Mapping[str, Mapping[Wanted, Probed]], made_by: Mapping[str, Any]
) -> None:
    """Write the probes of both directions, whole or not at all."""
    with writing(path, PROBES_FORMAT, made_by) as file:
        for direction in DIRECTIONS:
            whole = file.create_group(direction)
            for i, (wanted, probed) in enumerate(found[direction].items()):
                group = whole.create_group(str(i))
                group.attrs.update(wanted._asdict())
                group.attrs["reason"] = probed.reason
                group.attrs["environments"] = json.dumps(probed.environments)
                group.attrs["classes"] = json.dumps(probed.classes)
                group.attrs["n_samples"] = probed.n_samples
                group.attrs["n_environments"] = probed.n_environments
                if probed.probe is not None:
                    _write(group, probed.probe)


def _write(group: h5py.Group, probe: Probe) -> None:
    for name, scores in probe._asdict().items():
        if isinstance(scores, Scores):
            group.create_dataset(f"{name}/value", data=scores.value)
            group.create_dataset(f"{name}/influence", data=scores.influence)
    group.create_dataset("penalties", data=probe.penalties)


def read_probes(path: str | Path) -> dict[str, dict[Wanted, Probed]]:
    """Read what `write_probes` wrote.

    Raises
    ------
    SyncR2Error
        If the file is missing, cut off or of another format.
    """
    found: dict[str, dict[Wanted, Probed]] = {}
    with reading(path, PROBES_FORMAT) as file:
        for direction in DIRECTIONS:
            groups = sorted(file[direction].items(), key=lambda item: int(item[0]))
            found[direction] = {
                Wanted(*(str(group.attrs[key]) for key in Wanted._fields)): _read(group)
                for _, group in groups
            }
    return found


def _read(group: h5py.Group) -> Probed:
    def scores(name: str) -> Scores:
        return Scores(group[f"{name}/value"][()], group[f"{name}/influence"][()])

    probe = None
    if "penalties" in group:
        probe = Probe(
            scores("layers"),
            scores("shuffled"),
            scores("text"),
            scores("majority"),
            np.asarray(group["penalties"][()]),
        )
    return Probed(
        probe,
        str(group.attrs["reason"]),
        tuple(json.loads(group.attrs["environments"])),
        tuple(json.loads(group.attrs["classes"])),
        int(group.attrs["n_samples"]),
        int(group.attrs["n_environments"]),
    )
