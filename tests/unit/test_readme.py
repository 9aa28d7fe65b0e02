"""What README and the environments say is what the repository does."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml
from shared import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
MAKEFILE = (REPOSITORY / "Makefile").read_text()
NAMED_TARGETS = sorted(set(re.findall(r"(?:^    |`)make ([a-z-]+)", README, re.MULTILINE)))
TARGETS = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
COMMANDS = re.findall(r"^    ((?:make|\.venv/bin/)\S*.*)$", README, re.MULTILINE)


def test_commands_were_found():
    assert "make demo" in COMMANDS
    assert "make test" in COMMANDS
    assert any("--profile slurm" in command for command in COMMANDS)


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:^    |`)make ([a-z-]+)", README, re.MULTILINE)))
)
def test_every_make_target_named_exists(target):
    assert target in TARGETS


@pytest.mark.parametrize("command", [command for command in COMMANDS if "snakemake" in command])
def test_every_snakemake_command_is_understood(command):
    from snakemake.cli import get_argument_parser

    words = shlex.split(command)[1:]
    # A profile's settings need its executor; that the folder is there is checked below.
    if "--profile" in words:
        profile = words[words.index("--profile") + 1]
        assert (REPOSITORY / profile / "config.yaml").is_file()
        words = [word for word in words if word not in ("--profile", profile)]
    get_argument_parser().parse_args(words)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_somewhere(link):
    assert (REPOSITORY / link).exists()


def test_ci_runs_the_readme_s_test_command():
    steps = (REPOSITORY / ".ci/run").read_text().splitlines()
    assert "make lint" in steps
    assert "make test" in steps


def pins(text: str) -> dict[str, str]:
    return {name.lower(): version for name, version in re.findall(r"([A-Za-z0-9_.-]+)==([\w.]+)", text)}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_environments_have_the_pins_of_the_requirements(path):
    installed = REPOSITORY / "requirements" / ("vllm.txt" if path.stem == "vllm" else "run.txt")
    required = pins(installed.read_text())
    listed = next(
        item["pip"] for item in yaml.safe_load(path.read_text())["dependencies"] if isinstance(item, dict)
    )
    for name, version in pins("\n".join(listed)).items():
        assert required[name] == version, name


def test_the_version_stands_everywhere():
    version = re.search(r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["version"] == version
    assert f"## {version}" in (REPOSITORY / "CHANGELOG.md").read_text()
