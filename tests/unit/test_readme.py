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


def test_conda_environments_take_no_path_relative_to_the_yaml_file():
    """Snakemake makes an environment from its own copy of the file, from where `..` is not the clone."""
    for path in (REPOSITORY / "envs").glob("*.yaml"):
        assert not re.search(r"^ *- (-e|-r|\.)", path.read_text(), re.MULTILINE), path.name
    for stem in ("analysis", "transformers"):
        script = (REPOSITORY / "envs" / f"{stem}.post-deploy.sh").read_text()
        assert "pip install" in script
        assert "--no-deps --editable ." in script


@pytest.mark.parametrize("recipe", ["syncr2.def", "Dockerfile"])
class TestContainers:
    """Recipes read the requirements; what they repeated could differ one day."""

    def text(self, recipe):
        lines = (REPOSITORY / "envs" / recipe).read_text().splitlines()
        return "\n".join(line for line in lines if not line.lstrip().startswith("#"))

    def test_pins_are_those_of_the_requirements_and_stand_nowhere_else(self, recipe):
        text = self.text(recipe)
        assert pins(text) == {}
        assert "-r requirements/run.txt" in text
        assert "--no-deps --editable ." in text

    def test_what_it_copies_is_there_and_is_all_that_the_package_needs(self, recipe):
        """And no more: a change of anything else needs no new image."""
        text = self.text(recipe)
        if recipe == "Dockerfile":
            copied = [
                word for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for word in line.split()
            ]
        else:
            files = text.partition("%files\n")[2].partition("\n%")[0]
            copied = [line.split()[0] for line in files.splitlines() if line.strip()]
        assert set(copied) == {"requirements/run.txt", "pyproject.toml", "README.md", "src"}
        assert all((REPOSITORY / name).exists() for name in copied)

    def test_torch_comes_first_and_alone(self, recipe):
        """As in the Makefile: what asks for some torch would fetch the newest."""
        installs = re.findall(r"pip install --no-cache-dir (.+)", self.text(recipe))
        assert installs[0].startswith("$(grep '^torch==' requirements/run.txt)")

    def test_python_is_that_of_the_conda_environments(self, recipe):
        (found,) = re.findall(r"^F(?:rom:|ROM) python:([0-9.]+)-", self.text(recipe), re.MULTILINE)
        for path in (REPOSITORY / "envs").glob("*.yaml"):
            assert f"python={found}" in yaml.safe_load(path.read_text())["dependencies"]


def test_the_version_stands_everywhere():
    version = re.search(r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["version"] == version
    assert f"## {version}" in (REPOSITORY / "CHANGELOG.md").read_text()
