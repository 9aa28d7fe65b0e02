# Calibration: where models come from toy worlds of different coupling, what was measured by that coupling -> tables, a figure.
from syncr2.world.couplings import couplings, pairs_within

# By the cards of trained miniatures; other models have none.
COUPLING = couplings({name: model.path for name, model in experiment.models.items()})
# Pairs from one world; a curve needs two couplings.
WITHIN = pairs_within(UNORDERED_STATE_PAIRS, COUPLING)
CALIBRATED = MADE_CORRECTED and len(WITHIN) > 1
CALIBRATION_ORDERS = [
    order.id
    for pairs in WITHIN.values()
    for pair in pairs
    for order in ids.played_orders(*pair, experiment.pairs_with_states)
]


rule summarise_calibration:
    """Gather what was measured, in states and in what was said, by the coupling of the models' worlds."""
    input:
        scenarios=SCENARIOS,
        dialogues=all_shards(DIALOGUES, pair=CALIBRATION_ORDERS),
        protocols=f"{CONTROLS}/protocols.tsv",
        corrected=expand(CORRECTED, pair=CALIBRATION_ORDERS),
        baselines=expand(BASELINES, pair=CALIBRATION_ORDERS) if MADE_BASELINES else [],
    output:
        calibration=f"{CONTROLS}/calibration.tsv",
        calibration_overall=f"{CONTROLS}/calibration_overall.tsv",
    log:
        f"{RESULTS}/logs/summarise_calibration.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_calibration.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        revision=REVISIONS["calibration"],
        ordered=CALIBRATION_ORDERS,
        within=[
            [coupling, *pair] for coupling, pairs in WITHIN.items() for pair in pairs
        ],
        conditions=list(CONDITIONS),
        settings=configuration.only(
            experiment.synchrony, "folds", "fold_seed", "bootstrap_draws"
        ),
    script:
        "../scripts/summarise_calibration.py"


rule draw_calibration:
    """Draw the calibration curve."""
    input:
        calibration=rules.summarise_calibration.output.calibration,
        overall=rules.summarise_calibration.output.calibration_overall,
    output:
        in_report(
            "calibration",
            "calibration",
            RESULTS_CATEGORY,
            RESULTS_ENTRIES["calibration"],
        ),
    log:
        f"{RESULTS}/logs/draw_calibration.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_calibration.tsv"
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
        "../scripts/draw_calibration.py"


CALIBRATION = (
    [*rules.summarise_calibration.output, *rules.draw_calibration.output]
    if CALIBRATED
    else []
)
