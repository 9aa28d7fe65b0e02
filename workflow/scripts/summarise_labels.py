"""What labellers said, by pair."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "labels:summarise",
    labels=list(snakemake.input),
    family=snakemake.params.family,
    output=snakemake.output[0],
)
