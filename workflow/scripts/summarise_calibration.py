"""What was measured by the coupling of the models' worlds."""

from syncr2 import jobs


def by_pair(paths):
    """Paths of ordered pairs by name; none where they are not made."""
    return dict(zip(snakemake.params.ordered, paths, strict=True)) if paths else {}


jobs.run(
    snakemake,
    "calibration:summarise",
    scenarios=snakemake.input.scenarios,
    dialogues=snakemake.input.dialogues,
    protocols=snakemake.input.protocols,
    corrected=by_pair(snakemake.input.corrected),
    baselines=by_pair(snakemake.input.baselines),
    within=snakemake.params.within,
    conditions=snakemake.params.conditions,
    settings=snakemake.params.settings,
    output=dict(snakemake.output.items()),
)
