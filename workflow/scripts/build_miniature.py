"""Build one untrained miniature model."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "models:build",
    spec=snakemake.params.spec,
    folder=snakemake.output[0],
)
