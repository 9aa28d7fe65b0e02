"""Let one labeller label one shard."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "asking:ask",
    **jobs.asking(snakemake, "labels", snakemake.wildcards.labeller),
    cache=f"{snakemake.config['results']}/label_cache",
)
