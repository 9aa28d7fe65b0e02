# Models: a Hugging Face id -> its files in the hub's cache; a folder -> what is in it; a specification -> a miniature.
from syncr2.models.miniatures import CORPUS_TEMPLATES


rule fetch_model:
    """Download a model at one commit and record its files; later jobs need no network."""
    output:
        MODEL_RECORD,
    log:
        f"{RESULTS}/logs/fetch_model/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_model/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(HUB_MODELS),
    localrule: True
    conda:
        "../../envs/transformers.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=480,
    params:
        source=lambda wildcards: configuration.only(
            experiment.models[wildcards.model],
            *("name", "path", "revision", "trust_remote_code"),
        ),
    script:
        "../scripts/fetch_model.py"


rule record_model:
    """Record the files of a model that lies in a folder, so that every result names the bytes that it rests on."""
    input:
        files=files_of_model,
    output:
        MODEL_RECORD,
    log:
        f"{RESULTS}/logs/record_model/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/record_model/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(FOLDER_MODELS),
    conda:
        "../../envs/transformers.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        source=lambda wildcards: configuration.only(
            experiment.models[wildcards.model], "name", "path", "trust_remote_code"
        ),
    script:
        "../scripts/record_model.py"


use rule record_model as record_served_model with:
    input:
        files=served_files,
    output:
        SERVED_RECORD,
    log:
        f"{RESULTS}/logs/record_served_model/{{served}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/record_served_model/{{served}}.tsv"
    wildcard_constraints:
        served=one_of(SERVED_FOLDERS),
    params:
        source=lambda wildcards: {
            "name": wildcards.served,
            "path": SERVED_FOLDERS[wildcards.served],
            "trust_remote_code": False,
        },


rule build_miniature:
    """Build a small untrained model, with tokenizer and chat template, from its seed."""
    input:
        scenarios=expand(
            f"{shown(configuration.BUNDLED_SCENARIOS)}/{{file}}",
            file=list(experiment.scenarios.sha256),
        ),
        prompts=expand(
            f"{shown(configuration.BUNDLED_PROMPTS)}/{{name}}.jinja",
            name=CORPUS_TEMPLATES,
        ),
    output:
        directory(f"{RESULTS}/models/{{model}}"),
    log:
        f"{RESULTS}/logs/build_miniature/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_miniature/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(MINIATURES),
    conda:
        "../../envs/transformers.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        revision=REVISIONS["miniatures"],
        spec=lambda wildcards: asdict(experiment.models[wildcards.model].miniature),
    script:
        "../scripts/build_miniature.py"
