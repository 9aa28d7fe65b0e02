# Scenarios: three files in Sotopia's format -> results/scenarios.json, checked.
PUBLIC_FILES = expand(
    f"{RESULTS}/scenarios/{{file}}", file=list(experiment.scenarios.sha256)
)


rule fetch_scenarios:
    """Download the public episodes at their pinned commit; other bytes than the expected ones are refused."""
    output:
        PUBLIC_FILES,
    log:
        f"{RESULTS}/logs/fetch_scenarios.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_scenarios.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        url=experiment.scenarios.url,
        sha256=experiment.scenarios.sha256,
    script:
        "../scripts/fetch_scenarios.py"


rule prepare_scenarios:
    """Check every record of the three files and keep the episodes that are to be played."""
    input:
        files=(
            expand(
                f"{shown(experiment.scenarios.folder)}/{{file}}",
                file=list(experiment.scenarios.sha256),
            )
            if experiment.scenarios.folder
            else PUBLIC_FILES
        ),
    output:
        SCENARIOS,
    log:
        f"{RESULTS}/logs/prepare_scenarios.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_scenarios.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        revision=REVISIONS["scenarios"],
        source=experiment.scenarios.source,
        episodes=experiment.scenarios.episodes,
        group_by=experiment.synchrony.group_by,
    script:
        "../scripts/prepare_scenarios.py"
