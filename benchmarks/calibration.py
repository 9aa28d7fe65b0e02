"""The metric's calibration curve: `make calibration`, or after a run `python benchmarks/calibration.py`.

Writes benchmarks/results/calibration.{json,md,png}. Gathers what the run of calibration.yaml measured on
models from toy worlds of known coupling, and lets the world itself play, so that what transcripts say of
coupling can be judged where the truth is known. Without a run only the latter.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from demo import REPOSITORY, RESULTS
from layer_r2.machine import machine_record, threads_here

from syncr2 import figures
from syncr2.files import read_json, read_table, write_json
from syncr2.maps.intervals import Interval
from syncr2.protocols.calibration import effective_coupling, pooled_estimate
from syncr2.provenance import code_version
from syncr2.sotopia.scenarios import read_folder
from syncr2.stages.control_files import read_control_table
from syncr2.world.dynamics import play
from syncr2.world.setting import game_of
from syncr2.world.tables import truth
from syncr2.world.transcripts import MEASURES, Labelled, transcript_measures

COUPLINGS = (0.0, 0.25, 0.5, 0.75, 1.0)
SEEDS = 30
DRAWS = 2000
FOLDS, FOLD_SEED = 4, 0
SAID = {
    "valence_slope": "slope of valence",
    "valence_gain": "ΔR² of valence",
    "intention_gain": "ΔR² of intention",
}
# What the report puts first, in words; those that were not measured are left out.
SHOWN = {
    "Levels": {
        "published_interaction": "SyncR² as published",
        "published_passive": "… passive reader",
        "published_lag3": "… lag 3",
        "published_lag5": "… lag 5",
        "published_pseudo": "… pseudo pairs",
        "published_untrained": "… untrained twins",
        "interaction": "corrected: interaction",
        "passive": "… passive reader",
        "lag3": "… lag 3",
        "lag5": "… lag 5",
        "pseudo": "… pseudo pairs",
        "untrained": "… untrained twins",
        "centred_interaction": "centred within dialogue: interaction",
        "centred_passive": "… passive reader",
        "centred_lag5": "… lag 5",
        "centred_pseudo": "… pseudo pairs",
        "own_past": "own past alone",
        "ceiling": "same place, other seed",
    },
    "What the partner adds": {
        "own_past_gain": "**ΔR² over own past**",
        "context_gain": "ΔR² over turn and length",
        "text_gain": "ΔR² over text",
        "less_pseudo": "interaction − pseudo pairs",
        "less_passive": "interaction − passive reader",
        "less_lag3": "interaction − lag 3",
        "less_lag5": "interaction − lag 5",
        "less_untrained": "interaction − untrained twins",
        "centred_less_pseudo": "centred: interaction − pseudo pairs",
        "centred_less_passive": "centred: interaction − passive reader",
        "centred_less_lag5": "centred: interaction − lag 5",
    },
    "Coupling as it is heard": {
        "valence_slope": "slope of valence on the partner's",
        "valence_gain": "ΔR² of valence from the partner's signs",
        "intention_gain": "ΔR² of intention from the partner's signs",
    },
}
TABLES = ("calibration", "calibration_overall", "nulls")


def world_curve() -> dict[str, dict[str, Interval]]:
    """What the world's own dialogues say of its coupling, on the shipped episodes."""
    episodes = read_folder(REPOSITORY / "resources" / "world" / "scenarios").episodes
    environments = sorted({episode.environment.id for episode in episodes})
    found: dict[str, dict[str, Interval]] = {name: {} for name in MEASURES}
    for coupling in COUPLINGS:
        dialogues = [
            Labelled(episode.environment.id, game.kind, game.lead, truth(play(episode, seed, coupling)))
            for episode in episodes
            for game in [game_of(episode)]
            for seed in range(SEEDS)
        ]
        for name, estimate in transcript_measures(dialogues, environments, FOLDS, FOLD_SEED).items():
            pooled = pooled_estimate(estimate, environments, DRAWS)
            found[name][f"{coupling:g}"] = pooled.interval()
    return found


def read_run(folder: Path) -> dict[str, pd.DataFrame] | None:
    """Tables of a finished run of calibration.yaml; None if there is none."""
    paths = {name: folder / "controls" / f"{name}.tsv" for name in TABLES}
    if not all(path.is_file() for path in paths.values()):
        return None
    return {name: read_control_table(str(path)) for name, path in paths.items()}


def cards(models: Sequence[str]) -> list[dict[str, Any]]:
    """What the cards of these models say."""
    found = [read_json(REPOSITORY / "resources" / "miniatures" / name / "card.json") for name in models]
    return [
        {
            "name": card["name"],
            "coupling": card["target"]["coupling"],
            "readings": card["training"]["readings"],
            "perplexity": card["measured"]["perplexity"]["engaged"],
            "well_formed": card["measured"]["trial"]["well_formed"],
        }
        for card in found
    ]


def measure(folder: Path) -> dict[str, Any]:
    """All numbers, as JSON takes them."""
    run = read_run(folder)
    found: dict[str, Any] = {"world": world_curve(), "world_dialogues": SEEDS * 72}
    if run is not None:
        models = sorted(set(run["calibration"]["model_1"]) | set(run["calibration"]["model_2"]))
        found |= {
            "models": cards(models),
            "effective_coupling": {
                f"{c:g}": each for c, each in effective_coupling(run["calibration_overall"]).items()
            },
            "quality": quality(folder),
        } | {name: json.loads(table.to_json(orient="records")) for name, table in run.items()}
    return found


def quality(folder: Path) -> dict[str, Any]:
    """How many dialogues and turns there were."""
    table = read_table(folder / "quality.tsv")
    return {"ordered_pairs": len(table), "dialogues": int(table["n_dialogues"].sum())}


def _number(value: float | None, low: float | None = None, high: float | None = None) -> str:
    if value is None or np.isnan(value):
        return "–"
    text = f"{value:.3f}".replace("-", "−")
    if low is None or high is None or np.isnan([low, high]).any():
        return text
    return f"{text} ({low:.3f} to {high:.3f})".replace("-", "−")


def written(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Calibration: the metric where coupling is known",
        "",
        "Made by `benchmarks/calibration.py` (`make calibration`); what it means is in "
        "[docs/calibration.md](../../docs/calibration.md). 95 % intervals over environments in brackets. "
        "They say nothing about training; the pairs do.",
        "",
        "## The world itself",
        "",
        f"{found['world_dialogues']:,} dialogues of the world for each coupling, no model. How a turn "
        "depends on the partner's last one: slope of valence, and ΔR² on new environments.",
        "",
        "| coupling | " + " | ".join(SAID.values()) + " |",
        "| ---: |" + " ---: |" * len(SAID),
        *(
            f"| {c:g} | " + " | ".join(_number(*found["world"][name][f"{c:g}"]) for name in SAID) + " |"
            for c in COUPLINGS
        ),
        "",
    ]
    if "calibration" not in found:
        return "\n".join(
            [*lines, "There is no finished run of models here: `make calibration` makes one.", ""]
        )
    return "\n".join([*lines, *_of_models(found), ""])


def _of_models(found: dict[str, Any]) -> list[str]:
    overall, pairs = pd.DataFrame(found["calibration_overall"]), pd.DataFrame(found["calibration"])
    couplings = sorted(set(pairs["coupling"]))
    lowest, highest = couplings[0], couplings[-1]
    lines = [
        "## Models",
        "",
        f"{found['quality']['dialogues']:,} dialogues of "
        f"{len(pairs.drop_duplicates(['model_1', 'model_2']))} pairs.",
        "",
        "| model | coupling | readings | perplexity | well formed |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {m['name']} | {m['coupling']:g} | {m['readings']:,} | {m['perplexity']:.3f} | "
            f"{100 * m['well_formed']:.1f} % |"
            for m in found["models"]
        ),
        "",
        "Coupling that the models took up (slope of valence in what they said, over that of the world of "
        "coupling 1): "
        + "; ".join(
            f"{_number(*each)} in the world of {c}" for c, each in found["effective_coupling"].items()
        )
        + ".",
        "",
    ]
    for title, names in SHOWN.items():
        head = " | ".join(f"coupling {c:g}" for c in couplings)
        lines += [
            f"## {title}: means over pairs",
            "",
            f"| | {head} | {highest:g} less {lowest:g} |",
            "| --- |" + " ---: |" * (len(couplings) + 1),
            *(
                f"| {words} | " + " | ".join(_cells(overall, name, couplings)) + " |"
                for name, words in names.items()
                if (overall["measure"] == name).any()
            ),
            "",
        ]
    shown = (
        "published_interaction",
        "interaction",
        "own_past_gain",
        "less_pseudo",
        "less_passive",
        "valence_slope",
    )
    lines += [
        "## Pair by pair: noise of training",
        "",
        "| coupling | pair | SyncR² as published | corrected | ΔR² over own past | − pseudo | − passive "
        "| slope of valence | p, pseudo null | p, permuted |",
        "| ---: | --- |" + " ---: |" * 8,
    ]
    nulls = pd.DataFrame(found["nulls"])
    nulls = nulls[nulls["index"] == "sync_r2"].set_index(["model_1", "model_2", "null"])["p"]
    for (coupling, first, second), rows in pairs.groupby(["coupling", "model_1", "model_2"]):
        values = rows.set_index("measure")["value"]
        cells = [_number(values.get(name)) for name in shown]
        cells += [_number(nulls.get((first, second, null))) for null in ("pseudo", "permutation")]
        lines.append(f"| {coupling:g} | {first} × {second} | " + " | ".join(cells) + " |")
    return [*lines, "", "![Calibration curve](calibration.png)"]


def _cells(overall: pd.DataFrame, name: str, couplings: Sequence[float]) -> list[str]:
    rows = overall[overall["measure"] == name].set_index(["coupling", "versus"])[["value", "low", "high"]]
    keys = [(c, "") for c in couplings] + [(couplings[-1], f"{couplings[0]:g}")]
    return [_number(*(float(v) for v in rows.loc[key])) if key in rows.index else "–" for key in keys]


def main() -> None:
    """Gather, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--run", type=Path, default=REPOSITORY / "results" / "calibration")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    found = measure(given.run)
    text = written(found)
    print(text)
    given.out.mkdir(parents=True, exist_ok=True)
    record = found | {"code": code_version(), "machine": machine_record(threads_here())}
    write_json(given.out / "calibration.json", record)
    (given.out / "calibration.md").write_text(text, encoding="utf-8")
    if (run := read_run(given.run)) is not None:
        figure = figures.calibration_curve(run["calibration"], run["calibration_overall"])
        figure.savefig(given.out / "calibration.png", dpi=figures.STYLE.dpi)


if __name__ == "__main__":
    main()
