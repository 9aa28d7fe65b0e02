"""Tables of the controls of all pairs."""

from syncr2 import jobs


def by_pair(paths):
    """Paths of ordered pairs by name; none where they are not made."""
    return dict(zip(snakemake.params.ordered, paths, strict=True)) if paths else {}


jobs.run(
    snakemake,
    "controls:summarise",
    pairs=snakemake.params.pairs,
    family=snakemake.params.family,
    conditions=snakemake.params.conditions,
    n_draws=snakemake.params.n_draws,
    published=dict(zip(snakemake.params.measured, snakemake.input.r2, strict=True)),
    corrected=by_pair(snakemake.input.corrected),
    nulls=by_pair(snakemake.input.nulls),
    baselines=by_pair(snakemake.input.baselines),
    output={name: snakemake.output[name] for name in snakemake.params.tables},
)
