"""Where a model comes from, and what identifies it in a file's provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from syncr2.dialogues.chat import ChatEncoder
from syncr2.errors import SyncR2Error
from syncr2.models.snapshots import Snapshot, files_of_folder, files_sha256, hashed, read_snapshot

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from and how it is to be used.

    Attributes
    ----------
    name : str
        Name in the configuration.
    path : str or None
        Hugging Face id or folder; None for a model that is known by its endpoint alone.
    revision : str or None
        Of a Hugging Face id.
    dtype : str
        Number format of weights and computation.
    context : int or None
        Tokens that it may take; None for its own limit.
    chat_template : str or None
        Path of a Jinja file that replaces the tokenizer's template.
    thinking : bool or None
        Given to the template as `enable_thinking`; None leaves that to the template.
    trust_remote_code : bool
        Whether Python files that come with the model may run.
    manifest : str or None
        Path of the model's record (`snapshots`), made before by a job of its own. With it the files
        that the record names are loaded, and the network is never asked.
    """

    name: str
    path: str | None
    revision: str | None = None
    dtype: str = "float32"
    context: int | None = None
    chat_template: str | None = None
    thinking: bool | None = None
    trust_remote_code: bool = False
    manifest: str | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSource:
        """From a rule's params."""
        return cls(**values)

    def snapshot(self) -> Snapshot | None:
        """The model's record, its files checked; None without one."""
        if self.manifest is None:
            return None
        snapshot = read_snapshot(self.manifest)
        snapshot.check()
        return snapshot


class Location(NamedTuple):
    """What loads a model: a folder, or a Hugging Face id with the revision that is asked for."""

    path: str
    revision: str | None


def locate(source: ModelSource) -> Location:
    """Where the model is loaded from: the folder of its record if it has one.

    Raises
    ------
    SyncR2Error
        If there is nothing to load, or a file that the record names is gone.
    """
    if source.path is None:
        raise SyncR2Error(
            f"Model {source.name}: known by its `endpoint` alone, so there is nothing to load, and it has no "
            "hidden states. Give it a `path` if its weights can be had."
        )
    snapshot = source.snapshot()
    return Location(source.path, source.revision) if snapshot is None else Location(snapshot.folder, None)


def describe(
    source: ModelSource, encoder: ChatEncoder | None, config: PreTrainedConfig | None = None
) -> dict[str, Any]:
    """What identifies the model in a file's provenance.

    Tokenizer and weights come from one folder or repository at one revision, so one commit and one SHA-256
    stand for both. Of a folder without a record every byte is read here, which is quick for a miniature; the
    workflow has every other model recorded once. A model that is known by its endpoint alone has neither
    encoder nor config.
    """
    snapshot = source.snapshot()
    commit = getattr(config, "_commit_hash", None) if snapshot is None else snapshot.commit
    quantization = getattr(config, "quantization_config", None)
    if quantization is not None and not isinstance(quantization, Mapping):
        quantization = quantization.to_dict()
    return {
        "name": source.name,
        "path": source.path,
        "revision": source.revision,
        "resolved_revision": commit,
        "files_sha256": _files_sha256(source) if snapshot is None else snapshot.sha256,
        "dtype": source.dtype if source.path else None,
        "quantization": quantization.get("quant_method", "unnamed") if quantization else None,
        "trust_remote_code": source.trust_remote_code,
        "chat_template_sha256": encoder.template_sha256 if encoder else None,
        "chat_roles": list(encoder.roles) if encoder else None,
        "chat_date": encoder.date if encoder else None,
        "thinking": source.thinking,
    }


def _files_sha256(source: ModelSource) -> str | None:
    """Of a folder's files; None for a Hugging Face id, which its commit identifies."""
    if source.path is None or not Path(source.path).is_dir():
        return None
    return files_sha256(hashed(source.path, files_of_folder(source.path, source.trust_remote_code)))
