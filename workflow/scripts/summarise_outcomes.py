"""Read from the dialogues what they came to, where their episode says what it plays for."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "outcomes:summarise",
    scenarios=snakemake.input.scenarios,
    dialogues=snakemake.input.dialogues,
    family=snakemake.params.family,
    output=dict(snakemake.output.items()),
)
