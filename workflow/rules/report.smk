# Report: tables -> figures and pages; `snakemake --report` gathers them with their captions.
include: "report_entries.smk"


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
            for kind, path in zip(
                FIGURE_TYPES, in_report(name, name, RESULTS_CATEGORY, title)
            )
        },
    log:
        f"{RESULTS}/logs/draw_summary.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_summary.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        revision=REVISIONS["figures"],
        names=list(SUMMARY_FIGURES),
        lags=LAGS,
        family=experiment.family,
        notice=experiment.notice,
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
            for path in in_report(
                f"by_{column}",
                "groups",
                RESULTS_CATEGORY,
                f"{RESULTS_ENTRIES['groups']} {column}",
            )
        ],
    log:
        f"{RESULTS}/logs/draw_groups.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_groups.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        revision=REVISIONS["figures"],
        columns=experiment.synchrony.group_by,
        notice=experiment.notice,
    script:
        "../scripts/draw_groups.py"


rule draw_controls:
    """Draw what SyncR² is held against: protocols, contrasts, nulls, baselines, lags, groups."""
    input:
        **{name: rules.summarise_controls.output[name] for name in SHOWN_CONTROLS},
    output:
        controls_in_report(),
    log:
        f"{RESULTS}/logs/draw_controls.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_controls.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        revision=REVISIONS["figures"],
        names=list(CONTROL_FIGURES),
        columns=experiment.synchrony.group_by,
        lags=LAGS,
        notice=experiment.notice,
    script:
        "../scripts/draw_controls.py"


rule draw_heatmaps:
    """Draw R²(source layer, target layer) of every pair of models."""
    input:
        expand(R2, pair=STATE_PAIRS, condition=ids.INTERACTION.name),
    output:
        [path for pair in UNORDERED for path in heatmap_in_report(pair)],
    log:
        f"{RESULTS}/logs/draw_heatmaps.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_heatmaps.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        revision=REVISIONS["figures"],
        ordered=STATE_PAIRS,
        pairs=UNORDERED_STATE_PAIRS,
        notice=experiment.notice,
    script:
        "../scripts/draw_heatmaps.py"


rule draw_statistics:
    """Draw the correlation in every way that it was taken, SyncR² by relationship, and over the layers' depth."""
    input:
        **DRAWN_STATISTICS,
    output:
        **{
            f"{name}_{kind}": path
            for name, title in STATISTICS_FIGURES.items()
            for kind, path in zip(
                FIGURE_TYPES,
                in_report(f"statistics/{name}", name, STATISTICS_CATEGORY, title),
            )
        },
    log:
        f"{RESULTS}/logs/draw_statistics.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_statistics.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        revision=REVISIONS["figures"],
        names=list(STATISTICS_FIGURES),
        tables=list(DRAWN_STATISTICS),
        notice=experiment.notice,
    script:
        "../scripts/draw_statistics.py"


rule write_pages:
    """Write the pages of the report: results, controls, dialogues, parameters, provenance."""
    input:
        **{
            f"controls_{name}": rules.summarise_controls.output[name]
            for name in SHOWN_CONTROLS
        },
        synchrony=rules.summarise_synchrony.output.pairs,
        directed=rules.summarise_synchrony.output.directed,
        performance=rules.summarise_performance.output[0],
        pairs=rules.correlate.output.pairs,
        correlations=rules.correlate.output.correlations,
        partial=rules.correlate.output.partial,
        quality=rules.describe_dialogues.output.quality,
        scenarios=SCENARIOS,
        prompts=expand(
            f"{experiment.prompts}/{{name}}.jinja",
            name=["engaged", "bystander", "judge", "labels"],
        ),
        dialogues=ALL_DIALOGUES,
        judgements=ALL_JUDGEMENTS,
        more_tables=[*STATISTICS_TABLES, *rules.compare_with_paper.output],
        # Their records lead to the states, which are no input: who deletes them to save the disk keeps the report.
        r2=expand(R2, pair=STATE_PAIRS, condition=list(CONDITIONS)),
    output:
        **{name: page_in_report(name) for name in PAGES},
    log:
        f"{RESULTS}/logs/write_pages.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_pages.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        revision=REVISIONS["pages"],
        # The page shows all of the configuration, so any change in it counts.
        config_sha256=config_sha256(),
        episodes=experiment.scenarios.episodes,
        controls=SHOWN_CONTROLS,
    script:
        "../scripts/write_pages.py"


rule write_statistics_pages:
    """Write the pages on statistics, on judges and outcomes, and against the paper."""
    input:
        **SHOWN_STATISTICS,
        performance=rules.summarise_performance.output.performance,
        agreement=rules.summarise_performance.output.agreement,
        outcomes=rules.summarise_outcomes.output.dialogues,
        outcome_pairs=rules.summarise_outcomes.output.pairs,
        comparison=rules.compare_with_paper.output.comparison,
        collinearity=rules.compare_with_paper.output.collinearity,
        published=expand(f"{shown(published.FOLDER)}/{{name}}", name=published.FILES),
    output:
        **{name: page_in_report(name) for name in STATISTICS_PAGES},
    log:
        f"{RESULTS}/logs/write_statistics_pages.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_statistics_pages.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        revision=REVISIONS["pages"],
        # The page against the paper says where the configuration departs from the study.
        config_sha256=config_sha256(),
        statistics=list(SHOWN_STATISTICS),
    script:
        "../scripts/write_statistics_pages.py"
