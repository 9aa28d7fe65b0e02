"""Check the three files and keep the episodes that are to be played."""

from pathlib import Path

from syncr2 import jobs

jobs.run(
    snakemake,
    "scenarios:prepare",
    folder=Path(snakemake.input.files[0]).parent,
    origin=snakemake.params.source,
    episodes=snakemake.params.episodes,
    group_by=snakemake.params.group_by,
    output=snakemake.output[0],
)
