"""Draw SyncR² by every column of the episodes that the configuration groups by."""

from syncr2 import jobs

columns = snakemake.params.columns
jobs.run(
    snakemake,
    "figures:groups",
    groups=snakemake.input[0],
    columns=columns,
    notice=snakemake.params.notice,
    output={
        column: {"svg": snakemake.output[2 * i], "png": snakemake.output[2 * i + 1]}
        for i, column in enumerate(columns)
    },
)
