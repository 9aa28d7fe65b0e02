"""Probes of one ordered pair by the labels of one labeller."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "probes:probes",
    scenarios=snakemake.input.scenarios,
    states=snakemake.input.states,
    dialogues=snakemake.input.dialogues,
    labels=snakemake.input["labels"],
    output=snakemake.output[0],
    pair=snakemake.wildcards.pair,
    names=snakemake.params.names,
    settings=snakemake.params.settings,
    device=snakemake.config["synchrony"]["device"],
)
