"""Write the report's pages."""

from syncr2 import jobs

tables = ("synchrony", "directed", "performance", "pairs", "correlations", "partial", "quality")
jobs.run(
    snakemake,
    "pages:write",
    config=snakemake.config,
    tables={name: snakemake.input[name] for name in tables},
    scenarios=snakemake.input.scenarios,
    dialogues=list(snakemake.input.dialogues),
    judgements=list(snakemake.input.judgements),
    r2=list(snakemake.input.r2),
    more_tables=list(snakemake.input.more_tables),
    output=dict(snakemake.output.items()),
    # Their names begin like this, for one of them is called like a table of results might be.
    controls={name: snakemake.input[f"controls_{name}"] for name in snakemake.params.controls},
)
