"""The page "What states tell about the partner": probes of labels, and the labels themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from syncr2.pages.layout import Column, Download, Head, Table, fixed, is_number, need_columns, percent, whole
from syncr2.pages.sections import Section, Shown, listed, sections_page, with_span

TITLE = "What states tell about the partner"
TARGETS = {"current": "of the utterance heard last", "next": "of the reply that follows"}
MEASURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss (nats)",
    "explained_deviance": "explained deviance",
}
_WHAT = ["labeller", "label", "target", "measure"]
_VALUES = [
    *("value", "low", "high", "majority", "text", "shuffled"),
    *("over_text", "over_text_low", "over_text_high"),
]
_LABELS = ["labeller", "label", "class", "value", "n_dialogues", "n_labelled"]
_REST = ["model_1", "model_2", "n_samples", "n_environments", "classes", "reason"]
Row = Mapping[Any, Any]


@dataclass(frozen=True)
class ProbeTables:
    """The tables that the page shows: probes/pairs.tsv, probes/overall.tsv and labels.tsv.

    Raises
    ------
    SyncR2Error
        If a table lacks a column.
    """

    pairs: pd.DataFrame
    overall: pd.DataFrame
    labels: pd.DataFrame

    def __post_init__(self) -> None:
        need_columns(map(str, self.pairs), [*_WHAT, *_VALUES, *_REST], "probes/pairs")
        need_columns(map(str, self.overall), [*_WHAT, *_VALUES, "n_pairs"], "probes/overall")
        need_columns(map(str, self.labels), _LABELS, "labels")


def probes_page(
    head: Head, tables: ProbeTables, stand_ins: Sequence[str], downloads: Sequence[Download] = ()
) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    tables : ProbeTables
    stand_ins : sequence of str
        Labellers that only count words.
    downloads : sequence of Download
    """
    lead = (
        "When an agent is about to speak, what does its state tell about its partner? From every layer a "
        "multinomial logistic regression predicts a label of the partner's utterance that the agent heard "
        "last, and of the reply that the partner will give. No environment stands in training and test; "
        "penalties are chosen on inner folds.",
        "Each is held against the majority class, against the same procedure on the words of the utterance "
        "heard last, and against the same procedure with labels shuffled among the dialogues of a fold, "
        "which keeps what the turn alone tells. A state that only stores the words would do about as well "
        'as the words, so the column "over text" is the one to look at first.',
    )
    what = tables.pairs[["labeller", "label"]].drop_duplicates().itertuples(index=False, name=None)
    sections = [_probed(tables, labeller, label, labeller in stand_ins) for labeller, label in what]
    return sections_page(head, TITLE, lead, [*sections, _labels(tables.labels)], downloads, judged=False)


def _probed(tables: ProbeTables, labeller: str, label: str, stand_in: bool) -> Section:
    overall = _own(tables.overall, labeller, label)
    pairs = _own(tables.pairs, labeller, label)
    question = f"Does a state tell the partner's {label}? (labels by {labeller})"
    caveat = (
        f"{labeller}: rules over words, a stand-in for demonstrations. Its labels, and whatever is found of "
        "them in states, carry no scientific meaning."
        if stand_in
        else ""
    )
    classes = list(
        dict.fromkeys(name for each in pairs["classes"].dropna() for name in str(each).split(", "))
    )
    reasons = list(dict.fromkeys(str(each) for each in pairs["reason"].dropna() if str(each)))
    if overall.empty:
        return Section(
            question, (f"There was nothing to predict: {listed(reasons or ['no labels'])}.",), (), caveat
        )
    said = [_answer(row) for row in overall[overall["measure"] == "explained_deviance"].to_dict("records")]
    text = f"{' '.join(said)} Classes: {listed(f'`{name}`' for name in classes)}."
    if reasons:
        text += f" Where a direction had nothing to predict it is left out ({listed(reasons)})."
    return Section(
        question,
        (text,),
        (
            Shown(
                _table(overall, "pairs", "n_pairs"),
                "Means over layers, directions and pairs, with 95 % intervals over environments. Log loss "
                "and deviance are against the labelled distribution; of a log loss, less is better.",
            ),
            Shown(_by_pair(pairs), title="By pair of models: explained deviance", hidden=True),
        ),
        caveat,
    )


def _own(table: pd.DataFrame, labeller: str, label: str) -> pd.DataFrame:
    return table[(table["labeller"] == labeller) & (table["label"] == label)]


def _answer(row: Row) -> str:
    """One sentence on one target."""
    gain, low, high = row["over_text"], row["over_text_low"], row["over_text_high"]
    if not is_number(low):
        verdict = "too few environments for an interval"
    elif low > 0:
        verdict = "more than the words of the utterance"
    elif high < 0:
        verdict = "less than the words of the utterance"
    else:
        verdict = "which cannot be told from what the words of the utterance explain"
    return (
        f"{_capital(TARGETS[row['target']])}, states explain "
        f"{with_span(row['value'], row['low'], row['high'])} of the deviance, the words "
        f"{fixed(row['text'])}: a difference of "
        f"{with_span(gain, low, high, signed=True)}, {verdict}."
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _table(rows: pd.DataFrame, count: str, column: str) -> Table:
    made = [
        (
            TARGETS[row["target"]],
            MEASURES[row["measure"]],
            with_span(row["value"], row["low"], row["high"]),
            fixed(row["text"]),
            with_span(row["over_text"], row["over_text_low"], row["over_text_high"], signed=True),
            fixed(row["shuffled"]),
            fixed(row["majority"]),
            whole(row[column]),
        )
        for row in rows.to_dict("records")
    ]
    columns = (
        Column("partner's label"),
        Column("measure"),
        Column("states", "number", "mean over layers"),
        Column("text", "number", "utterance heard last"),
        Column("over text", "number", "difference"),
        Column("shuffled", "number"),
        Column("majority", "number", "class or shares"),
        Column(count, "number"),
    )
    return Table(columns, tuple(made))


def _by_pair(pairs: pd.DataFrame) -> Table:
    made = [
        (
            f"{row['model_1']} – {row['model_2']}",
            TARGETS[row["target"]],
            with_span(row["value"], row["low"], row["high"]),
            with_span(row["over_text"], row["over_text_low"], row["over_text_high"], signed=True),
            fixed(row["shuffled"]),
            whole(row["n_samples"]),
            whole(row["n_environments"]),
            "" if pd.isna(row["reason"]) else str(row["reason"]),
        )
        for row in pairs[pairs["measure"] == "explained_deviance"].to_dict("records")
    ]
    columns = (
        Column("pair"),
        Column("partner's label"),
        Column("states", "number", "mean over layers"),
        Column("over text", "number", "difference"),
        Column("shuffled", "number"),
        Column("samples", "number"),
        Column("environments", "number"),
        Column("nothing to predict"),
    )
    return Table(columns, tuple(made))


def _labels(labels: pd.DataFrame) -> Section:
    """How many dialogues were labelled, and how often each class was given."""
    pairs = labels.drop_duplicates(["labeller", "model_1", "model_2"])
    counts = []
    for labeller, own in pairs.groupby("labeller", sort=False):
        lost = 1 - own["n_labelled"].sum() / own["n_dialogues"].sum()
        worst = (1 - own["n_labelled"] / own["n_dialogues"]).max()
        counts.append(
            (
                str(labeller),
                whole(own["n_dialogues"].sum()),
                whole(own["n_labelled"].sum()),
                percent(lost),
                percent(worst),
            )
        )
    classes = labels[labels["class"].notna() & (labels["class"] != "")]
    means = classes.groupby(["labeller", "label", "class"], sort=False)["value"].agg(["sum", "min", "max"])
    n_pairs = pairs.groupby("labeller", sort=False).size()
    shares = [
        (*map(str, key), percent(row["sum"] / n_pairs[key[0]]), percent(row["max"]))
        for key, row in zip(means.index, means.to_dict("records"), strict=True)
    ]
    return Section(
        "How were utterances labelled?",
        (
            "A dialogue without labels is in no probe, and is counted here. What could not be labelled is no "
            "random sample, so a high rate is a reason to distrust the rest.",
        ),
        (
            Shown(
                Table(
                    (
                        Column("labeller"),
                        Column("dialogues", "number"),
                        Column("labelled", "number"),
                        Column("without labels", "number"),
                        Column("without labels", "number", "worst pair"),
                    ),
                    tuple(counts),
                )
            ),
            Shown(
                Table(
                    (
                        Column("labeller"),
                        Column("label"),
                        Column("class"),
                        Column("share", "number", "mean over pairs"),
                        Column("highest", "number", "pair"),
                    ),
                    tuple(shares),
                ),
                title="How often each class was given",
                hidden=True,
            ),
        ),
    )
