"""What dialogues came to where their episode says so in figures."""

from __future__ import annotations

import pandas as pd

from syncr2.pages.layout import Column, Table, counted, fixed, percent, whole
from syncr2.pages.sections import Section, Shown

_GAMES = {
    "division": "division of items",
    "bargaining": "bargain over a price",
    "mutual_friend": "search for a common friend",
}
_OUTCOMES = {"deal": "agreed", "none": "no agreement", "unreadable": "could not be read"}
_MEANS = {
    "gain": Column("gain", "number", "mean of both agents"),
    "pareto_distance": Column("distance from the Pareto frontier", "number"),
    "fairness": Column("fairness", "number", "of agreements"),
}


def outcomes(table: pd.DataFrame, pairs: pd.DataFrame) -> Section:
    """What did dialogues come to?

    Parameters
    ----------
    table : DataFrame
        outcomes.tsv, one row a dialogue.
    pairs : DataFrame
        outcome_pairs.tsv.
    """
    question = "What did dialogues come to?"
    if table.empty:
        text = (
            "No episode of this run says in figures what it is played for (items to divide, a price, a "
            "common friend), so nothing was counted. Of the public environments every third does."
        )
        return Section(question, (text,))
    said = []
    for game, part in table.groupby("game", sort=False):
        shares = part["outcome"].value_counts(normalize=True)
        said.append(
            f"of {counted(len(part), 'dialogue')} with a {_game(game)} {percent(shares.get('deal', 0.0))} "
            f"ended in agreement, {percent(shares.get('none', 0.0))} in none, and "
            f"{percent(shares.get('unreadable', 0.0))} could not be read"
        )
    text = "; ".join(said)
    text = f"{text[0].upper()}{text[1:]}. What could not be read counts in no mean; it is no random sample."
    by_game = [_means(_game(game), part) for game, part in table.groupby("game", sort=False)]
    columns = (
        Column("game"),
        Column("dialogues", "number"),
        *(Column(words, "number") for words in _OUTCOMES.values()),
        Column("price", "number", "mean of agreements"),
        Column("points", "number", "mean of both agents"),
        *_MEANS.values(),
    )
    note = (
        "Gain: the share of all points, or what a price is better than one's target over the list price. "
        "Fairness: 1 less the difference of gains. Read by rules over words. Means, no tests: nothing was "
        "corrected."
    )
    return Section(
        question,
        (text,),
        (
            Shown(Table(columns, tuple(by_game)), note),
            Shown(_by_pair(pairs), title="By pair of models", hidden=True),
        ),
    )


def _game(name: object) -> str:
    return _GAMES.get(str(name), str(name).replace("_", " "))


def _means(name: str, part: pd.DataFrame) -> tuple[str, ...]:
    n = part["outcome"].value_counts()
    both = {key: part[[f"{key}_1", f"{key}_2"]].mean(axis=1).mean() for key in ("points", "gain")}
    return (
        name,
        whole(len(part)),
        *(whole(n.get(outcome, 0)) for outcome in _OUTCOMES),
        fixed(part["price"].mean(), 1),
        fixed(both["points"], 2),
        fixed(both["gain"]),
        fixed(part["pareto_distance"].mean()),
        fixed(part["fairness"].mean()),
    )


def _by_pair(pairs: pd.DataFrame) -> Table:
    rows = [
        (
            f"{row['model_1']} – {row['model_2']}",
            _game(row["game"]),
            whole(row["n_dialogues"]),
            percent(row["unreadable_rate"]),
            percent(row["agreement_rate"]),
            *(fixed(row[name]) for name in _MEANS),
        )
        for row in pairs.to_dict("records")
    ]
    columns = (
        Column("pair"),
        Column("game"),
        Column("dialogues", "number"),
        Column("could not be read", "number"),
        Column("agreed", "number", "of those read"),
        *_MEANS.values(),
    )
    return Table(columns, tuple(rows))
