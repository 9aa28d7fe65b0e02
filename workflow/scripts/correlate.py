"""Correlate SyncR² with social performance."""

from syncr2 import jobs

jobs.run(
    snakemake.log[0],
    snakemake.threads,
    "statistics:correlate",
    synchrony=snakemake.input.synchrony,
    performance=snakemake.input.performance,
    covariates=snakemake.params.covariates,
    covariates_by_model=snakemake.params.covariates_by_model,
    max_failure_rate=snakemake.params.max_failure_rate,
    output=dict(snakemake.output.items()),
)
