"""Pages on statistics, judges and the paper show the numbers of their tables, in tables and in words."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from configuring import merged, read_yaml
from made_up_statistics import dialogues, judged, run_pairs, statistics, study, synchrony
from test_pages import HOSTILE, NOTICE, Page

from syncr2 import config as configuration
from syncr2 import pages
from syncr2.config import load
from syncr2.errors import SyncR2Error
from syncr2.files import read_table, write_table
from syncr2.pages.layout import fixed
from syncr2.pages.sections import listed
from syncr2.published import FOLDER
from syncr2.stages import paper as paper_stage
from syncr2.stages.pages import JUDGE_MEANINGS, STATISTICS_MEANINGS, write_statistics

HEAD = pages.Head("A title", NOTICE, ())
SHOWN = {field.name for field in fields(pages.StatisticsTables)}
RENAMED = {"llama-2-7b": HOSTILE}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return statistics(slope=0.5, trend=0.05)


def show(found: dict[str, pd.DataFrame], **changes: Any) -> Page:
    shown = {name: table for name, table in found.items() if name in SHOWN} | changes
    return Page(pages.statistics_page(HEAD, pages.StatisticsTables(**shown)))


def paragraph(page: Page, *words: str) -> str:
    """The one paragraph that holds these words."""
    found = [text for text in page.texts if all(word in text for word in words)]
    assert len(found) == 1, found
    return found[0]


def row_of(table: pd.DataFrame, **values: Any) -> dict[str, Any]:
    for column, value in values.items():
        table = table[table[column] == value]
    (found,) = table.to_dict("records")
    return found


def interval(row: dict[str, Any], value: str, low: str = "low", high: str = "high") -> str:
    return f"{fixed(row[value])} [{fixed(row[low])}, {fixed(row[high])}]"


# ---------------------------------------------------------------- statistics over pairs


def test_every_question_has_a_section(tables: dict[str, pd.DataFrame]) -> None:
    html = pages.statistics_page(HEAD, pages.StatisticsTables(**{name: tables[name] for name in SHOWN}))
    assert html.count("<h2>") == 9
    assert "What was left out" not in html


def test_the_main_correlation_in_words_and_beside_the_naive_p(tables: dict[str, pd.DataFrame]) -> None:
    page = show(tables)
    row = row_of(tables["correlations"], family="all")
    text = paragraph(page, "Over all 21 pairs r =")
    assert interval(row, "r", "models_low", "models_high") in text
    assert "exchanging these in all 720 ways on one side gives p = 0.060" in text
    assert "cannot be told from two unrelated traits" in text
    ranks = row_of(tables["rank_correlations"], family="all")
    by_family = paragraph(page, "By family r is mistral 0.875 (n = 6)", "llama 0.985 (n = 6)")
    assert "3 of 3 of these" in by_family
    assert "none of 3 with models permuted" in by_family
    assert f"With ranks in place of values r over all pairs is {fixed(ranks['r'])}" in by_family
    # Naive p, corrected; interval over pairs; QAP p with the number of ways, corrected; interval over models.
    cells = next(cells for cells in page.rows if cells and cells[0] == "cross")
    cross = row_of(tables["correlations"], family="cross")
    assert cells == [
        *("cross", "9", "0.889", "0.001", fixed(cross["p_holm"])),
        f"{fixed(cross['pairs_low'])} to {fixed(cross['pairs_high'])}",
        "0.028 (36 ways)",
        fixed(cross["qap_p_holm"]),
        f"{fixed(cross['models_low'])} to {fixed(cross['models_high'])}",
        f"{fixed(cross['lowest_r'])} to {fixed(cross['highest_r'])}",
    ]


def test_every_table_says_what_was_corrected(tables: dict[str, pd.DataFrame]) -> None:
    page = show(tables)
    said = [text for text in page.texts if "orrected" in text]
    assert sum("by Holm's method, each kind of p over families;" in text for text in said) == 3
    assert sum("over families and covariates" in text for text in said) == 2
    assert sum("nothing was corrected" in text.lower() for text in said) == 4


def test_one_model_and_its_share(tables: dict[str, pd.DataFrame]) -> None:
    page = show(tables)
    left = tables["leave_one_out"]
    own = left[left["family"] == "all"].set_index("without")["r"]
    text = paragraph(page, "Without one model's pairs")
    assert f"{fixed(own.min())} (without {own.idxmin()})" in text
    assert "No single model changes its sign." in text
    shown = page.row("llama-3-8b")
    assert shown[-1] == f"{fixed(own['llama-3-8b'])} (15)"
    # It has no part in the other family's pairs.
    assert shown[1] == ""
    flipped = left.assign(r=np.where(left["without"] == "llama-3-8b", -0.1, left["r"]))
    assert "one model decides on its sign" in show(tables, leave_one_out=flipped).text


def test_mixed_models_and_partial_correlations(tables: dict[str, pd.DataFrame]) -> None:
    page = show(tables)
    mixed = tables["mixed_models"]
    row = row_of(mixed[mixed["covariate"] == ""], family="all")
    assert interval(row, "slope") in paragraph(page, "A mixed model gives every model")
    partial = row_of(tables["partial"], family="all", covariate="ifeval+musr")
    text = paragraph(page, "the partial correlation is, given ifeval")
    assert f"given ifeval and musr {interval(partial, 'r', 'models_low', 'models_high')}" in text
    assert "No covariates are configured" in show(tables, partial=tables["partial"].iloc[:0]).text


def test_a_measure_and_judge_a_row(tables: dict[str, pd.DataFrame]) -> None:
    page = show(tables)
    robust = tables["robustness"]
    text = paragraph(page, "among 6 combinations")
    assert f"from {fixed(-0.753)} to {fixed(0.753)}" in text
    assert "above 0 in 4 of 6" in text
    second = row_of(robust, family="cross", judge="second", performance="social_performance")
    # Families in the table's order, after three columns of words.
    at = 3 + list(dict.fromkeys(robust["family"])).index("cross")
    assert page.row("SyncR² as published", "second", "mean of the seven")[at] == fixed(second["r"])
    # The mean of one judge is that judge.
    alone = robust[robust["judge"].isin(["all judges", "first"])]
    assert "among 2 combinations" in show(tables, robustness=alone).text


def test_dialogues_relationship_depth_and_reliability(tables: dict[str, pd.DataFrame]) -> None:
    page = show(tables)
    within = row_of(tables["within_pairs"], family="all")
    text = paragraph(page, "Each dialogue counts less the mean of its pair")
    assert "; turns and new tokens held fixed." in text
    assert interval(within, "slope") in text
    assert "higher synchrony goes with higher performance" in text
    trend = row_of(tables["relationship_trend"], level="all")
    text = paragraph(page, "a step from stranger towards family")
    assert f"{fixed(trend['slope'], signed=True)} [{fixed(trend['low'])}, {fixed(trend['high'])}]" in text
    assert page.row("know by name")[1] == "6"
    peak = row_of(tables["depth_peak"], level="all")
    text = paragraph(page, "R² is largest at relative depth 0.50")
    assert f"{fixed(peak['middle_less_outer'], signed=True)} [{fixed(peak['difference_low'])}" in text
    assert "intermediate layers are stronger." in text
    reliable = row_of(tables["attenuation"], family="all")
    assert f"becomes {fixed(reliable['r_corrected'])}" in paragraph(page, "Reliability is 1 less that part")


def test_what_the_data_do_not_tell_is_said(tables: dict[str, pd.DataFrame]) -> None:
    nothing = tables["within_pairs"].assign(slope=0.01, p=0.7)
    assert "does not tell how a dialogue was judged" in show(tables, within_pairs=nothing).text
    few = tables["within_pairs"].assign(slope=np.nan, low=np.nan, high=np.nan, p=np.nan, status="too few")
    assert "there is no answer: too few." in show(tables, within_pairs=few).text
    flat = tables["depth_peak"].assign(difference_low=-0.1, difference_high=0.1)
    assert "stand out in neither direction" in show(tables, depth_peak=flat).text
    unreliable = tables["attenuation"].assign(r_corrected=np.nan, status="no more than chance on one side")
    text = show(tables, attenuation=unreliable).text
    assert "There is no corrected r: no more than chance on one side." in text


def test_two_models_leave_no_correlation_and_the_page_says_so(tables: dict[str, pd.DataFrame]) -> None:
    empty = dict.fromkeys(("r", "p", "p_holm", "qap_p", "qap_p_holm", "models_low", "models_high"), np.nan)
    page = show(
        tables,
        correlations=tables["correlations"].assign(**empty),
        rank_correlations=tables["rank_correlations"].assign(**empty),
        leave_one_out=tables["leave_one_out"].assign(r=np.nan),
        robustness=tables["robustness"].assign(r=np.nan, qap_p=np.nan),
    )
    assert "r is not defined: there are fewer than 3" in page.text
    assert "too few pairs are left" in page.text
    assert "r is defined in none of 6" in page.text
    assert "nan" not in page.text


def test_without_the_corrected_protocol_the_page_says_what_is_missing(
    tables: dict[str, pd.DataFrame],
) -> None:
    corrected = ("within_pairs", "relationship", "relationship_trend", "depth_peak", "attenuation")
    page = show(tables, **dict.fromkeys(corrected))
    assert "rest on maps that the corrected protocol chooses" in page.text
    assert "Does synchrony rise with intimacy?" not in page.text


@pytest.mark.parametrize("name", ["correlations", "mixed_models", "depth_peak"])
def test_a_table_without_a_column_is_refused(tables: dict[str, pd.DataFrame], name: str) -> None:
    shown = {each: tables[each] for each in SHOWN}
    with pytest.raises(SyncR2Error, match=rf"table {name} has no column family .*clan"):
        pages.StatisticsTables(**shown | {name: tables[name].rename(columns={"family": "clan"})})


# ---------------------------------------------------------------- judges and outcomes


def agreement() -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    kinds = [
        ("judges", "all judges", "agent"),
        ("judges", "all judges", "pair"),
        ("orders", "first", "agent"),
    ]
    for between, judge, unit in kinds:
        for i, name in enumerate(["believability", "secret", "goal", "overall"]):
            numbers = {"icc_single": 0.5 + i / 10, "icc_mean": 0.6 + i / 10, "alpha": 0.4 + i / 10}
            who = {"between": between, "judge": judge, "unit": unit, "dimension": name}
            rows.append({**who, "n_raters": 2, "n_units": 90, "n_complete": 80, **numbers})
    return pd.DataFrame(rows)


def outcome_tables(empty: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    keys = {"agent1": "llama-3-8b", "agent2": "llama-3-8b", "seed": 0, "environment_id": "e"}
    numbers = ["price", "points_1", "points_2", "gain_1", "gain_2", "pareto_distance", "fairness"]
    rows = [
        ("division", "deal", [np.nan, 6, 4, 0.6, 0.4, 0.0, 0.8]),
        ("division", "none", [np.nan, 0, 0, 0.0, 0.0, 0.5, np.nan]),
        ("division", "unreadable", [np.nan] * 7),
        ("bargaining", "deal", [240.0, np.nan, np.nan, 0.1, -0.1, 0.0, 0.8]),
    ]
    table = pd.DataFrame(
        [
            {
                **keys,
                "episode_id": str(i),
                "game": game,
                "outcome": outcome,
                **dict(zip(numbers, values, strict=True)),
            }
            for i, (game, outcome, values) in enumerate(rows)
        ]
    )
    pairs = pd.DataFrame(
        [
            {
                **{"model_1": "llama-3-8b", "model_2": "llama-3-8b", "family": "llama", "game": game},
                **{"n_dialogues": n, "n_unreadable": bad, "unreadable_rate": bad / n, "agreement_rate": 0.5},
                **{"gain": 0.25, "pareto_distance": 0.25, "fairness": 0.8},
            }
            for game, n, bad in (("division", 3, 1), ("bargaining", 1, 0))
        ]
    )
    return (table.iloc[:0], pairs.iloc[:0]) if empty else (table, pairs)


def judge_tables(tables: dict[str, pd.DataFrame], lost: int = 3, **changes: Any) -> pages.JudgeTables:
    outcomes, pairs = outcome_tables()
    made = {
        **{"performance": judged(run_pairs(), lost), "agreement": agreement()},
        **{"robustness": tables["robustness"], "outcomes": outcomes, "outcome_pairs": pairs},
    }
    return pages.JudgeTables(**made | changes)


def test_what_could_not_be_judged_is_counted_by_judge_and_pair(tables: dict[str, pd.DataFrame]) -> None:
    page = Page(pages.judges_page(HEAD, judge_tables(tables), 0.1))
    text = paragraph(
        page, "Of 1,680 judgements 1,677 have scores (99.8 %); 0 failed, 3 refused and 0 truncated"
    )
    assert "mistral-7b-v0.1 – mistral-7b-v0.1 (judge second), 7.5 %" in text
    assert page.row("second", "840")[2:] == ["837", "0", "3", "0", "0.4 %", "7.5 %"]
    assert page.row("mistral-7b-v0.1 – mistral-7b-v0.1", "second")[2:] == ["40", "37", "0", "3", "0", "7.5 %"]
    assert "refused above 10.0 % a pair" in page.text
    whole = Page(pages.judges_page(HEAD, judge_tables(tables, lost=0), 0.1))
    assert "All 1,680 judgements have scores." in whole.text


def test_orders_and_agreement(tables: dict[str, pd.DataFrame]) -> None:
    page = Page(pages.judges_page(HEAD, judge_tables(tables), 0.1))
    assert "an agent's overall score differs by +0.250 points with first." in page.text
    assert "Asked in one order only: second" in page.text
    assert page.row("first", "+0.250")[2:] == ["0.250 to 0.250", "0.500", "0.800"]
    text = paragraph(page, "For an agent in a dialogue", "for a pair of models")
    assert "ICC(2,1) = 0.80 and Krippendorff's alpha = 0.70" in text
    assert "agree least on believability (alpha 0.40) and most on goal (0.60)" in text
    assert page.row("secret", "a pair of models")[2:] == ["80", "0.600", "0.700", "0.500"]
    single = agreement().query("between == 'orders'")
    one = Page(pages.judges_page(HEAD, judge_tables(tables, agreement=single), 0.1))
    assert "There is one judge, so this cannot be said" in one.text


def test_whether_the_correlation_depends_on_the_judge(tables: dict[str, pd.DataFrame]) -> None:
    page = Page(pages.judges_page(HEAD, judge_tables(tables), 0.1))
    assert f"r is {fixed(0.753)} by first and {fixed(-0.753)} by second" in page.text
    assert page.row("second", "as they are")[-2] == fixed(-0.753)


def test_outcomes_are_counted_and_what_could_not_be_read_too(tables: dict[str, pd.DataFrame]) -> None:
    page = Page(pages.judges_page(HEAD, judge_tables(tables), 0.1))
    text = paragraph(page, "Of 3 dialogues with a division of items 33.3 % ended in agreement")
    assert "33.3 % in none, and 33.3 % could not be read" in text
    assert page.row("division of items", "3")[2:] == ["1", "1", "1", "–", "2.50", "0.250", "0.250", "0.800"]
    assert page.row("bargain over a price", "1")[5] == "240.0"
    outcomes, pairs = outcome_tables(empty=True)
    none = Page(pages.judges_page(HEAD, judge_tables(tables, outcomes=outcomes, outcome_pairs=pairs), 0.1))
    assert "No episode of this run says in figures what it is played for" in none.text


# ---------------------------------------------------------------- against the paper


def experiment(**changes: Any):
    return merged(read_yaml("config.yaml"), {"synchrony": {"samples": "auto"}} | changes)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Paths of all tables of a run whose values are the published ones."""
    folder = tmp_path_factory.mktemp("run")
    outcomes, pairs = outcome_tables()
    made = {
        **{name: tables[name] for name in (*STATISTICS_MEANINGS, "relationship_environments")},
        **{"pairs": run_pairs(), "synchrony": synchrony(run_pairs()), "dialogues": dialogues(run_pairs())},
        **{"performance": judged(run_pairs()), "agreement": agreement()},
        **{"outcomes": outcomes, "outcome_pairs": pairs},
    }
    paths = {name: str(folder / f"{name}.tsv") for name in made}
    for name, table in made.items():
        write_table(paths[name], table)
    return paths


def compared(
    files: dict[str, str],
    folder: Path,
    config: dict[str, Any],
    judged: bool = True,
    controls: dict[str, str] | None = None,
) -> dict[str, str]:
    output = {name: str(folder / f"paper_{name}.tsv") for name in ("comparison", "collinearity")}
    tables = (
        "synchrony",
        "dialogues",
        "pairs",
        "correlations",
        "partial",
        "relationship_trend",
        "depth_peak",
    )
    models = load(config).models
    paper_stage.compare(
        published=str(FOLDER),
        tables={name: files[name] for name in tables},
        controls=controls or {},
        paths={name: model.path for name, model in models.items()},
        judged=judged,
        stand_ins=["counter"],
        covariates=["ifeval", "musr"],
        covariates_by_model=study().covariates_by_model,
        output=output,
    )
    return output


def written(
    files: dict[str, str], made: dict[str, str], folder: Path, config: dict[str, Any]
) -> dict[str, Page]:
    output = {name: str(folder / f"{name}.html") for name in ("statistics", "judges", "paper")}
    write_statistics(
        config=config,
        published=str(FOLDER),
        statistics={name: files[name] for name in STATISTICS_MEANINGS},
        tables={name: files[name] for name in JUDGE_MEANINGS} | made,
        output=output,
    )
    return {name: Page(Path(path).read_text(encoding="utf-8")) for name, path in output.items()}


@pytest.fixture(scope="module")
def replication(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Pages of a run of the published models; its values are the published ones, but with 90 episodes."""
    folder = tmp_path_factory.mktemp("replication")
    config = experiment(scenarios={"episodes": 90})
    return written(files, compared(files, folder, config), folder, config)


def test_a_replication_is_compared_number_by_number(replication: dict[str, Page]) -> None:
    page = replication["paper"]
    assert "are published models, by the address that they are loaded from" in page.text
    assert page.row("scenarios.episodes") == ["scenarios.episodes", "90", "450"]
    assert page.row("synchrony.samples") == ["synchrony.samples", "auto", "6500"]
    assert page.row("cross", "0.89", "0.889")[-2:] == ["inside the interval", ""]
    pair = page.row("llama-2-7b – llama-3-8b")
    assert pair[2:5] == ["0.498", "0.498", "same sign"]
    assert pair[7] == "inside the interval"
    assert "SyncR² of 21 pairs is 0.000 off the published one on average" in page.text
    assert "correlates with it at 1.000" in page.text
    claim = page.row("its distribution shifts up with intimacy")
    assert claim[2] == "above 0"
    assert claim[4] == "same sign"
    assert page.row("SyncR² falls substantially when the source only observes")[3] == "+0.100"
    assert (
        page.row("nonlinear maps do not generalise significantly better", "MLP − affine map")[4]
        == "not tested"
    )


def test_partial_correlations_are_shown_twice_and_explained(replication: dict[str, Page]) -> None:
    page = replication["paper"]
    text = paragraph(
        page, "given IFEval, 0.84 / 0.55 / 0.99 (mistral / cross / llama) where 0.81 / 0.71 / 0.27"
    )
    assert (
        "given MuSR, 0.91 / 0.94 / 1.00 (mistral / cross / llama) where 0.92 / 0.89 / 0.99 are printed"
        in text
    )
    why = paragraph(page, "variance inflation")
    assert (
        "Among the 6 llama pairs IFEval correlates at 0.965 with SyncR² and at 0.996 with performance" in why
    )
    assert "variance inflation 112" in why
    assert "Of all 6 printed values 6 lie where such errors of the scores lead" in why
    assert page.row("IFEval", "llama", "0.27")[3] == "0.99"
    # The run's own pairs stand below the published ones.
    own = [row for row in page.rows if row and row[0] == "this run"]
    assert len(own) == 6
    assert own[1][2] == "llama"
    assert own[1][8] == "112.2"


def test_no_text_acts_and_no_table_is_left_behind(replication: dict[str, Page]) -> None:
    for page in replication.values():
        assert page.is_harmless()
        links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
        assert links


def test_the_published_configuration_departs_in_nothing_and_the_demo_in_what_it_says() -> None:
    def found(*files: str) -> dict[str, tuple[str, str]]:
        raw = read_yaml("config.yaml")
        for name in files:
            raw = merged(raw, read_yaml(name))
        rows = pages.departures(load(raw), raw, configuration.schema())
        return {key: (here, published) for key, here, published in rows}

    # The study's own way to play dialogues is an option, not the default.
    assert set(found()) <= {"dialogue.protocol"}
    demo = found("demo.yaml")
    assert demo["scenarios.source"] == ("local", "public")
    assert demo["dialogue.max_turns"][0] == "8"
    assert "seeds" not in demo
    assert demo["synchrony.samples"] == ("auto", "6500")
    assert demo["states.bystander"] == ("public", "private")
    assert demo["judges"] == ("oracle (oracle)", "gpt-oss-120b")
    assert "synchrony.penalty" not in demo


def test_claims_are_tested_with_what_controls_and_probes_there_are(files, tmp_path) -> None:
    rows = [
        ("counter", "emotion", "current", 0.9),
        ("someone", "emotion", "current", 0.2),
        ("counter", "action", "next", 0.9),
    ]
    probes = pd.DataFrame(rows, columns=["labeller", "label", "target", "value"]).assign(
        measure="explained_deviance", low=0.1, high=0.95, n_pairs=21
    )
    contrasts = pd.DataFrame(
        {
            "states": ["plain", "centred"],
            "minus": "passive",
            "difference": [-0.02, 0.5],
            "low": -0.1,
            "high": 0.6,
        }
    )
    gains = pd.DataFrame({"measure": ["mlp_gain"], "value": [0.03], "low": [0.01], "high": [0.05]})
    paths = {}
    for name, table in (
        ("probes_overall", probes),
        ("contrasts_overall", contrasts),
        ("baselines_overall", gains),
    ):
        paths[name] = str(tmp_path / f"{name}.tsv")
        write_table(paths[name], table)
    made = compared(files, tmp_path, experiment(), controls=paths)
    found = read_table(made["comparison"]).query("quantity == 'claim'").set_index("claim")
    # Of labellers the first that is one; of contrasts that of states as they are.
    assert found.loc["emotion_current", ["this_run", "verdict"]].tolist() == [0.2, "same sign"]
    assert found.loc["action_next", "verdict"] == "not tested"
    assert found.loc["passive", ["this_run", "verdict"]].tolist() == [-0.02, "other sign"]
    assert found.loc["mlp", ["this_run", "verdict"]].tolist() == [0.03, "outside the interval"]
    assert found.loc["depth", "verdict"] == "same sign"


def test_for_other_models_the_page_says_plainly_that_nothing_is_comparable(files, tmp_path) -> None:
    demo = read_yaml("demo.yaml")
    config = experiment(
        scenarios=demo["scenarios"], report=demo["report"],
        judges=[{"name": "surface", "engine": "surface"}],
        models=[each | {"path": f"home/{each['name']}"} for each in read_yaml("config.yaml")["models"]],
    )  # fmt: skip
    made = compared(files, tmp_path, config, judged=False)
    assert set(read_table(made["comparison"])["verdict"]) == {"not comparable"}
    page = written(files, made, tmp_path, config)["paper"]
    assert "No. None of this run's models is a published one" in page.text
    assert "Of 61 published numbers and claims: 61 not comparable." in page.text
    assert page.row("judges") == ["judges", "surface (surface)", "gpt-oss-120b"]
    assert "This run has no correlation that could be set against them." in page.text
    # The stand-in is named on each page.
    assert "rule-based stand-in for a judge" in page.text


def test_a_hostile_name_on_the_page_against_the_paper_is_text(files, tmp_path) -> None:
    made = compared(files, tmp_path, experiment())
    tables = pages.PaperTables(**{name: read_table(path) for name, path in made.items()})
    known = {HOSTILE: "llama-2-7b"}
    page = Page(pages.paper_page(HEAD, tables, study(), known, [("judge", HOSTILE, "gpt-oss-120b")]))
    assert page.is_harmless()
    assert f"{HOSTILE} for llama-2-7b" in page.text
    assert page.row("judge")[1] == HOSTILE


def test_hostile_names_are_text() -> None:
    found = statistics(RENAMED)
    pairs = run_pairs(RENAMED)
    made = {name: found[name] for name in STATISTICS_MEANINGS}
    outcomes, by_pair = outcome_tables()
    page = Page(pages.statistics_page(HEAD, pages.StatisticsTables(**made)))
    assert page.is_harmless()
    assert page.row(HOSTILE)[-1].endswith("(15)")
    judges = judge_tables(
        found,
        performance=judged(pairs).replace({"judge": {"second": HOSTILE}}),
        outcomes=outcomes.replace({"game": {"division": HOSTILE}}),
        outcome_pairs=by_pair,
    )
    page = Page(pages.judges_page(replace(HEAD, stand_ins=(HOSTILE,)), judges, 0.1))
    assert page.is_harmless()
    assert page.row(HOSTILE, "840")


def test_words_are_listed() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c"]) == "a, b and c"
