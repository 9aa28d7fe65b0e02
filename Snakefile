# Neural synchrony between interacting language models, from episodes to a report.
#
#   snakemake --cores 2 --configfile demo.yaml     the laptop-sized experiment
#   snakemake --cores 8                            the published one, as config.yaml says
#   snakemake --report results/report.html         its report, once the run is done
#
# Each file under workflow/rules is one stage, in the order of the data; what a stage does is in src/syncr2.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


# Used with `--software-deployment-method apptainer` alone: docs/environments.md.
container: "envs/syncr2.sif"


include: "workflow/rules/common.smk"
include: "workflow/rules/scenarios.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/dialogues.smk"
include: "workflow/rules/states.smk"
include: "workflow/rules/synchrony.smk"
include: "workflow/rules/controls.smk"
include: "workflow/rules/judgements.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/probes.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/calibration.smk"
include: "workflow/rules/probe_report.smk"


report: "workflow/report/overview.rst"


# Everything that a run makes, save the record of the run itself.
EVERYTHING = [
    *rules.draw_summary.output,
    *rules.draw_groups.output,
    *rules.draw_heatmaps.output,
    *rules.draw_controls.output,
    *rules.draw_statistics.output,
    *rules.write_pages.output,
    *rules.write_statistics_pages.output,
    *rules.describe_dialogues.output,
    *rules.summarise_performance.output,
    *rules.summarise_outcomes.output,
    *STATISTICS_TABLES,
    *rules.compare_with_paper.output,
    *LABEL_TABLES,
    *PROBE_TABLES,
    *PROBE_REPORT,
    *CALIBRATION,
]


include: "workflow/rules/provenance.smk"


rule all:
    default_target: True
    input:
        EVERYTHING,
        rules.record_provenance.output,
