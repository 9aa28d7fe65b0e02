# Judgements: dialogues -> scores on seven dimensions -> social performance by pair; and what the dialogues are like.
ALL_DIALOGUES = all_shards(DIALOGUES, pair=PAIRS)
ALL_JUDGEMENTS = all_shards(JUDGEMENTS, pair=PAIRS, judge=list(experiment.judges))


rule judge_dialogues:
    """Let one judge score one shard; a dialogue that could not be judged says so in its line."""
    input:
        scenarios=SCENARIOS,
        dialogues=DIALOGUES,
        table=asked_table,
        weights=asked_weights,
    output:
        JUDGEMENTS,
    log:
        f"{RESULTS}/logs/judge_dialogues/{{judge}}/{{pair}}/seed-{{seed}}/shard-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/judge_dialogues/{{judge}}/{{pair}}/seed-{{seed}}/shard-{{shard}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: asked_threads
    resources:
        servers=asked_servers,
        gpu=asked_gpus,
        mem_mb=asked_memory,
        runtime=asked_runtime,
    params:
        revision=REVISIONS["judgements"],
        settings=asked_settings,
        server_arguments=asked_server_arguments,
        template=asked_template("judge"),
        shard_size=experiment.dialogue.shard_size,
    script:
        "../scripts/judge_dialogues.py"


rule summarise_performance:
    """Average the scores by judge and pair, and say how far judges and orders of presenting agree."""
    input:
        ALL_JUDGEMENTS,
    output:
        performance=f"{RESULTS}/performance.tsv",
        agreement=f"{RESULTS}/judge_agreement.tsv",
    log:
        f"{RESULTS}/logs/summarise_performance.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_performance.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        revision=REVISIONS["performance"],
        family=experiment.family,
    script:
        "../scripts/summarise_performance.py"


rule describe_dialogues:
    """One row a dialogue with its episode's fields, and the quality of dialogues by ordered pair."""
    input:
        dialogues=ALL_DIALOGUES,
        judgements=ALL_JUDGEMENTS,
    output:
        dialogues=f"{RESULTS}/dialogues.tsv",
        quality=f"{RESULTS}/quality.tsv",
    log:
        f"{RESULTS}/logs/describe_dialogues.log",
    benchmark:
        f"{RESULTS}/benchmarks/describe_dialogues.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        revision=REVISIONS["performance"],
    script:
        "../scripts/describe_dialogues.py"


rule summarise_outcomes:
    """Read what dialogues came to where their episode says so in figures: items, a price, a friend."""
    input:
        scenarios=SCENARIOS,
        dialogues=ALL_DIALOGUES,
    output:
        dialogues=f"{RESULTS}/outcomes.tsv",
        pairs=f"{RESULTS}/outcome_pairs.tsv",
    log:
        f"{RESULTS}/logs/summarise_outcomes.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_outcomes.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        revision=REVISIONS["outcomes"],
        family=experiment.family,
    script:
        "../scripts/summarise_outcomes.py"
