"""The labeller of the toy world: what it reads is what the world's own turns were."""

import copy
import dataclasses
import math

import numpy as np
import pytest
from judging import dialogue, scenario_set

from syncr2.dialogues.prompts import Prompts
from syncr2.labellers import LabellerSettings, label_shard
from syncr2.labellers.base import WORLD_LABELS
from syncr2.maps.folds import environment_folds
from syncr2.maps.samples import Row
from syncr2.probing.targets import TARGETS, labels_of, target_of
from syncr2.sotopia.scenarios import ScenarioSet
from syncr2.world.dynamics import play
from syncr2.world.setting import draw_episode
from syncr2.world.tables import truth, world_record

PROMPTS = Prompts("resources/prompts")
SETTINGS = LabellerSettings.from_dict({"name": "world", "engine": "world"})


@pytest.fixture(scope="module")
def played():
    """Twelve episodes with the turns that the world played in them."""
    episodes = [dataclasses.replace(draw_episode(8, i), index=i) for i in range(12)]
    return [(episode, play(episode, 5, 1.0)) for episode in episodes]


def labelled(played, change=None):
    scenarios = ScenarioSet(tuple(episode for episode, _ in played), "made up", {})
    records = [copy.deepcopy(world_record(episode, turns, 5)) for episode, turns in played]
    if change:
        change(records)
    return label_shard(scenarios, records, PROMPTS, SETTINGS)


def test_labels_are_the_truth_of_the_worlds_own_turns(played):
    records = labelled(played)
    assert [record["status"] for record in records] == ["ok"] * len(played)
    seen = set()
    for record, (_, turns) in zip(records, played, strict=True):
        assert set(record["labels"]) == set(WORLD_LABELS)
        expected = truth(turns)
        for name in ("emotion", "valence", "act", "intention", "action", "offer_level"):
            assert record["labels"][name] == [row[name] for row in expected], name
            seen |= {(name, value) for value in record["labels"][name]}
        assert record["labels"]["well_formed"] == [1] * len(turns)
    # Otherwise the comparison would say little.
    assert {("intention", "bargain"), ("intention", "support"), ("emotion", "joy"), ("valence", -2)} <= seen


def test_trust_is_that_of_the_speaker_and_partner_trust_the_others(played):
    for record, (_, turns) in zip(labelled(played), played, strict=True):
        own, other = record["labels"]["trust"], record["labels"]["partner_trust"]
        # A turn moves the listener's trust alone, so what a speaker trusts is what it was before.
        for i in range(1, len(turns)):
            assert own[i] == other[i - 1]
        # With coupling 1 people attend always, and the trust of minds is that of acts.
        assert own == [row["trust"] for row in truth(turns)]


def test_what_is_no_sentence_of_the_world_has_no_labels(played):
    def spoil(records):
        records[0]["turns"][1]["text"] = "Colourless green ideas sleep furiously."

    spoilt, whole = labelled(played, spoil)[0], labelled(played)[0]
    assert spoilt["status"] == "ok"
    for name in ("emotion", "valence", "act", "intention", "action", "offer_level"):
        assert spoilt["labels"][name][1] is None
        assert spoilt["labels"][name][0] == whole["labels"][name][0]
    assert spoilt["labels"]["well_formed"][:3] == [1, 0, 1]


def test_an_episode_that_is_not_of_the_world_has_failed_and_says_so():
    (record,) = label_shard(scenario_set(), [dialogue("Good morning!", "You thief.")], PROMPTS, SETTINGS)
    assert (record["status"], record["labels"]) == ("failed", None)
    assert "toy world" in record["error"]


def test_probes_take_every_label_as_classes(played):
    records = labelled(played)
    rows = [
        Row(episode.id, 5, turn.turn) for episode, turns in played for turn in turns if 0 < turn.turn < 11
    ]
    names = {episode.id: episode.environment.id for episode, _ in played}
    folds = environment_folds(sorted(set(names.values())), 3, 0)
    assert set(folds.values()) == {0, 1, 2}
    environment = np.unique([names[row.episode_id] for row in rows], return_inverse=True)[1]
    for name in WORLD_LABELS:
        for offset in TARGETS.values():
            target = target_of(rows, labels_of(records, name), offset, environment, 2)
            assert math.isfinite(target.values.sum())
            assert target.reason == "" or name in ("well_formed", "action")
            if name == "valence":
                assert set(target.classes) <= {"-2", "-1", "0", "1", "2", "other"}
