"""Tables about the dialogues themselves."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "quality:describe",
    dialogues=snakemake.input.dialogues,
    judgements=snakemake.input.judgements,
    output=dict(snakemake.output.items()),
)
