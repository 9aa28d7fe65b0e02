"""What a finished demo shows, in one committed page: `python benchmarks/findings.py [results/demo]`.

Writes benchmarks/results/findings.{json,md} from the tables of the run and, for the coupling that the models
took up, from its dialogues. The page says what came out, also where it speaks against the measure.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
from demo import REPOSITORY, RESULTS
from layer_r2.machine import machine_record, threads_here

from syncr2.judges.performance import ALL_JUDGES
from syncr2.pages.control_tables import with_interval
from syncr2.pages.correlations import ALL_FAMILIES
from syncr2.pages.layout import fixed, p_value
from syncr2.protocols.calibration import pooled_estimate
from syncr2.protocols.control_words import LEVELS, PARTNER_ADDS
from syncr2.protocols.control_words import MEASURES as SYNCS
from syncr2.provenance import code_version
from syncr2.sotopia.scenarios import read_scenarios
from syncr2.stages.calibration import heard_by_pair
from syncr2.stages.control_files import read_control_table
from syncr2.words import condition_words
from syncr2.world.transcripts import MEASURES, transcript_measures

MEASURE = "explained_deviance"
N_FOLDS, N_DRAWS = 3, 2000


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table under a heading."""
    head = list(columns)
    lines = [f"| {' | '.join(cells)} |" for cells in ([*head], ["---"] * len(head), *map(list, rows))]
    return ["", f"## {title}", "", *lines]


def conditions(levels: pd.DataFrame, differences: pd.DataFrame) -> list[list[str]]:
    """Every condition with its level and what the interaction has over it."""
    less = {(row["states"], row["minus"]): row for row in differences.to_dict("records")}
    rows = []
    for row in levels.to_dict("records"):
        name, states = row["condition"], row["states"]
        lag = int(name.removeprefix("lag")) if name.startswith("lag") else None
        difference = less.get((states, name))
        rows.append(
            [
                condition_words(name, lag),
                "as they are" if states == "plain" else "centred within dialogue",
                with_interval(row, "sync_r2_raw", "raw_low", "raw_high"),
                "–" if difference is None else with_interval(difference, "difference"),
            ]
        )
    return rows


def correlations(robustness: pd.DataFrame) -> list[list[str]]:
    """SyncR² and other measures against performance, over all pairs."""
    chosen = robustness[(robustness["family"] == ALL_FAMILIES) & (robustness["judge"] == ALL_JUDGES)]
    chosen = chosen[chosen["performance"] == "social_performance"]
    return [
        [
            SYNCS[row["sync"]],
            fixed(row["r"]),
            fixed(row["spearman"]),
            p_value(row["p"]),
            p_value(row["qap_p"]),
        ]
        for row in chosen.to_dict("records")
    ]


def probes(overall: pd.DataFrame) -> list[list[str]]:
    """What states tell of the partner, beside text and shuffled labels."""
    return [
        [
            f"{row['label']}, {row['target']}",
            with_interval(row, "value"),
            with_interval(row, "text", "text_low", "text_high"),
            fixed(row["shuffled"]),
        ]
        for row in overall[overall["measure"] == MEASURE].to_dict("records")
    ]


def taken_up(results: Path) -> list[list[str]]:
    """How much of the world's coupling each model shows, where it talks with itself."""
    episodes = {each.id: each for each in read_scenarios(results / "scenarios.json").episodes}
    environments = sorted({each.environment.id for each in episodes.values()})
    heard = heard_by_pair(episodes, map(str, sorted((results / "dialogues").glob("*/*/*.jsonl"))))
    rows = []
    for model in sorted(name for pair in heard if len(pair) == 1 for name in pair):
        found = transcript_measures(heard[frozenset((model,))], environments, N_FOLDS, 0)
        card = json.loads((REPOSITORY / "resources" / "miniatures" / model / "card.json").read_text())
        cells = []
        for name in MEASURES:
            estimate = pooled_estimate(found[name], environments, N_DRAWS).interval()
            cells.append(with_interval(estimate._asdict(), "value"))
        rows.append([model, f"{card['target']['readings']:,}", *cells])
    return rows


def main() -> None:
    """Read, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=Path("results/demo"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()

    def read(name: str) -> pd.DataFrame:
        return read_control_table(given.results / f"{name}.tsv")

    def overall(name: str, column: str) -> pd.DataFrame:
        found = read(name)
        return found[found[column] == ALL_FAMILIES]

    def from_baselines(title: str, words: Mapping[str, str], over: str, value: str) -> list[str]:
        present = [name for name in words if name in gains.index]
        rows = [[words[name], with_interval(gains.loc[name], "value")] for name in present]
        return table(title, [over, value], rows)

    levels, differences = read("controls/protocols_overall"), read("controls/contrasts_overall")
    gains = read("controls/baselines_overall").set_index("measure")
    partial = overall("statistics/partial_correlations", "family")
    trend, peak = (overall(f"statistics/{name}", "level") for name in ("relationship_trend", "depth_peak"))
    robustness, probed = read("statistics/robustness"), read("probes/overall")

    pairs = int(levels["n_pairs"].max())
    lines = [
        "# What the demo shows",
        "",
        f"From the tables of a finished `make demo`, by `benchmarks/findings.py`: {pairs} pairs of",
        "miniatures that learned to talk in a toy world. It holds for this world and for the measure, not",
        "for language models. 95 % intervals over environments in brackets.",
        *table(
            "R² by condition, corrected protocol, mean over pairs",
            ["condition", "states", "R²", "interaction less this"],
            conditions(levels, differences),
        ),
        *from_baselines("What the partner's state adds", PARTNER_ADDS, "over", "ΔR²"),
        *from_baselines("Levels", LEVELS, "predicted from", "R²"),
        *table(
            f"With the oracle's social performance, over {pairs} pairs",
            ["measure of synchrony", "r", "Spearman", "p, pairs taken for independent", "p, models permuted"],
            correlations(robustness),
        ),
        *table(
            "The same for SyncR² as published, a property of the models held fixed",
            ["held fixed", "partial r", "p, pairs taken for independent", "p, models permuted"],
            [
                [row["covariate"], fixed(row["r"]), p_value(row["p"]), p_value(row["qap_p"])]
                for row in partial.to_dict("records")
            ],
        ),
        *table(
            "Probes of the partner's hidden state: share of the deviance explained",
            [
                "label, whose turn",
                "states, mean over layers",
                "text of the last utterance",
                "shuffled labels",
            ],
            probes(probed),
        ),
        *table(
            "Coupling that the models took up (docs/calibration.md)",
            ["model, with itself", "readings", "slope of valence", "ΔR² of valence", "ΔR² of intention"],
            taken_up(given.results),
        ),
        *table(
            "Relationship and depth",
            ["question", "answer"],
            [
                *(
                    ["SyncR² by step of intimacy", with_interval(row, "slope")]
                    for row in trend.to_dict("records")
                ),
                *(
                    ["relative depth at which R² is highest", with_interval(row, "depth")]
                    for row in peak.to_dict("records")
                ),
            ],
        ),
        "",
    ]
    text = "\n".join(lines)
    print(text)
    tables = {"levels": levels, "differences": differences, "robustness": robustness, "probes": probed}
    record = {
        "tables": {name: json.loads(each.to_json(orient="records")) for name, each in tables.items()},
        "code": code_version(),
        "machine": machine_record(threads_here()),
    }
    (given.out / "findings.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (given.out / "findings.md").write_text(text)


if __name__ == "__main__":
    main()
