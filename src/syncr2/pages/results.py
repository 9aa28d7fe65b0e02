"""The page "Results in one page": SyncR² by condition, correlations, social performance, all pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from syncr2.config.experiment import Experiment
from syncr2.ids import INTERACTION
from syncr2.judges.dimensions import DIMENSIONS
from syncr2.pages.correlations import ALL as ALL
from syncr2.pages.correlations import correlation_table, knows_models, partial_table
from syncr2.pages.layout import (
    UNDEFINED,
    Column,
    Download,
    Head,
    Table,
    fixed,
    need_columns,
    percent,
    render,
    whole,
)

PAIR = ["model_1", "model_2"]
_NEEDED = {
    "synchrony": [*PAIR, "family", "condition", "sync_r2"],
    "directed": ["condition", "n_train", "n_test"],
    "performance": [
        "judge",
        *PAIR,
        "family",
        "social_performance",
        "n_dialogues",
        "n_judged",
        "failure_rate",
    ],
    "pairs": [*PAIR, "family", "sync_r2", "social_performance"],
    "correlations": ["family", "r", "p", "n"],
    "partial": ["covariate", "family", "r", "p", "n", "df"],
}


@dataclass(frozen=True)
class ResultTables:
    """The tables that the page shows, each as the workflow wrote it; docs/formats.md describes their columns.

    Attributes
    ----------
    synchrony, directed, performance, pairs, correlations, partial : DataFrame
        synchrony.tsv, synchrony_directed.tsv, performance.tsv and the three files under statistics/.

    Raises
    ------
    SyncR2Error
        If a table lacks a column.
    """

    synchrony: pd.DataFrame
    directed: pd.DataFrame
    performance: pd.DataFrame
    pairs: pd.DataFrame
    correlations: pd.DataFrame
    partial: pd.DataFrame

    def __post_init__(self) -> None:
        for name, needed in _NEEDED.items():
            need_columns(getattr(self, name).columns, needed, name)
        need_columns(self.performance.columns, [dimension.name for dimension in DIMENSIONS], "performance")


def results_page(
    head: Head,
    tables: ResultTables,
    conditions: Mapping[str, str],
    downloads: Sequence[Download] = (),
    in_short: Table | None = None,
    without: str | None = None,
) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    tables : ResultTables
    conditions : mapping
        Words for each condition, in the order of the columns.
    downloads : sequence of Download
        The same tables as files.
    in_short : Table, optional
        The published quantity beside the corrected ones (`protocols.in_short`), where they were measured.
    without : str, optional
        Which pairs have no SyncR², and why (`without_states`).
    """
    wide = _wide(tables.synchrony, list(conditions))
    judges = {str(judge): part for judge, part in tables.performance.groupby("judge", sort=False)}
    return render(
        "results.html",
        head,
        in_short=in_short,
        without=without,
        samples=_samples(tables.directed, conditions),
        sync=_by_family(wide, conditions, tables.synchrony),
        changes=_changes(wide, conditions),
        correlations=correlation_table(tables.correlations),
        knows_models=knows_models(tables.correlations),
        partial=partial_table(tables.partial),
        undefined=bool(tables.correlations["r"].isna().any() or tables.partial["r"].isna().any()),
        performance={judge: _performance(part) for judge, part in judges.items()},
        pairs=_all_pairs(wide, conditions, tables),
        downloads=downloads,
    )


def without_states(experiment: Experiment) -> str | None:
    """Which pairs have no SyncR², and why; None if all have it."""
    there = set(experiment.unordered_with_states)
    left = [pair for pair in experiment.pairs if pair not in there]
    if not left:
        return None
    unknown = [model.name for model in experiment.models.values() if not model.has_states]
    names = ", ".join(f"{first} – {second}" for first, second in left)
    return (
        f"Played and judged, but without SyncR²: {names}. A model that is known by an endpoint alone "
        f"({', '.join(unknown)}) has no hidden states to be read. These pairs stand in the tables of "
        "performance, and in no correlation."
    )


def _wide(synchrony: pd.DataFrame, conditions: list[str]) -> pd.DataFrame:
    """SyncR² with one row a pair, in the order of the table, and one column a condition."""
    wide = synchrony.pivot(index=["family", *PAIR], columns="condition", values="sync_r2")
    order = synchrony.drop_duplicates(["family", *PAIR])[["family", *PAIR]]
    return wide.reindex(index=pd.MultiIndex.from_frame(order), columns=conditions)


def _families(wide: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The pairs of each family, and of all of them."""
    of_row = wide.index.get_level_values("family")
    found = {str(family): wide[of_row == family] for family in dict.fromkeys(of_row)}
    return {**found, ALL: wide}


def _by_family(wide: pd.DataFrame, conditions: Mapping[str, str], synchrony: pd.DataFrame) -> Table:
    families = _families(wide)
    rows = []
    for family, part in families.items():
        cells = [mean_and_range(part[name]) for name in conditions]
        rows.append((family, whole(len(part)), *cells))
    columns = [Column(words, "number", "mean (lowest to highest)") for words in conditions.values()]
    return Table(
        (Column("family"), Column("pairs", "number"), *columns), tuple(rows), frozenset({len(rows) - 1})
    )


def mean_and_range(values: pd.Series) -> str:
    """`0.532 (0.440 to 0.610)`; the value alone where there is one."""
    mean = fixed(values.mean())
    return mean if len(values) == 1 else f"{mean} ({fixed(values.min())} to {fixed(values.max())})"


def _samples(directed: pd.DataFrame, conditions: Mapping[str, str]) -> Table:
    """How many samples the maps of each condition had; a range where pairs and directions differ."""
    rows = []
    for column, words in (("n_train", "training"), ("n_test", "test")):
        numbers = [directed.loc[directed["condition"] == name, column] for name in conditions]
        spans = [dict.fromkeys((whole(values.min()), whole(values.max()))) for values in numbers]
        rows.append((words, *(" to ".join(span) for span in spans)))
    columns = [Column(words, "number") for words in conditions.values()]
    return Table((Column("samples"), *columns), tuple(rows))


def _changes(wide: pd.DataFrame, conditions: Mapping[str, str]) -> Table | None:
    """Each control less the interaction, pair by pair; None without a control."""
    controls = [name for name in conditions if name != INTERACTION.name]
    if not controls:
        return None
    rows = []
    for family, part in _families(wide).items():
        cells = []
        for name in controls:
            change = (part[name] - part[INTERACTION.name]).dropna()
            cells.append(f"{fixed(change.mean(), signed=True)} ({(change < 0).sum()} of {len(change)} lower)")
        rows.append((family, *cells))
    columns = [Column(conditions[name], "number", "mean change (pairs)") for name in controls]
    return Table((Column("family"), *columns), tuple(rows), frozenset({len(rows) - 1}))


def _performance(part: pd.DataFrame) -> Table:
    """One judge's means by family, and how many dialogues it could not judge."""
    # `read_table` takes relationship for the episodes' column of that name, which is a word.
    part = part.astype({dimension.name: float for dimension in DIMENSIONS})
    families = {**{str(family): rows for family, rows in part.groupby("family", sort=False)}, ALL: part}
    rows = []
    for family, pairs in families.items():
        n_dialogues, n_judged = pairs["n_dialogues"].sum(), pairs["n_judged"].sum()
        rows.append(
            (
                family,
                whole(len(pairs)),
                fixed(pairs["social_performance"].mean(), 2),
                *(fixed(pairs[dimension.name].mean(), 2) for dimension in DIMENSIONS),
                whole(n_dialogues),
                percent(1 - n_judged / n_dialogues),
                percent(pairs["failure_rate"].max()),
            )
        )
    scores = [Column(d.name.replace("_", " "), "number", fixed_range(d.low, d.high)) for d in DIMENSIONS]
    columns = (
        Column("family"),
        Column("pairs", "number"),
        Column("social performance", "number", "mean of the seven"),
        *scores,
        Column("dialogues", "number"),
        Column("not judged", "number"),
        Column("not judged", "number", "worst pair"),
    )
    return Table(columns, tuple(rows), frozenset({len(rows) - 1}))


def fixed_range(low: int, high: int) -> str:
    """The range of a dimension's scores."""
    return f"{fixed(low, 0)} … {fixed(high, 0)}"


def _all_pairs(wide: pd.DataFrame, conditions: Mapping[str, str], tables: ResultTables) -> Table:
    social = {
        (row["model_1"], row["model_2"]): row["social_performance"] for row in tables.pairs.to_dict("records")
    }
    rows = []
    for index, values in wide.iterrows():
        family, first, second = (str(part) for part in index)  # type: ignore[attr-defined]
        judged = social.get((first, second))
        performance = UNDEFINED if judged is None else fixed(judged)
        rows.append(
            (f"{first} – {second}", family, *(fixed(values[name]) for name in conditions), performance)
        )
    columns = [Column(words, "number", "SyncR²") for words in conditions.values()]
    return Table(
        (
            Column("pair"),
            Column("family"),
            *columns,
            Column("social performance", "number", "mean over judges"),
        ),
        tuple(rows),
    )
