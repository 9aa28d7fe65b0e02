# Statistics: SyncR² and social performance -> correlations over pairs; of dialogues within pairs; where SyncR² is strongest.
STATISTICS = f"{RESULTS}/statistics"
DIALOGUE_SCORES = f"{STATISTICS}/dialogue_scores/{{pair}}.tsv"
# Measures of SyncR² beside the published one, from the tables of the controls.
OTHER_MEASURES = [
    *(["protocols"] if MADE_CORRECTED else []),
    *(["baselines"] if MADE_BASELINES else []),
]


rule correlate:
    """Correlate SyncR² with social performance by family, plainly and given each covariate; test it by models."""
    input:
        **{name: rules.summarise_controls.output[name] for name in OTHER_MEASURES},
        synchrony=rules.summarise_synchrony.output.pairs,
        performance=rules.summarise_performance.output[0],
    output:
        pairs=f"{STATISTICS}/pairs.tsv",
        correlations=f"{STATISTICS}/correlations.tsv",
        rank_correlations=f"{STATISTICS}/rank_correlations.tsv",
        partial=f"{STATISTICS}/partial_correlations.tsv",
        leave_one_out=f"{STATISTICS}/leave_one_out.tsv",
        mixed_models=f"{STATISTICS}/mixed_models.tsv",
        robustness=f"{STATISTICS}/robustness.tsv",
    log:
        f"{RESULTS}/logs/correlate.log",
    benchmark:
        f"{RESULTS}/benchmarks/correlate.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        revision=REVISIONS["statistics"],
        controls=OTHER_MEASURES,
        pairs=UNORDERED_STATE_PAIRS,
        covariates=experiment.covariates,
        covariates_by_model={
            name: model.covariates for name, model in experiment.models.items()
        },
        family=experiment.family,
        resampling=asdict(experiment.resampling),
        max_failure_rate=experiment.max_failure_rate,
    script:
        "../scripts/correlate.py"


rule score_dialogues:
    """Score every dialogue of a pair with the chosen maps, which never saw its environment."""
    input:
        scenarios=SCENARIOS,
        states=all_shards(STATES, reading="engaged"),
        corrected=CORRECTED,
    output:
        DIALOGUE_SCORES,
    log:
        f"{RESULTS}/logs/score_dialogues/{{pair}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_dialogues/{{pair}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: experiment.resources.threads
    resources:
        gpu=int(experiment.synchrony.device == "cuda"),
        mem_mb=maps_memory,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        revision=REVISIONS["statistics"],
        conditions=engaged_conditions(),
        settings=configuration.only(experiment.synchrony, *FOLDS),
    script:
        "../scripts/score_dialogues.py"


rule relate_dialogues:
    """Over dialogues: does higher synchrony go with performance within pairs, and with the relationship?"""
    input:
        scores=expand(DIALOGUE_SCORES, pair=STATE_PAIRS),
        dialogues=rules.describe_dialogues.output.dialogues,
    output:
        dialogues=f"{STATISTICS}/dialogues.tsv",
        within_pairs=f"{STATISTICS}/within_pairs.tsv",
        relationship=f"{STATISTICS}/relationship.tsv",
        relationship_trend=f"{STATISTICS}/relationship_trend.tsv",
        relationship_environments=f"{STATISTICS}/relationship_environments.tsv",
    log:
        f"{RESULTS}/logs/relate_dialogues.log",
    benchmark:
        f"{RESULTS}/benchmarks/relate_dialogues.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        revision=REVISIONS["statistics"],
        pairs=UNORDERED_STATE_PAIRS,
        family=experiment.family,
        resampling=asdict(experiment.resampling),
    script:
        "../scripts/relate_dialogues.py"


rule locate_synchrony:
    """SyncR² over layers with intervals over environments; the reliability of SyncR² and performance."""
    input:
        corrected=expand(CORRECTED, pair=STATE_PAIRS),
        dialogues=rules.describe_dialogues.output.dialogues,
    output:
        depth_profile=f"{STATISTICS}/depth_profile.tsv",
        depth_peak=f"{STATISTICS}/depth_peak.tsv",
        attenuation=f"{STATISTICS}/attenuation.tsv",
    log:
        f"{RESULTS}/logs/locate_synchrony.log",
    benchmark:
        f"{RESULTS}/benchmarks/locate_synchrony.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        revision=REVISIONS["statistics"],
        ordered=STATE_PAIRS,
        pairs=UNORDERED_STATE_PAIRS,
        family=experiment.family,
        n_draws=experiment.synchrony.bootstrap_draws,
    script:
        "../scripts/locate_synchrony.py"


# Every table of this file that the configuration makes; what rests on chosen maps needs the corrected protocol.
STATISTICS_TABLES = [
    *rules.correlate.output,
    *(
        [*rules.relate_dialogues.output, *rules.locate_synchrony.output]
        if MADE_CORRECTED
        else []
    ),
]
