"""Dialogues as they stand in files: the turns, and their prompts without repeating what grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncr2.dialogues.turns import Turn
from syncr2.errors import SyncR2Error
from syncr2.files import sha256_text
from syncr2.replay.tokens import common_prefix, ids_sha256
from syncr2.speakers import Prompt

FORMAT = "syncr2/dialogue/1"


def turn_records(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """What a dialogue's record says of its turns; see docs/formats.md."""
    previous: dict[int, Sequence[int]] = {}
    records = []
    for turn in turns:
        record = {
            **{key: getattr(turn, key) for key in ("turn", "agent", "speaker", "text", "raw")},
            **({} if turn.thought is None else {"thought": turn.thought}),
            "finish_reason": turn.finish_reason,
            "n_new_tokens": turn.n_new_tokens,
            "n_prompt_tokens": turn.n_prompt_tokens,
            **_prompt_record(turn.prompt, previous.get(turn.agent, ())),
            "flags": list(turn.flags),
        }
        if not isinstance(turn.prompt, str):
            previous[turn.agent] = turn.prompt
        records.append(record)
    return records


def _prompt_record(prompt: Prompt, previous: Sequence[int]) -> dict[str, Any]:
    """A prompt as the length that it shares with the agent's previous one, and the rest, which is short."""
    if isinstance(prompt, str):
        return {"prompt_sha256": None, "prompt": None, "prompt_text_sha256": sha256_text(prompt)}
    keep = common_prefix(previous, prompt)
    return {"prompt_sha256": ids_sha256(prompt), "prompt": {"keep": keep, "ids": list(prompt[keep:])}}


def prompt_ids(record: Mapping[str, Any]) -> list[list[int]]:
    """The token ids of every turn's prompt, exactly as they were read by the model.

    Parameters
    ----------
    record : mapping
        One dialogue.

    Raises
    ------
    SyncR2Error
        If a model was sent text, so that nobody has the ids, or if the ids do not match the SHA-256 kept
        with them.
    """
    where = f"Dialogue of {record['pair']}, episode {record['episode_id']}, seed {record['seed']}"
    previous: dict[int, list[int]] = {}
    found = []
    for turn in record["turns"]:
        if turn["prompt"] is None:
            raise SyncR2Error(
                f"{where}: agent {turn['agent']} is a model known by its endpoint alone. It was sent text, "
                "so there are no token ids to read and no hidden states. Give the model a `path` in the "
                "configuration, or leave its pairs out here."
            )
        ids = previous.get(turn["agent"], [])[: turn["prompt"]["keep"]] + turn["prompt"]["ids"]
        if ids_sha256(ids) != turn["prompt_sha256"]:
            raise SyncR2Error(
                f"{where}: the prompt of turn {turn['turn']} does not match its SHA-256. The file was "
                "changed; delete it and run again."
            )
        previous[turn["agent"]] = ids
        found.append(ids)
    return found
