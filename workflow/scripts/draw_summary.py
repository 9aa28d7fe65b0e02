"""Draw the figures over all pairs."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "figures:summary",
    synchrony=snakemake.input.synchrony,
    layers=snakemake.input.layers,
    pairs=snakemake.input.pairs,
    correlations=snakemake.input.correlations,
    lags=snakemake.params.lags,
    family=snakemake.params.family,
    notice=snakemake.params.notice,
    output={
        name: {kind: snakemake.output[f"{name}_{kind}"] for kind in ("svg", "png")}
        for name in snakemake.params.names
    },
)
