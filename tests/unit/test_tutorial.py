"""What tutorial and calibration page tell people to type exists: targets, commands, options, keys, files."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml
from shared import REPOSITORY

from syncr2.world import __main__ as world
from syncr2.world.targets import read_targets

DOCS = REPOSITORY / "docs"
TUTORIAL = (DOCS / "tutorial.md").read_text()
BOTH = {name: (DOCS / f"{name}.md").read_text() for name in ("tutorial", "calibration")}
COMMANDS = re.findall(r"^    ((?:make|cp|\.venv/bin/)\S*.*)$", TUTORIAL, re.MULTILINE)
WORLD = [command.split("syncr2.world ")[1] for command in COMMANDS if "syncr2.world" in command]


def test_commands_were_found():
    assert len(COMMANDS) > 8
    assert len(WORLD) > 3


@pytest.mark.parametrize("name", BOTH)
def test_make_targets_exist(name):
    targets = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", BOTH[name], re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("command", WORLD)
def test_commands_of_the_world_are_understood(command):
    options = world._parser().parse_args(shlex.split(command))
    for target in getattr(options, "names", []):
        assert target in read_targets()


@pytest.mark.parametrize("command", [command for command in COMMANDS if "/snakemake" in command])
def test_snakemake_commands_are_understood(command):
    from snakemake.cli import get_argument_parser

    get_argument_parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize("name", BOTH)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)#]+)\)", BOTH[name]):
        assert (DOCS / link).exists(), link


def properties(schema, key):
    part = schema["properties"][key]
    return part["properties"] if "properties" in part else part["items"].get("properties", {})


def test_keys_of_the_configuration_exist():
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
    snippets = [
        yaml.safe_load(each)
        for row in re.findall(r"^\| .* \| (.*) \|$", TUTORIAL, re.MULTILINE)
        for each in re.findall(r"`([a-z_]+: [{\[].*?[}\]]+)`", row)
    ]
    assert len(snippets) >= 5
    for snippet in snippets:
        for section, values in snippet.items():
            assert section in schema["properties"], section
            for each in values if isinstance(values, list) else [values]:
                if isinstance(each, dict):
                    assert set(each) <= set(properties(schema, section)), section


def test_the_seventh_model_is_one_that_the_configuration_takes():
    block = re.search(r"^    - name: mini-deaf\n(?:      .*\n)+", TUTORIAL, re.MULTILINE)[0]
    (model,) = yaml.safe_load(block)
    demo = yaml.safe_load((REPOSITORY / "demo.yaml").read_text())
    assert set(model) == set(demo["models"][0])
    assert set(model["covariates"]) == set(demo["statistics"]["covariates"])
    assert f"--name {model['name']}" in TUTORIAL
    # Seven new pairs in one speaking order; three seeds and three readings of each.
    assert demo["speaking_orders"] == "one"
    assert len(demo["models"]) + 1 == 7
    assert 7 * len(demo["seeds"]) == 21


def test_the_calibration_differs_in_coupling_alone():
    config = yaml.safe_load((REPOSITORY / "calibration.yaml").read_text())
    targets = read_targets()
    models = {model["name"]: model for model in config["models"]}
    assert set(models) == {name for name, target in targets.items() if target.group == "calibration"}
    for first, second in config["pairs"]:
        assert models[first]["family"] == models[second]["family"]
        assert targets[first].coupling == targets[second].coupling
    by_coupling = [targets[first].coupling for first, _ in config["pairs"]]
    assert [by_coupling.count(c) for c in (0, 0.5, 1)] == [3, 3, 3]


def test_what_is_there_is_not_trained_again():
    card = REPOSITORY / "resources/miniatures/mini-llama-2/card.json"
    before = card.stat().st_mtime_ns
    assert world.main(["train", "mini-llama-2", "--missing"]) == 0
    assert card.stat().st_mtime_ns == before


def test_another_coupling_and_name_are_checked(capsys):
    assert world.main(["train", "mini-llama-2", "--coupling", "2"]) == 1
    assert "--coupling is 2.0" in capsys.readouterr().err
    assert world.main(["train", "--name", "mine"]) == 1
    assert "--name is for one" in capsys.readouterr().err
