"""Nulls of one ordered pair."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "controls:permuted_partners",
    scenarios=snakemake.input.scenarios,
    states=snakemake.input.states,
    output=snakemake.output[0],
    pair=snakemake.wildcards.pair,
    conditions=snakemake.params.conditions,
    settings=snakemake.params.settings,
    device=snakemake.config["synchrony"]["device"],
    memory_gb=snakemake.config["synchrony"]["memory_gb"],
)
