"""Let one judge score one shard."""

from syncr2 import jobs
from syncr2.judges import KNOBS

of_judge = next(each for each in snakemake.config["judges"] if each["name"] == snakemake.wildcards.judge)

jobs.run(
    snakemake,
    "judgements:judge",
    scenarios=snakemake.input.scenarios,
    dialogues=snakemake.input.dialogues,
    output=snakemake.output[0],
    shard=int(snakemake.wildcards.shard),
    shard_size=snakemake.params.shard_size,
    settings=snakemake.params.settings,
    # From the config and not from params: they cannot change an answer, so changing them reruns nothing.
    knobs={key: of_judge[key] for key in KNOBS if key in of_judge},
    cache=f"{snakemake.config['results']}/judge_cache",
    prompts=snakemake.config["prompts"],
    vllm=snakemake.config["vllm"],
    log_folder=snakemake.log[0].removesuffix(".log"),
)
