"""SyncR² over layers, and the reliability of SyncR² and social performance."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "statistics:locate",
    corrected=dict(zip(snakemake.params.ordered, snakemake.input.corrected, strict=True)),
    dialogues=snakemake.input.dialogues,
    pairs=snakemake.params.pairs,
    family=snakemake.params.family,
    n_draws=snakemake.params.n_draws,
    output=dict(snakemake.output.items()),
)
