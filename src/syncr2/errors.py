"""The one exception that speaks to the user."""

from __future__ import annotations


class SyncR2Error(Exception):
    """A problem that the user can act on.

    The message says what was found, where, what is allowed and what to do next. Everything else that is
    raised is a bug of ours and keeps its traceback.
    """
