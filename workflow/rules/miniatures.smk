# Miniatures: a specification -> an untrained model folder of the same class as a real model.
rule build_miniature:
    """Build a small untrained model, with tokenizer and chat template, from its seed."""
    input:
        scenarios=expand(
            f"{shown(configuration.BUNDLED_SCENARIOS)}/{{file}}",
            file=list(experiment.scenarios.sha256),
        ),
        prompts=expand(
            f"{shown(configuration.BUNDLED_PROMPTS)}/{{name}}.jinja",
            name=["engaged", "bystander"],
        ),
    output:
        directory(f"{RESULTS}/models/{{model}}"),
    log:
        f"{RESULTS}/logs/build_miniature/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_miniature/{{model}}.tsv"
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
