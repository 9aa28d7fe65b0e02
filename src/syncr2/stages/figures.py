"""Figures of the report, each as SVG and PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from syncr2 import figures, ids
from syncr2.files import read_table
from syncr2.ids import OrderedPair
from syncr2.protocols.synchrony import ENDS
from syncr2.provenance import made_by_job
from syncr2.sotopia.scenarios import RELATIONSHIPS
from syncr2.stages.control_files import read_control_table
from syncr2.store import read_r2
from syncr2.words import condition_words

# Four panels as high as a laptop's browser window: the report cannot scroll to the top of a higher figure.
HEATMAP_STYLE = figures.Style(width=6.1)


def heatmaps(
    r2: Mapping[str, str],
    pairs: Sequence[Sequence[str]],
    notice: str | None,
    output: Mapping[str, Mapping[str, str]],
) -> None:
    """Draw R²(source layer, target layer) of every unordered pair.

    Parameters
    ----------
    r2 : mapping
        Path of the interaction's R² by ordered pair.
    pairs : sequence of (model, model)
        Unordered pairs.
    notice : str or None
        Warning on every figure.
    output : mapping
        `svg` and `png` by `model_1--model_2`.
    """
    for first, second in pairs:
        panels = []
        for order in ids.played_orders(first, second, set(map(OrderedPair.parse, r2))):
            # The same direction stands in the same column for both speaking orders.
            found = read_r2(r2[order.id])
            by_source = sorted(ENDS, key=lambda name: getattr(order, ENDS[name].source) != first)
            panels += [
                figures.HeatmapPanel(
                    source=getattr(order, ENDS[name].source),
                    target=getattr(order, ENDS[name].target),
                    speaking_order=_speaking_order(order, name),
                    r2=found[name].r2.mean(axis=0),
                )
                for name in by_source
            ]
        paths = output[OrderedPair(first, second).id]
        _save(figures.r2_heatmaps(panels, watermark=notice, style=HEATMAP_STYLE), paths)


def _speaking_order(order: OrderedPair, direction: str) -> str:
    if order.agent1 == order.agent2:
        return f"from {'first' if ENDS[direction].source == 'agent1' else 'second'} speaker"
    return f"{order.agent1} opens"


def summary(
    synchrony: str,
    layers: str,
    pairs: str,
    correlations: str,
    lags: Mapping[str, int],
    family: Mapping[str, str],
    notice: str | None,
    output: Mapping[str, Mapping[str, str]],
) -> None:
    """Draw the figures over all pairs: conditions, lags, layers, and SyncR² against social performance."""
    sync = read_table(synchrony)
    order = list(dict.fromkeys(sync["condition"]))
    labels = {name: condition_words(name, lags.get(name)) for name in order}
    drawn = {
        "conditions": figures.sync_by_condition(sync, order, labels, watermark=notice),
        "lags": figures.lag_decay(sync, lags, watermark=notice),
        "layers": figures.layer_profiles(read_table(layers), family, watermark=notice),
        "performance": figures.sync_vs_performance(
            read_table(pairs), read_table(correlations), watermark=notice
        ),
    }
    for name, figure in drawn.items():
        _save(figure, output[name])


def groups(
    groups: str, columns: Sequence[str], notice: str | None, output: Mapping[str, Mapping[str, str]]
) -> None:
    """Draw SyncR² by each column of the episodes that the configuration groups by."""
    table = read_table(groups).astype({"value": str})
    for column in columns:
        order = RELATIONSHIPS if column == "relationship" else None
        _save(figures.sync_by_group(table, column, order, watermark=notice), output[column])


def controls(
    tables: Mapping[str, str],
    columns: Sequence[str],
    lags: Mapping[str, int],
    notice: str | None,
    output: Mapping[str, Mapping[str, str]],
) -> None:
    """Draw what SyncR² is held against: protocols, contrasts, groups; nulls and baselines if there are any.

    Parameters
    ----------
    tables : mapping
        Paths of the tables of the controls; those of nulls and baselines may be absent.
    columns : sequence of str
        Columns of the episodes that the configuration groups by.
    lags : mapping
        Turn lag by condition, for its words.
    notice : str or None
        Warning on every figure.
    output : mapping
        `svg` and `png` by figure; one called `by_{column}` for each column, none for contrasts where the
        interaction is the only condition.
    """
    read = {name: read_control_table(path) for name, path in tables.items()}
    labels = {name: condition_words(name, lags.get(name)) for name in read["contrasts_overall"]["minus"]}
    named = {name: condition_words(name, lags.get(name)) for name in read["protocols"]["condition"]}
    drawn = {
        "conditions": figures.conditions_with_intervals(
            read["protocols"], read["protocols_overall"], named, watermark=notice
        ),
        "protocols": figures.sync_by_protocol(read["protocols"], watermark=notice),
    }
    if labels:
        drawn["contrasts"] = figures.control_contrasts(
            read["contrasts"], read["contrasts_overall"], labels, watermark=notice
        )
    if "nulls" in read:
        drawn["nulls"] = figures.sync_against_nulls(read["nulls"], watermark=notice)
    if "baselines" in read:
        drawn["baselines"] = figures.baseline_gains(
            read["baselines"], read["baselines_overall"], read["protocols"], watermark=notice
        )
        drawn["lag_profile"] = figures.lag_profile(
            read["lag_profile"], read["lag_profile_overall"], watermark=notice
        )
    for column in columns:
        order = RELATIONSHIPS if column == "relationship" else None
        drawn[f"by_{column}"] = figures.sync_by_group_corrected(
            read["groups"], column, order, watermark=notice
        )
    for name, figure in drawn.items():
        _save(figure, output[name])


def statistics(
    tables: Mapping[str, str], notice: str | None, output: Mapping[str, Mapping[str, str]]
) -> None:
    """Draw the correlation in every way; and where the corrected protocol was made, relationship and depth.

    Parameters
    ----------
    tables : mapping
        Paths of `correlations`, `rank_correlations`, `leave_one_out` and `robustness`; and of `relationship`,
        `relationship_trend`, `relationship_environments`, `depth_profile` and `depth_peak` if they were made.
    notice : str or None
        Warning on every figure.
    output : mapping
        `svg` and `png` of `forest`, and of `relationships` and `depths` if their tables were made.
    """
    read = {name: read_table(path) for name, path in tables.items()}
    ways = (read[name] for name in ("correlations", "rank_correlations", "leave_one_out", "robustness"))
    drawn = {"forest": figures.correlation_forest(*ways, watermark=notice)}
    if "depth_profile" in read:
        drawn["relationships"] = figures.sync_by_relationship(
            read["relationship_environments"],
            read["relationship"],
            read["relationship_trend"],
            RELATIONSHIPS,
            watermark=notice,
        )
        drawn["depths"] = figures.depth_profiles(read["depth_profile"], read["depth_peak"], watermark=notice)
    for name, figure in drawn.items():
        _save(figure, output[name])


def _save(figure: Figure, paths: Mapping[str, str]) -> None:
    figures.save(figure, paths["svg"], paths["png"], made_by=made_by_job("figures"))
