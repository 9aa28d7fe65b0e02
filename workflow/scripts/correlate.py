"""Correlate SyncR² with social performance."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "statistics:correlate",
    synchrony=snakemake.input.synchrony,
    performance=snakemake.input.performance,
    controls={name: snakemake.input[name] for name in snakemake.params.controls},
    pairs=snakemake.params.pairs,
    covariates=snakemake.params.covariates,
    covariates_by_model=snakemake.params.covariates_by_model,
    family=snakemake.params.family,
    resampling=snakemake.params.resampling,
    max_failure_rate=snakemake.params.max_failure_rate,
    output=dict(snakemake.output.items()),
)
