# How figures and pages are filed in the report: category, title, caption.
import json

from syncr2.files import sha256_text

FIGURE_TYPES = ("svg", "png")
# Snakemake lists categories, and entries within one, by alphabet; the numbers keep the order of reading.
RESULTS_CATEGORY, LAYERS_CATEGORY = "1 Results", "2 R² by layer"
DIALOGUES_CATEGORY, METHODS_CATEGORY = "3 Dialogues", "4 Parameters and provenance"
SUMMARY_FIGURES = {
    "conditions": "2 SyncR² by pair and condition",
    "lags": "3 Decay over lags",
    "performance": "4 SyncR² and social performance",
    "layers": "5 Depth of the source layer",
}
PAGES = {
    "results": (RESULTS_CATEGORY, "1 Results in one page"),
    "dialogues": (DIALOGUES_CATEGORY, "Quality, and some to read"),
    "parameters": (METHODS_CATEGORY, "Parameters"),
    "provenance": (METHODS_CATEGORY, "Provenance"),
}
UNORDERED = [ids.OrderedPair(*pair) for pair in experiment.pairs]


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
    category, title = PAGES[name]
    return report(
        f"{RESULTS}/pages/{name}.html",
        caption=f"../report/page_{name}.rst",
        category=category,
        labels={"shows": title},
    )


def config_sha256():
    """Of all of the configuration, for what shows all of it."""
    return sha256_text(json.dumps(config, sort_keys=True))
