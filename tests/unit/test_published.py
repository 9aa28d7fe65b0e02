"""What the study published: the files agree with the configuration and with the digest beside the project."""

from __future__ import annotations

import pandas as pd
import pytest
from configuring import read_yaml
from shared import SHARED, missing

from syncr2.published import FOLDER, read_published

CONFIG = read_yaml("config.yaml")


def test_models_scenarios_and_covariates_are_those_of_the_configuration() -> None:
    study = read_published()
    assert study.scenarios == CONFIG["scenarios"]["public"]["sha256"]
    assert study.covariates_by_model == {each["name"]: each["covariates"] for each in CONFIG["models"]}
    by_name = study.models.set_index("model")
    for each in CONFIG["models"]:
        assert by_name.loc[each["name"], "hf_id"] == each["path"]
        assert by_name.loc[each["name"], "family"] == each["family"]


def test_every_model_of_the_configuration_is_a_published_one() -> None:
    paths = {each["name"]: each["path"] for each in CONFIG["models"]}
    assert read_published().names_of(paths) == {name: name for name in paths}


@pytest.mark.parametrize("name", ["models", "pairs"])
def test_tables_are_those_of_the_digest(name: str) -> None:
    path = SHARED / "paper" / f"published_{name}.csv"
    if not path.is_file():
        pytest.skip(missing(f"paper/published_{name}.csv"))
    pd.testing.assert_frame_equal(pd.read_csv(FOLDER / f"{name}.csv"), pd.read_csv(path))


def test_every_pair_and_printed_correlation_is_there() -> None:
    study = read_published()
    assert study.pairs.groupby("family").size().to_dict() == {"mistral": 6, "cross": 9, "llama": 6}
    members = [frozenset(pair) for pair in zip(study.pairs["model_1"], study.pairs["model_2"], strict=True)]
    assert len(set(members)) == 21
    printed = {(each.family, each.covariate): each.r for each in study.correlations}
    assert printed["llama", ""] == 0.99
    assert printed["llama", "ifeval"] == 0.27
    assert len(printed) == 9


def test_a_model_is_known_by_its_id_or_its_folder_and_by_nothing_else() -> None:
    known = read_published().names_of(
        {
            "a": "meta-llama/llama-2-7b-chat-HF",
            "b": "/models/Mistral-7B-Instruct-v0.3",
            # Only called alike.
            "llama-3-8b": "someone/llama-3-8b",
            "mistral-7b-v0.1": None,
            "c": "someone/else",
        }
    )
    assert known == {"a": "llama-2-7b", "b": "mistral-7b-v0.3"}


def test_two_models_cannot_both_be_the_same_published_one() -> None:
    paths = {
        "plain": "mistralai/Mistral-7B-Instruct-v0.1",
        "half": "/there/Mistral-7B-Instruct-v0.1",
        "other": "mistralai/Mistral-7B-Instruct-v0.2",
    }
    assert read_published().names_of(paths) == {"other": "mistral-7b-v0.2"}
