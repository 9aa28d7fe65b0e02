"""Can a run start here? Configuration, data, models, disk, endpoints, vLLM, GPUs: a line each."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from syncr2 import config as configuration
from syncr2.config import Experiment, Model
from syncr2.errors import SyncR2Error
from syncr2.forecast import forecast
from syncr2.pages.layout import counted
from syncr2.serving.addresses import without_secrets

# What a model's folder needs: how it is built, its weights as safetensors, its tokenizer.
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_WAIT = 5.0  # seconds for an answer


class Line(NamedTuple):
    """One thing that was looked at.

    Attributes
    ----------
    level : {"ok", "warning", "error"}
        An error stops a run; a warning may.
    what : str
    found : str
        What is there, and where it is not in order, what to do.
    """

    level: str
    what: str
    found: str

    @property
    def text(self) -> str:
        """For a terminal."""
        return f"{self.level:>7}  {self.what}: {self.found}"


def check(raw: Mapping[str, Any]) -> list[Line]:
    """Look at everything that a run needs; no key is ever shown.

    Parameters
    ----------
    raw : mapping
        The configuration, config.yaml and its overrides merged.
    """
    try:
        experiment = configuration.load(raw)
    except SyncR2Error as error:
        return [Line("error", "configuration", str(error))]
    dialogues = len(experiment.ordered_pairs) * experiment.scenarios.episodes * len(experiment.seeds)
    lines = [Line("ok", "configuration", f"valid; {counted(dialogues, 'dialogue')}")]
    for part in (_scenarios, _models, _disk, _endpoints, _vllm, _gpus):
        lines += part(experiment)
    return lines


def _scenarios(experiment: Experiment) -> Iterator[Line]:
    from syncr2.sotopia.scenarios import read_folder

    scenarios = experiment.scenarios
    if scenarios.folder is None:
        there = all((experiment.results / "scenarios" / name).is_file() for name in scenarios.sha256)
        found = "fetched already" if there else "to be fetched from their public home by the first job"
        yield Line("ok", "scenarios", found)
        return
    try:
        read = read_folder(scenarios.folder, scenarios.episodes)
    except SyncR2Error as error:
        yield Line("error", "scenarios", str(error))
        return
    yield Line("ok", "scenarios", f"{counted(len(read.episodes), 'episode')} in {scenarios.folder}")


def _models(experiment: Experiment) -> Iterator[Line]:
    for name, model in experiment.models.items():
        what = f"model {name}"
        if model.miniature:
            yield Line("ok", what, "a miniature, built by the workflow")
        elif model.path and Path(model.path).is_dir():
            yield _local(what, Path(model.path))
        elif model.path:
            yield _hub(what, model)
        else:
            yield Line("ok", what, "known by its endpoint alone: it has no states")


def _local(what: str, folder: Path) -> Line:
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    missing += [] if any((folder / name).is_file() for name in _TOKENIZERS) else [_TOKENIZERS[0]]
    missing += [] if any(folder.glob("*.safetensors")) else ["weights as *.safetensors"]
    if missing:
        again = "Save model and tokenizer there with save_pretrained."
        return Line("error", what, f"{folder} has no {', no '.join(missing)}. {again}")
    return Line("ok", what, f"{folder} has config, tokenizer and weights")


def _hub(what: str, model: Model) -> Line:
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    repository = str(model.path)
    if isinstance(try_to_load_from_cache(repository, "config.json", revision=model.revision), str):
        return Line("ok", what, f"{repository} is in the cache (its first job sees whether all of it is)")
    try:
        HfApi().model_info(repository, revision=model.revision, timeout=_WAIT)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no"
        help_ = "Check the name; a gated model needs access granted on its page and a token in HF_TOKEN."
        return Line("error", what, f"{repository}: the hub answers with status {status}. {help_}")
    except Exception as error:  # whatever libraries below raise without a network
        reason = type(error).__name__
        help_ = "Connect it for the first job, or give a local folder as `path`."
        return Line(
            "warning", what, f"{repository} is not in the cache, the hub not reached ({reason}). {help_}"
        )
    return Line("ok", what, f"{repository} can be fetched")


def _disk(experiment: Experiment) -> Iterator[Line]:
    cost = forecast(experiment)
    wanted = max(cost.bytes - cost.disk_there, 0)
    place = experiment.results.absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        yield Line("error", "disk", f"{place} cannot be written to. Set `results` to a folder that can.")
        return
    free = shutil.disk_usage(place).free
    found = f"{wanted / 1e9:,.1f} GB to be written, {free / 1e9:,.1f} GB free in {place}"
    if wanted > free:
        help_ = "Free some, set `results` to a larger disk, or play fewer episodes."
        yield Line("error", "disk", f"{found}. {help_}")
    elif 1.2 * wanted > free:
        yield Line("warning", "disk", f"{found}; the forecast is right to about 20 %.")
    else:
        yield Line("ok", "disk", found)


def _endpoints(experiment: Experiment) -> Iterator[Line]:
    asked: dict[tuple[str, str | None], list[str]] = {}
    for model in experiment.models.values():
        if model.endpoint:
            key = (model.endpoint.base_url, model.endpoint.api_key_env)
            asked.setdefault(key, []).append(f"model {model.name}")
    for kind, each in (("judge", experiment.judges), ("labeller", experiment.labellers)):
        for name, settings in each.items():
            if settings.engine == "openai" and settings.base_url:
                key = (settings.base_url, settings.api_key_env)
                asked.setdefault(key, []).append(f"{kind} {name}")
    for (url, variable), who in asked.items():
        what = f"endpoint of {', '.join(who)}"
        if variable and not os.environ.get(variable):
            yield Line("error", what, f"the environment variable {variable} is not set. Set it to the key.")
        else:
            yield _answers(what, url, variable)


def _answers(what: str, url: str, variable: str | None) -> Line:
    shown = without_secrets(url)
    headers = {"Authorization": f"Bearer {os.environ[variable]}"} if variable else {}
    request = urllib.request.Request(f"{url.rstrip('/')}/models", headers=headers)
    help_ = "Start the server, or correct base_url."
    try:
        with urllib.request.urlopen(request, timeout=_WAIT) as answer:
            return Line("ok", what, f"{shown} answers ({answer.status})")
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            key = (
                f"Check the key in {variable}."
                if variable
                else "Name its environment variable in api_key_env."
            )
            return Line("error", what, f"{shown} refuses the key ({error.code}). {key}")
        # Some servers have no list of models; they are there all the same.
        return Line("warning", what, f"{shown} answers with status {error.code} when asked for its models.")
    except (OSError, ValueError) as error:
        # The reason alone: a library's own message may hold the address with what stands in it.
        reason = type(getattr(error, "reason", None) or error).__name__
        return Line("error", what, f"{shown} cannot be reached ({reason}). {help_}")


def _vllm(experiment: Experiment) -> Iterator[Line]:
    users = [*experiment.judges.values(), *experiment.labellers.values()]
    if experiment.dialogue.engine != "vllm" and all(each.engine != "vllm" for each in users):
        return
    command = list(experiment.vllm.command)
    if shutil.which(command[0]) is None:
        yield Line(
            "error",
            "vLLM",
            f"vllm.command begins with {command[0]!r}, which is no program here. Set up vLLM (`make vllm`), "
            "or let vllm.command name the Python that has it.",
        )
    else:
        yield Line("ok", "vLLM", f"{command[0]} is there")


def _gpus(experiment: Experiment) -> Iterator[Line]:
    models = experiment.models.values()
    wanted = max((model.gpus for model in models if model.has_states), default=0)
    if experiment.dialogue.engine != "openai":
        wanted = max(
            sum(experiment.models[name].gpus for name in dict.fromkeys(pair)) for pair in experiment.pairs
        )
    if not wanted:
        yield Line("ok", "GPUs", "none needed")
        return
    there = _n_gpus()
    found = f"{there} here, {wanted} needed at once by the largest job"
    if there >= wanted:
        yield Line("ok", "GPUs", found)
    else:
        help_ = (
            "On a cluster jobs ask for them themselves; here, set `gpus` of the models to 0 to do without."
        )
        yield Line("warning", "GPUs", f"{found}. {help_}")


def _n_gpus() -> int:
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in answer.stdout.splitlines())
