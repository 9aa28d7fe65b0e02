"""Measure every condition of one ordered pair by the corrected protocol."""

from syncr2 import ids, jobs

jobs.run(
    snakemake,
    "controls:nested_maps",
    scenarios=snakemake.input.scenarios,
    states={reading: paths for reading, paths in snakemake.input.items() if reading in ids.READINGS},
    output=snakemake.output[0],
    conditions=snakemake.params.conditions,
    settings=snakemake.params.settings,
    device=snakemake.config["synchrony"]["device"],
    memory_gb=snakemake.config["synchrony"]["memory_gb"],
)
