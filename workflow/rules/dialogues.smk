# Dialogues: scenarios + two models -> one JSON line a dialogue.
rule play_dialogues:
    """Let the two models of an ordered pair play one shard of the episodes, with one seed."""
    input:
        scenarios=SCENARIOS,
        models=models_of,
    output:
        DIALOGUES,
    log:
        f"{RESULTS}/logs/play_dialogues/{{pair}}/seed-{{seed}}/shard-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/play_dialogues/{{pair}}/seed-{{seed}}/shard-{{shard}}.tsv"
    conda:
        "../../envs/transformers.yaml"
    threads: experiment.resources.threads
    resources:
        servers=servers_together,
        gpu=gpus_together,
        mem_mb=memory_together,
        runtime=model_runtime,
    params:
        revision=REVISIONS["dialogues"],
        models=model_sources,
        chat_templates=chat_templates,
        endpoints=endpoint_identities,
        served=served_with,
        settings=configuration.slice_of(
            experiment.dialogue,
            *("device", "batch_size", "concurrency", "retries", "timeout"),
        ),
        template=template_sha256("engaged"),
    script:
        "../scripts/play_dialogues.py"
