# How figures and pages are filed in the report: category, title, caption.
import json

from syncr2.files import sha256_text

FIGURE_TYPES = ("svg", "png")
SHOWN_CONTROLS = CONTROL_TABLES if MADE_CORRECTED else []
# Snakemake lists categories, and entries within one, by alphabet; the numbers keep the order of reading.
CATEGORIES = {
    name: f"{place} {name}"
    for place, name in enumerate(
        [
            "Results",
            *(["How far to trust it"] if MADE_CORRECTED else []),
            "Statistics",
            *(["Probes"] if PROBED else []),
            "R² by layer",
            "Dialogues",
            "Parameters and provenance",
        ],
        start=1,
    )
}
RESULTS_CATEGORY, LAYERS_CATEGORY = CATEGORIES["Results"], CATEGORIES["R² by layer"]
CONTROLS_CATEGORY = CATEGORIES.get("How far to trust it")
METHODS_CATEGORY = CATEGORIES["Parameters and provenance"]
STATISTICS_CATEGORY = CATEGORIES["Statistics"]
RESULTS_ENTRIES = {
    name: f"{place} {title}"
    for place, (name, title) in enumerate(
        {
            "results": "Results in one page",
            **({"intervals": "Conditions, with intervals"} if MADE_CORRECTED else {}),
            "conditions": "SyncR² by pair and condition",
            "lags": "Decay over lags",
            "performance": "SyncR² and social performance",
            "layers": "Depth of the source layer",
            "groups": "SyncR² by",
            "paper": "Against the paper",
            "calibration": "Calibration by coupling",
        }.items(),
        start=1,
    )
}
SUMMARY_FIGURES = {
    name: RESULTS_ENTRIES[name]
    for name in ["conditions", "lags", "performance", "layers"]
}
# What rests on chosen maps needs the corrected protocol.
STATISTICS_FIGURES = {
    "forest": "2 The correlation in every way",
    **(
        {"relationships": "3 Relationship", "depths": "4 Depth, with intervals"}
        if MADE_CORRECTED
        else {}
    ),
}
DRAWN_STATISTICS = {
    **{
        name: rules.correlate.output[name]
        for name in ["correlations", "rank_correlations", "leave_one_out", "robustness"]
    },
    **(
        {
            **{
                name: rules.relate_dialogues.output[name]
                for name in [
                    *("relationship", "relationship_trend"),
                    "relationship_environments",
                ]
            },
            **{
                name: rules.locate_synchrony.output[name]
                for name in ["depth_profile", "depth_peak"]
            },
        }
        if MADE_CORRECTED
        else {}
    ),
}
# Tables of statistics that pages show, by the names that stages know.
SHOWN_STATISTICS = {
    **{
        name: rules.correlate.output[name]
        for name in [
            *("correlations", "rank_correlations", "partial", "leave_one_out"),
            *("mixed_models", "robustness"),
        ]
    },
    **(
        {
            **{
                name: rules.relate_dialogues.output[name]
                for name in ["within_pairs", "relationship", "relationship_trend"]
            },
            **{
                name: rules.locate_synchrony.output[name]
                for name in ["depth_peak", "attenuation"]
            },
        }
        if MADE_CORRECTED
        else {}
    ),
}
# Name of the figure: its caption, its title. The first is filed among the results.
CONTROL_FIGURES = {
    **(
        {"conditions": ("conditions_with_intervals", RESULTS_ENTRIES["intervals"])}
        if MADE_CORRECTED
        else {}
    ),
    "protocols": ("protocols", "2 Published and corrected"),
    **(
        {"contrasts": ("contrasts", "3 Interaction less each control")}
        if len(CONDITIONS) > 1
        else {}
    ),
    **({"nulls": ("nulls", "4 Against chance")} if MADE_NULLS else {}),
    **(
        {
            "baselines": ("baselines", "5 What the partner's state adds"),
            "lag_profile": ("lag_profile", "6 Lag profile"),
        }
        if MADE_BASELINES
        else {}
    ),
    **{
        f"by_{column}": ("groups_corrected", f"7 By {column}")
        for column in experiment.synchrony.group_by
    },
}
PAGES = {
    "results": (RESULTS_CATEGORY, RESULTS_ENTRIES["results"]),
    **(
        {"controls": (CONTROLS_CATEGORY, "1 How far SyncR² can be trusted")}
        if MADE_CORRECTED
        else {}
    ),
    "dialogues": (CATEGORIES["Dialogues"], "Quality, and some to read"),
    "parameters": (METHODS_CATEGORY, "Parameters"),
    "provenance": (METHODS_CATEGORY, "Provenance"),
}
STATISTICS_PAGES = {
    "statistics": (STATISTICS_CATEGORY, "1 Statistics over pairs"),
    "judges": (CATEGORIES["Dialogues"], "Judges and outcomes"),
    "paper": (RESULTS_CATEGORY, RESULTS_ENTRIES["paper"]),
}
PROBES_CATEGORY = CATEGORIES.get("Probes")
PROBE_PAGES = {"probes": (PROBES_CATEGORY, "1 What states tell about the partner")}
UNORDERED = [ids.OrderedPair(*pair) for pair in UNORDERED_STATE_PAIRS]


def figure_path(name, kind):
    return f"{RESULTS}/figures/{name}.{kind}"


def in_report(name, caption, category, title, subcategory=None):
    """A figure as SVG, which stands in the report, and as PNG, which lies beside it."""
    shown = report(
        figure_path(name, "svg"),
        caption=f"../report/{caption}.rst",
        category=category,
        subcategory=subcategory,
        labels={"shows": title},
    )
    return [shown, figure_path(name, "png")]


def controls_in_report():
    """Figures of the controls; none without the corrected protocol."""
    return [
        path
        for name, (caption, title) in CONTROL_FIGURES.items()
        if MADE_CORRECTED
        for path in in_report(
            f"controls/{name}",
            caption,
            RESULTS_CATEGORY if name == "conditions" else CONTROLS_CATEGORY,
            title,
        )
    ]


def heatmap_in_report(pair):
    """The figure of one pair, filed under the family of the pair."""
    family = ids.pair_family(*pair, experiment.family)
    kind = "cross-family pairs" if family == ids.CROSS_FAMILY else f"{family} pairs"
    return in_report(
        f"heatmaps/{pair.id}",
        "heatmap",
        LAYERS_CATEGORY,
        " and ".join(pair),
        kind,
    )


def page_in_report(name):
    """A page, which shows itself inside the report."""
    category, title = (PAGES | STATISTICS_PAGES | PROBE_PAGES)[name]
    return report(
        f"{RESULTS}/pages/{name}.html",
        caption=f"../report/page_{name}.rst",
        category=category,
        labels={"shows": title},
    )


def config_sha256():
    """Of all of the configuration, for what shows all of it."""
    return sha256_text(json.dumps(config, sort_keys=True))
