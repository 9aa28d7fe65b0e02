"""Draw the figures of the statistics."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "figures:statistics",
    tables={name: snakemake.input[name] for name in snakemake.params.tables},
    notice=snakemake.params.notice,
    output={
        name: {kind: snakemake.output[f"{name}_{kind}"] for kind in ("svg", "png")}
        for name in snakemake.params.names
    },
)
