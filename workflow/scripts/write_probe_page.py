"""Write the report's page on probes."""

from syncr2 import jobs

tables = {
    name: str(snakemake.input[name]) for name in ("pairs", "overall", "profile", "profile_overall", "labels")
}
jobs.run(
    snakemake,
    "probes:page",
    config=snakemake.config,
    tables=tables,
    output=snakemake.output[0],
)
