"""Let one judge score one shard."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "asking:ask",
    **jobs.asking(snakemake, "judges", snakemake.wildcards.judge),
    cache=f"{snakemake.config['results']}/judge_cache",
)
