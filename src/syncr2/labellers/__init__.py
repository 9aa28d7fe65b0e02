"""Labellers say of every utterance which emotion it bears, what kind of action it is, or any other label.

Engines: `openai` (a model behind any OpenAI-compatible endpoint), `vllm` (the same, behind a server that the
job starts), `table` (labels made elsewhere), `world` (read back, for dialogues of the toy world) and
`surface` (rules over words; for demonstrations, of no scientific meaning). Whatever happens to a dialogue, it
leaves exactly one record, with a status that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncr2.judges.base import log_losses
from syncr2.judges.orders import case_of
from syncr2.labellers.base import (
    ACTIONS,
    EMOTIONS,
    READ_LABELS,
    Labelled,
    LabellerEngine,
    LabellerSettings,
)

if TYPE_CHECKING:
    from syncr2.dialogues.prompts import Prompts
    from syncr2.judges.served import Hosting
    from syncr2.serving.endpoints import Backoff
    from syncr2.sotopia.scenarios import ScenarioSet

__all__ = [
    "ACTIONS",
    "EMOTIONS",
    "LABELS_FORMAT",
    "READ_LABELS",
    "Labelled",
    "LabellerEngine",
    "LabellerSettings",
    "label_shard",
]

LABELS_FORMAT = "syncr2/labels/1"
_COPIED = ("episode_id", "environment_id", "pair", "agent1", "agent2", "seed")


def label_shard(
    scenarios: ScenarioSet,
    dialogues: Sequence[Mapping[str, Any]],
    prompts: Prompts,
    settings: LabellerSettings,
    *,
    backoff: Backoff | None = None,
    hosting: Hosting | None = None,
) -> list[dict[str, Any]]:
    """Label the dialogues of one shard.

    Parameters
    ----------
    scenarios : ScenarioSet
        Holds the episode of every dialogue.
    dialogues : sequence of mapping
        Records of format syncr2/dialogue/1.
    prompts : Prompts
        Prompt templates; only the engines that ask a model use them.
    settings : LabellerSettings
    backoff, hosting
        As for `syncr2.judges.judge_shard`.

    Returns
    -------
    list of dict
        One record of format syncr2/labels/1 a dialogue, in the same order. A dialogue that could not be
        labelled has `labels` null and a status other than "ok".

    Raises
    ------
    SyncR2Error
        If a record is not a dialogue or belongs to other scenarios; if the endpoint cannot be used at all;
        if the table of labels cannot be read.
    """
    episodes = {episode.id: episode for episode in scenarios.episodes}
    engine = _engine(settings, prompts, backoff, hosting)
    found = engine.label([case_of(episodes, dialogue) for dialogue in dialogues])
    provenance = engine.provenance()
    records = [
        {
            "format": LABELS_FORMAT,
            **{key: dialogue[key] for key in _COPIED},
            "labeller": settings.name,
            "engine": settings.engine,
            "status": one.status,
            "labels": one.labels,
            "error": one.error,
            "attempts": one.attempts,
            "raw": one.raw,
            "made_by": {**provenance, **one.made_by},
        }
        for dialogue, one in zip(dialogues, found, strict=True)
    ]
    log_losses(settings, records)
    return records


def _engine(
    settings: LabellerSettings, prompts: Prompts, backoff: Backoff | None, hosting: Hosting | None
) -> LabellerEngine:
    # Imported here, so that reading the config loads no engine.
    if settings.engine == "surface":
        from syncr2.labellers.surface import SurfaceLabeller

        return SurfaceLabeller()
    if settings.engine == "table":
        from syncr2.labellers.table import TableLabeller

        return TableLabeller(settings)
    if settings.engine == "world":
        from syncr2.world.labeller import WorldLabeller

        return WorldLabeller()
    from syncr2.labellers.model import ModelLabeller

    return ModelLabeller(settings, prompts, backoff, hosting)
