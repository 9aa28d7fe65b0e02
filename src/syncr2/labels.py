"""Labels of dialogues, agents or turns, made elsewhere: read from a table, checked, and used like scores.

Where a label is a score on the seven dimensions, a judge with engine "table" takes the same file and all else
follows. This is for labels of any other kind: how well goals were aligned, who spoke the truth, the emotion
of an utterance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from syncr2 import ids
from syncr2.errors import SyncR2Error
from syncr2.judges.base import DialogueKey
from syncr2.sotopia.episodes import is_reserved

Level = Literal["turn", "agent", "dialogue"]
KEYS = list(DialogueKey._fields)


@dataclass(frozen=True)
class Labels:
    """Labels of one file.

    Attributes
    ----------
    level : {"turn", "agent", "dialogue"}
        What one row is about.
    table : DataFrame
        `agent1`, `agent2`, `seed`, `episode_id`, then `turn` (from 0) or `agent` (1 or 2) if the level has
        one, then the labels: floats where every field that is not empty holds a number, else text. Empty
        fields are missing.
    names : tuple of str
        Columns that are labels.
    """

    level: Level
    table: pd.DataFrame
    names: tuple[str, ...]

    def check(self, dialogues: Iterable[Mapping[str, Any]]) -> float:
        """See that every row is about something that is there.

        Parameters
        ----------
        dialogues : iterable of mapping
            Records of format syncr2/dialogue/1.

        Returns
        -------
        float
            The share of dialogues that have a row, 0..1.

        Raises
        ------
        SyncR2Error
            If a row is of a dialogue or turn that there is not.
        """
        turns = {_key(dialogue): len(dialogue["turns"]) for dialogue in dialogues}
        keys = [DialogueKey(*row) for row in self.table[KEYS].itertuples(index=False)]
        numbers = self.table["turn"] if self.level == "turn" else [0] * len(keys)
        for key, turn in zip(keys, numbers, strict=True):
            where = f"{key.agent1}--{key.agent2}, seed {key.seed}, episode {key.episode_id}"
            if key not in turns:
                raise SyncR2Error(
                    f"A label is of the dialogue {where}, which there is not. Were the labels made of "
                    "another run?"
                )
            if self.level == "turn" and turn >= turns[key]:
                raise SyncR2Error(
                    f"A label is of turn {turn} of the dialogue {where}, which has {turns[key]} turns, "
                    "counted from 0."
                )
        return len(set(keys)) / len(turns) if turns else 0.0

    def by_dialogue(self, name: str) -> pd.DataFrame:
        """Mean of a label of numbers over what is labelled in each dialogue: the keys and `name`.

        Raises
        ------
        SyncR2Error
            If there is no such label, or it holds words.
        """
        if name not in self.names:
            raise SyncR2Error(f"There is no label {name!r}. There are: {', '.join(self.names)}.")
        if not pd.api.types.is_float_dtype(self.table[name]):
            raise SyncR2Error(f"The label {name!r} holds words, of which there is no mean.")
        labelled = self.table.dropna(subset=[name])
        return labelled.groupby(KEYS, sort=False)[name].mean().reset_index()

    def by_pair(self, name: str, family: Mapping[str, str]) -> pd.DataFrame:
        """Mean of a label by unordered pair of models, as `judges.performance.performance_by_judge` has it.

        Parameters
        ----------
        name : str
            A label of numbers; it stands in the column `judge`.
        family : mapping
            Family of each model, in the order of the config.

        Returns
        -------
        DataFrame
            `judge`, `model_1`, `model_2`, `family`, `social_performance` (the mean over dialogues, each
            counting the same) and `n_judged`.
        """
        table = self.by_dialogue(name)
        place = {model: i for i, model in enumerate(family)}
        unknown = sorted({*table["agent1"], *table["agent2"]} - set(place))
        if unknown:
            raise SyncR2Error(f"A label is of the model {unknown[0]!r}; the config has {', '.join(place)}.")
        places = np.sort([table["agent1"].map(place), table["agent2"].map(place)], axis=0)
        models, rows = list(family), []
        for key, values in table[name].groupby([places[0], places[1]]):
            first, second = cast("tuple[int, int]", key)
            pair = models[first], models[second]
            rows.append((name, *pair, ids.pair_family(*pair, family), values.mean(), len(values)))
        columns = ["judge", "model_1", "model_2", "family", "social_performance", "n_judged"]
        return pd.DataFrame(rows, columns=columns)

    def of_turns(self, name: str, dialogue: Mapping[str, Any]) -> list[Any]:
        """A label of each turn of a dialogue, None where it has none; an agent's is that of its turns."""
        turns = [(turn["turn"], turn["agent"]) for turn in dialogue["turns"]]
        return self.at_turns(name, _key(dialogue), turns)

    def has(self, key: DialogueKey) -> bool:
        """Whether there is a row of the dialogue."""
        return key in self._rows

    def at_turns(self, name: str, key: DialogueKey, turns: Sequence[tuple[int, int]]) -> list[Any]:
        """As `of_turns`, for a dialogue given by its key and the (turn, agent) of its turns.

        Raises
        ------
        SyncR2Error
            If there is a label of a turn that the dialogue has not.
        """
        rows = self._rows.get(key, {})
        if self.level == "turn" and not rows.keys() <= {turn for turn, _ in turns}:
            raise SyncR2Error(
                f"A label is of turn {max(rows)} of the dialogue {key.agent1}--{key.agent2}, seed "
                f"{key.seed}, episode {key.episode_id}, which has {len(turns)} turns, counted from 0. Were "
                "the labels made of another run?"
            )
        places = {"turn": [turn for turn, _ in turns], "agent": [agent for _, agent in turns]}
        found = [rows.get(place) for place in places.get(self.level, [0] * len(turns))]
        column = self._values[name]
        return [None if row is None or pd.isna(column[row]) else column[row] for row in found]

    @cached_property
    def _values(self) -> dict[str, list[Any]]:
        """Labels as plain lists: taken row by row, a column of a DataFrame is slow."""
        return {name: self.table[name].tolist() for name in self.names}

    @cached_property
    def _rows(self) -> dict[DialogueKey, dict[int, int]]:
        """Number of each row by dialogue and turn or agent (0 for a label of the whole dialogue)."""
        places = [0] * len(self.table) if self.level == "dialogue" else self.table[self.level].tolist()
        found: dict[DialogueKey, dict[int, int]] = {}
        keys = self.table[KEYS].itertuples(index=False, name=None)
        for row, (key, place) in enumerate(zip(keys, places, strict=True)):
            found.setdefault(DialogueKey(*key), {})[place] = row
        return found


def read_labels(path: str | Path) -> Labels:
    """Read a table of labels, tab-separated or (named .csv) comma-separated.

    Parameters
    ----------
    path : str or Path
        With the columns agent1, agent2, seed, episode_id; `turn` or `agent` if rows are about those; every
        other column is a label.

    Raises
    ------
    SyncR2Error
        If the file is missing or no such table, a row is there twice, or a label has the name of a column
        that tables have anyway.
    """
    path = Path(path)
    table = _read(path)
    level, names = _columns(path, table)
    keys = [*KEYS, *(() if level == "dialogue" else (level,))]
    for key in keys:
        _refuse(path, table[key].isna(), f"{key} is needed in each row")
    for key in ("seed", *keys[len(KEYS) :]):
        numbers = pd.to_numeric(table[key], errors="coerce")
        low, high = (1, 2) if key == "agent" else (0, np.inf)
        bad = numbers.isna() | (numbers % 1 != 0) | (numbers < low) | (numbers > high)
        allowed = "1 or 2" if key == "agent" else "a whole number from 0"
        _refuse(path, bad, f"{key} has to be {allowed}")
        table[key] = numbers.astype(int)
    _refuse(path, table.duplicated(keys), f"a row with the same {', '.join(keys)} stands above")
    for name in names:
        numbers = pd.to_numeric(table[name], errors="coerce")
        # A word such as "inf" or "nan" is a word.
        if np.isfinite(numbers[table[name].notna()]).all():
            table[name] = numbers.astype(float)
    return Labels(level, table[[*keys, *names]], tuple(names))


def label_columns(path: Path) -> tuple[str, ...]:
    """Columns of a table of labels that are labels, from its first line alone; errors as of `read_labels`."""
    return tuple(_columns(path, _read(path, nrows=0))[1])


def _read(path: Path, nrows: int | None = None) -> pd.DataFrame:
    separator = "," if path.suffix == ".csv" else "\t"
    try:
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, na_values=[""], nrows=nrows)
    except FileNotFoundError:
        raise SyncR2Error(f"{path}: no such file.") from None
    except (ValueError, OSError) as error:
        raise SyncR2Error(f"{path}: not a table of labels ({str(error).strip()}).") from None


def _columns(path: Path, table: pd.DataFrame) -> tuple[Level, list[str]]:
    """What a row is about, and which columns are labels."""
    missing = [name for name in KEYS if name not in table]
    if missing:
        raise SyncR2Error(f"{path}: a table of labels lacks the column(s) {', '.join(missing)}.")
    level: Level = "turn" if "turn" in table else "agent" if "agent" in table else "dialogue"
    keys = [*KEYS, *(() if level == "dialogue" else (level,))]
    names = [str(name) for name in table if name not in keys]
    taken = [name for name in names if is_reserved(name) or name == "agent"]
    if taken or not names:
        what = f"{taken[0]!r} is a column that tables have anyway" if taken else "it has no label"
        raise SyncR2Error(
            f"{path}: {what}. Every column beside {', '.join(keys)} is a label: name it freely."
        )
    return level, names


def _key(record: Mapping[str, Any]) -> DialogueKey:
    return DialogueKey(*(record[name] for name in KEYS))


def _refuse(path: Path, bad: pd.Series, needed: str) -> None:
    if bad.any():
        line = int(np.flatnonzero(bad)[0]) + 2
        raise SyncR2Error(f"{path}, line {line}: {needed} ({int(bad.sum())} such row(s)).")
