"""Build one untrained miniature model."""

from syncr2 import jobs

jobs.run(
    snakemake.log[0],
    snakemake.threads,
    "miniatures:build",
    spec=snakemake.params.spec,
    folder=snakemake.output[0],
)
