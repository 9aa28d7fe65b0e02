"""The jobs that gather all pairs into tables, figures and pages: one of each rule."""

from __future__ import annotations

from collections.abc import Iterator

from syncr2.forecast.amounts import VALUES, Amounts
from syncr2.forecast.planned import Planned
from syncr2.world.couplings import couplings, pairs_within


def gathering_jobs(amounts: Amounts) -> Iterator[Planned]:
    """Tables, figures and pages: seconds and sizes of the demo, by the number of rows or pairs."""
    experiment = amounts.experiment
    n_pairs, n_orders = len(experiment.pairs), len(experiment.ordered_pairs)
    dialogues = n_orders * experiment.scenarios.episodes * len(experiment.seeds)
    conditions = len(experiment.synchrony.conditions)
    layers = sum(size.layers for size in amounts.sizes.values()) / max(len(amounts.sizes), 1)
    rows = n_orders * conditions * 2
    # Rule, stage, bytes, seconds, MB that it asks for.
    lines: list[tuple[str, str, float, float, int]] = [
        ("summarise_synchrony", "tables", rows * (86 * layers + 85 + 45 * VALUES), 1.7, 2000),
        ("summarise_performance", "tables", 250 * n_pairs, 0.5 + 2e-5 * dialogues, 4000),
        ("describe_dialogues", "tables", 225 * dialogues + 200 * n_orders, 0.5 + 2e-4 * dialogues, 8000),
        ("summarise_outcomes", "tables", 60 * dialogues, 0.5 + 2e-4 * dialogues, 4000),
        ("correlate", "statistics", 20_000, 1.0, 2000),
        ("compare_with_paper", "statistics", 20_000, 0.8, 4000),
        ("draw_summary", "figures", 500_000, 2.8, 2000),
        ("draw_heatmaps", "figures", 150_000 * n_pairs, 0.45 * n_pairs, 2000),
        ("draw_statistics", "figures", 400_000, 5.0, 2000),
        ("write_pages", "pages", 250_000, 1.5, 4000),
        ("write_statistics_pages", "pages", 120_000, 1.6, 2000),
        ("record_provenance", "provenance", 700 * _n_files(amounts), 0.8 + 2e-3 * _n_files(amounts), 2000),
    ]
    if "corrected" in experiment.synchrony.protocols:
        lines += [
            ("summarise_controls", "controls", 9_000 * n_pairs * conditions, 4.0, 4000),
            ("relate_dialogues", "statistics", 240 * dialogues, 0.8, 8000),
            ("locate_synchrony", "statistics", 60_000, 1.4, 4000),
            ("draw_controls", "figures", 800_000, 4.2, 2000),
        ]
    if experiment.synchrony.group_by:
        lines.append(("draw_groups", "figures", 150_000, 1.2, 2000))
    if experiment.labellers:
        lines.append(("summarise_labels", "tables", 3_000 * n_pairs, 0.5 + 2e-4 * dialogues, 4000))
    if any(labeller.table for labeller in experiment.labellers.values()):
        lines.append(("correlate_labels", "statistics", 5_000, 0.5, 2000))
    if probed(amounts):
        lines += [
            ("summarise_probes", "probes", 40_000 * n_pairs, 1.2, 4000),
            ("draw_probes", "figures", 150_000, 1.8, 2000),
            ("write_probe_page", "pages", 40_000, 1.2, 2000),
        ]
    if calibrated(amounts):
        lines += [
            ("summarise_calibration", "controls", 15_000 * n_pairs, 15 + 2e-4 * dialogues, 4000),
            ("draw_calibration", "figures", 200_000, 1.8, 2000),
        ]
    for rule, stage, size, seconds, memory in lines:
        yield Planned(rule, rule, (), stage, size, seconds, memory)


def calibrated(amounts: Amounts) -> bool:
    """Whether there are pairs within worlds of two couplings."""
    experiment = amounts.experiment
    coupling = couplings({name: model.path for name, model in experiment.models.items()})
    within = pairs_within(experiment.unordered_with_states, coupling)
    return "corrected" in experiment.synchrony.protocols and len(within) > 1


def probed(amounts: Amounts) -> dict[str, list[str]]:
    """Labels that probes look for, by labeller; as all that takes folds, only with the corrected protocol."""
    experiment = amounts.experiment
    if "corrected" not in experiment.synchrony.protocols:
        return {}
    found = {name: experiment.probes_of(name) for name in experiment.labellers}
    return {name: labels for name, labels in found.items() if labels}


def _n_files(amounts: Amounts) -> float:
    """Dialogues, states, judgements and maps, roughly: what the manifest names."""
    experiment = amounts.experiment
    shards = len(experiment.seeds) * experiment.n_shards
    a_pair = shards * (4 + len(experiment.judges)) + len(experiment.synchrony.conditions) + 4
    return len(experiment.ordered_pairs) * a_pair + 100
