# Probes: states and labels -> what a state tells about the partner's utterances, layer by layer -> tables.
PROBES = f"{RESULTS}/probes/{{labeller}}/{{pair}}.h5"
# Labels to be probed, by the labellers that give any; as all that takes folds, only with the corrected protocol.
PROBED = {
    name: experiment.probes_of(name)
    for name in experiment.labellers
    if MADE_CORRECTED and experiment.probes_of(name)
}


rule fit_probes:
    """Predict emotion and action of the partner's utterances before and after each state, from every layer."""
    input:
        scenarios=SCENARIOS,
        states=all_shards(STATES, reading="engaged"),
        dialogues=all_shards(DIALOGUES),
        labels=all_shards(LABELS),
    output:
        PROBES,
    log:
        f"{RESULTS}/logs/fit_probes/{{labeller}}/{{pair}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_probes/{{labeller}}/{{pair}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: experiment.resources.threads
    resources:
        gpu=int(experiment.synchrony.device == "cuda"),
        mem_mb=maps_memory,
        runtime=lambda wildcards, attempt: 1440 * attempt,
    params:
        revision=REVISIONS["probes"],
        names=lambda wildcards: PROBED[wildcards.labeller],
        settings=configuration.only(experiment.synchrony, "folds", "fold_seed"),
    script:
        "../scripts/fit_probes.py"


rule summarise_probes:
    """Gather the probes of all pairs into tables: means over layers, and by depth."""
    input:
        expand(PROBES, labeller=list(PROBED), pair=STATE_PAIRS),
    output:
        pairs=f"{RESULTS}/probes/pairs.tsv",
        overall=f"{RESULTS}/probes/overall.tsv",
        profile=f"{RESULTS}/probes/profile.tsv",
        profile_overall=f"{RESULTS}/probes/profile_overall.tsv",
    log:
        f"{RESULTS}/logs/summarise_probes.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_probes.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        revision=REVISIONS["probes"],
        measured=expand("{labeller}/{pair}", labeller=list(PROBED), pair=STATE_PAIRS),
        pairs=UNORDERED_STATE_PAIRS,
        family=experiment.family,
    script:
        "../scripts/summarise_probes.py"


PROBE_TABLES = list(rules.summarise_probes.output) if PROBED else []
