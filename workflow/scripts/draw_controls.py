"""Draw what SyncR² is held against: protocols, contrasts, nulls, baselines, lags, groups."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "figures:controls",
    tables=dict(snakemake.input.items()),
    columns=snakemake.params.columns,
    lags=snakemake.params.lags,
    notice=snakemake.params.notice,
    output={
        name: {"svg": snakemake.output[2 * i], "png": snakemake.output[2 * i + 1]}
        for i, name in enumerate(snakemake.params.names)
    },
)
