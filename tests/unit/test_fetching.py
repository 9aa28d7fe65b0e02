"""Models from a hub: the real client against a hub on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from hub import COMMIT, Hub, serving
from huggingface_hub import constants
from huggingface_hub.constants import DOWNLOAD_CHUNK_SIZE
from tiny_models import alone, byte_tokenizer, tiny_model

from syncr2.errors import SyncR2Error
from syncr2.models.loading import ModelSource, describe, load_config, load_encoder, load_model
from syncr2.models.snapshots import read_snapshot
from syncr2.stages import models

REPOSITORY = "owner/tiny"
TEMPLATE = "/{repo_id}/resolve/{revision}/{filename}"
USED = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
USED |= {"tokenizer_config.json", "chat_template.jinja"}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """A model as it stands on the hub, with copies in other formats beside what is used."""
    folder = tmp_path_factory.mktemp("upload")
    tiny_model("llama").save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    own = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(own) >= USED
    others = ("pytorch_model.bin", "original/model.safetensors", "consolidated.safetensors", "README.md")
    return {**own, **dict.fromkeys((*others, "pytorch_model.bin.index.json", "run.py", "tf.h5"), b"{}")}


def fetch(hub: Hub | None, folder: Path, repository: str = REPOSITORY, offline: bool = False, **changes):
    """Fetch into a cache below `folder`; give the record or what was said, and all that was logged.

    The client reads its environment when it is imported; what it made of it is what is changed here. (A test
    of the workflow changes the environment itself.)
    """
    output = folder / "record.json"
    address = hub.address if hub else "http://127.0.0.1:9"
    arguments = {
        **{"name": "tiny", "path": repository, "revision": COMMIT, "trust_remote_code": False},
        **changes,
        "output": str(output),
    }
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("NO_PROXY", "127.0.0.1")
            patched.setattr(constants, "ENDPOINT", address)
            patched.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + TEMPLATE)
            patched.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
            patched.setattr(constants, "HF_HUB_OFFLINE", offline)
            models.fetch(**arguments)
    except SyncR2Error as error:
        assert not output.exists()
        return str(error), said.getvalue()
    finally:
        logging.getLogger().removeHandler(handler)
    return read_snapshot(output), said.getvalue()


def test_what_is_used_is_fetched_once_and_recorded(files, tmp_path):
    with serving(Hub(REPOSITORY, files)) as hub:
        found, _ = fetch(hub, tmp_path)
        assert hub.fetched() == set(found.files) == USED
        assert (found.name, found.path, found.revision, found.commit) == ("tiny", REPOSITORY, COMMIT, COMMIT)
        for name, file in found.files.items():
            assert file == (len(files[name]), hashlib.sha256(files[name]).hexdigest())
        before, hub.asked = (tmp_path / "record.json").read_bytes(), []
        fetch(hub, tmp_path)
        assert not any(line.startswith("GET") and "/resolve/" in line for line in hub.asked)
    assert (tmp_path / "record.json").read_bytes() == before, "the same bytes give the same record"


def test_later_jobs_load_it_and_ask_no_network(files, tmp_path, monkeypatch):
    with serving(Hub(REPOSITORY, files)) as hub:
        fetch(hub, tmp_path)
    source = ModelSource("tiny", REPOSITORY, COMMIT, manifest=str(tmp_path / "record.json"))

    def refuse(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    model, encoder = load_model(source, "cpu"), load_encoder(source)
    assert alone(model, [20, 30]).equal(alone(tiny_model("llama"), [20, 30]))
    described = describe(source, encoder, load_config(source))
    assert described["resolved_revision"] == COMMIT
    assert described["files_sha256"] == read_snapshot(tmp_path / "record.json").sha256


def test_a_branch_comes_to_a_commit_and_the_log_says_what_to_pin(files, tmp_path):
    with serving(Hub(REPOSITORY, files)) as hub:
        found, said = fetch(hub, tmp_path, revision=None)
        assert found.revision is None
        assert found.commit == COMMIT
        assert f"Set `revision: {COMMIT}`" in said
        tagged, said = fetch(hub, tmp_path, revision="v1")
        assert tagged.commit == COMMIT
        assert "Set `revision" not in said


def test_weights_in_parts_and_code_where_it_is_allowed(files, tmp_path):
    parts = {f"model-0000{i}-of-00002.safetensors": bytes([i]) * 1000 for i in (1, 2)}
    index = {"weight_map": dict(zip("ab", parts, strict=True))}
    whole = {name: content for name, content in files.items() if name != "model.safetensors"}
    split = {**whole, **parts, "model.safetensors.index.json": json.dumps(index).encode()}
    with serving(Hub(REPOSITORY, split)) as hub:
        found, _ = fetch(hub, tmp_path, trust_remote_code=True)
    expected = (USED - {"model.safetensors"}) | set(parts) | {"model.safetensors.index.json", "run.py"}
    assert set(found.files) == expected
    lacking = {name: content for name, content in split.items() if "00002-of" not in name}
    with serving(Hub(REPOSITORY, lacking)) as hub:
        said, _ = fetch(hub, tmp_path / "other")
    assert "lacks model-00002-of-00002.safetensors" in said


@pytest.mark.parametrize("shows", [True, False])
@pytest.mark.parametrize(
    ("refusal", "parts"),
    [
        ("gated", ["registered readers", "accept its terms", "HF_TOKEN"]),
        ("forbidden", ["refuses access (403)", "HF_TOKEN"]),
        ("hidden", ["no such model, or does not show it", "`path`", "HF_TOKEN"]),
        ("no token", ["(401)", "HF_TOKEN"]),
    ],
)
def test_a_no_of_the_hub_says_what_helps(files, tmp_path, refusal, shows, parts):
    with serving(Hub(REPOSITORY, files, refusal=refusal, shows=shows)) as hub:
        said, _ = fetch(hub, tmp_path)
    for part in ["Model tiny: owner/tiny", *parts]:
        assert part in said


def test_what_the_hub_does_not_have_is_named(files, tmp_path):
    with serving(Hub(REPOSITORY, files)) as hub:
        said, _ = fetch(hub, tmp_path, repository="owner/tinny")
        assert "owner/tinny" in said
        assert "typing error" in said
        said, _ = fetch(hub, tmp_path, revision="v2")
        assert "at revision v2: the hub has no such revision" in said
    pickled = {name: content for name, content in files.items() if name != "model.safetensors"}
    with serving(Hub(REPOSITORY, pickled)) as hub:
        said, _ = fetch(hub, tmp_path)
    assert "has no weights as safetensors (model.safetensors), only pytorch_model.bin" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"auto_map": {"AutoConfig": "run.Own"}}, "code of its own.*`trust_remote_code: true`"),
        ({}, "A newer version may"),
    ],
)
def test_a_class_that_nobody_knows_is_refused_before_the_weights_are_fetched(files, tmp_path, changes, said):
    config = {**json.loads(files["config.json"]), "model_type": "own", **changes}
    with serving(Hub(REPOSITORY, {**files, "config.json": json.dumps(config).encode()})) as hub:
        found, _ = fetch(hub, tmp_path)
        assert re.search(f"does not know models of type 'own'.*{said}", found)
        assert hub.fetched() == {"config.json"}


def test_a_broken_connection_goes_on_where_it_was(files, tmp_path):
    # Its client keeps what it has got in whole pieces of this size.
    weights = np.random.default_rng(1).bytes(DOWNLOAD_CHUNK_SIZE + 2_000_000)
    large = {**files, "model.safetensors": weights}
    breaks = {"model.safetensors": DOWNLOAD_CHUNK_SIZE + 1_000_000}
    with serving(Hub(REPOSITORY, large, break_after=breaks)) as hub:
        found, _ = fetch(hub, tmp_path)
        asked = [line for line in hub.asked if line.startswith("GET") and "model.safetensors" in line]
    assert len(asked) == 2
    assert asked[1].endswith(f"bytes={DOWNLOAD_CHUNK_SIZE}-")
    assert found.files["model.safetensors"].sha256 == hashlib.sha256(weights).hexdigest()


def test_damaged_weights_are_refused_and_removed(files, tmp_path):
    weights = files["model.safetensors"]
    with serving(Hub(REPOSITORY, files, changed={"model.safetensors": weights[:-1] + b"!"})) as hub:
        said, _ = fetch(hub, tmp_path)
        assert "model.safetensors has SHA-256" in said
        assert "run again" in said
        hub.changed = {}
        found, _ = fetch(hub, tmp_path)
    assert found.files["model.safetensors"].sha256 == hashlib.sha256(weights).hexdigest()


def test_without_network_a_whole_model_is_taken_from_the_cache(files, tmp_path):
    said, _ = fetch(None, tmp_path)
    for part in ("cannot be reached", "it is not in the cache of this machine", "machine with network"):
        assert part in said
    with serving(Hub(REPOSITORY, files)) as hub:
        online, _ = fetch(hub, tmp_path, revision="v1")
        for hub.refusal in ("busy", "gated"):
            found, said = fetch(hub, tmp_path, revision="v1")
            assert found == online
            assert f"whole in the cache of this machine, at {COMMIT}" in said
    assert fetch(None, tmp_path, revision="v1")[0] == online
    assert fetch(None, tmp_path, revision="v1", offline=True)[0] == online
    Path(online.folder, "model.safetensors").resolve().unlink()
    (tmp_path / "record.json").unlink()
    said, _ = fetch(None, tmp_path, revision="v1")
    assert "does not hold all of it" in said
    assert "no weights as safetensors" in said
