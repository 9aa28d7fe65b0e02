"""Download one model from the hub and record its files."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "models:fetch",
    **snakemake.params.source,
    output=snakemake.output[0],
)
