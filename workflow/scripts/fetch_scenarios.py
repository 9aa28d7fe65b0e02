"""Download the public episodes and check their bytes."""

from pathlib import Path

from syncr2 import jobs

jobs.run(
    snakemake,
    "scenarios:fetch_public",
    url=snakemake.params.url,
    sha256=snakemake.params.sha256,
    folder=Path(snakemake.output[0]).parent,
)
