"""Files from a public home, checked by their SHA-256."""

from __future__ import annotations

import hashlib
import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from syncr2.errors import SyncR2Error
from syncr2.files import atomic_path, sha256_file

_TRIES = 3
_CHUNK = 1 << 16
_NO_NETWORK = "Check the network, or put the files into a folder and name that in the configuration."


class _PassingError(Exception):
    """Trouble that may be gone at the next try."""


def fetch(
    base_url: str, sha256: Mapping[str, str], folder: str | Path, *, timeout: float = 60.0, pause: float = 1.0
) -> tuple[Path, ...]:
    """Download files, check them, and put them into a folder.

    A file that is already there with the right hash is left alone. A file is written under a temporary name
    and takes its place only after the check, so that the folder never holds a wrong or cut-off one.

    Parameters
    ----------
    base_url : str
        Address of the folder, http or https.
    sha256 : mapping
        File name to SHA-256 in hexadecimal.
    folder : str or Path
        Where the files go.
    timeout : float
        Seconds without an answer before a try is given up.
    pause : float
        Seconds before the second try; doubled before the third.

    Returns
    -------
    tuple of Path
        The files, in the order of `sha256`.

    Raises
    ------
    SyncR2Error
        If the address or a hash is malformed, the server cannot be reached or says no, fewer bytes come than
        were announced, or the bytes are not those of the hash. The message names the address, and what was
        found and expected.
    """
    if not re.match(r"https?://[^/\s]", base_url):
        raise SyncR2Error(
            f"{base_url}: not an address to fetch files from; it must start with http:// or https://."
        )
    for name, expected in sha256.items():
        if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
            raise SyncR2Error(f"{name!r}: not a plain file name, so it is not fetched from {base_url}.")
        if not re.fullmatch(r"[0-9a-fA-F]{64}", expected):
            raise SyncR2Error(f"{name}: {expected!r} is no SHA-256; 64 hexadecimal digits are needed.")
    return tuple(
        _fetch_one(f"{base_url.rstrip('/')}/{name}", expected.lower(), Path(folder) / name, timeout, pause)
        for name, expected in sha256.items()
    )


def _fetch_one(url: str, expected: str, target: Path, timeout: float, pause: float) -> Path:
    if target.is_file() and sha256_file(target) == expected:
        return target
    for trial in range(1, _TRIES + 1):
        try:
            _try(url, expected, target, timeout)
            return target
        except _PassingError as error:
            if trial == _TRIES:
                raise SyncR2Error(
                    f"{url}: {error}, {_TRIES} times in a row. Nothing was written. {_NO_NETWORK}"
                ) from None
            time.sleep(pause * 2 ** (trial - 1))
    raise AssertionError("the loop ends by return or raise")


def _try(url: str, expected: str, target: Path, timeout: float) -> None:
    digest, size = hashlib.sha256(), 0
    # The exceptions of the local disk are not ours to retry, so only the network's part stands inside `try`.
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        try:
            # The scheme was checked, and urllib follows no redirect to a file.
            with urllib.request.urlopen(url, timeout=timeout) as response:
                announced = response.headers.get("Content-Length")
                chunks = iter(lambda: response.read(_CHUNK), b"")
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    stream.write(chunk)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500:
                raise _PassingError(f"the server answered {error.code} {error.reason}") from None
            raise SyncR2Error(
                f"{url}: the server answered {error.code} {error.reason}. Nothing was written. "
                "Check the address, and the commit in it. " + _NO_NETWORK
            ) from None
        except urllib.error.URLError as error:
            raise _PassingError(f"cannot be reached ({error.reason})") from None
        except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            raise _PassingError(f"the connection broke after {size} bytes ({error!r})") from None
        # read() with a size ends without an error when the connection is closed early.
        if announced is not None and announced.isdigit() and size < int(announced):
            raise _PassingError(f"cut off after {size} of {announced} bytes")
        if digest.hexdigest() != expected:
            raise SyncR2Error(
                f"{url}: wrong content. Expected SHA-256 {expected}, found {digest.hexdigest()}, "
                f"{size} bytes. "
                "Nothing was written. The address may lead to another version, or a proxy has answered: "
                "check the commit in it. Change the expected hash only if you want the new content."
            )
