"""Labels from a table: of dialogues, agents or turns; numbers or words."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import dialogue

from syncr2.errors import SyncR2Error
from syncr2.labels import Labels, read_labels

SAID = dialogue("A.", "B.", "C.")
HEAD = "agent1\tagent2\tseed\tepisode_id"
PAIR = "model-a\tmodel-b"


def labels(tmp_path: Path, head: str, *rows: str) -> Labels:
    path = tmp_path / "labels.tsv"
    path.write_text("\n".join((head, *rows)) + "\n")
    return read_labels(path)


def test_labels_of_turns_stand_at_their_turns(tmp_path: Path) -> None:
    found = labels(
        tmp_path,
        f"{HEAD}\tturn\temotion\tstrength",
        f"{PAIR}\t0\tepisode-0\t0\tjoy\t0.5",
        f"{PAIR}\t0\tepisode-0\t2\tanger\t",
        f"{PAIR}\t1\tepisode-0\t1\tfear\t1",
    )
    assert (found.level, found.names) == ("turn", ("emotion", "strength"))
    assert found.of_turns("emotion", SAID) == ["joy", None, "anger"]
    assert found.of_turns("strength", SAID) == [0.5, None, None]
    assert found.check([SAID, {**SAID, "seed": 1}, {**SAID, "seed": 2}]) == pytest.approx(2 / 3)


def test_labels_of_agents_and_dialogues_reach_every_turn_of_theirs(tmp_path: Path) -> None:
    own = labels(tmp_path, f"{HEAD}\tagent\ttruthful", f"{PAIR}\t0\tepisode-0\t2\t0")
    assert own.of_turns("truthful", SAID) == [None, 0.0, None]
    whole = labels(tmp_path, f"{HEAD}\taligned", f"{PAIR}\t0\tepisode-0\t1")
    assert whole.level == "dialogue"
    assert whole.of_turns("aligned", SAID) == [1.0, 1.0, 1.0]


def test_means_by_dialogue_and_pair_pool_both_speaking_orders(tmp_path: Path) -> None:
    found = labels(
        tmp_path,
        f"{HEAD}\tturn\tx",
        "a\tb\t0\te\t0\t1",
        "a\tb\t0\te\t1\t3",
        "a\tb\t0\te\t2\t",
        "b\ta\t0\te\t0\t8",
        "b\tb\t0\te\t0\t5",
        "b\tb\t0\tf\t0\t",
    )
    assert found.by_dialogue("x")["x"].tolist() == [2.0, 8.0, 5.0]
    table = found.by_pair("x", {"b": "one", "a": "two"})
    assert table.to_numpy().tolist() == [["x", "b", "b", "one", 5.0, 1], ["x", "b", "a", "cross", 5.0, 2]]
    with pytest.raises(SyncR2Error, match="model 'a'; the config has b"):
        found.by_pair("x", {"b": "one"})


def test_what_has_no_mean_or_is_not_there_is_said(tmp_path: Path) -> None:
    found = labels(tmp_path, f"{HEAD}\tmood", f"{PAIR}\t0\tepisode-0\tinf")
    with pytest.raises(SyncR2Error, match="'mood' holds words"):
        found.by_dialogue("mood")
    with pytest.raises(SyncR2Error, match=r"no label 'x'\. There are: mood"):
        found.by_dialogue("x")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{PAIR}\t5\tepisode-0\t0", "model-a--model-b, seed 5, episode episode-0, which there is not"),
        (f"{PAIR}\t0\tepisode-0\t3", "turn 3 .* which has 3 turns"),
    ],
)
def test_labels_of_what_there_is_not_are_refused(row: str, message: str, tmp_path: Path) -> None:
    found = labels(tmp_path, f"{HEAD}\tturn\tx", f"{row}\t1")
    with pytest.raises(SyncR2Error, match=message):
        found.check([SAID])


@pytest.mark.parametrize(
    ("head", "rows", "message"),
    [
        ("agent1\tagent2\tseed\tx", ["a\tb\t0\t1"], "lacks the column.s. episode_id"),
        (HEAD, ["a\tb\t0\te"], "it has no label"),
        (f"{HEAD}\tgoal", ["a\tb\t0\te\t1"], "'goal' is a column that tables have anyway"),
        (f"{HEAD}\tturn\tagent\tx", ["a\tb\t0\te\t1\t1\t1"], "'agent' is a column"),
        (f"{HEAD}\tx", ["a\tb\t0\te\t1", "a\tb\t0\te\t2"], "line 3: a row with the same agent1"),
        (f"{HEAD}\tx", ["a\tb\t-1\te\t1"], "line 2: seed has to be a whole number from 0"),
        (f"{HEAD}\tturn\tx", ["a\tb\t0\te\t1.5\t1"], "line 2: turn has to be"),
        (f"{HEAD}\tagent\tx", ["a\tb\t0\te\t0\t1"], "line 2: agent has to be 1 or 2"),
        (f"{HEAD}\tx", ["a\tb\t0\t\t1"], "line 2: episode_id is needed"),
    ],
)
def test_tables_with_something_wrong_are_refused(
    head: str, rows: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SyncR2Error, match=message):
        labels(tmp_path, head, *rows)


def test_a_file_that_is_not_there_or_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SyncR2Error, match="no such file"):
        read_labels(tmp_path / "gone.csv")
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(SyncR2Error, match="not a table of labels"):
        read_labels(tmp_path / "x.csv")
