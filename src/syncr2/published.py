"""What the study published, from resources/published, and which of a run's models are the study's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from syncr2.config import REPOSITORY
from syncr2.files import read_yaml

if TYPE_CHECKING:
    import pandas as pd

FOLDER = REPOSITORY / "resources" / "published"
FILES = ("models.csv", "pairs.csv", "results.yaml")


class PublishedCorrelation(NamedTuple):
    """Pearson's r over the pairs of a family, given a covariate ("" for none); p as printed, or ""."""

    family: str
    r: float
    covariate: str = ""
    p: str = ""


class Claim(NamedTuple):
    """Something said without a number.

    Attributes
    ----------
    name : str
        What a run measures for it: a condition, `relationship`, `depth` or a nonlinear map.
    claim, quantity : str
        What is said; the quantity, in words.
    sign : {1, 0}
        1 where the quantity is said to be above 0, 0 where it is said not to be.
    """

    name: str
    claim: str
    quantity: str
    sign: int


@dataclass(frozen=True)
class Published:
    """The study's numbers.

    Attributes
    ----------
    source : str
    models : DataFrame
        `model`, `family`, `hf_id`, `ifeval`, `musr`, …
    pairs : DataFrame
        `family`, `model_1`, `model_2`, `social_performance`, `sync_r2`, read off the study's plot.
    correlations : tuple of PublishedCorrelation
        Plain ones first, then partial ones.
    claims : tuple of Claim
    reading_error : float
        How far a value of `pairs` may be off.
    score_error : float
        Standard error of a model's covariate.
    scenarios : dict
        SHA-256 by file name.
    """

    source: str
    models: pd.DataFrame
    pairs: pd.DataFrame
    correlations: tuple[PublishedCorrelation, ...]
    claims: tuple[Claim, ...]
    reading_error: float
    score_error: float
    scenarios: dict[str, str]

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates that were held fixed."""
        return tuple(dict.fromkeys(each.covariate for each in self.correlations if each.covariate))

    @property
    def covariates_by_model(self) -> dict[str, dict[str, float]]:
        """Their values by model."""
        return {
            row["model"]: {name: float(row[name]) for name in self.covariates}
            for row in self.models.to_dict("records")
        }

    def names_of(self, paths: Mapping[str, str | None]) -> dict[str, str]:
        """Which of a run's models are published ones.

        Parameters
        ----------
        paths : mapping
            Hugging Face id or folder by model; None for a model without either.

        Returns
        -------
        dict
            Published name by the run's name. A model is the published one if it is loaded from its id, or
            from a folder that is called like the last part of the id. Where two models of a run are the same
            published one, neither is taken.
        """
        known = {str(row["hf_id"]).casefold(): row["model"] for row in self.models.to_dict("records")}
        folders = {hf_id.split("/")[-1]: model for hf_id, model in known.items()}
        found: dict[str, str] = {}
        for name, path in paths.items():
            if path is None:
                continue
            of_id = known.get(path.casefold())
            model = of_id or folders.get(Path(path).name.casefold())
            if model is not None:
                found[name] = model
        times = Counter(found.values())
        return {name: model for name, model in found.items() if times[model] == 1}


def read_published(folder: str | Path = FOLDER) -> Published:
    """Read the files of the folder; its README.md says where their numbers are from."""
    import pandas as pd

    names = dict.fromkeys(("model", "model_1", "model_2", "family", "hf_id"), str)
    models, pairs = (pd.read_csv(Path(folder) / name, dtype=names) for name in FILES[:2])
    content: dict[str, Any] = read_yaml(Path(folder) / FILES[2])
    rows = [*content["correlations"], *content["partial_correlations"]]
    return Published(
        source=content["source"],
        models=models,
        pairs=pairs,
        correlations=tuple(PublishedCorrelation(**row) for row in rows),
        claims=tuple(Claim(**row) for row in content["claims"]),
        reading_error=float(content["reading_error"]),
        score_error=float(content["score_error"]),
        scenarios=dict(content["scenarios"]),
    )
