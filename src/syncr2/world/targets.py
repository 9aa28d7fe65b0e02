"""Which miniatures are trained, on what, and for how long: `resources/miniatures/targets.yaml`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from syncr2.errors import SyncR2Error
from syncr2.files import read_yaml
from syncr2.models.miniature_spec import MiniatureSpec
from syncr2.world.readings import READERS

FOLDER = Path(__file__).resolve().parents[3] / "resources" / "miniatures"
TARGETS = FOLDER / "targets.yaml"
GROUPS = ("miniatures", "calibration")


@dataclasses.dataclass(frozen=True)
class Target:
    """One miniature and its training.

    Attributes
    ----------
    name : str
        Name of the model and of its folder.
    group : {"miniatures", "calibration"}
        The six of the demo, or those that differ in their world's coupling only.
    spec : MiniatureSpec
        Shape, chat format, and the seed of its first weights.
    readings : int
        How many readings it is trained on, each of an episode of its own, each once.
    coupling : float
        Of the world that it learns in, 0..1.
    readers : tuple of float
        Share of readings by each of `READERS`.
    batch : int
        Readings in one step.
    learning_rate : float
        The highest; a twentieth of the steps leads up to it, a cosine down to a tenth of it.
    world_seed : int
        Seed of the episodes that it reads.
    """

    name: str
    group: str
    spec: MiniatureSpec
    readings: int
    coupling: float
    readers: tuple[float, ...]
    batch: int
    learning_rate: float
    world_seed: int

    @property
    def steps(self) -> int:
        """Number of updates of the weights."""
        return self.readings // self.batch

    @property
    def work(self) -> int:
        """About how much there is to compute, to compare targets."""
        return self.readings * self.spec.layers * self.spec.hidden_size


def read_targets(path: str | Path = TARGETS) -> dict[str, Target]:
    """All targets, by name.

    Raises
    ------
    SyncR2Error
        If the file is missing or a target is not one that can be trained; the message names it.
    """
    try:
        content = read_yaml(path)
    except (OSError, yaml.YAMLError) as error:
        raise SyncR2Error(f"{path}: cannot be read as a list of targets ({error}).") from None
    defaults = content.get("defaults", {})
    found: dict[str, Target] = {}
    for group in GROUPS:
        for name, values in content.get(group, {}).items():
            found[name] = _target(name, group, {**defaults, **values})
    return found


def _target(name: str, group: str, values: Mapping[str, Any]) -> Target:
    training = {field.name for field in dataclasses.fields(Target)} - {"name", "group", "spec"}
    shape = {key: value for key, value in values.items() if key not in training}
    missing = sorted(training - set(values))
    if missing:
        raise SyncR2Error(f"Miniature {name}: add the missing {', '.join(missing)}.")
    chosen = {key: values[key] for key in training}
    chosen["readers"] = tuple(values["readers"])
    target = Target(name, group, MiniatureSpec.from_dict(shape, f"Miniature {name}"), **chosen)
    if not 0 <= target.coupling <= 1:
        raise SyncR2Error(
            f"Miniature {name}: coupling is {target.coupling!r}; a number from 0 to 1 is needed."
        )
    if len(target.readers) != len(READERS) or min(target.readers) < 0 or not sum(target.readers):
        raise SyncR2Error(
            f"Miniature {name}: readers is {list(target.readers)}; a share for each of "
            f"{', '.join(READERS)} is needed."
        )
    if not 1 <= target.batch <= target.readings:
        raise SyncR2Error(
            f"Miniature {name}: batch is {target.batch}; 1 to {target.readings}, its readings, is needed."
        )
    return target
