"""Labels and probes in the real workflow: from an engine and from a table, to tables, figure and page."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from conftest import snakemake, with_changes

from syncr2.files import read_jsonl, read_table, write_table

TARGETS = (
    *("results/labels.tsv", "results/statistics/label_correlations.tsv"),
    *("results/probes/pairs.tsv", "results/figures/probes.svg", "results/pages/probes.html"),
)


@pytest.fixture(scope="module")
def probed(tiny, finished, tmp_path_factory):
    """Folder and configuration of a copy of the finished run with two labellers more."""
    folder = tmp_path_factory.mktemp("probed") / "run"
    shutil.copytree(finished, folder)
    rows = [
        {
            **{key: record[key] for key in ("agent1", "agent2", "seed", "episode_id")},
            "turn": turn["turn"],
            # What the state of whoever speaks next shows: whose turn it was, and how far the dialogue is.
            "half": "late" if turn["turn"] > 3 else "early",
            "constant": "always",
            "share": 0.25 * (record["agent1"] == "red") + 0.5 * (record["agent2"] == "red"),
        }
        for path in sorted(folder.glob("results/dialogues/*/seed-0/*.jsonl"))
        for record in read_jsonl(path)
        for turn in record["turns"]
    ]
    write_table(folder / "made_elsewhere.tsv", pd.DataFrame(rows))
    labels = [
        {"name": "surface", "engine": "surface"},
        {"name": "elsewhere", "engine": "table", "file": "made_elsewhere.tsv"},
    ]
    config = with_changes(tiny, labels=labels, probes=["emotion", "action", "half", "constant"])
    run = snakemake(config, folder, targets=TARGETS)
    assert run.error is None, run.error
    return folder, config, run


def test_only_labels_and_probes_are_made(probed):
    _, _, run = probed
    assert run.count["label_utterances"] == 2 * 4 * 2
    assert run.count["fit_probes"] == 2 * 4
    assert not {"play_dialogues", "replay_states", "fit_nested_maps"} & set(run.count)


def test_every_dialogue_has_a_line_with_labels_of_every_turn(probed):
    folder, _, _ = probed
    path = folder / "results/labels/surface/red--blue/seed-0/shard-0.jsonl"
    dialogues = read_jsonl(folder / "results/dialogues/red--blue/seed-0/shard-0.jsonl")
    records = read_jsonl(path)
    assert [record["episode_id"] for record in records] == [each["episode_id"] for each in dialogues]
    for record, dialogue in zip(records, dialogues, strict=True):
        assert (record["status"], record["labeller"]) == ("ok", "surface")
        assert "no scientific meaning" in record["made_by"]["note"]
        emotions = record["labels"]["emotion"]
        assert len(emotions) == len(record["labels"]["action"]) == len(dialogue["turns"])
        assert all(sum(emotion.values()) == pytest.approx(1) for emotion in emotions)
    table = read_table(folder / "results/labels.tsv")
    assert (table["failure_rate"] == 0).all()
    shares = table[(table["labeller"] == "surface") & (table["label"] == "emotion")]
    sums = shares.astype({"value": float}).groupby(["model_1", "model_2"])["value"].sum()
    assert sums.tolist() == pytest.approx([1, 1, 1])


def test_a_planted_label_is_found_and_a_constant_one_says_so(probed):
    folder, _, _ = probed
    table = read_table(folder / "results/probes/pairs.tsv").astype({"value": float})
    assert set(zip(table["labeller"], table["label"], strict=True)) == {
        *(("surface", "emotion"), ("surface", "action"), ("elsewhere", "half"), ("elsewhere", "constant"))
    }
    constant = table[table["label"] == "constant"]
    assert constant["value"].isna().all()
    assert set(constant["reason"]) == {"never other than always"}
    # A state knows how long its prompt is; the words of one babbled line do not say it.
    half = table[(table["label"] == "half") & (table["measure"] == "accuracy")]
    assert (half["value"] > half["majority"]).sum() >= 5
    assert half["value"].mean() > half["majority"].mean() + 0.03
    assert half["value"].mean() > half["text"].mean() + 0.03


def test_numbers_of_a_table_are_correlated_as_performance_is(probed):
    folder, _, _ = probed
    table = read_table(folder / "results/statistics/label_correlations.tsv")
    assert set(zip(table["labeller"], table["label"], strict=True)) == {("elsewhere", "share")}
    assert table.loc[table["family"] == "all", "n"].tolist() == [3, 3, 3, 3]


def test_one_more_labeller_asks_about_its_own(probed):
    folder, config, _ = probed
    labels = [*config["labels"], {"name": "third", "engine": "surface"}]
    run = snakemake(with_changes(config, labels=labels), folder, dry=True, targets=TARGETS)
    assert run.wildcards("label_utterances", "labeller") == {"third"}
    assert run.wildcards("fit_probes", "labeller") == {"third"}
