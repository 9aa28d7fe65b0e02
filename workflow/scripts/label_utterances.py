"""Let one labeller label one shard."""

from syncr2 import jobs
from syncr2.judges import KNOBS

labeller = snakemake.wildcards.labeller
of_labeller = next(each for each in snakemake.config["labels"] if each["name"] == labeller)

jobs.run(
    snakemake,
    "labels:label",
    scenarios=snakemake.input.scenarios,
    dialogues=snakemake.input.dialogues,
    output=snakemake.output[0],
    shard=int(snakemake.wildcards.shard),
    shard_size=snakemake.params.shard_size,
    settings=snakemake.params.settings,
    # From the config and not from params: they cannot change an answer, so changing them reruns nothing.
    knobs={key: of_labeller[key] for key in KNOBS if key in of_labeller},
    cache=f"{snakemake.config['results']}/label_cache",
    prompts=snakemake.config["prompts"],
)
