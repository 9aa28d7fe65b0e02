"""SyncR² of dialogues: with social performance within pairs, and by relationship."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "statistics:relate_dialogues",
    scores=snakemake.input.scores,
    dialogues=snakemake.input.dialogues,
    pairs=snakemake.params.pairs,
    family=snakemake.params.family,
    resampling=snakemake.params.resampling,
    output=dict(snakemake.output.items()),
)
