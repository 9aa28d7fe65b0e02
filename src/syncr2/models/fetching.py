"""Models from the Hugging Face hub: downloaded once, at one commit, checked, and found again without network.

The files go into the hub's own cache (HF_HOME), which other programs share, so that no experiment keeps a
copy of its own. Only what is used is fetched: weights as safetensors, configuration, tokenizer and chat
template.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncr2.errors import SyncR2Error
from syncr2.files import read_json
from syncr2.models.snapshots import Snapshot, files_of_folder, hashed, model_files

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import ModelInfo

_ACCESS = (
    "Log in on the hub's page of the model, accept its terms, make a token that may read, and give it to "
    "this machine in HF_TOKEN or with `hf auth login`."
)
_BY_HAND = "Or download the model elsewhere, copy the folder here, and give it as `path` of this model."
_DEFAULT_REVISION = "main"
_SERVER_FAULT = 500


def fetch_model(name: str, repository: str, revision: str | None, remote_code: bool = False) -> Snapshot:
    """Download what is used of a model and say what it is.

    Files that are in the cache already are not fetched again, and a broken download goes on where it was.
    Where the hub cannot be reached or says no, a model that is whole in the cache is taken from there.

    Parameters
    ----------
    name : str
        Name in the configuration.
    repository : str
        Hugging Face id, `owner/name`.
    revision : str or None
        Commit, tag or branch; None for the main branch.
    remote_code : bool
        Whether Python files are fetched, too.

    Raises
    ------
    SyncR2Error
        If the hub says no or cannot be reached, a file is missing or damaged, or there is too little room.
        The message says what to do.
    """
    where = f"Model {name}: {repository}" + (f" at revision {revision}" if revision else "")
    try:
        return _download(name, repository, revision, remote_code, where)
    except SyncR2Error:
        raise
    # How a network fails depends on the version of the hub's client and of what that uses.
    except Exception as error:
        try:
            snapshot = _from_cache(name, repository, revision, remote_code)
        except _NotCachedError as missing:
            answer = _answer(error)
            if answer is not None and answer.response.status_code < _SERVER_FAULT:
                raise _refused(where, answer) from None
            raise SyncR2Error(
                f"{where}: the hub cannot be reached ({type(error).__name__}: {error}), and {missing}. "
                f"Run the rule fetch_model on a machine with network. {_BY_HAND}"
            ) from None
        logging.warning("%s: %s", where, error)
        logging.warning(
            "It is whole in the cache of this machine, at %s, and taken from there.", snapshot.commit
        )
        return snapshot


class _NotCachedError(Exception):
    """What the cache lacks."""


def _download(name: str, repository: str, revision: str | None, remote_code: bool, where: str) -> Snapshot:
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(repository, revision=revision, files_metadata=True)
    commit = str(info.sha)
    siblings = {file.rfilename: file for file in info.siblings or []}

    def fetch(file: str) -> Path:
        return Path(hf_hub_download(repository, file, revision=commit))

    try:
        wanted = model_files(siblings, lambda file: read_json(fetch(file)), remote_code)
    except SyncR2Error as error:
        raise SyncR2Error(f"{where}: {error}") from None
    _check_class(where, read_json(fetch("config.json")), remote_code)
    _check_room(where, repository, info, wanted)
    paths = {}
    for i, file in enumerate(wanted, start=1):
        logging.info("%s, file %d of %d: %s", repository, i, len(wanted), file)
        paths[file] = fetch(file)
    # Asked for by branch or tag, a file leaves a note in the cache of which commit that was (`_from_cache`).
    hf_hub_download(repository, "config.json", revision=revision or _DEFAULT_REVISION)
    folder = paths["config.json"].parent
    files = hashed(folder, wanted)
    for file, found in files.items():
        expected = getattr(siblings[file].lfs, "sha256", None)
        if expected is not None and found.sha256 != expected:
            # The hub's client takes a file by its size.
            paths[file].resolve().unlink()
            raise SyncR2Error(
                f"{where}: {file} has SHA-256 {found.sha256} where the hub has {expected}, so it is damaged. "
                "It was removed from the cache; run again to fetch it anew."
            )
    if revision is None:
        logging.warning(
            "%s has no revision in the configuration; its main branch is now at %s. Set `revision: %s`, "
            "so that another machine takes the same.",
            *(name, commit, commit),
        )
    return Snapshot(name, repository, revision, commit, str(folder), files)


def _check_class(where: str, config: Mapping[str, Any], remote_code: bool) -> None:
    """See that transformers knows the model, before its weights are fetched."""
    from transformers import CONFIG_MAPPING

    kind = config.get("model_type")
    if kind in CONFIG_MAPPING or (remote_code and "auto_map" in config):
        return
    raise SyncR2Error(
        f"{where}: transformers does not know models of type {kind!r}. "
        + (
            "It brings Python code of its own, which would run with your rights. Read that code; then set "
            "`trust_remote_code: true` for this model, with a commit as `revision`."
            if "auto_map" in config
            else "A newer version may (requirements/run.txt)."
        )
        + " Nothing else was fetched."
    )


def _check_room(where: str, repository: str, info: ModelInfo, wanted: list[str]) -> None:
    """See that what is not in the cache yet fits on the disk."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE

    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    missing = [
        file
        for file in wanted
        if not isinstance(try_to_load_from_cache(repository, file, revision=info.sha), str)
    ]
    needed = sum(sizes[file] for file in missing)
    cache = Path(HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise SyncR2Error(
            f"{where}: {needed / 1e9:.1f} GB are to be fetched, but the disk of the hub's cache has "
            f"{free / 1e9:.1f} GB left. Make room, or set HF_HOME to a folder on a larger disk."
        )


def _from_cache(name: str, repository: str, revision: str | None, remote_code: bool) -> Snapshot:
    """The model as an earlier download left it, if it is whole."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repository, "config.json", revision=revision or _DEFAULT_REVISION)
    if not isinstance(config, str):
        raise _NotCachedError("it is not in the cache of this machine")
    folder = Path(config).parent
    try:
        wanted = files_of_folder(folder, remote_code)
    except SyncR2Error as error:
        raise _NotCachedError(f"the cache of this machine does not hold all of it ({error})") from None
    return Snapshot(name, repository, revision, folder.name, str(folder), hashed(folder, wanted))


def _answer(error: BaseException | None) -> HfHubHTTPError | None:
    """What the hub answered, if that is behind an error: some answers its client hides behind others."""
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None and not isinstance(error, HfHubHTTPError):
        error = error.__cause__
    return error


def _refused(where: str, error: Any) -> SyncR2Error:
    """What helps against an answer of the hub that is no file."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = getattr(error.response, "status_code", None)
    if isinstance(error, GatedRepoError):
        return SyncR2Error(f"{where}: the hub gives it to registered readers only ({status}). {_ACCESS}")
    if isinstance(error, RevisionNotFoundError):
        return SyncR2Error(
            f"{where}: the hub has no such revision ({status}). Take a commit, tag or branch from the "
            "model's page, or leave `revision` out."
        )
    if isinstance(error, EntryNotFoundError):
        return SyncR2Error(f"{where}: a file of it is gone ({status}): {error}. Run again.")
    if status == 403:
        return SyncR2Error(f"{where}: the hub refuses access ({status}): {error}\n{_ACCESS}")
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        # The hub answers 401 for what does not exist, too, so that nobody learns what is private.
        return SyncR2Error(
            f"{where}: the hub has no such model, or does not show it to this machine ({status}). Check "
            f"`path` for a typing error. If it is private or gated: {_ACCESS}"
        )
    return SyncR2Error(f"{where}: the hub answered {status}: {error}\nRun again later. {_BY_HAND}")
