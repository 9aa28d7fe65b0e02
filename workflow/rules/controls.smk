# Controls: states -> the corrected protocol, nulls and baselines of every ordered pair -> tables.
CONTROLS = f"{RESULTS}/controls"
CORRECTED = f"{CONTROLS}/corrected/{{pair}}.h5"
NULLS = f"{CONTROLS}/nulls/{{pair}}.h5"
BASELINES = f"{CONTROLS}/baselines/{{pair}}.h5"
MADE_CORRECTED = "corrected" in experiment.synchrony.protocols
MADE_NULLS = MADE_CORRECTED and experiment.synchrony.null_draws > 0
MADE_BASELINES = MADE_CORRECTED and experiment.synchrony.baselines
# What measures by the corrected protocol rest on.
FOLDS = ("folds", "fold_seed", "penalties", "precision")
CONTROL_TABLES = [
    *["protocols", "protocols_overall", "contrasts", "contrasts_overall", "groups"],
    *(["nulls"] if MADE_NULLS else []),
    *(
        ["baselines", "baselines_overall", "lag_profile", "lag_profile_overall"]
        if MADE_BASELINES
        else []
    ),
]


rule fit_nested_maps:
    """Measure every condition of a pair on folds over environments, choosing penalty and layer on inner folds."""
    input:
        unpack(all_readings),
        scenarios=SCENARIOS,
    output:
        CORRECTED,
    log:
        f"{RESULTS}/logs/fit_nested_maps/{{pair}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_nested_maps/{{pair}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: experiment.resources.threads
    resources:
        gpu=int(experiment.synchrony.device == "cuda"),
        mem_mb=maps_memory,
        runtime=lambda wildcards, attempt: 1440 * attempt,
    params:
        revision=REVISIONS["corrected"],
        conditions=all_conditions(),
        settings=configuration.only(experiment.synchrony, *FOLDS, "group_by"),
    script:
        "../scripts/fit_nested_maps.py"


rule permute_partners:
    """Pair the partners of the interaction anew, at random and within episodes: nulls of SyncR², CKA and CCA."""
    input:
        scenarios=SCENARIOS,
        states=all_shards(STATES, reading="engaged"),
    output:
        NULLS,
    log:
        f"{RESULTS}/logs/permute_partners/{{pair}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/permute_partners/{{pair}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: experiment.resources.threads
    resources:
        gpu=int(experiment.synchrony.device == "cuda"),
        mem_mb=maps_memory,
        runtime=lambda wildcards, attempt: 1440 * attempt,
    params:
        revision=REVISIONS["nulls"],
        conditions=engaged_conditions(),
        settings=configuration.only(
            experiment.synchrony,
            "folds",
            "fold_seed",
            "precision",
            "penalty",
            "null_draws",
        ),
    script:
        "../scripts/permute_partners.py"


rule fit_baselines:
    """Predict the same targets from the agent's own past, from context, from text, and by nonlinear maps."""
    input:
        scenarios=SCENARIOS,
        states=all_shards(STATES, reading="engaged"),
        dialogues=all_shards(DIALOGUES),
        corrected=CORRECTED,
    output:
        BASELINES,
    log:
        f"{RESULTS}/logs/fit_baselines/{{pair}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_baselines/{{pair}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: experiment.resources.threads
    resources:
        gpu=int(experiment.synchrony.device == "cuda"),
        mem_mb=maps_memory,
        runtime=lambda wildcards, attempt: 1440 * attempt,
    params:
        revision=REVISIONS["baselines"],
        n_seeds=len(experiment.seeds),
        settings=configuration.only(
            experiment.synchrony, *FOLDS, "profile_lags", "nonlinear"
        ),
    script:
        "../scripts/fit_baselines.py"


rule summarise_controls:
    """Gather protocols, contrasts, nulls, baselines and lag profiles of all pairs into tables."""
    input:
        r2=expand(R2, pair=STATE_PAIRS, condition=list(CONDITIONS)),
        corrected=expand(CORRECTED, pair=STATE_PAIRS),
        nulls=expand(NULLS, pair=STATE_PAIRS) if MADE_NULLS else [],
        baselines=expand(BASELINES, pair=STATE_PAIRS) if MADE_BASELINES else [],
    output:
        **{name: f"{CONTROLS}/{name}.tsv" for name in CONTROL_TABLES},
    log:
        f"{RESULTS}/logs/summarise_controls.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_controls.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        revision=REVISIONS["controls"],
        measured=expand(
            "{pair}/{condition}", pair=STATE_PAIRS, condition=list(CONDITIONS)
        ),
        ordered=STATE_PAIRS,
        pairs=UNORDERED_STATE_PAIRS,
        conditions=list(CONDITIONS),
        family=experiment.family,
        n_draws=experiment.synchrony.bootstrap_draws,
        tables=CONTROL_TABLES,
    script:
        "../scripts/summarise_controls.py"
