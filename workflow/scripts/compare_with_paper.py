"""Published numbers beside this run's."""

from pathlib import Path

from syncr2 import jobs

tables = ("synchrony", "dialogues", "pairs", "correlations", "partial", *snakemake.params.statistics)
jobs.run(
    snakemake,
    "paper:compare",
    published=str(Path(snakemake.input.published[0]).parent),
    tables={name: snakemake.input[name] for name in tables},
    controls={name: snakemake.input[name] for name in snakemake.params.controls},
    paths=snakemake.params.paths,
    judged=snakemake.params.judged,
    stand_ins=snakemake.params.stand_ins,
    covariates=snakemake.params.covariates,
    covariates_by_model=snakemake.params.covariates_by_model,
    output=dict(snakemake.output.items()),
)
