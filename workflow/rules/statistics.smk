# Statistics: SyncR² and social performance by pair -> correlations.
rule correlate:
    """Correlate SyncR² with social performance within each family, plainly and given each covariate."""
    input:
        synchrony=rules.summarise_synchrony.output.pairs,
        performance=rules.summarise_performance.output[0],
    output:
        pairs=f"{RESULTS}/statistics/pairs.tsv",
        correlations=f"{RESULTS}/statistics/correlations.tsv",
        partial=f"{RESULTS}/statistics/partial_correlations.tsv",
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
        covariates=experiment.covariates,
        covariates_by_model={
            name: model.covariates for name, model in experiment.models.items()
        },
        max_failure_rate=experiment.max_failure_rate,
    script:
        "../scripts/correlate.py"
