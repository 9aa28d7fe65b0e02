"""A whole run: every output is there, says what it is, and holds together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import snakemake

from syncr2 import directed_sync, open_states
from syncr2.files import read_jsonl, read_table
from syncr2.store import read_made_by, read_r2

PAIRS = ["red--red", "red--blue", "blue--red", "blue--blue"]


def dialogues(finished, pair):
    return [
        r
        for shard in (0, 1)
        for r in read_jsonl(finished / f"results/dialogues/{pair}/seed-0/shard-{shard}.jsonl")
    ]


def test_every_dialogue_is_there_once(finished):
    scenarios = json.loads((finished / "results/scenarios.json").read_text())
    wanted = [episode["id"] for episode in scenarios["episodes"]]
    assert len(wanted) == 8
    for pair in PAIRS:
        assert [record["episode_id"] for record in dialogues(finished, pair)] == wanted


def test_states_are_those_of_the_prompts_that_were_answered(finished):
    """One prompt at a time through the model's own hooks, against the file."""
    import torch
    from transformers import AutoModelForCausalLM

    from syncr2.dialogues.dialogue import prompt_ids
    from syncr2.models.loading import find_blocks

    pair, agent = "red--blue", 2
    model = AutoModelForCausalLM.from_pretrained(finished / "results/models/blue", dtype=torch.float32)
    states = open_states([finished / f"results/states/{pair}/engaged/seed-0/shard-{i}.h5" for i in (0, 1)])[
        f"agent{agent}"
    ]
    rows = {row.key: i for i, row in enumerate(states.rows)}
    layers = np.stack([states[layer] for layer in range(len(states))])
    kept = {}
    for i, block in enumerate(find_blocks(model)):
        block.register_forward_hook(
            lambda _, __, out, i=i: kept.update({i: (out[0] if isinstance(out, tuple) else out)[0, -1]})
        )
    for record in dialogues(finished, pair)[:2]:
        for turn, ids in zip(record["turns"], prompt_ids(record), strict=True):
            if turn["agent"] == agent:
                with torch.no_grad():
                    model(torch.tensor([ids]))
                alone = np.stack([kept[i].numpy() for i in range(len(kept))])
                row = rows[record["episode_id"], 0, turn["turn"]]
                # float16 keeps 11 bits.
                np.testing.assert_allclose(layers[:, row], alone, rtol=2e-3, atol=2e-3)


def test_passive_reading_has_the_same_rows_and_other_states(finished):
    paths = [f"results/states/red--blue/{reading}/seed-0/shard-0.h5" for reading in ("engaged", "passive")]
    engaged, passive = (open_states(finished / path)["agent1"] for path in paths)
    assert [row.key for row in engaged.rows] == [row.key for row in passive.rows]
    assert [row.n_prompt_tokens for row in engaged.rows] != [row.n_prompt_tokens for row in passive.rows]
    assert not np.allclose(engaged[1], passive[1], atol=0.05)


def test_every_file_of_states_has_checked_itself(finished):
    import h5py

    for path in (finished / "results/states").rglob("*.h5"):
        with h5py.File(path) as file:
            for agent in ("agent1", "agent2"):
                found = file[agent].attrs
                assert found["self_check_rows"] == min(8, len(file[agent]["rows"]))
                assert 0 <= found["self_check_largest_relative_difference"] < found["self_check_tolerance"]


def test_untrained_twins_read_the_same_prompts(finished):
    """One prompt at a time through a twin, against the file; and it is the same twin in every pair."""
    import torch

    from syncr2.dialogues.dialogue import prompt_ids
    from syncr2.models.loading import ModelSource, find_blocks, load_untrained, untrained_seed

    paths = [f"results/states/red--blue/{reading}/seed-0/shard-0.h5" for reading in ("engaged", "untrained")]
    engaged, untrained = (open_states(finished / path)["agent2"] for path in paths)
    assert untrained.rows == engaged.rows, "the prompts' lengths and last tokens, too"
    assert untrained.shape == engaged.shape
    assert not np.allclose(engaged[1], untrained[1], atol=0.05)

    source = ModelSource("blue", str(finished / "results/models/blue"))
    twin = load_untrained(source, "cpu", untrained_seed("blue"))
    kept = {}
    for i, block in enumerate(find_blocks(twin)):
        block.register_forward_hook(
            lambda _, __, out, i=i: kept.update({i: (out[0] if isinstance(out, tuple) else out)[0, -1]})
        )
    for pair, agent in (("red--blue", 2), ("blue--red", 1)):
        record = dialogues(finished, pair)[0]
        states = open_states(finished / f"results/states/{pair}/untrained/seed-0/shard-0.h5")[f"agent{agent}"]
        rows = {row.key: i for i, row in enumerate(states.rows)}
        for turn, ids in zip(record["turns"], prompt_ids(record), strict=True):
            if turn["agent"] == agent:
                with torch.no_grad():
                    twin(torch.tensor([ids]))
                alone = np.stack([kept[i].numpy() for i in range(len(kept))])
                row = rows[record["episode_id"], 0, turn["turn"]]
                found = np.stack([states[layer][row] for layer in range(len(states))])
                np.testing.assert_allclose(found, alone, rtol=2e-3, atol=2e-3)

    made_by = read_made_by(finished / paths[1])
    assert made_by["settings"]["models"]["blue"]["weights"] == "random"
    assert made_by["settings"]["models"]["blue"]["seed"] == untrained_seed("blue")
    assert "bystander" not in made_by["settings"]
    maps = read_made_by(finished / "results/r2/red--blue/untrained.h5")
    assert maps["settings"]["condition"]["target_reading"] == "untrained"
    assert {path.split("/")[3] for path in maps["inputs"] if path.endswith(".h5")} == {"untrained"}


def test_tables_agree_with_the_files_below_them(finished):
    table = read_table(finished / "results/synchrony.tsv")
    assert set(table["condition"]) == {"interaction", "passive", "lag3", "untrained"}
    row = table.query("model_1 == 'red' and model_2 == 'blue' and condition == 'interaction'").iloc[0]
    values = [
        directed_sync(result.r2.mean(axis=0))
        for pair in ("red--blue", "blue--red")
        for result in read_r2(finished / f"results/r2/{pair}/interaction.h5").values()
    ]
    assert row["sync_r2"] == pytest.approx(np.mean(values), abs=1e-12)
    assert row["family"] == "cross"
    groups = read_table(finished / "results/synchrony_groups.tsv")
    assert set(groups["value"]) == {"low", "high"}
    quality = read_table(finished / "results/quality.tsv")
    assert quality["n_dialogues"].tolist() == [8] * 4
    played = read_table(finished / "results/dialogues.tsv")
    assert played["stakes"].isin(["low", "high"]).all(), "an environment's own field reaches the tables"
    assert played["social_performance"].notna().all()
    pairs = read_table(finished / "results/statistics/pairs.tsv")
    assert list(zip(pairs["model_1"], pairs["model_2"], strict=True)) == [
        ("red", "red"),
        ("red", "blue"),
        ("blue", "blue"),
    ]


def test_outputs_say_what_made_them(finished):
    made_by = read_made_by(finished / "results/states/red--blue/passive/seed-0/shard-0.h5")
    assert made_by["stage"] == "states"
    assert made_by["settings"]["reading"] == "passive"
    assert made_by["settings"]["models"]["red"]["path"] == "results/models/red"
    assert made_by["libraries"]["torch"].startswith("2.")
    assert set(made_by["inputs"]) == {
        "results/scenarios.json",
        "results/dialogues/red--blue/seed-0/shard-0.jsonl",
    }


def test_figures_are_there_and_carry_the_notice(finished):
    for name in ("conditions", "lags", "performance", "layers", "by_stakes", "heatmaps/red--blue"):
        svg = (finished / f"results/figures/{name}.svg").read_text()
        assert "A test." in svg
        assert (finished / f"results/figures/{name}.png").stat().st_size > 5000


def test_nothing_is_left_to_do_and_nothing_half_written(tiny, finished):
    again = snakemake(tiny, finished, dry=True)
    assert again.error is None
    assert again.jobs == []
    assert not list((finished / "results").rglob("*.tmp"))


def test_a_truncated_input_stops_its_job_alone(tiny, finished):
    path = finished / "results/dialogues/red--red/seed-0/shard-0.jsonl"
    whole = path.read_bytes()
    judged = finished / "results/judgements/surface/red--red/seed-0/shard-0.jsonl"
    kept = judged.read_bytes()
    try:
        path.write_bytes(whole[:-40])
        run = snakemake(tiny, finished, targets=("results/judgements/surface/red--red/seed-0/shard-0.jsonl",))
        assert run.error is not None
        log = (finished / "results/logs/judge_dialogues/surface/red--red/seed-0/shard-0.log").read_text()
        assert "shard-0.jsonl, line 4" in log
        assert "run again" in log
        assert not judged.exists(), "no half-written judgement"
    finally:
        path.write_bytes(whole)
        judged.write_bytes(kept)
    assert snakemake(tiny, finished).error is None


def test_controls_agree_with_what_they_are_made_of(finished):
    """The published rows are those of synchrony.tsv; contrasts are differences of the protocols' rows."""
    keys = ["model_1", "model_2", "condition"]
    protocols = read_table(finished / "results/controls/protocols.tsv")
    paper = protocols[protocols["protocol"] == "paper"].set_index(keys)["sync_r2"]
    published = read_table(finished / "results/synchrony.tsv").set_index(keys)["sync_r2"]
    assert paper.to_dict() == pytest.approx(published.to_dict())
    plain = protocols.query("protocol == 'corrected' and states == 'plain'").set_index(keys)
    contrasts = read_table(finished / "results/controls/contrasts.tsv").query("states == 'plain'")
    assert set(contrasts["minus"]) == {"passive", "lag3", "untrained"}
    for row in contrasts.to_dict("records"):
        pair = row["model_1"], row["model_2"]
        wanted = (
            plain.loc[(*pair, "interaction"), "sync_r2_raw"] - plain.loc[(*pair, row["minus"]), "sync_r2_raw"]
        )
        assert row["difference"] == pytest.approx(wanted)
        assert row["low"] <= row["difference"] <= row["high"]


def test_every_figure_and_page_of_the_controls_is_there(finished):
    figures = finished / "results/figures/controls"
    wanted = {"protocols", "contrasts", "nulls", "baselines", "lag_profile", "by_stakes"}
    assert wanted <= {path.stem for path in figures.glob("*.svg")}
    assert "ΔR² over own past" in (finished / "results/pages/controls.html").read_text()
