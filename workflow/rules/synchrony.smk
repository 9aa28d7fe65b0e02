# Synchrony: states -> R²(source layer, target layer) a pair and condition -> SyncR² tables.
rule fit_layer_maps:
    """Fit the ridge map of every pair of layers, in both directions, for every split; keep the test R²."""
    input:
        scenarios=SCENARIOS,
        source=source_states,
        target=target_states,
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
        # With device: auto a GPU is used where there is one, but none is asked for.
        gpu=int(experiment.synchrony.device == "cuda"),
        mem_mb=maps_memory,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        revision=REVISIONS["r2"],
        condition=lambda wildcards: list(CONDITIONS[wildcards.condition]),
        settings=configuration.only(
            experiment.synchrony,
            "samples",
            "penalty",
            "split_seeds",
            "precision",
            "group_by",
        ),
    script:
        "../scripts/fit_layer_maps.py"


rule summarise_synchrony:
    """Gather SyncR² of every pair and condition, its directions, layers and groups, into tables."""
    input:
        expand(R2, pair=STATE_PAIRS, condition=list(CONDITIONS)),
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
        measured=expand(
            "{pair}/{condition}", pair=STATE_PAIRS, condition=list(CONDITIONS)
        ),
        pairs=UNORDERED_STATE_PAIRS,
        conditions=list(CONDITIONS),
        family=experiment.family,
    script:
        "../scripts/summarise_synchrony.py"
