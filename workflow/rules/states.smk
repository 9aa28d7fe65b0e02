# States: dialogues + one model at a time -> the last prompt token's hidden state after every block.
rule replay_states:
    """Replay every prompt of a shard: as the agents read it, as a bystander does, or with random weights."""
    input:
        scenarios=SCENARIOS,
        dialogues=DIALOGUES,
        models=models_of,
    output:
        STATES,
    log:
        f"{RESULTS}/logs/replay_states/{{pair}}/{{reading}}/seed-{{seed}}/shard-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/replay_states/{{pair}}/{{reading}}/seed-{{seed}}/shard-{{shard}}.tsv"
    conda:
        "../../envs/transformers.yaml"
    threads: experiment.resources.threads
    resources:
        gpu=gpus_one_by_one,
        mem_mb=memory_one_by_one,
        runtime=model_runtime,
    params:
        revision=REVISIONS["states"],
        models=model_sources,
        chat_templates=chat_templates,
        settings=lambda wildcards: {"precision": experiment.states.precision}
        | (
            {"bystander": experiment.states.bystander}
            if wildcards.reading == "passive"
            else {}
        ),
        # The engaged prompts stand in the dialogues already, and the untrained twins read the same.
        template=lambda wildcards: (
            template_sha256("bystander") if wildcards.reading == "passive" else None
        ),
        shard_size=experiment.dialogue.shard_size,
    script:
        "../scripts/replay_states.py"
