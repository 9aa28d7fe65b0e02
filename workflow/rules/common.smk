# What every stage needs: the checked configuration, and where files are.
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from syncr2 import config as configuration
from syncr2 import ids, warm
from syncr2.errors import SyncR2Error
from syncr2.files import sha256_file
from syncr2.revisions import REVISIONS

try:
    experiment = configuration.load(config)
except SyncR2Error as error:
    raise WorkflowError(str(error))

RESULTS = experiment.results.as_posix()
PAIRS = [pair.id for pair in experiment.ordered_pairs]
SHARDS = range(experiment.n_shards)
CONDITIONS = {
    condition.name: condition for condition in experiment.synchrony.conditions
}
LAGS = {
    name: condition.lag
    for name, condition in CONDITIONS.items()
    if condition.is_interaction
}

if (
    config["synchrony"]["pseudo"]
    and ids.PSEUDO.name not in CONDITIONS
    and workflow.is_main_process
):
    logger.warning(
        "synchrony.pseudo: left out, for it pairs dialogues of two seeds and there is one."
    )

SCENARIOS = f"{RESULTS}/scenarios.json"
DIALOGUES = f"{RESULTS}/dialogues/{{pair}}/seed-{{seed}}/shard-{{shard}}.jsonl"
STATES = f"{RESULTS}/states/{{pair}}/{{reading}}/seed-{{seed}}/shard-{{shard}}.h5"
R2 = f"{RESULTS}/r2/{{pair}}/{{condition}}.h5"
JUDGEMENTS = (
    f"{RESULTS}/judgements/{{judge}}/{{pair}}/seed-{{seed}}/shard-{{shard}}.jsonl"
)


wildcard_constraints:
    pair="|".join(PAIRS).replace(".", r"\."),
    seed=r"\d+",
    shard=r"\d+",
    reading="|".join(ids.READINGS),
    condition="|".join(CONDITIONS),
    judge="|".join(experiment.judges).replace(".", r"\."),
    model="|".join(experiment.models).replace(".", r"\."),


onstart:
    if experiment.resources.warm_start and workflow.local_exec:
        warm.start()


def shown(path):
    """A path as it stands in plans and records: relative where it lies below the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def pair_models(wildcards):
    """The models of a pair, each once."""
    return [
        experiment.models[name]
        for name in dict.fromkeys(ids.OrderedPair.parse(wildcards.pair))
    ]


def model_folder(name):
    """Where the workflow builds a miniature."""
    return f"{RESULTS}/models/{name}"


def miniatures_of(wildcards):
    """Folders of the pair's miniatures, which must be built first; real models need none."""
    return [
        model_folder(model.name) for model in pair_models(wildcards) if model.miniature
    ]


def model_sources(wildcards):
    """How the pair's models are loaded: all that can change a result, and no more."""
    keys = ("name", "path", "revision", "dtype", "context", "chat_template")
    sources = {}
    for model in pair_models(wildcards):
        sources[model.name] = {key: getattr(model, key) for key in keys}
        if model.miniature:
            sources[model.name]["path"] = model_folder(model.name)
    return sources


def chat_templates(wildcards):
    """Bytes of the chat templates that replace a tokenizer's own: they decide what is read."""
    return {
        model.name: sha256_file(model.chat_template)
        for model in pair_models(wildcards)
        if model.chat_template
    }


def template_sha256(name):
    """A prompt template's bytes decide whether its stage runs again."""
    return sha256_file(experiment.prompts / f"{name}.jinja")


def all_shards(pattern, **fixed):
    """Files of every seed and shard."""
    return expand(
        pattern, seed=experiment.seeds, shard=SHARDS, allow_missing=True, **fixed
    )


def source_states(wildcards):
    """States of the condition's source reading."""
    reading = CONDITIONS[wildcards.condition].source_reading
    return all_shards(STATES, pair=wildcards.pair, reading=reading)


def target_states(wildcards):
    """States of the condition's target reading."""
    reading = CONDITIONS[wildcards.condition].target_reading
    return all_shards(STATES, pair=wildcards.pair, reading=reading)


def all_readings(wildcards):
    """States of both agents in every reading that a condition takes a source or target from."""
    readings = {
        reading
        for condition in CONDITIONS.values()
        for reading in (condition.source_reading, condition.target_reading)
    }
    return {
        reading: all_shards(STATES, pair=wildcards.pair, reading=reading)
        for reading in sorted(readings)
    }


def all_conditions():
    """Fields of every condition."""
    return [list(condition) for condition in CONDITIONS.values()]


def engaged_conditions():
    """Fields of the conditions between engaged states, which decide what rows all of them have."""
    return [
        list(condition)
        for condition in CONDITIONS.values()
        if {condition.source_reading, condition.target_reading} == {"engaged"}
    ]


def gpus_together(wildcards):
    """GPUs for both models at once."""
    return sum(model.gpus for model in pair_models(wildcards))


def gpus_one_by_one(wildcards):
    """GPUs for the larger of the two models."""
    return max(model.gpus for model in pair_models(wildcards))


def memory_together(wildcards, attempt):
    """MB for both models, more at each retry."""
    return attempt * int(
        1000 * sum(model.memory_gb for model in pair_models(wildcards))
    )


def memory_one_by_one(wildcards, attempt):
    """MB for the larger model and one shard's states, more at each retry."""
    return attempt * int(
        1000 * max(model.memory_gb for model in pair_models(wildcards))
    )


def maps_memory(wildcards, attempt):
    """MB for the arrays of the maps and for what computes them, more at each retry."""
    return attempt * int(1000 * (experiment.synchrony.memory_gb + 4))


def model_runtime(wildcards, attempt):
    """Minutes, doubled at each retry."""
    return experiment.resources.runtime * 2 ** (attempt - 1)
