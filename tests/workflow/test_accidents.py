"""Accidents that happen to runs: the same command goes on, and ends with what an undisturbed run gives.

`make bench-reliability` does the same more often, and more of it (benchmarks/results/reliability.md).
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass

import pytest
from conftest import REPOSITORY, snakemake

from syncr2.commands.compare import differences
from syncr2.commands.verify import verify

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import accidents
import mishaps


@dataclass
class Here(accidents.Place):
    """A place in which Snakemake is called in this process, which has imported everything already."""

    def run(self, *more: str) -> int:
        self.drivers += 1
        targets, wait = (more[:1], int(more[-1])) if "--latency-wait" in more else (more, 3)
        run = snakemake(self.config, self.folder, targets=targets, latency_wait=wait)
        self.log.write_text(str(run.error))
        return int(run.error is not None)


@pytest.fixture
def here(tiny, tmp_path) -> Here:
    return Here(tmp_path / "run", tiny)


def test_a_run_that_is_killed_again_and_again_ends_the_same(tiny, finished, tmp_path):
    """SIGKILL to driver, scripts and jobs, while models are built, states are read, figures are drawn, …"""
    jobs = accidents.jobs_of(finished / "results")
    planned = accidents.moments(jobs, 3, seed=7, every_stage=False)
    place = accidents.Place(tmp_path / "run", tiny)
    kills = accidents.kill_again_and_again(place, planned, jobs)
    assert len(kills) == 3
    assert any(each.running for each in kills), "jobs were under way"
    assert all(0 < each.finished < len(jobs) for each in kills[1:])
    assert [each.repeated for each in kills] == [()] * 3
    assert differences(place.results, finished / "results") == []
    assert verify([place.results]).wrong == []


def test_moments_of_kills_hit_every_stage_and_are_the_same_for_the_same_seed(finished):
    jobs = accidents.jobs_of(finished / "results")
    planned = accidents.moments(jobs, 20, seed=0)
    assert len({job.name for job, _ in planned}) == 20
    assert {job.stage for job, _ in planned} == {job.stage for job in jobs}
    assert planned == accidents.moments(jobs, 20, seed=0)
    assert planned != accidents.moments(jobs, 20, seed=1)
    assert all(0 <= delay <= job.seconds for job, delay in planned)


@pytest.mark.parametrize(
    ("name", "damage"),
    [(mishaps.DIALOGUES, mishaps.flip), (mishaps.STATES, mishaps.flip_number), (mishaps.STATES, mishaps.cut)],
    ids=["a bit of dialogues", "a bit of states", "states cut off"],
)
def test_damage_is_found_by_verify_and_refused_by_the_rule_that_reads_it(here, finished, name, damage):
    found = mishaps.damaged(here, finished, name, damage)
    assert found.noticed
    assert "run again" in found.said
    assert found.lost == []


def test_disk_full(finished, here, tmp_path):
    with mishaps.small_disk(here.folder, 400) as there:
        if not there:
            pytest.skip("mounting a small disk is not permitted here")
        found = mishaps.disk_full(here, finished)
    assert found.noticed
    assert found.lost == []


def test_results_that_cannot_be_written(finished, here):
    found = mishaps.no_writing(here, finished)
    if found is None:
        pytest.skip("mounting a folder read-only is not permitted here")
    assert found.noticed
    assert found.lost == []


def test_clock_that_was_wrong_while_dialogues_were_played(finished, here):
    """Snakemake goes by time, but not where a small input has the bytes that it had."""
    found, repeated = mishaps.clock_jumps(here, finished, 86_400)
    assert found.noticed
    assert found.lost == []
    assert repeated == 0


def test_second_driver_in_a_folder_is_refused(tiny, finished, tmp_path):
    found = mishaps.second_driver(accidents.Place(tmp_path / "run", tiny), finished)
    assert found.noticed
    assert found.said
    assert found.lost == []


@pytest.mark.parametrize(("delay", "patience"), [(1.0, 10), (3.0, 1)], ids=["in time", "too late"])
def test_output_that_is_seen_late(finished, here, delay, patience):
    found = mishaps.late_files(here, finished, delay, patience)
    assert found.noticed
    assert found.lost == []


def test_comparing_finds_a_changed_number_and_a_missing_file(finished, tmp_path):
    shutil.copytree(finished / "results", tmp_path / "results")
    assert differences(finished / "results", tmp_path / "results") == []
    table = tmp_path / "results/synchrony.tsv"
    table.write_text(table.read_text().replace("0.", "1.", 1))
    (tmp_path / f"results/{mishaps.R2}").unlink()
    assert differences(finished / "results", tmp_path / "results") == [
        f"{mishaps.R2}: only in {finished / 'results'}",
        "synchrony.tsv: differs",
    ]
