"""Answers that were paid for once: one small file for each, under a name made of all that can change it.

Only valid answers are kept. What failed, was refused or cut off is asked for again when its job runs again,
and what was answered is not.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncr2.errors import SyncR2Error
from syncr2.files import read_json, sha256_text, write_json
from syncr2.judges.base import JudgeSettings

CACHE_FORMAT = "syncr2/judge-cache/1"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedAnswer:
    """A valid answer: its text, the model's name as the server reported it, the requests that it took."""

    content: str
    served_model: str | None
    attempts: int


def cache_key(weights: Mapping[str, Any], request: Mapping[str, Any], version: str) -> str:
    """SHA-256 of all that can change the answer to a request.

    Retries, time limits, concurrency and keys are not in it.

    Parameters
    ----------
    weights : mapping
        Whose weights answer (`weights_at_endpoint`, `syncr2.judges.served.served_weights`); the model's name
        is in the request.
    request : mapping
        Body of the first request about a case, in full (model, messages, sampling, schema); the complaints
        of later ones follow from the answers.
    version : str
        Of the answer's schema.
    """
    key = {"schema": version, **weights, "request": dict(request)}
    return sha256_text(json.dumps(key, sort_keys=True, ensure_ascii=True, allow_nan=False))


def weights_at_endpoint(settings: JudgeSettings) -> dict[str, Any]:
    """Whose weights answer at an endpoint: the revision if the config gives one, else the address."""
    return {"revision": settings.revision} if settings.revision else {"endpoint": settings.base_url}


class AnswerCache:
    """A folder of answers that several jobs may read and write at once.

    A file appears whole, under a temporary name first; two jobs that ask the same write the same name, and
    the last one stays. What cannot be read back counts as absent and is written again.

    Parameters
    ----------
    folder : str or Path
        Made if need be.

    Raises
    ------
    SyncR2Error
        If it cannot be made, before anything was asked and paid for.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder).expanduser()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SyncR2Error(
                f"The cache of answers {self._folder} cannot be made ({error.strerror}). Name another folder "
                "in the judge's or labeller's `cache`, or make room there."
            ) from None

    def get(self, key: str) -> CachedAnswer | None:
        """The answer under a key, or None."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            value = read_json(path)
            whole = (
                value["format"] == CACHE_FORMAT
                and value["key"] == key
                and value["content_sha256"] == sha256_text(value["content"])
            )
            if whole:
                return CachedAnswer(value["content"], value["served_model"], value["attempts"])
        except (OSError, SyncR2Error, KeyError, TypeError, AttributeError):
            pass
        _log.warning("%s: not a whole answer; it is asked for again", path)
        return None

    def put(self, key: str, answer: CachedAnswer) -> None:
        """Keep an answer. A full disk costs the cache, not the answer."""
        value = {
            "format": CACHE_FORMAT,
            "key": key,
            "content": answer.content,
            "content_sha256": sha256_text(answer.content),
            "served_model": answer.served_model,
            "attempts": answer.attempts,
        }
        try:
            write_json(self._path(key), value)
        except OSError as error:
            _log.warning("%s: not kept (%s)", self._path(key), error.strerror)

    def _path(self, key: str) -> Path:
        # Two letters of the key as a folder: many file systems grow slow with 100,000 files in one.
        return self._folder / key[:2] / f"{key}.json"
