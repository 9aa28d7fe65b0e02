"""Figures of the report: a tidy table goes in, a matplotlib `Figure` comes out. Nothing here reads a file.

Every function builds its figure with the object interface of matplotlib under a style of its own, so neither
pyplot's state nor a matplotlibrc of the user's changes what comes out. `save` writes it as SVG and as PNG.
"""

from syncr2.figures.calibration import calibration_curve
from syncr2.figures.conditions import conditions_with_intervals
from syncr2.figures.contrasts import baseline_gains, control_contrasts, sync_by_group_corrected
from syncr2.figures.controls import sync_against_nulls, sync_by_protocol
from syncr2.figures.depths import depth_profiles
from syncr2.figures.forest import correlation_forest
from syncr2.figures.heatmap import HeatmapPanel, r2_heatmaps
from syncr2.figures.lags import lag_profile
from syncr2.figures.performance import sync_vs_performance
from syncr2.figures.probes import probes_by_depth
from syncr2.figures.profiles import lag_decay, layer_profiles
from syncr2.figures.relationships import sync_by_relationship
from syncr2.figures.style import STYLE, Look, Style, condition_looks, family_looks, save
from syncr2.figures.synchrony import sync_by_condition, sync_by_group

__all__ = [
    "STYLE",
    "HeatmapPanel",
    "Look",
    "Style",
    "baseline_gains",
    "calibration_curve",
    "condition_looks",
    "conditions_with_intervals",
    "control_contrasts",
    "correlation_forest",
    "depth_profiles",
    "family_looks",
    "lag_decay",
    "lag_profile",
    "layer_profiles",
    "probes_by_depth",
    "r2_heatmaps",
    "save",
    "sync_against_nulls",
    "sync_by_condition",
    "sync_by_group",
    "sync_by_group_corrected",
    "sync_by_protocol",
    "sync_by_relationship",
    "sync_vs_performance",
]
