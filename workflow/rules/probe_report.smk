# Report of the probes: tables -> a figure and a page.


rule draw_probes:
    """Draw accuracy and explained deviance of the probes over depth, beside what they are held against."""
    input:
        profile=rules.summarise_probes.output.profile,
        profile_overall=rules.summarise_probes.output.profile_overall,
        overall=rules.summarise_probes.output.overall,
    output:
        in_report("probes", "probes", PROBES_CATEGORY, "2 Probes over depth"),
    log:
        f"{RESULTS}/logs/draw_probes.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_probes.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        revision=REVISIONS["figures"],
        notice=experiment.notice,
    script:
        "../scripts/draw_probes.py"


rule write_probe_page:
    """Write the report's page on labels and probes."""
    input:
        pairs=rules.summarise_probes.output.pairs,
        overall=rules.summarise_probes.output.overall,
        profile=rules.summarise_probes.output.profile,
        profile_overall=rules.summarise_probes.output.profile_overall,
        labels=rules.summarise_labels.output,
    output:
        page_in_report("probes"),
    log:
        f"{RESULTS}/logs/write_probe_page.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_probe_page.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        revision=REVISIONS["pages"],
        labels=[
            [name, labeller.engine] for name, labeller in experiment.labellers.items()
        ],
        title=experiment.title,
        notice=experiment.notice,
    script:
        "../scripts/write_probe_page.py"


PROBE_REPORT = (
    [*rules.draw_probes.output, *rules.write_probe_page.output] if PROBED else []
)
