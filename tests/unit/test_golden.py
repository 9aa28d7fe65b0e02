"""The published analysis code's numbers, one for one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from shared import SHARED, missing

import syncr2
from syncr2.maps.samples import Row, Samples, join, sample_rows

GOLDEN = SHARED / "golden"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason=missing("golden"))

CONDITIONS = [f"{direction}/lag{lag}" for direction in ("A_forward", "B_forward") for lag in (1, 3, 5)]


@pytest.fixture(scope="module")
def golden():
    expected = json.loads((GOLDEN / "expected.json").read_text())
    with np.load(GOLDEN / "states.npz") as arrays:
        return expected, dict(arrays)


def joined(golden, condition: str) -> tuple[np.ndarray, np.ndarray, Samples]:
    _, arrays = golden
    direction, lag = condition.split("/lag")
    source, target = ("1", "2") if direction == "A_forward" else ("2", "1")
    rows = {agent: [Row(str(e), s, t) for e, s, t in arrays[f"index{agent}"].tolist()] for agent in "12"}
    samples = join(rows[source], rows[target], int(lag), [str(e) for e in arrays["episode_order"]])
    layers = {agent: arrays[f"agent{agent}"].transpose(1, 0, 2) for agent in "12"}
    return layers[source][:, samples.source], layers[target][:, samples.target], samples


@pytest.mark.parametrize("condition", CONDITIONS)
def test_splits_are_exactly_the_published_ones(golden, condition):
    expected, arrays = golden
    _, _, samples = joined(golden, condition)
    for i, seed in enumerate(expected["split_seeds"]):
        counts = samples.per_episode(len(arrays["episode_order"]))
        train, test = syncr2.paper_split(counts, expected["sample_num"], seed)
        assert train.tolist() == expected["conditions"][condition]["train_episodes"][i]
        assert test.tolist() == expected["conditions"][condition]["test_episodes"][i]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_r2_and_directed_sync_are_the_published_ones(golden, condition):
    expected, arrays = golden
    source, target, samples = joined(golden, condition)
    found = []
    for seed in expected["split_seeds"]:
        split = syncr2.paper_split(
            samples.per_episode(len(arrays["episode_order"])), expected["sample_num"], seed
        )
        found.append(syncr2.layer_r2(source, target, *sample_rows(samples, split), penalty=expected["alpha"]))
    published = expected["conditions"][condition]
    np.testing.assert_allclose(found, published["r2"], rtol=0, atol=1e-5)
    assert syncr2.directed_sync(np.mean(found, axis=0)) == pytest.approx(
        published["directed_sync_r2"], abs=1e-5
    )
