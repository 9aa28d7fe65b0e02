"""Pages of the report, from the tables and from the records inside the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from syncr2 import config as configuration
from syncr2 import pages
from syncr2.config import Experiment
from syncr2.files import read_table, sha256_file, write_text
from syncr2.pages.layout import download, signed
from syncr2.pages.parameters import Template
from syncr2.pages.provenance import Origin
from syncr2.provenance import made_by, made_by_job
from syncr2.published import read_published
from syncr2.sotopia.scenarios import read_scenarios
from syncr2.stages.control_files import read_control_table
from syncr2.words import condition_words

# First dialogues of a shard that the page "Dialogues" may show.
N_SAMPLES = 2
STAND_IN = "surface"
MEANINGS = {
    "synchrony": "SyncR² by pair and condition",
    "directed": "SyncR² and samples by direction",
    "performance": "social performance by judge and pair",
    "pairs": "SyncR², social performance and covariates by pair",
    "correlations": "correlations by family",
    "partial": "partial correlations by covariate and family",
    "quality": "what the dialogues are like, by ordered pair",
}
CONTROL_MEANINGS = {
    "protocols": "SyncR² by pair and condition, as published and corrected",
    "protocols_overall": "the corrected protocol by condition, mean over pairs",
    "contrasts": "the interaction less each control, by pair",
    "contrasts_overall": "the same, mean over pairs",
    "groups": "R² within groups of episodes, and differences between groups",
    "nulls": "observed indices and their nulls, by pair",
    "baselines": "baselines and what the partner's state adds to them, by pair",
    "baselines_overall": "the same, mean over pairs",
    "lag_profile": "R² by lag and pair",
    "lag_profile_overall": "the same, mean over pairs",
}
STATISTICS_MEANINGS = {
    "correlations": "Pearson's r by family, with every p and interval",
    "rank_correlations": "the same for Spearman's r",
    "partial": "the same given covariates",
    "leave_one_out": "r without each model",
    "mixed_models": "slopes with random effects of the models",
    "robustness": "r with other measures and by judge",
    "within_pairs": "slopes over dialogues within pairs",
    "relationship": "SyncR² by relationship",
    "relationship_trend": "its trend over relationships",
    "depth_peak": "where over the layers R² is largest",
    "attenuation": "reliabilities, and r corrected for them",
}
JUDGE_MEANINGS = {
    "performance": "social performance by judge and pair, with what could not be judged",
    "agreement": "agreement of judges and of orders of presenting",
    "outcomes": "what dialogues came to, where their episode says so in figures",
    "outcome_pairs": "the same by pair of models",
}
PAPER_MEANINGS = {
    "comparison": "every published number beside this run's",
    "collinearity": "what covariates leave to correlate",
}
READERS = {
    "engaged": "the agent that speaks next",
    "bystander": "the passive reader",
    "judge": "a judge",
    "labels": "a labeller",
}


def write(
    config: Mapping[str, Any],
    tables: Mapping[str, str],
    scenarios: str,
    dialogues: Sequence[str],
    judgements: Sequence[str],
    r2: Sequence[str],
    output: Mapping[str, str],
    controls: Mapping[str, str] | None = None,
    more_tables: Sequence[str] = (),
) -> None:
    """Write the pages.

    Parameters
    ----------
    config : mapping
        The configuration as Snakemake merged it.
    tables : mapping
        Paths of the tables named in `MEANINGS`.
    scenarios : str
        The checked scenarios.
    dialogues, judgements, r2 : sequence of str
        Every file of each; their records are gathered, and the first dialogues are shown.
    output : mapping
        Paths of `results`, `parameters`, `provenance` and `dialogues`, and of `controls` where there are any.
    controls : mapping, optional
        Paths of the tables named in `CONTROL_MEANINGS`, those that were made; none without the corrected
        protocol.
    more_tables : sequence of str
        Paths of tables that other pages show: the page on provenance names their bytes.

    Raises
    ------
    SyncR2Error
        If a table is missing or lacks a column, or a file holds no record.
    """
    experiment = configuration.load(config)
    head = page_head(experiment)
    read = {name: read_table(tables[name]) for name in MEANINGS}
    episodes = read_scenarios(scenarios)
    trace = pages.gather([*dialogues, *judgements], r2, N_SAMPLES)

    conditions = {c.name: condition_words(c.name, c.lag) for c in experiment.synchrony.conditions}
    result_tables = pages.ResultTables(**{name: read[name] for name in MEANINGS if name != "quality"})
    downloads = [download(tables[name], meaning) for name, meaning in MEANINGS.items()]
    controls = controls or {}
    held_against = _control_tables(controls) if controls else None
    in_short = pages.in_short(held_against) if held_against else None
    all_tables = [*(tables[name] for name in MEANINGS), *controls.values(), *more_tables]
    made = {
        "results": pages.results_page(
            head, result_tables, conditions, downloads, in_short, pages.without_states(experiment)
        ),
        "parameters": pages.parameters_page(
            head, experiment, config, configuration.schema(), _templates(experiment)
        ),
        "provenance": pages.provenance_page(
            head,
            trace,
            Origin(
                origin=episodes.origin,
                address=_address(config),
                sha256=episodes.sha256,
                checked_sha256=sha256_file(scenarios),
                n_episodes=len(episodes.episodes),
            ),
            n_dialogues=int(read["quality"]["n_dialogues"].sum()),
            n_turns=round((read["quality"]["n_dialogues"] * read["quality"]["mean_turns"]).sum()),
            tables={path: sha256_file(path) for path in all_tables},
            writer=made_by("pages", {}),
        ),
        "dialogues": pages.dialogues_page(
            head,
            read["quality"],
            pages.choose_samples(
                (line for path in dialogues for line in trace.heads[path]), experiment.family
            ),
            (line for path in judgements for line in trace.heads[path]),
            episodes.episodes,
            experiment.family,
        ),
    }
    if held_against:
        made["controls"] = pages.controls_page(
            head,
            held_against,
            conditions,
            pages.left_out(experiment),
            [download(path, CONTROL_MEANINGS[name]) for name, path in controls.items()],
        )
    for name, text in made.items():
        write_text(output[name], signed(text, made_by_job("pages")))


def write_statistics(
    config: Mapping[str, Any],
    published: str,
    statistics: Mapping[str, str],
    tables: Mapping[str, str],
    output: Mapping[str, str],
) -> None:
    """Write the pages on statistics, on judges and outcomes, and against the paper.

    Parameters
    ----------
    config : mapping
        The configuration as Snakemake merged it.
    published : str
        Folder with what was published.
    statistics : mapping
        Paths of the tables named in `STATISTICS_MEANINGS` that were made.
    tables : mapping
        Paths of `performance`, `agreement`, `outcomes`, `outcome_pairs`, `comparison` and `collinearity`.
    output : mapping
        Paths of `statistics`, `judges` and `paper`.

    Raises
    ------
    SyncR2Error
        If a table is missing or lacks a column.
    """
    experiment = configuration.load(config)
    head = page_head(experiment)
    study = read_published(published)
    read = {name: read_table(path) for name, path in statistics.items()}
    judged = {name: read_table(tables[name]) for name in JUDGE_MEANINGS}
    paths = {name: model.path for name, model in experiment.models.items()}
    made = {
        "statistics": pages.statistics_page(
            head,
            pages.StatisticsTables(**read),
            [download(path, STATISTICS_MEANINGS[name]) for name, path in statistics.items()],
        ),
        "judges": pages.judges_page(
            head,
            pages.JudgeTables(**judged, robustness=read["robustness"]),
            experiment.max_failure_rate,
            [download(tables[name], meaning) for name, meaning in JUDGE_MEANINGS.items()],
        ),
        "paper": pages.paper_page(
            head,
            pages.PaperTables(**{name: read_table(tables[name]) for name in PAPER_MEANINGS}),
            study,
            study.names_of(paths),
            pages.departures(experiment, config, configuration.schema()),
            [download(tables[name], meaning) for name, meaning in PAPER_MEANINGS.items()],
        ),
    }
    for name, text in made.items():
        write_text(output[name], signed(text, made_by_job("pages")))


def _control_tables(paths: Mapping[str, str]) -> pages.ControlTables:
    shown = {field.name for field in fields(pages.ControlTables)}
    return pages.ControlTables(**{name: read_control_table(paths[name]) for name in paths if name in shown})


def page_head(experiment: Experiment) -> pages.Head:
    """Title, notice, and the judges that are none."""
    stand_ins = tuple(name for name, judge in experiment.judges.items() if judge.engine == STAND_IN)
    return pages.Head(experiment.title, experiment.notice, stand_ins)


def _address(config: Mapping[str, Any]) -> str:
    scenarios = config["scenarios"]
    # As configured: where a folder lies on this machine is nobody's business.
    return {
        "public": scenarios["public"]["url"],
        "local": str(scenarios["folder"]),
        "bundled": "resources/scenarios of this project",
    }[scenarios["source"]]


def _templates(experiment: Experiment) -> list[Template]:
    found = []
    for name, reader in READERS.items():
        path = experiment.prompts / f"{name}.jinja"
        found.append(Template(path.name, reader, sha256_file(path), path.read_text(encoding="utf-8")))
    return found
