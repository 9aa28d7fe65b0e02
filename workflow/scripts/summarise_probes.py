"""Tables of the probes of all pairs."""

from syncr2 import jobs

files = {}
for measured, path in zip(snakemake.params.measured, snakemake.input, strict=True):
    labeller, pair = measured.split("/")
    files.setdefault(labeller, {})[pair] = path

jobs.run(
    snakemake,
    "probes:summarise",
    probes=files,
    pairs=snakemake.params.pairs,
    family=snakemake.params.family,
    output=dict(snakemake.output.items()),
)
