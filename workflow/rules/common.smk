# What every stage needs: the checked configuration, and where files are.
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from syncr2 import config as configuration
from syncr2 import driver, ids, warm
from syncr2.errors import SyncR2Error
from syncr2.files import sha256_file
from syncr2.judges import KNOBS
from syncr2.revisions import REVISIONS
from syncr2.models.snapshots import files_of_folder

try:
    experiment = configuration.load(config)
except SyncR2Error as error:
    raise WorkflowError(str(error))

if workflow.is_main_process and driver.clear_abandoned(Path(".snakemake")):
    logger.warning(
        "The last run in this folder was killed; its lock is removed, and what it finished is kept."
    )

RESULTS = experiment.results.as_posix()
PAIRS = [pair.id for pair in experiment.ordered_pairs]
# Those of which both models have hidden states; the others are played and judged, and that is all.
STATE_PAIRS = [pair.id for pair in experiment.pairs_with_states]
UNORDERED_STATE_PAIRS = tuple(experiment.unordered_with_states)
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
MODEL_RECORD = f"{RESULTS}/models/{{model}}.json"
SERVED_RECORD = f"{RESULTS}/served/{{served}}.json"
JUDGEMENTS = (
    f"{RESULTS}/judgements/{{judge}}/{{pair}}/seed-{{seed}}/shard-{{shard}}.jsonl"
)

MINIATURES = [name for name, model in experiment.models.items() if model.miniature]
FOLDER_MODELS = [
    name
    for name, model in experiment.models.items()
    if model.path and Path(model.path).is_dir()
]
HUB_MODELS = [
    name
    for name, model in experiment.models.items()
    if model.path and name not in FOLDER_MODELS
]
# Names of models, not of pairs: Snakemake reads through the pattern for every file of every job, and it must not grow
# with the square of the models.
ANY_MODEL = "|".join(experiment.models).replace(".", r"\.")
PAIR_OF_MODELS = f"({ANY_MODEL}){ids.PAIR_SEPARATOR}({ANY_MODEL})"


wildcard_constraints:
    pair=PAIR_OF_MODELS,
    seed=r"\d+",
    shard=r"\d+",
    reading="|".join(ids.READINGS),
    condition="|".join(CONDITIONS),
    judge="|".join(experiment.judges).replace(".", r"\."),
    model=ANY_MODEL,


onstart:
    if workflow.local_exec:
        # On one machine nothing limits how fast jobs may start. With a limit (Snakemake has one by default), the driver wakes
        # itself once more for every job that has ended, and a run of many hundred short jobs is kept busy by looking for work.
        workflow.scheduler.job_rate_limiter = None
        if experiment.resources.warm_start:
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


def one_of(names):
    """A wildcard's pattern for these names alone; for none of them, what matches nothing."""
    return "|".join(names).replace(".", r"\.") or "(?!)"


def record_of(name):
    """Where the workflow writes which files a model has."""
    return MODEL_RECORD.format(model=name)


def files_of_model(wildcards):
    """Files of a model that lies in a folder."""
    model = experiment.models[wildcards.model]
    try:
        names = files_of_folder(model.path, model.trust_remote_code)
    except SyncR2Error as error:
        raise WorkflowError(f"Model {model.name}: {error}")
    return [f"{model.path}/{name}" for name in names]


def models_of(wildcards):
    """What must be there before the pair's models can be loaded: folders of miniatures, records of the others."""
    return [
        model_folder(model.name) if model.miniature else record_of(model.name)
        for model in pair_models(wildcards)
        if model.has_states
    ]


def model_sources(wildcards):
    """How the pair's models are loaded: all that can change a result, and no more."""
    keys = ("name", "path", "revision", "dtype", "context", "chat_template")
    keys += ("thinking", "trust_remote_code")
    sources = {}
    for model in pair_models(wildcards):
        source = sources[model.name] = {key: getattr(model, key) for key in keys}
        if model.miniature:
            source["path"] = model_folder(model.name)
        elif model.path:
            source["manifest"] = record_of(model.name)
    return sources


def endpoint_identities(wildcards):
    """What tells whose words come from a server: its name for the model, and where the weights are not known, its address."""
    return {
        model.name: configuration.only(
            model.endpoint, *(("model",) if model.has_states else ("model", "base_url"))
        )
        for model in pair_models(wildcards)
        if model.endpoint
    }


def served_with(wildcards):
    """What servers that the dialogue job starts are told and can change what is said."""
    if experiment.dialogue.engine != "vllm":
        return None
    return {
        model.name: {
            "quantization": model.quantization,
            "arguments": [*experiment.vllm.arguments, *model.server_arguments],
        }
        for model in speaking_models(wildcards)
    }


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


def speaking_models(wildcards):
    """Those of the pair's models that a dialogue job runs itself; the others are behind an endpoint."""
    return [model for model in pair_models(wildcards) if model.endpoint is None]


def gpus_together(wildcards):
    """GPUs for both models at once."""
    return sum(model.gpus for model in speaking_models(wildcards))


def servers_together(wildcards):
    """Servers that a dialogue job starts: one a model, so one where a model talks to itself."""
    own = experiment.dialogue.engine == "vllm"
    return len(speaking_models(wildcards)) if own else 0


def gpus_one_by_one(wildcards):
    """GPUs for the larger of the two models."""
    return max(model.gpus for model in pair_models(wildcards))


def memory_together(wildcards, attempt):
    """MB for both models, more at each retry."""
    loaded = sum(model.memory_gb for model in speaking_models(wildcards))
    return attempt * int(1000 * max(loaded, 2))


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


def asked(wildcards):
    """The judge or labeller that a job asks."""
    if "judge" in wildcards.keys():
        return experiment.judges[wildcards.judge]
    return experiment.labellers[wildcards.labeller]


def asked_settings(wildcards):
    """All of the judge or labeller that can change an answer."""
    return configuration.slice_of(asked(wildcards), *KNOBS)


def asked_table(wildcards):
    """The file of scores or labels that is looked up, if one is."""
    table = asked(wildcards).table
    return [str(table)] if table else []


def asked_template(name):
    """Bytes of the template of a prompt, for those who ask a model; nobody else reads it."""
    return lambda wildcards: (
        template_sha256(name) if asked(wildcards).asks_model else None
    )


def served(wildcards):
    """Whether a job starts a server for the model that it asks."""
    return asked(wildcards).engine == "vllm"


def asked_servers(wildcards):
    """Servers that the job starts."""
    return int(served(wildcards))


def asked_threads(wildcards):
    """A server's processes, or one thread that waits for somebody else's."""
    return experiment.resources.threads if served(wildcards) else 1


def asked_gpus(wildcards):
    """GPUs of a model that the job serves."""
    return asked(wildcards).gpus if served(wildcards) else 0


def asked_memory(wildcards, attempt):
    """MB for the model that the job serves, or for asking somebody else's; more at each retry."""
    return attempt * int(
        1000 * (asked(wildcards).memory_gb if served(wildcards) else 2)
    )


def asked_runtime(wildcards, attempt):
    """Minutes, more at each retry."""
    return model_runtime(wildcards, attempt) if served(wildcards) else 120 * attempt


def asked_server_arguments(wildcards):
    """What every server is told, where the job starts one: it may change answers."""
    return experiment.vllm.arguments if served(wildcards) else ()


def served_folders():
    """Folders of models that judging and labelling jobs serve, by the name of the first who has it."""
    names = {}
    for kind, askers in (
        ("judge", experiment.judges),
        ("labeller", experiment.labellers),
    ):
        for name, settings in askers.items():
            if settings.served_folder:
                names.setdefault(str(settings.served_folder), f"{kind}-{name}")
    return {name: folder for folder, name in names.items()}


SERVED_FOLDERS = served_folders()


def served_files(wildcards):
    """Files of a model that a judge or labeller has served from a folder."""
    try:
        names = files_of_folder(SERVED_FOLDERS[wildcards.served])
    except SyncR2Error as error:
        raise WorkflowError(f"Model of {wildcards.served}: {error}")
    return [f"{SERVED_FOLDERS[wildcards.served]}/{name}" for name in names]


def asked_weights(wildcards):
    """The record of the folder that the job serves, if it serves one."""
    folder = str(asked(wildcards).served_folder)
    return [
        SERVED_RECORD.format(served=name)
        for name, found in SERVED_FOLDERS.items()
        if found == folder
    ]
