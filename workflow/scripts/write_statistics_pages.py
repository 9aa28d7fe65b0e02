"""Write the report's pages on statistics, judges and the paper."""

from pathlib import Path

from syncr2 import jobs

others = ("performance", "agreement", "outcomes", "outcome_pairs", "comparison", "collinearity")
jobs.run(
    snakemake,
    "pages:write_statistics",
    config=snakemake.config,
    published=str(Path(snakemake.input.published[0]).parent),
    statistics={name: snakemake.input[name] for name in snakemake.params.statistics},
    tables={name: snakemake.input[name] for name in others},
    output=dict(snakemake.output.items()),
)
