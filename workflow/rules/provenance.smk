# Provenance: the records of all jobs -> a manifest of every output with its hash, and an RO-Crate of the run.
rule record_provenance:
    """Gather what every job recorded of itself; the last job of a run."""
    input:
        EVERYTHING,
    output:
        manifest=f"{RESULTS}/provenance/manifest.json",
        crate=f"{RESULTS}/provenance/ro-crate-metadata.json",
        config=f"{RESULTS}/provenance/config.json",
        workflow=f"{RESULTS}/provenance/Snakefile",
    log:
        f"{RESULTS}/logs/record_provenance.log",
    benchmark:
        f"{RESULTS}/benchmarks/record_provenance.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        revision=REVISIONS["provenance"],
        config_sha256=config_sha256(),
    script:
        "../scripts/record_provenance.py"
