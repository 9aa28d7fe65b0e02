"""Correlate SyncR² with labels of numbers."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "labels:correlate",
    synchrony=snakemake.input.synchrony,
    controls={name: snakemake.input[name] for name in snakemake.params.controls},
    tables=dict(zip(snakemake.params.labellers, snakemake.input["tables"], strict=True)),
    family=snakemake.params.family,
    resampling=snakemake.params.resampling,
    output=snakemake.output[0],
)
