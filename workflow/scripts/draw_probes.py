"""Draw the probes over depth."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "probes:draw",
    tables=dict(snakemake.input.items()),
    notice=snakemake.params.notice,
    output={"svg": snakemake.output[0], "png": snakemake.output[1]},
)
