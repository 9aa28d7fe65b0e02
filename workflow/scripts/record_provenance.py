"""Write the manifest of all outputs and the RO-Crate of the run."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "provenance:record",
    config=snakemake.config,
    settings=dict(snakemake.params.items()),
    output=dict(snakemake.output.items()),
)
