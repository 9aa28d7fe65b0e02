"""Replay every prompt of one shard in one reading."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "states:replay_shard",
    scenarios=snakemake.input.scenarios,
    dialogues=snakemake.input.dialogues,
    output=snakemake.output[0],
    pair=snakemake.wildcards.pair,
    reading=snakemake.wildcards.reading,
    shard=int(snakemake.wildcards.shard),
    shard_size=snakemake.params.shard_size,
    models=snakemake.params.models,
    settings=snakemake.params.settings,
    prompts=snakemake.config["prompts"],
    batch_tokens=snakemake.config["states"]["batch_tokens"],
    self_check=snakemake.config["states"]["self_check"],
    device=snakemake.config["states"]["device"],
    n_gpus=snakemake.resources.get("gpu", 0),
)
