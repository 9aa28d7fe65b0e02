"""`speaking_orders: one`: a pair's values rest on the dialogues that its first model opens."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from conftest import snakemake, with_changes
from test_plan import AGGREGATES

from syncr2 import directed_sync
from syncr2.files import read_table
from syncr2.store import read_r2


@pytest.fixture(scope="module")
def one(tiny, finished, tmp_path_factory):
    """A copy of the finished run, gone on with in one order; what was run, and where."""
    folder = tmp_path_factory.mktemp("one") / "run"
    shutil.copytree(finished, folder)
    run = snakemake(with_changes(tiny, speaking_orders="one"), folder)
    assert run.error is None, run.error
    return run, folder


def test_an_order_that_is_left_out_runs_aggregates_only(one):
    run, _ = one
    assert {"summarise_synchrony", "summarise_controls", "summarise_performance"} <= set(run.count)
    assert set(run.count) <= AGGREGATES


def test_synchrony_of_a_pair_is_the_mean_over_both_directions_of_one_order(one):
    _, folder = one
    table = read_table(folder / "results/synchrony.tsv").set_index(["model_1", "model_2", "condition"])
    assert set(table.index.droplevel("condition")) == {("red", "red"), ("red", "blue"), ("blue", "blue")}
    assert (table["n_directed"] == 2).all()
    for condition in ("interaction", "passive", "lag3", "untrained"):
        found = read_r2(folder / f"results/r2/red--blue/{condition}.h5")
        wanted = np.mean([directed_sync(each.r2.mean(axis=0)) for each in found.values()])
        assert table.loc[("red", "blue", condition), "sync_r2"] == pytest.approx(wanted, abs=1e-9)


def test_tables_hold_nothing_of_the_order_that_was_left_out(one, finished):
    _, folder = one
    both = read_table(finished / "results/dialogues.tsv")
    table = read_table(folder / "results/dialogues.tsv")
    assert len(table) == 3 / 4 * len(both)
    assert set(zip(table["agent1"], table["agent2"], strict=True)) == {
        ("red", "red"),
        ("red", "blue"),
        ("blue", "blue"),
    }


def test_controls_of_a_pair_in_one_order_are_those_of_its_measures(one, finished):
    """With one order only, red and blue change; pairs of a model with itself keep every value."""
    tables = [
        read_table(where / "results/controls/protocols.tsv").set_index(
            ["model_1", "model_2", "protocol", "states", "condition"]
        )["sync_r2_raw"]
        for where in (one[1], finished)
    ]
    assert tables[0].index.equals(tables[1].index)
    same = np.isclose(tables[0], tables[1], rtol=1e-9, atol=1e-12)
    of_itself = tables[0].index.get_level_values("model_1") == tables[0].index.get_level_values("model_2")
    assert same[of_itself].all()
    assert not same[~of_itself].any()
