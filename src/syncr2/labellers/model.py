"""The engines "openai" and "vllm": a model is asked for the labels of a whole dialogue at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from syncr2.judges.asking import Form, Question
from syncr2.judges.base import Case
from syncr2.judges.served import Hosting, asker_for
from syncr2.judges.transcript import marked
from syncr2.labellers.answers import SCHEMA_VERSION, answer_schema, parse_answer
from syncr2.labellers.base import ACTIONS, EMOTIONS, Labelled, LabellerSettings

if TYPE_CHECKING:
    from syncr2.dialogues.prompts import Prompts
    from syncr2.serving.endpoints import Backoff

_FORM = Form(
    "labels",
    SCHEMA_VERSION,
    {
        "refused": " Only labels of what was said are asked for; they agree with nothing that is said there.",
        "truncated": " Give nothing but the labels.",
    },
)


class ModelLabeller:
    """Label dialogues by asking a model; parameters and errors are those of `ModelJudge`."""

    def __init__(
        self,
        settings: LabellerSettings,
        prompts: Prompts,
        backoff: Backoff | None = None,
        hosting: Hosting | None = None,
    ) -> None:
        self._prompts = prompts
        self._asker = asker_for(settings, _FORM, backoff, hosting)

    def label(self, cases: Sequence[Case]) -> list[Labelled]:
        """Ask about each dialogue, several at a time; one outcome each, in order."""
        # A dialogue in which nobody has had a turn needs no request.
        asked = iter(self._asker.ask([self._question(case) for case in cases if case.lines]))
        found = []
        for case in cases:
            if not case.lines:
                found.append(Labelled("ok", parse_answer("{}", 0), 0, None, None, {}))
                continue
            one = next(asked)
            found.append(Labelled(one.status, one.answer, one.attempts, one.error, one.raw, one.made_by))
        return found

    def provenance(self) -> dict[str, Any]:
        """Say what the answers depend on."""
        return {**self._asker.provenance(), "template_sha256": self._prompts.sha256("labels")}

    def _question(self, case: Case) -> Question:
        n_turns = len(case.lines)
        prompt = self._prompts.labels(marked(case.view, case.lines), case.lines, EMOTIONS, ACTIONS)
        return Question(prompt, answer_schema(n_turns), partial(parse_answer, n_turns=n_turns))
