"""Probes: planted labels are found, unrelated ones are not, and no environment stands on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch_here import TorchHere

from syncr2.errors import SyncR2Error
from syncr2.maps.backends import Cpu
from syncr2.maps.samples import Row
from syncr2.maps.softmax import Models, fit, probabilities, rotate
from syncr2.probing import probes
from syncr2.probing.probes import MEASURES, Places, nested, probe, score, standardised, tfidf
from syncr2.probing.targets import Target, shuffled, target_of

ON = Cpu()
N_FOLDS, N_ENVIRONMENTS, N_DIALOGUES, N_TURNS = 4, 12, 4, 5


def made_up(seed: int = 0) -> tuple[list[Row], Places]:
    """Rows of some dialogues in each of 12 environments, on 4 folds."""
    rows, environment = [], []
    for e in range(N_ENVIRONMENTS):
        for d in range(N_DIALOGUES):
            rows += [Row(f"episode-{e}-{d}", seed, turn) for turn in range(1, 1 + 2 * N_TURNS, 2)]
            environment += [e] * N_TURNS
    names = tuple(f"environment-{e:02}" for e in range(N_ENVIRONMENTS))
    where = np.array(environment)
    return rows, Places(where % N_FOLDS, where, names)


def target(classes: NDArray[np.intp], n_classes: int) -> Target:
    return Target(
        np.eye(n_classes)[classes],
        np.ones(len(classes), dtype=bool),
        tuple(str(k) for k in range(n_classes)),
        "",
    )


def reach(found: probes.Scores, measure: str, layer: int | None = None) -> tuple[float, float]:
    """Value and half width of the 95 % interval."""
    at = MEASURES.index(measure)
    value, influence = found.value[..., at], found.influence[..., at]
    if layer is not None:
        value, influence = value[layer], influence[:, layer]
    half = stats.t.ppf(0.975, N_ENVIRONMENTS - 1) * np.sqrt((influence**2).sum())
    return float(value), float(half)


def test_planted_labels_are_found_in_their_layer_alone() -> None:
    rows, places = made_up()
    generator = np.random.default_rng(1)
    stack = generator.standard_normal((2, len(rows), 10))
    logits = 3.0 * stack[1][:, :3]
    chance = ON.softmax(logits)
    classes = np.array([generator.choice(3, p=p) for p in chance])
    own = target(classes, 3)
    draws = shuffled(own, rows, places.fold, 3, 0)
    found = probe(ON, stack, ["a word"] * len(rows), {"x": (own, draws)}, places)["x"]
    # Nobody who knows the true chances is right more often than this, up to the sampling of 240 rows.
    best = (chance.argmax(axis=1) == classes).mean()
    planted, _ = reach(found.layers, "accuracy", 1)
    assert best - 0.08 < planted <= best + 0.03
    assert reach(found.layers, "explained_deviance", 1)[0] > 0.3
    majority, _ = reach(found.majority, "accuracy")
    for scores, layer in ((found.layers, 0), (found.shuffled, 0), (found.shuffled, 1)):
        value, half = reach(scores, "explained_deviance", layer)
        assert abs(value) < half + 0.03
        assert abs(reach(scores, "accuracy", layer)[0] - majority) < 0.1
    assert reach(found.majority, "explained_deviance")[0] == 0.0
    # The text is the same everywhere, so it tells no more than the shares of the classes.
    assert reach(found.text, "explained_deviance")[0] == pytest.approx(0.0, abs=0.005)


def test_unrelated_labels_are_seldom_better_than_chance() -> None:
    """By 95 % intervals, in at most 10 % of 40 tries, though shares of classes differ by environment.

    They are worse somewhat more often: where a test fold has more of a class, the others have less.
    """
    rows, places = made_up()
    above, around = [], []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        values = generator.standard_normal((len(rows), 6))
        # Environments differ in their shares of classes, so that rows are not independent.
        shares = generator.dirichlet([4.0, 4.0], N_ENVIRONMENTS)[places.environment]
        classes = (generator.random(len(rows)) > shares[:, 0]).astype(int)
        own = target(classes, 2)
        made = nested(ON, standardised(ON, values), {"x": (own.values[None], own.kept)}, places.fold)["x"]
        found = score(made.predicted[0], made.base[0], own.values, own.kept, places)
        value, half = reach(found, "balanced_accuracy")
        above.append(value - half > 0.5)
        around.append(abs(value - 0.5) <= half)
    assert np.mean(above) <= 0.1
    assert np.mean(around) >= 0.7


@pytest.mark.parametrize(("n", "d"), [(120, 8), (40, 150)])
def test_rotated_rows_give_the_plain_fit(n: int, d: int) -> None:
    generator = np.random.default_rng(2)
    values = generator.standard_normal((n, d)) @ generator.standard_normal((d, d)) / d
    classes = generator.integers(0, 3, n)
    train, test = np.arange(n) < 0.75 * n, np.arange(n) >= 0.75 * n
    data = rotate(ON, values[train], values[test])
    assert data.train.shape[1] == 1 + min(d, int(train.sum()) - 1 if d > train.sum() else d)
    penalties = np.array([0.1, 5.0])
    models = Models(
        np.eye(3)[classes[train]][None], np.zeros(2, dtype=int), np.ones((2, train.sum()), bool), penalties
    )
    made = probabilities(ON, data.test, fit(ON, data, models))
    for i, penalty in enumerate(penalties):
        plain = LogisticRegression(C=1 / penalty, tol=1e-9, max_iter=10_000).fit(
            values[train], classes[train]
        )
        np.testing.assert_allclose(made[:, i], plain.predict_proba(values[test]), atol=2e-4)


@pytest.mark.parametrize("d", [6, 300])
def test_torch_predicts_the_same(d: int) -> None:
    rows, places = made_up()
    generator = np.random.default_rng(7)
    values, classes = generator.standard_normal((len(rows), d)), generator.integers(0, 3, len(rows))
    labels = {"x": (np.eye(3)[classes][None], generator.random(len(rows)) < 0.9)}
    here, there = (nested(on, standardised(on, values), labels, places.fold)["x"] for on in (ON, TorchHere()))
    np.testing.assert_array_equal(here.penalty, there.penalty)
    np.testing.assert_allclose(here.predicted, there.predicted, atol=1e-6)


def test_models_side_by_side_are_those_fitted_alone() -> None:
    generator = np.random.default_rng(3)
    values = generator.standard_normal((60, 5))
    labels = np.eye(4)[generator.integers(0, 4, (2, 60))]
    some = generator.random((3, 60)) < 0.7
    data = rotate(ON, values, values)
    target_number, penalty = np.array([0, 1, 1]), np.array([0.5, 5.0, 50.0])
    together = fit(ON, data, Models(labels, target_number, some, penalty))
    for i in range(3):
        one = slice(i, i + 1)
        alone = fit(ON, data, Models(labels, target_number[one], some[one], penalty[one]))
        np.testing.assert_allclose(together[:, i], alone[:, 0], atol=1e-12)
        # Rows that a model does not count are as good as absent: only they are given to scikit-learn.
        rows = some[i]
        plain = LogisticRegression(C=1 / penalty[i], tol=1e-10, max_iter=10_000)
        plain.fit(values[rows], labels[target_number[i], rows].argmax(axis=1))
        made = probabilities(ON, data.test, together[:, one])[:, 0]
        np.testing.assert_allclose(made, plain.predict_proba(values), atol=2e-4)


def test_single_precision_differs_by_rounding_alone() -> None:
    generator = np.random.default_rng(6)
    values = generator.standard_normal((80, 30)).cumsum(axis=1)
    labels = np.eye(3)[generator.integers(0, 3, 80)][None]
    data = rotate(ON, values, values)
    penalties = np.array([0.1, 10.0, 1000.0])
    models = Models(labels, np.zeros(3, dtype=int), generator.random((3, 80)) < 0.7, penalties)
    single, double = (
        probabilities(ON, data.train, fit(ON, data, models, 1e-7, dtype)) for dtype in ("float32", "float64")
    )
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=1e-5)


def test_a_distribution_is_fitted_as_its_rows_in_proportion() -> None:
    generator = np.random.default_rng(4)
    values, soft = generator.standard_normal((50, 4)), generator.dirichlet([1.0, 1.0, 1.0], 50)
    data = rotate(ON, values, values)
    models = Models(soft[None], np.zeros(1, dtype=int), np.ones((1, 50), bool), np.array([2.0]))
    made = probabilities(ON, data.test, fit(ON, data, models))[:, 0]
    plain = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000)
    plain.fit(np.repeat(values, 3, axis=0), np.tile(np.arange(3), 50), sample_weight=soft.ravel())
    np.testing.assert_allclose(made, plain.predict_proba(values), atol=2e-4)


def test_the_text_baseline_is_scikit_learns_pipeline() -> None:
    generator = np.random.default_rng(5)
    words = ["I", "thank", "you", "no", "never", "please", "take", "it"]
    classes = generator.integers(0, 3, 60)
    texts = [" ".join([words[k], *generator.choice(words, 4)]) for k in classes]
    fold = np.arange(60) % 3
    labels = {"x": (np.eye(3)[classes][None], np.ones(60, dtype=bool))}
    made = nested(ON, tfidf(texts), labels, fold, penalties=[0.5])["x"].predicted[0]
    for each in range(3):
        train, test = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
        pipeline = make_pipeline(
            TfidfVectorizer(token_pattern=r"(?u)\b\w+\b"),
            LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000),
        )
        pipeline.fit([texts[i] for i in train], classes[train])
        np.testing.assert_allclose(made[test], pipeline.predict_proba([texts[i] for i in test]), atol=2e-4)


def test_test_folds_are_never_seen() -> None:
    """Features and labels of the tested fold can be anything: its predictions stay the same."""
    rows, places = made_up()
    generator = np.random.default_rng(6)
    values, classes = generator.standard_normal((len(rows), 4)), generator.integers(0, 2, len(rows))
    labels = np.eye(2)[classes]
    kept = np.ones(len(rows), dtype=bool)
    before = nested(ON, standardised(ON, values), {"x": (labels[None], kept)}, places.fold)["x"]
    other = labels.copy()
    tested = places.fold == 2
    other[tested] = other[tested][:, ::-1]
    after = nested(ON, standardised(ON, values), {"x": (other[None], kept)}, places.fold)["x"]
    np.testing.assert_array_equal(before.predicted[0, tested], after.predicted[0, tested])
    assert not np.array_equal(before.predicted[0, ~tested], after.predicted[0, ~tested])
    for environment in range(N_ENVIRONMENTS):
        assert len(np.unique(places.fold[places.environment == environment])) == 1


def labelled(rows: list[Row], value: object) -> dict[tuple[str, int], list[object]]:
    """`value` of (episode, turn) at every turn."""
    found: dict[tuple[str, int], list[object]] = {}
    for row in rows:
        found[row.episode_id, row.seed] = [value(row.episode_id, turn) for turn in range(12)]  # type: ignore[operator]
    return found


def test_current_and_next_are_the_turns_around_the_state() -> None:
    rows, places = made_up()
    labels = labelled(rows, lambda _, turn: f"turn {turn}")
    for offset in (-1, 1):
        found = target_of(rows, labels, offset, places.environment, N_FOLDS)
        assert [found.classes[k] for k in found.values.argmax(axis=1)] == [
            f"turn {row.turn + offset}" for row in rows
        ]
    # The last reply was never given.
    beyond = target_of(rows, labels, 3, places.environment, N_FOLDS)
    assert beyond.kept.sum() == len(rows) - N_ENVIRONMENTS * N_DIALOGUES
    assert not beyond.values[~beyond.kept].any()


def test_rare_classes_are_pooled_or_left_out() -> None:
    rows, places = made_up()

    def by_environment(kind: dict[int, str]) -> Target:
        labels = labelled(rows, lambda episode, _: kind.get(int(episode.split("-")[1]), "usual"))
        return target_of(rows, labels, -1, places.environment, N_FOLDS)

    four = by_environment({0: "a", 1: "a", 2: "b", 3: "c"})
    assert four.classes == ("usual", "other")
    assert four.kept.all()
    three = by_environment({0: "a", 1: "a", 2: "b"})
    assert (three.classes, three.kept.sum()) == (("usual",), 9 * N_DIALOGUES * N_TURNS)
    assert three.reason == "never other than usual"


def test_labels_that_never_vary_or_are_missing_say_so() -> None:
    rows, places = made_up()
    constant = target_of(rows, labelled(rows, lambda *_: "speak"), 1, places.environment, N_FOLDS)
    assert constant.reason == "never other than speak"
    assert target_of(rows, {}, 1, places.environment, N_FOLDS).reason == "no row has a label"
    numbers = labelled(rows, lambda episode, turn: float(turn % 2 if "-1" in episode else 0))
    assert target_of(rows, numbers, 0, places.environment, 1).classes == ("0", "1")
    amounts = labelled(rows, lambda episode, turn: float(hash(episode) % 1000 + turn))
    with pytest.raises(SyncR2Error, match="tells classes apart, at most 20"):
        target_of(rows, amounts, 1, places.environment, N_FOLDS)


def test_distributions_lose_the_mass_of_what_is_left_out() -> None:
    rows, places = made_up()
    labels = labelled(rows, lambda *_: {"joy": 0.6, "fear": 0.3, "anger": 0.1})
    first = labelled(rows[: N_DIALOGUES * N_TURNS * 6], lambda *_: {"joy": 0.2, "fear": 0.7, "anger": 0.1})
    found = target_of(rows, labels | first, -1, places.environment, N_FOLDS)
    assert found.classes == ("fear", "joy")
    np.testing.assert_allclose(found.values[0], [7 / 9, 2 / 9])
    np.testing.assert_allclose(found.values[-1], [3 / 9, 6 / 9])


def test_labels_are_shuffled_among_dialogues_of_a_fold_and_keep_their_order() -> None:
    rows, places = made_up()
    # Each dialogue's labels are its own class throughout, but for its first row.
    number = np.repeat(np.arange(len(rows) // N_TURNS), N_TURNS)
    values = np.eye(len(rows) // N_TURNS + 1)[
        np.where(np.arange(len(rows)) % N_TURNS == 0, number.max() + 1, number)
    ]
    own = Target(values, np.ones(len(rows), dtype=bool), tuple(map(str, range(values.shape[1]))), "")
    draws = shuffled(own, rows, places.fold, 2, 0).argmax(axis=2)
    assert not np.array_equal(draws[0], draws[1])
    for draw in draws:
        assert (draw[::N_TURNS] == number.max() + 1).all()
        for fold in range(N_FOLDS):
            inside = places.fold == fold
            assert sorted(draw[inside]) == sorted(values.argmax(axis=1)[inside])


def test_scores_are_their_definitions() -> None:
    places = Places(np.zeros(4, dtype=int), np.array([0, 0, 1, 1]), ("a", "b", "c"))
    values = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    predicted = np.array([[0.8, 0.2], [0.4, 0.6], [0.6, 0.4], [0.3, 0.7]])
    base = np.full((4, 2), 0.5)
    found = score(predicted, base, values, np.ones(4, dtype=bool), places)
    loss = -np.log([0.8, 0.4, 0.6, 0.7]).mean()
    np.testing.assert_allclose(found.value, [0.75, (2 / 3 + 1) / 2, loss, 1 - loss / np.log(2)])
    # Accuracy is 1/2 in the one environment and 1 in the other; the third has no rows.
    np.testing.assert_allclose(found.influence[:, 0], np.sqrt(0.5) * np.array([-0.25, 0.25, 0.0]))
