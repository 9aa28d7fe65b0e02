# Labels: dialogues -> emotion and kind of action of every utterance, or labels made elsewhere -> what pairs do.
LABELS = f"{RESULTS}/labels/{{labeller}}/{{pair}}/seed-{{seed}}/shard-{{shard}}.jsonl"
ALL_LABELS = all_shards(LABELS, pair=PAIRS, labeller=list(experiment.labellers))
# Tables of labels made elsewhere, by labeller.
LABEL_FILES = {
    name: str(labeller.table)
    for name, labeller in experiment.labellers.items()
    if labeller.table
}


wildcard_constraints:
    labeller="|".join(experiment.labellers).replace(".", r"\.") or "none",


rule label_utterances:
    """Let one labeller label one shard; a dialogue that could not be labelled says so in its line."""
    input:
        scenarios=SCENARIOS,
        dialogues=DIALOGUES,
        table=asked_table,
        weights=asked_weights,
    output:
        LABELS,
    log:
        f"{RESULTS}/logs/label_utterances/{{labeller}}/{{pair}}/seed-{{seed}}/shard-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/label_utterances/{{labeller}}/{{pair}}/seed-{{seed}}/shard-{{shard}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: asked_threads
    resources:
        servers=asked_servers,
        gpu=asked_gpus,
        mem_mb=asked_memory,
        runtime=asked_runtime,
    params:
        revision=REVISIONS["labels"],
        settings=asked_settings,
        server_arguments=asked_server_arguments,
        template=asked_template("labels"),
        shard_size=experiment.dialogue.shard_size,
    script:
        "../scripts/label_utterances.py"


rule summarise_labels:
    """Say how often each class was given by labeller and pair, and how many dialogues have no labels."""
    input:
        ALL_LABELS,
    output:
        f"{RESULTS}/labels.tsv",
    log:
        f"{RESULTS}/logs/summarise_labels.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_labels.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        revision=REVISIONS["labels"],
        family=experiment.family,
    script:
        "../scripts/summarise_labels.py"


rule correlate_labels:
    """Correlate SyncR² with numbers that were labelled elsewhere, as with social performance."""
    input:
        **{name: rules.summarise_controls.output[name] for name in OTHER_MEASURES},
        synchrony=rules.summarise_synchrony.output.pairs,
        tables=list(LABEL_FILES.values()),
    output:
        f"{STATISTICS}/label_correlations.tsv",
    log:
        f"{RESULTS}/logs/correlate_labels.log",
    benchmark:
        f"{RESULTS}/benchmarks/correlate_labels.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        revision=REVISIONS["labels"],
        controls=OTHER_MEASURES,
        labellers=list(LABEL_FILES),
        family=experiment.family,
        resampling=asdict(experiment.resampling),
    script:
        "../scripts/correlate_labels.py"


# What a run makes of labels: nothing without labellers, no correlations without numbers made elsewhere.
LABEL_TABLES = [
    *(rules.summarise_labels.output if experiment.labellers else []),
    *(rules.correlate_labels.output if LABEL_FILES else []),
]
