# Against the paper: tables of statistics and controls -> every published number beside this run's.
from syncr2 import published

# Tables with what published claims are compared with; probes are read like controls.
COMPARED_CONTROLS = {
    **{
        name: rules.summarise_controls.output[name]
        for name in [
            *(["protocols", "contrasts_overall"] if MADE_CORRECTED else []),
            *(["baselines_overall"] if MADE_BASELINES else []),
        ]
    },
    **({"probes_overall": rules.summarise_probes.output.overall} if PROBED else {}),
}
COMPARED_STATISTICS = (
    {
        "relationship_trend": rules.relate_dialogues.output.relationship_trend,
        "depth_peak": rules.locate_synchrony.output.depth_peak,
    }
    if MADE_CORRECTED
    else {}
)


rule compare_with_paper:
    """Set every published number beside this run's, and say how far partial correlations can be trusted."""
    input:
        **COMPARED_CONTROLS,
        **COMPARED_STATISTICS,
        # Only their bytes count; the stage is told the folder.
        published=expand(f"{shown(published.FOLDER)}/{{name}}", name=published.FILES),
        synchrony=rules.summarise_synchrony.output.pairs,
        dialogues=rules.describe_dialogues.output.dialogues,
        pairs=rules.correlate.output.pairs,
        correlations=rules.correlate.output.correlations,
        partial=rules.correlate.output.partial,
    output:
        comparison=f"{STATISTICS}/paper_comparison.tsv",
        collinearity=f"{STATISTICS}/paper_collinearity.tsv",
    log:
        f"{RESULTS}/logs/compare_with_paper.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_with_paper.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=15,
    params:
        revision=REVISIONS["statistics"],
        controls=list(COMPARED_CONTROLS),
        statistics=list(COMPARED_STATISTICS),
        paths={name: model.path for name, model in experiment.models.items()},
        # Rules over words and the oracle of made-up worlds are not what the study had.
        judged=any(
            judge.engine not in ("surface", "oracle")
            for judge in experiment.judges.values()
        ),
        stand_ins=[
            name
            for name, labeller in experiment.labellers.items()
            if labeller.engine == "surface"
        ],
        covariates=experiment.covariates,
        covariates_by_model={
            name: model.covariates for name, model in experiment.models.items()
        },
    script:
        "../scripts/compare_with_paper.py"
