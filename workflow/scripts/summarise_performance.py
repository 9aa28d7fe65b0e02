"""Average the scores by judge and pair, and measure how far judges agree."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "judgements:summarise",
    judgements=snakemake.input,
    family=snakemake.params.family,
    output=dict(snakemake.output.items()),
)
