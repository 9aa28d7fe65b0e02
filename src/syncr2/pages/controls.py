"""The page "How far SyncR² can be trusted": what each control asks, and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncr2.config import Experiment
from syncr2.ids import INTERACTION, PASSIVE, PSEUDO, UNTRAINED
from syncr2.pages import control_rows, protocols
from syncr2.pages.control_tables import ControlTables
from syncr2.pages.layout import Download, Head, render


def controls_page(
    head: Head,
    tables: ControlTables,
    conditions: Mapping[str, str],
    left_out: Sequence[str],
    downloads: Sequence[Download] = (),
) -> str:
    """The page as HTML.

    Parameters
    ----------
    head : Head
    tables : ControlTables
    conditions : mapping
        Words for each condition, in their order.
    left_out : sequence of str
        What was not made, and why; see `left_out`.
    downloads : sequence of Download
        The same tables as files.
    """
    return render(
        "controls.html",
        head,
        first=protocols.first_things(tables),
        by_family=protocols.by_family(tables),
        by_condition=protocols.by_condition(tables, conditions),
        contrasts=control_rows.contrasts(tables, conditions),
        nulls=control_rows.nulls(tables.nulls),
        too_few_draws=control_rows.too_few_draws(tables.nulls),
        gains=control_rows.gains(tables),
        ceiling=control_rows.ceiling(tables),
        nonlinear=control_rows.nonlinear(tables),
        lags=control_rows.lags(tables.lag_profile_overall),
        groups=control_rows.groups(tables.groups),
        pairs=protocols.all_pairs(tables),
        left_out=left_out,
        downloads=downloads,
    )


def left_out(experiment: Experiment) -> list[str]:
    """What the configuration leaves out of the page, and why, a sentence each; backticks mark its keys."""
    synchrony = experiment.synchrony
    names = {condition.name for condition in synchrony.conditions}
    lags = [c for c in synchrony.conditions if c.is_interaction and c.name != INTERACTION.name]
    one_seed = len(experiment.seeds) == 1
    reasons = [
        (
            one_seed,
            "Pseudo pairs, their null and the ceiling: each needs a second dialogue of the same episode, and "
            "there is one seed of generation (`seeds`).",
        ),
        (
            PSEUDO.name not in names and not one_seed,
            "Pseudo pairs as a condition: `synchrony.pseudo` is off.",
        ),
        (PASSIVE.name not in names, "The passive reader: `synchrony.passive` is off."),
        (not lags, "Later turns of the partner: `synchrony.lags` is empty."),
        (UNTRAINED.name not in names, "Untrained twins: `synchrony.untrained` is off."),
        (synchrony.null_draws == 0, "Nulls, and with them CKA and CCA: `synchrony.null_draws` is 0."),
        (
            not synchrony.baselines,
            "Own past, context, text, ceiling, nonlinear maps and lag profile: `synchrony.baselines` is off.",
        ),
        (
            synchrony.baselines and not synchrony.nonlinear,
            "Nonlinear maps beside the affine one: `synchrony.nonlinear` is off.",
        ),
        (synchrony.bootstrap_draws == 0, "All intervals: `synchrony.bootstrap_draws` is 0."),
        (not synchrony.group_by, "Groups of episodes: `synchrony.group_by` is empty."),
    ]
    return [reason for holds, reason in reasons if holds]
