"""Draw R²(source layer, target layer) of every pair."""

from syncr2 import jobs

pairs = ["--".join(pair) for pair in snakemake.params.pairs]
jobs.run(
    snakemake,
    "figures:heatmaps",
    r2=dict(zip(snakemake.params.ordered, snakemake.input, strict=True)),
    pairs=snakemake.params.pairs,
    notice=snakemake.params.notice,
    output={
        pair: {"svg": snakemake.output[2 * i], "png": snakemake.output[2 * i + 1]}
        for i, pair in enumerate(pairs)
    },
)
