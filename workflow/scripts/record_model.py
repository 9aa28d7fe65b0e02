"""Record the files of one model that lies in a folder."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "models:record",
    **snakemake.params.source,
    output=snakemake.output[0],
)
