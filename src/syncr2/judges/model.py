"""The engines "openai" and "vllm": a language model is asked about each case.

How it is asked, and what becomes of servers that fail and answers that cannot be used, is in `asking`; the
server of "vllm" is started by `served`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from syncr2.judges.answers import SCHEMA_VERSION, answer_schema, parse_answer
from syncr2.judges.asking import Form, Question
from syncr2.judges.base import Case, JudgeSettings, Verdict
from syncr2.judges.dimensions import DIMENSIONS
from syncr2.judges.served import Hosting, asker_for
from syncr2.judges.transcript import marked

if TYPE_CHECKING:
    from syncr2.dialogues.prompts import Prompts
    from syncr2.serving.endpoints import Backoff

_FORM = Form(
    "judgement",
    SCHEMA_VERSION,
    {
        "refused": " Only a judgement of the dialogue is asked for; it agrees with nothing that is said "
        "there.",
        "truncated": " Give one short sentence of reasoning for each score.",
    },
)


class ModelJudge:
    """Score cases by asking a model; see `JudgeSettings` for the knobs.

    Parameters
    ----------
    settings : JudgeSettings
        With an endpoint, or with engine "vllm".
    prompts : Prompts
        Renders the judge's prompt.
    backoff : Backoff, optional
        Waiting times between requests.
    hosting : Hosting, optional
        How a server is started; "vllm" needs it.

    Raises
    ------
    SyncR2Error
        As `asker_for` does.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        prompts: Prompts,
        backoff: Backoff | None = None,
        hosting: Hosting | None = None,
    ) -> None:
        self._prompts = prompts
        self._asker = asker_for(settings, _FORM, backoff, hosting)

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """Ask about each case, several at a time; one verdict a case, in order."""
        schema = answer_schema()
        asked = self._asker.ask([Question(self._prompt(case), schema, parse_answer) for case in cases])
        return [
            Verdict(
                one.status,
                one.answer.scores if one.answer else None,
                one.answer.reasoning if one.answer else None,
                one.attempts,
                one.error,
                one.raw,
                one.made_by,
            )
            for one in asked
        ]

    def provenance(self) -> dict[str, Any]:
        """Say what the answers depend on."""
        return {**self._asker.provenance(), "template_sha256": self._prompts.sha256("judge")}

    def _prompt(self, case: Case) -> str:
        return self._prompts.judge(marked(case.view, case.lines), case.lines, DIMENSIONS)
