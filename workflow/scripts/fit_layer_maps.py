"""Fit every map of one ordered pair under one condition."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "r2:layer_maps",
    scenarios=snakemake.input.scenarios,
    source=snakemake.input.source,
    target=snakemake.input.target,
    output=snakemake.output[0],
    condition=snakemake.params.condition,
    settings=snakemake.params.settings,
    device=snakemake.config["synchrony"]["device"],
    memory_gb=snakemake.config["synchrony"]["memory_gb"],
)
