"""Reading the tables of the controls, which figures and pages share."""

from __future__ import annotations

import pandas as pd

from syncr2.files import read_table


def read_control_table(path: str) -> pd.DataFrame:
    """Read one table of the controls.

    Raises
    ------
    SyncR2Error
        If the file is missing, cut off, or no table.
    """
    table = read_table(path)
    if "measure" in table:
        # `read_table` takes `value` for a word, as it is in tables of groups.
        table = table.astype({"value": float})
    if "versus" in table:
        table["versus"] = table["versus"].fillna("").astype(str)
    return table
