"""The page "Dialogues": how they went by pair, and a few of them to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from syncr2 import ids
from syncr2.errors import SyncR2Error
from syncr2.judges.dimensions import DIMENSIONS, overall
from syncr2.pages.layout import Column, Head, Table, fixed, need_columns, percent, render, whole
from syncr2.pages.results import fixed_range
from syncr2.quality import FLAGS, STOP_REASONS
from syncr2.sotopia.episodes import Episode
from syncr2.sotopia.views import judge_view

Record = Mapping[str, Any]

_STOP_WORDS = {
    "turn_limit": "turn limit reached",
    "left": "an agent left",
    "stale": "nobody had anything to say",
    "context": "a model's context was full",
}
_STOP_TITLES = {"turn_limit": "turn limit", "left": "left", "stale": "no words", "context": "context full"}


@dataclass(frozen=True)
class Transcript:
    """One dialogue as the page shows it. All its texts are untrusted."""

    pair: str
    family: str
    models: tuple[str, str]
    seed: int
    episode_id: str
    relationship: str
    scenario: str
    people: tuple[str, str]
    goals: tuple[str, str]
    turns: tuple[Record, ...]
    ending: str
    scores: Mapping[str, Table]
    not_judged: Mapping[str, str]


def choose_samples(dialogues: Iterable[Record], family: Mapping[str, str]) -> list[Record]:
    """The dialogues to show: those of one ordered pair for each family of pairs, with one seed.

    Of a family's pairs the first one of two different models is taken, for it shows most; else the first.

    Parameters
    ----------
    dialogues : iterable of mapping
        Candidates, in the order of pairs, seeds and episodes.
    family : mapping
        Family by model name.
    """
    chosen: dict[str, list[Record]] = {}
    for dialogue in dialogues:
        agents = dialogue["agent1"], dialogue["agent2"]
        kind = ids.pair_family(*agents, family)
        held = chosen.get(kind)
        if held is None or (_is_self(held[0]) and not _is_self(dialogue)):
            chosen[kind] = [dialogue]
        elif (held[0]["pair"], held[0]["seed"]) == (dialogue["pair"], dialogue["seed"]):
            held.append(dialogue)
    return [dialogue for held in chosen.values() for dialogue in held]


def _is_self(dialogue: Record) -> bool:
    return bool(dialogue["agent1"] == dialogue["agent2"])


def dialogues_page(
    head: Head,
    quality: pd.DataFrame,
    samples: Sequence[Record],
    judgements: Iterable[Record],
    episodes: Iterable[Episode],
    family: Mapping[str, str],
) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    quality : DataFrame
        quality.tsv, one row an ordered pair.
    samples : sequence of mapping
        Dialogues to show.
    judgements : iterable of mapping
        Judgements; those of other dialogues are passed over.
    episodes : iterable of Episode
        They hold the samples' episodes.
    family : mapping
        Family by model name.
    """
    by_id = {episode.id: episode for episode in episodes}
    judged: dict[tuple[Any, ...], list[Record]] = {}
    for judgement in judgements:
        judged.setdefault(_key(judgement), []).append(judgement)
    transcripts = [_transcript(sample, by_id, judged.get(_key(sample), []), family) for sample in samples]
    return render("dialogues.html", head, quality=_quality(quality), transcripts=transcripts)


def _key(record: Record) -> tuple[Any, ...]:
    return record["pair"], record["seed"], record["episode_id"]


def _transcript(
    dialogue: Record, episodes: Mapping[str, Episode], judgements: Sequence[Record], family: Mapping[str, str]
) -> Transcript:
    episode = episodes.get(dialogue["episode_id"])
    if episode is None:
        raise SyncR2Error(
            f"The dialogue of {dialogue['pair']}, seed {dialogue['seed']}, is of episode "
            f"{dialogue['episode_id']}, which the scenarios do not have. They were changed since: run the "
            "workflow again."
        )
    view = judge_view(episode)
    models = (dialogue["agent1"], dialogue["agent2"])
    return Transcript(
        pair=dialogue["pair"],
        family=ids.pair_family(*models, family),
        models=models,
        seed=dialogue["seed"],
        episode_id=dialogue["episode_id"],
        relationship=view.relationship,
        scenario=view.scenario,
        people=view.participants,
        goals=view.goals,
        turns=tuple(dialogue["turns"]),
        ending=_STOP_WORDS.get(dialogue["stop_reason"], str(dialogue["stop_reason"])),
        scores={
            line["judge"]: _scores(line, view.participants) for line in judgements if line["status"] == "ok"
        },
        not_judged={line["judge"]: line["status"] for line in judgements if line["status"] != "ok"},
    )


def _scores(judgement: Record, people: tuple[str, str]) -> Table:
    columns = [Column(d.name.replace("_", " "), "number", fixed_range(d.low, d.high)) for d in DIMENSIONS]
    rows = []
    for agent, name in zip(("agent1", "agent2"), people, strict=True):
        scores = judgement["scores"][agent]
        rows.append((name, *(fixed(scores[d.name], 1) for d in DIMENSIONS), fixed(overall(scores), 2)))
    return Table((Column("agent"), *columns, Column("overall", "number", "mean")), tuple(rows))


def _quality(quality: pd.DataFrame) -> Table:
    shares = [f"share_{flag}" for flag in FLAGS] + [f"stop_{reason}" for reason in STOP_REASONS]
    needed = ["agent1", "agent2", "n_dialogues", "mean_turns", "tokens_per_turn", "longest_prompt", *shares]
    need_columns(quality.columns, needed, "quality")
    rows = [
        (
            f"{row['agent1']} → {row['agent2']}",
            whole(row["n_dialogues"]),
            fixed(row["mean_turns"], 1),
            fixed(row["tokens_per_turn"], 1),
            whole(row["longest_prompt"]),
            *(percent(row[share]) for share in shares),
        )
        for row in quality.to_dict("records")
    ]
    columns = (
        Column("speaks first → second"),
        Column("dialogues", "number"),
        Column("turns", "number", "mean"),
        Column("tokens", "number", "mean a turn"),
        Column("longest prompt", "number", "tokens"),
        *(Column(flag.replace("_", " "), "number", "of turns") for flag in FLAGS),
        *(Column(_STOP_TITLES[reason], "number", "dialogues' end") for reason in STOP_REASONS),
    )
    return Table(columns, tuple(rows))
