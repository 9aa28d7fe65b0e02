"""Let one judge score one shard."""

from syncr2 import jobs

jobs.run(
    snakemake.log[0],
    snakemake.threads,
    "judgements:judge",
    scenarios=snakemake.input.scenarios,
    dialogues=snakemake.input.dialogues,
    output=snakemake.output[0],
    shard=int(snakemake.wildcards.shard),
    shard_size=snakemake.params.shard_size,
    settings=snakemake.params.settings,
    prompts=snakemake.config["prompts"],
)
