"""Baselines of one ordered pair."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "controls:baselines",
    scenarios=snakemake.input.scenarios,
    states=snakemake.input.states,
    dialogues=snakemake.input.dialogues,
    corrected=snakemake.input.corrected,
    output=snakemake.output[0],
    pair=snakemake.wildcards.pair,
    n_seeds=snakemake.params.n_seeds,
    settings=snakemake.params.settings,
    device=snakemake.config["synchrony"]["device"],
    memory_gb=snakemake.config["synchrony"]["memory_gb"],
)
