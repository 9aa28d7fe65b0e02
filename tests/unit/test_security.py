"""What the package must never do: run data as code, or let a name leave its folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from configuring import LLAMA, REPOSITORY, of_judge, of_models, problems

from syncr2.serving.servers import HOST

SOURCES = sorted(
    path for folder in ("src", "workflow/scripts") for path in (REPOSITORY / folder).rglob("*.py")
)
MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}
CALLS = {"eval", "exec", "compile", "__import__"}
# yaml.load builds any object, torch.load unpickles, os.system asks a shell.
METHODS = {("yaml", "load"), ("yaml", "unsafe_load"), ("torch", "load"), ("os", "system"), ("os", "popen")}


def dangers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in CALLS:
                yield function.id
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                named = (function.value.id, function.attr)
                if named in METHODS:
                    yield ".".join(named)
            for keyword in node.keywords:
                constant = keyword.value
                on = isinstance(constant, ast.Constant) and constant.value is True
                if (keyword.arg == "shell" and on) or keyword.arg == "allow_pickle":
                    yield str(keyword.arg)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "torch.load(path)",
        "run('ls', shell=True)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_the_search_finds_what_it_looks_for(code):
    assert list(dangers(ast.parse(code)))


def test_no_data_is_run_as_code():
    assert len(SOURCES) > 100
    found = {
        path.relative_to(REPOSITORY).as_posix(): list(dangers(ast.parse(path.read_text(encoding="utf-8"))))
        for path in SOURCES
    }
    assert {path: names for path, names in found.items() if names} == {}


HOSTILE = ["../evil", "a/b", "..", "/etc/passwd", "a\\b", "{pair}", ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_stand_in_paths_cannot_leave_their_folder(name):
    assert any("name" in each for each in of_models({"name": name}))
    assert any("name" in each for each in of_judge(name=name))
    assert any("family" in each for each in of_models({**LLAMA, "family": name}))


@pytest.mark.parametrize("name", ["x/../../../evil", "a\\b", "{pair}"])
def test_columns_that_stand_in_paths_of_figures_cannot_either(name):
    assert any("group_by" in each for each in problems({"synchrony": {"group_by": [name]}}))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_labellers_cannot_either(name):
    assert any("name" in each for each in problems({"labels": [{"name": name, "engine": "surface"}]}))


# Where a program of ours may listen: a socket of the file system, or this machine alone.
LISTENING = {"(HOST, 0)", "str(address)"}
SERVERS = {"create_server", "HTTPServer", "ThreadingHTTPServer", "TCPServer", "start_server"}


def test_servers_listen_on_this_machine_alone():
    """What they start is told the same: tests/unit/test_servers.py, `--host` comes last."""
    assert HOST == "127.0.0.1"
    places = set()
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert "0.0.0.0" not in text, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                assert name not in SERVERS, f"{path} listens"
                if name == "bind":
                    places.add(ast.unparse(node.args[0]))
    assert places == LISTENING
