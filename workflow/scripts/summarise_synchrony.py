"""Gather SyncR² of all pairs and conditions into tables."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "synchrony:summarise",
    r2=dict(zip(snakemake.params.measured, snakemake.input, strict=True)),
    pairs=snakemake.params.pairs,
    conditions=snakemake.params.conditions,
    family=snakemake.params.family,
    output=dict(snakemake.output.items()),
)
