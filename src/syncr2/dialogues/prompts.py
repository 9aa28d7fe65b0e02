"""Prompts: a view and the dialogue so far become text, by templates that can be replaced.

The texts stand in Jinja templates, so that they can be replaced. What the science rests on stays here: the
form of a turn's line, and the open cue at the end of an engaged prompt, after which the model speaks and its
state is taken.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import jinja2
import jinja2.meta
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from syncr2.dialogues.chat import ChatEncoder, read_chat_template
from syncr2.errors import SyncR2Error
from syncr2.files import sha256_text

if TYPE_CHECKING:
    from syncr2.sotopia.views import AgentView, BystanderView, JudgeView

__all__ = [
    "LEAVE_MARK",
    "TEMPLATES",
    "ChatEncoder",
    "DimensionLike",
    "Prompts",
    "TurnLike",
    "cue",
    "history_lines",
    "read_chat_template",
]

# What an agent writes, alone on its line, to end the dialogue.
LEAVE_MARK = "[leaves]"

# Each template, with the variables that it may use.
TEMPLATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "engaged": ("view", "history", "cue", "leave_mark"),
        "bystander": ("view", "history", "leave_mark"),
        "judge": ("view", "history", "leave_mark", "dimensions"),
        "labels": ("view", "history", "leave_mark", "emotions", "actions"),
    }
)


class TurnLike(Protocol):
    """What a prompt needs of a turn."""

    @property
    def turn(self) -> int:
        """Number of the turn, from 0 over both agents."""
        ...

    @property
    def speaker(self) -> str:
        """Name of who speaks."""
        ...

    @property
    def text(self) -> str:
        """The utterance, one line."""
        ...


class ClassLike(Protocol):
    """What a labeller's prompt needs of a class."""

    @property
    def name(self) -> str:
        """Key or value in the answer."""
        ...

    @property
    def meaning(self) -> str:
        """What it stands for."""
        ...


class DimensionLike(Protocol):
    """What the judge's prompt needs of a dimension."""

    @property
    def name(self) -> str:
        """Key in the answer."""
        ...

    @property
    def low(self) -> int:
        """Lowest score."""
        ...

    @property
    def high(self) -> int:
        """Highest score."""
        ...

    @property
    def meaning(self) -> str:
        """What is scored."""
        ...


def cue(turn: int, name: str) -> str:
    """The beginning of a turn's line, up to the utterance. While the turn is open, a prompt ends with it."""
    return f"Turn {turn} | {name}:"


def history_lines(turns: Sequence[TurnLike]) -> tuple[str, ...]:
    """One line a turn: its cue and its utterance.

    Raises
    ------
    ValueError
        If an utterance has several lines, or the turns are not numbered 0, 1, 2, …: either would let a prompt
        say something else than what was said.
    """
    lines = []
    for number, turn in enumerate(turns):
        if turn.turn != number:
            raise ValueError(f"turn {turn.turn} stands at place {number} of the dialogue")
        if "\n" in turn.text:
            raise ValueError(f"turn {number}: an utterance is one line, found {turn.text!r}")
        lines.append(f"{cue(number, turn.speaker)} {turn.text}".rstrip())
    return tuple(lines)


class Prompts:
    """The templates of a folder, compiled and checked.

    A template sees its variables (`TEMPLATES`) and nothing else: no other file, no Python. What the variables
    hold is data; braces in an utterance stay braces.

    Parameters
    ----------
    folder : str or Path
        Holds `engaged.jinja`, `bystander.jinja`, `judge.jinja` and `labels.jinja`.
    used : collection of str, optional
        Those that will be rendered; the others are only read. A configuration checks all of them, so a job
        need not.

    Raises
    ------
    SyncR2Error
        If a template is missing, is not valid Jinja, includes another file, or uses a variable that it does
        not get; the message names file and line.
    """

    def __init__(self, folder: str | Path, used: Collection[str] = tuple(TEMPLATES)) -> None:
        self._environment = ImmutableSandboxedEnvironment(
            undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        self._paths = {name: Path(folder) / f"{name}.jinja" for name in TEMPLATES}
        self._sources = {name: _source(path) for name, path in self._paths.items()}
        self._templates = {name: self._compiled(name) for name in used}

    def engaged(self, view: AgentView, turns: Sequence[TurnLike]) -> str:
        """The prompt of the agent whose turn it is; ends with the open cue of that turn.

        From one turn of an agent to its next the text only grows, so that a model's cache of the first part
        stays good (with a template of one's own: as long as it puts the history last).

        Parameters
        ----------
        view : AgentView
            Of the agent who speaks next.
        turns : sequence of TurnLike
            The dialogue so far, from turn 0.

        Raises
        ------
        SyncR2Error
            If the template fails, or does not end with the cue.
        ValueError
            If it is the other agent's turn.
        """
        if len(turns) % 2 != view.agent - 1:
            raise ValueError(
                f"turn {len(turns)} is not agent {view.agent}'s: agent 1 has the even turns, 2 the odd"
            )
        open_cue = cue(len(turns), view.participants[view.agent - 1])
        text = self._render("engaged", view=view, history=history_lines(turns), cue=open_cue)
        if not text.endswith(open_cue):
            raise SyncR2Error(
                f"{self._paths['engaged']}: the text ends with {text[-40:]!r}, but must end with the open "
                f"turn {open_cue!r}: the model speaks after it, and its state is taken there. "
                "End the template with {{ cue }}."
            )
        return text

    def bystander(self, view: BystanderView, turns: Sequence[TurnLike]) -> str:
        """What a third person reads who only listens: the same history, no cue, nothing asked."""
        return self._render("bystander", view=view, history=history_lines(turns))

    def judge(self, view: JudgeView, turns: Sequence[TurnLike], dimensions: Sequence[DimensionLike]) -> str:
        """The whole case for a judge: both sides, the dialogue, what to score, and how to answer."""
        return self._render("judge", view=view, history=history_lines(turns), dimensions=tuple(dimensions))

    def labels(
        self,
        view: JudgeView,
        turns: Sequence[TurnLike],
        emotions: Sequence[ClassLike],
        actions: Sequence[ClassLike],
    ) -> str:
        """What a labeller reads: the situation, the dialogue, the classes, and how to answer."""
        return self._render(
            "labels",
            view=view,
            history=history_lines(turns),
            emotions=tuple(emotions),
            actions=tuple(actions),
        )

    def sha256(self, name: str) -> str:
        """SHA-256 of the text of a template, by its name in `TEMPLATES`."""
        return sha256_text(self._sources[name])

    def _compiled(self, name: str) -> jinja2.Template:
        path, source = self._paths[name], self._sources[name]
        try:
            tree = self._environment.parse(source)
            code = self._environment.compile(tree, name, str(path))
        except jinja2.TemplateSyntaxError as error:
            raise SyncR2Error(
                f"{path}, line {error.lineno}: {error.message}. Correct the template."
            ) from None
        others = (jinja2.nodes.Include, jinja2.nodes.Import, jinja2.nodes.FromImport, jinja2.nodes.Extends)
        for node in tree.find_all(others):
            # The hash of a template must stand for all that it says.
            raise SyncR2Error(
                f"{path}, line {node.lineno}: a template cannot use another file; write all into one."
            )
        unknown = jinja2.meta.find_undeclared_variables(tree) - {*TEMPLATES[name], *self._environment.globals}
        for use in tree.find_all(jinja2.nodes.Name):
            if use.name in unknown:
                raise SyncR2Error(
                    f"{path}, line {use.lineno}: unknown variable {use.name!r}. {_allowed(name)}"
                )
        return jinja2.Template.from_code(self._environment, code, self._environment.make_globals(None))

    def _render(self, name: str, **variables: Any) -> str:
        path = self._paths[name]
        try:
            text = self._templates[name].render(leave_mark=LEAVE_MARK, **variables)
        except Exception as error:  # whatever a template of one's own can do wrong
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == str(path)]
            known = ", ".join(field.name for field in fields(variables["view"]))
            raise SyncR2Error(
                f"{path}, line {lines[-1] if lines else '?'}: {error}. {_allowed(name)} `view` has {known}."
            ) from error
        return text.rstrip("\n")


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        names = ", ".join(f"{name}.jinja" for name in TEMPLATES)
        raise SyncR2Error(f"{path}: no such file. A folder of prompts holds {names}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SyncR2Error(f"{path}: cannot be read as UTF-8 text ({error}).") from None


def _allowed(name: str) -> str:
    return f"Variables of this template: {', '.join(TEMPLATES[name])}."
