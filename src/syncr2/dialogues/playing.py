"""Plays dialogues, many at once: in lockstep for models in process, freely for those behind servers.

In lockstep, dialogues are played in groups, from beginning to end and one turn of all of them at a time, so
that a model computes many prompts at once and remembers those of one group only. Freely, each dialogue goes
on as soon as it has its answer, so that none waits for the slowest. What is said is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from syncr2.dialogues.dialogue import Asked, Dialogue, Match
from syncr2.sotopia.scenarios import Episode
from syncr2.speakers import FreeSpeaker, Side


class Progress(NamedTuple):
    """A turn about to be spoken: dialogues `first` to `last`, counted from 1, of which `n_playing` go on."""

    first: int
    last: int
    turn: int
    n_playing: int


def play(
    match: Match,
    episodes: Sequence[Episode],
    group_size: int,
    on_turn: Callable[[Progress], None] = lambda progress: None,
) -> Iterator[list[dict[str, Any]]]:
    """Play every episode once, in lockstep.

    Parameters
    ----------
    match : Match
        Who plays, and by what rules.
    episodes : sequence of Episode
        What to play.
    group_size : int
        Dialogues played together; it bounds memory and does not change what is said.
    on_turn : callable, optional
        Told of every turn of a group before it is spoken.

    Yields
    ------
    list of dict
        The records of a group (see docs/formats.md) in the order of `episodes`, as soon as it is done.
    """
    for start in range(0, len(episodes), group_size):
        group = [Dialogue(match, episode) for episode in episodes[start : start + group_size]]
        _play_group(match, group, start + 1, on_turn)
        yield [dialogue.record() for dialogue in group]


def _play_group(
    match: Match, group: Sequence[Dialogue], first: int, on_turn: Callable[[Progress], None]
) -> None:
    # One side an agent, not one a model: a model that talks to itself reads two prompts of each dialogue.
    sides = [speaker.join() for speaker in match.speakers]
    for turn in range(match.rule.max_turns):
        asked = [(dialogue, one) for dialogue in group if (one := dialogue.ask()) is not None]
        if not asked:
            break
        on_turn(Progress(first, first + len(group) - 1, turn, len(asked)))
        _speak(sides[turn % 2], asked)


def _speak(side: Side, asked: Sequence[tuple[Dialogue, Asked]]) -> None:
    names = [dialogue.episode.id for dialogue, _ in asked]
    answers = side.answer(names, [one.prompt for _, one in asked], [one.seed for _, one in asked])
    for (dialogue, _), answer in zip(asked, answers, strict=True):
        dialogue.hear(answer)


def can_play_freely(match: Match) -> bool:
    """Whether both speakers can be asked at any time."""
    return all(isinstance(speaker, FreeSpeaker) for speaker in match.speakers)


def play_freely(
    match: Match,
    episodes: Sequence[Episode],
    concurrency: int,
    on_record: Callable[[dict[str, Any]], None],
) -> None:
    """Play every episode once, each as fast as it is answered.

    Parameters
    ----------
    match, episodes
        As for `play`; both speakers are free ones.
    concurrency : int
        Dialogues under way at once.
    on_record : callable
        Given each record as soon as its dialogue is over, in whatever order that is. If a dialogue fails,
        those under way are given up, and what was given before holds.
    """
    asyncio.run(_play_all(match, episodes, concurrency, on_record))


async def _play_all(
    match: Match,
    episodes: Sequence[Episode],
    concurrency: int,
    on_record: Callable[[dict[str, Any]], None],
) -> None:
    gate = asyncio.Semaphore(concurrency)
    speakers = [speaker for speaker in match.speakers if isinstance(speaker, FreeSpeaker)]

    async def play_one(episode: Episode) -> None:
        async with gate:
            dialogue = Dialogue(match, episode)
            while (asked := dialogue.ask()) is not None:
                dialogue.hear(await speakers[asked.agent - 1].reply(asked.prompt, asked.seed))
            on_record(dialogue.record())

    tasks = [asyncio.create_task(play_one(episode)) for episode in episodes]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for speaker in {id(speaker): speaker for speaker in speakers}.values():
            await speaker.aclose()
