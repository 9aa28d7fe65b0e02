# Synchrony: states -> R²(source layer, target layer) a pair and condition -> SyncR² tables.
rule fit_layer_maps:
    """Fit the ridge map of every pair of layers, in both directions, for every split; keep the test R²."""
    input:
        scenarios=SCENARIOS,
        engaged=all_shards(STATES, reading="engaged"),
        source=source_states,
    output:
        R2,
    log:
        f"{RESULTS}/logs/fit_layer_maps/{{pair}}/{{condition}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_layer_maps/{{pair}}/{{condition}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: experiment.resources.threads
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        revision=REVISIONS["r2"],
        condition=lambda wildcards: list(CONDITIONS[wildcards.condition]),
        settings=configuration.slice_of(experiment.synchrony, "conditions"),
    script:
        "../scripts/fit_layer_maps.py"


rule summarise_synchrony:
    """Gather SyncR² of every pair and condition, its directions, layers and groups, into tables."""
    input:
        expand(R2, pair=PAIRS, condition=list(CONDITIONS)),
    output:
        pairs=f"{RESULTS}/synchrony.tsv",
        directed=f"{RESULTS}/synchrony_directed.tsv",
        layers=f"{RESULTS}/layer_profile.tsv",
        groups=f"{RESULTS}/synchrony_groups.tsv",
    log:
        f"{RESULTS}/logs/summarise_synchrony.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_synchrony.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        revision=REVISIONS["synchrony"],
        measured=expand("{pair}/{condition}", pair=PAIRS, condition=list(CONDITIONS)),
        pairs=experiment.pairs,
        conditions=list(CONDITIONS),
        family=experiment.family,
    script:
        "../scripts/summarise_synchrony.py"
