# Report: tables -> figures and pages; `snakemake --report` gathers them with their captions.
FIGURE_TYPES = ("svg", "png")
SUMMARY_FIGURES = {
    "conditions": "SyncR² by pair and condition",
    "lags": "Decay over lags",
    "performance": "SyncR² and social performance",
    "layers": "Layer profile",
}
UNORDERED = [ids.OrderedPair(*pair).id for pair in experiment.pairs]


def figure_path(name, kind):
    return f"{RESULTS}/figures/{name}.{kind}"


def in_report(name, caption, category, **labels):
    """A figure as SVG, which stands in the report, and as PNG, which lies beside it."""
    shown = report(
        figure_path(name, "svg"), caption=f"../report/{caption}.rst", category=category, labels=labels
    )
    return [shown, figure_path(name, "png")]


rule draw_summary:
    """Draw the figures over all pairs."""
    input:
        synchrony=rules.summarise_synchrony.output.pairs,
        layers=rules.summarise_synchrony.output.layers,
        pairs=rules.correlate.output.pairs,
        correlations=rules.correlate.output.correlations,
    output:
        **{
            f"{name}_{kind}": path
            for name, title in SUMMARY_FIGURES.items()
            for kind, path in zip(FIGURE_TYPES, in_report(name, name, "Results", figure=title))
        },
    params:
        revision=REVISIONS["figures"],
        names=list(SUMMARY_FIGURES),
        lags=LAGS,
        family=experiment.family,
        notice=experiment.notice,
    log:
        f"{RESULTS}/logs/draw_summary.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_summary.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/draw_summary.py"


rule draw_groups:
    """Draw SyncR² by every column of the episodes that the configuration groups by."""
    input:
        rules.summarise_synchrony.output.groups,
    output:
        [
            path
            for column in experiment.synchrony.group_by
            for path in in_report(f"by_{column}", "groups", "Results", figure=f"SyncR² by {column}")
        ],
    params:
        revision=REVISIONS["figures"],
        columns=experiment.synchrony.group_by,
        family=experiment.family,
        notice=experiment.notice,
    log:
        f"{RESULTS}/logs/draw_groups.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_groups.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/draw_groups.py"


rule draw_heatmaps:
    """Draw R²(source layer, target layer) of every pair of models."""
    input:
        expand(R2, pair=PAIRS, condition=ids.INTERACTION.name),
    output:
        [
            path
            for pair in UNORDERED
            for path in in_report(
                f"heatmaps/{pair}", "heatmap", "R² by layer", pair=pair.replace(ids.PAIR_SEPARATOR, " and ")
            )
        ],
    params:
        revision=REVISIONS["figures"],
        ordered=PAIRS,
        pairs=experiment.pairs,
        notice=experiment.notice,
    log:
        f"{RESULTS}/logs/draw_heatmaps.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_heatmaps.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/draw_heatmaps.py"
