"""SyncR² of every dialogue of one ordered pair."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "statistics:score_dialogues",
    scenarios=snakemake.input.scenarios,
    states=snakemake.input.states,
    corrected=snakemake.input.corrected,
    output=snakemake.output[0],
    pair=snakemake.wildcards.pair,
    conditions=snakemake.params.conditions,
    settings=snakemake.params.settings,
    device=snakemake.config["synchrony"]["device"],
    memory_gb=snakemake.config["synchrony"]["memory_gb"],
)
