"""Let the two models of an ordered pair play one shard of the episodes."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "dialogues:play_shard",
    scenarios=snakemake.input.scenarios,
    output=snakemake.output[0],
    pair=snakemake.wildcards.pair,
    seed=int(snakemake.wildcards.seed),
    shard=int(snakemake.wildcards.shard),
    models=snakemake.params.models,
    settings=snakemake.params.settings,
    config=snakemake.config,
    log_folder=snakemake.log[0].removesuffix(".log"),
)
