"""Judges score each agent of a dialogue on the seven dimensions of Sotopia.

Five engines: `surface` (rules over words; for demonstrations, of no scientific meaning), `openai` (a model
behind any OpenAI-compatible endpoint), `vllm` (the same, behind a server that the job starts), `table`
(scores made elsewhere) and `oracle` (computed, for dialogues of the toy world). Whatever happens to a
dialogue, it leaves exactly one record, with a status that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncr2.judges.base import (
    KNOBS,
    Case,
    DialogueKey,
    JudgeEngine,
    JudgeSettings,
    Line,
    Verdict,
    log_losses,
)
from syncr2.judges.dimensions import DIMENSIONS, Dimension, check_scores, overall
from syncr2.judges.orders import JUDGEMENT_FORMAT, case_of, presented_first, record_of, swapped

if TYPE_CHECKING:
    from syncr2.dialogues.prompts import Prompts
    from syncr2.judges.served import Hosting
    from syncr2.serving.endpoints import Backoff
    from syncr2.sotopia.scenarios import ScenarioSet

__all__ = [
    "DIMENSIONS",
    "JUDGEMENT_FORMAT",
    "KNOBS",
    "Case",
    "DialogueKey",
    "Dimension",
    "JudgeEngine",
    "JudgeSettings",
    "Line",
    "Verdict",
    "check_scores",
    "judge_shard",
    "overall",
]


def judge_shard(
    scenarios: ScenarioSet,
    dialogues: Sequence[Mapping[str, Any]],
    prompts: Prompts,
    settings: JudgeSettings,
    *,
    backoff: Backoff | None = None,
    hosting: Hosting | None = None,
) -> list[dict[str, Any]]:
    """Judge the dialogues of one shard.

    Parameters
    ----------
    scenarios : ScenarioSet
        Holds the episode of every dialogue.
    dialogues : sequence of mapping
        Records of format syncr2/dialogue/1.
    prompts : Prompts
        Prompt templates; only the engines that ask a model use them.
    settings : JudgeSettings
        The judge.
    backoff : Backoff, optional
        Waiting times between requests of the openai and vllm engines.
    hosting : Hosting, optional
        How servers are started; the vllm engine needs it.

    Returns
    -------
    list of dict
        One record of format syncr2/judgement/2 a dialogue, in the same order. A dialogue that could not be
        judged has `scores` null and a status other than "ok".

    Raises
    ------
    SyncR2Error
        If a record is not a dialogue or belongs to other scenarios; if the endpoint cannot be used at all (no
        key, turned down on first contact); if the table of scores cannot be read.
    """
    episodes = {episode.id: episode for episode in scenarios.episodes}
    orders = presented_first(settings)
    cases = []
    for dialogue in dialogues:
        case = case_of(episodes, dialogue)
        cases += [case if first == 1 else swapped(case) for first in orders]
    engine = _engine(settings, prompts, backoff, hosting)
    verdicts = engine.judge(cases)
    provenance = engine.provenance()
    step = len(orders)
    records = [
        record_of(dialogue, settings, verdicts[step * i : step * (i + 1)], provenance)
        for i, dialogue in enumerate(dialogues)
    ]
    log_losses(settings, records)
    return records


def _engine(
    settings: JudgeSettings, prompts: Prompts, backoff: Backoff | None, hosting: Hosting | None
) -> JudgeEngine:
    # Imported here, so that reading the config loads no engine.
    if settings.engine == "surface":
        from syncr2.judges.surface import SurfaceJudge

        return SurfaceJudge()
    if settings.engine == "table":
        from syncr2.judges.table import TableJudge

        return TableJudge(settings)
    if settings.engine == "oracle":
        from syncr2.world.oracle import OracleJudge

        return OracleJudge()
    from syncr2.judges.model import ModelJudge

    return ModelJudge(settings, prompts, backoff, hosting)
