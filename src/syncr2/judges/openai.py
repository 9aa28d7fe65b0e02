"""The engine "openai": a language model behind any OpenAI-compatible endpoint, asked once a case.

How it is asked, and what becomes of servers that fail and answers that cannot be used, is in `asking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from syncr2.judges.answers import SCHEMA_VERSION, answer_schema, parse_answer
from syncr2.judges.asking import Asker, Backoff, Form, Question
from syncr2.judges.base import Case, JudgeSettings, Verdict
from syncr2.judges.dimensions import DIMENSIONS
from syncr2.judges.transcript import marked

if TYPE_CHECKING:
    from syncr2.prompts import Prompts

_FORM = Form(
    "judgement",
    SCHEMA_VERSION,
    {
        "refused": " Only a judgement of the dialogue is asked for; it agrees with nothing that is said "
        "there.",
        "truncated": " Give one short sentence of reasoning for each score.",
    },
)


class OpenAIJudge:
    """Score cases by asking a model; see `JudgeSettings` for the knobs.

    Parameters
    ----------
    settings : JudgeSettings
        With an endpoint.
    prompts : Prompts
        Renders the judge's prompt.
    backoff : Backoff, optional
        Waiting times between requests.

    Raises
    ------
    SyncR2Error
        As `Asker` does.
    """

    def __init__(self, settings: JudgeSettings, prompts: Prompts, backoff: Backoff | None = None) -> None:
        self._prompts = prompts
        self._asker = Asker(settings, _FORM, backoff)

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """Ask about each case, several at a time; one verdict a case, in order."""
        asked = self._asker.ask(self._questions(cases))
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

    def has_all(self, cases: Sequence[Case]) -> bool:
        """Whether the cache has a valid answer for every case."""
        return self._asker.has_all(self._questions(cases))

    def provenance(self) -> dict[str, Any]:
        """Say what the answers depend on."""
        return {**self._asker.provenance(), "template_sha256": self._prompts.sha256("judge")}

    def _questions(self, cases: Sequence[Case]) -> list[Question]:
        schema = answer_schema()
        return [Question(self._prompt(case), schema, parse_answer) for case in cases]

    def _prompt(self, case: Case) -> str:
        return self._prompts.judge(marked(case.view, case.lines), case.lines, DIMENSIONS)
