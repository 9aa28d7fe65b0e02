"""Addresses of servers: well-formed, and without secrets."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_address(url: str) -> bool:
    """Whether it is an http or https address without user name, password and query."""
    try:
        parts = urlsplit(url)
        plain = not parts.query and "@" not in parts.netloc
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0 and plain
    except ValueError:
        return False


def without_secrets(url: str) -> str:
    """The address as it may be shown: without user name, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not an address)"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
