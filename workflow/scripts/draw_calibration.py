"""Draw the calibration curve."""

from syncr2 import jobs

jobs.run(
    snakemake,
    "calibration:draw",
    calibration=snakemake.input.calibration,
    overall=snakemake.input.overall,
    notice=snakemake.params.notice,
    output={"svg": snakemake.output[0], "png": snakemake.output[1]},
)
