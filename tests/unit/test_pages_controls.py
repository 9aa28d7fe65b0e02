"""The page of the controls shows the numbers of their tables, with intervals, and says what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pytest
from configuring import merged, read_yaml
from made_up_controls import CONTROLS, MODELS, RELATIONSHIPS, MadeUp
from test_pages import HOSTILE, NOTICE, Page

from syncr2 import pages
from syncr2.config import load
from syncr2.errors import SyncR2Error
from syncr2.pages.layout import fixed
from syncr2.words import condition_words

LAGS = {"lag3": 3, "lag5": 5}
WORDS = {name: condition_words(name, LAGS.get(name)) for name in ("interaction", *CONTROLS)}
SHOWN = {field.name for field in fields(pages.ControlTables)}
HEAD = pages.Head("A title", NOTICE, ())


def tables(made: MadeUp | None = None, **changes: pd.DataFrame | None) -> pages.ControlTables:
    """Made-up tables; those that are None were not made."""
    found = {name: table for name, table in (made or MadeUp()).tables().items() if name in SHOWN} | changes
    return pages.ControlTables(**found)


def show(found: pages.ControlTables, left_out: tuple[str, ...] = (), head: pages.Head = HEAD) -> Page:
    return Page(pages.controls_page(head, found, WORDS, left_out))


def mean_and_range(values: pd.Series) -> str:
    return f"{fixed(values.mean())} ({fixed(values.min())} to {fixed(values.max())})"


def with_interval(row: Mapping[str, Any], value: str, low: str = "low", high: str = "high") -> str:
    return f"{fixed(row[value])} [{fixed(row[low])}, {fixed(row[high])}]"


def only(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    for column, value in values.items():
        table = table[table[column] == value]
    return table


PUBLISHED = {"protocol": "paper", "condition": "interaction"}
CORRECTED = {"protocol": "corrected", "condition": "interaction", "states": "plain"}


# ---------------------------------------------------------------- as published, and what it leaves open


def test_the_published_quantity_stands_first_and_its_rivals_stand_out_as_much():
    found = tables()
    page = show(found)
    published = only(found.protocols, **PUBLISHED)["sync_r2"]
    corrected = only(found.protocols, **CORRECTED)["sync_r2_raw"]
    gains = only(found.baselines, measure="own_past_gain")
    mean = only(found.baselines_overall, measure="own_past_gain").iloc[0]
    level = only(found.protocols_overall, condition="interaction", states="plain").iloc[0]
    assert page.row("SyncR² as published")[2:] == [
        fixed(published.mean()), "–", f"{fixed(published.min())} to {fixed(published.max())}", "–"
    ]  # fmt: skip
    assert page.row("R², corrected protocol")[2:] == [
        fixed(corrected.mean()), f"{fixed(level['raw_low'])} to {fixed(level['raw_high'])}",
        f"{fixed(corrected.min())} to {fixed(corrected.max())}", "21 of 21"
    ]  # fmt: skip
    assert page.row("ΔR² over own past")[2:] == [
        fixed(mean["value"]),
        f"{fixed(mean['low'])} to {fixed(mean['high'])}",
        f"{fixed(gains['value'].min())} to {fixed(gains['value'].max())}",
        f"{(gains['low'] > 0).sum()} of 21",
    ]
    order = [row[0] for row in page.rows]
    assert order.index("SyncR² as published") < order.index("ΔR² over own past") < order.index("mistral")
    # The three rows are all of the table, and all of them stand out.
    strong = [attributes.get("class") for tag, attributes in page.elements if tag == "tr"][:4]
    assert strong == [None, "strong", "strong", "strong"]


def test_protocols_by_family_and_by_condition():
    found = tables()
    page = show(found)
    kinds = [
        ({"protocol": "paper", "states": "plain"}, "sync_r2"),
        ({"protocol": "corrected", "states": "plain"}, "sync_r2"),
        ({"protocol": "corrected", "states": "plain"}, "sync_r2_raw"),
        ({"protocol": "corrected", "states": "centred"}, "sync_r2_raw"),
    ]
    for family, n_pairs in (("mistral", "6"), ("cross", "9"), ("llama", "6")):
        expected = [
            mean_and_range(only(found.protocols, condition="interaction", family=family, **kind)[column])
            for kind, column in kinds
        ]
        assert page.row(family, n_pairs)[2:] == expected
    for name, words in WORDS.items():
        expected = [
            mean_and_range(only(found.protocols, condition=name, **kind)[column]) for kind, column in kinds
        ]
        assert page.row(words) == [words, *expected]


def test_every_pair_has_its_numbers_with_intervals():
    found = tables()
    page = show(found)
    for row in only(found.protocols, **CORRECTED).to_dict("records"):
        pair = {"model_1": row["model_1"], "model_2": row["model_2"]}
        gain = only(found.baselines, measure="own_past_gain", **pair).iloc[0]
        p = [
            fixed(only(found.nulls, index="sync_r2", null=null, **pair)["p_holm"].iloc[0])
            for null in ("permutation", "pseudo")
        ]
        assert page.row(f"{row['model_1']} – {row['model_2']}")[1:] == [
            row["family"],
            fixed(only(found.protocols, **PUBLISHED, **pair)["sync_r2"].iloc[0]),
            with_interval(row, "sync_r2_raw", "raw_low", "raw_high"),
            with_interval(gain, "value"),
            *p,
        ]


# ---------------------------------------------------------------- controls


def test_contrasts_are_the_overall_rows_and_count_pairs_above_zero():
    found = tables()
    page = show(found)
    for control in CONTROLS:
        row = page.row(f"interaction − {WORDS[control]}")
        assert row[1].endswith("?")
        for place, states in enumerate(("plain", "centred")):
            overall = only(found.contrasts_overall, minus=control, states=states).iloc[0]
            own = only(found.contrasts, minus=control, states=states)
            assert row[2 + 2 * place] == with_interval(overall, "difference")
            assert row[3 + 2 * place] == f"{(own['low'] > 0).sum()} of 21"
    below = only(found.contrasts, minus="passive", states="centred")
    assert (below["low"] <= 0).any(), "or the counts above say nothing"


@pytest.mark.parametrize(
    ("index", "words"), [("sync_r2", "SyncR²"), ("cka", "CKA, debiased"), ("cca", "CCA, mean squared")]
)
def test_nulls_count_significant_pairs_under_each_null(index, words):
    found = tables()
    page = show(found)
    for null, who in (
        ("permutation", "partners of any episode"),
        ("pseudo", "partners of the same episode, other seed"),
    ):
        own = only(found.nulls, index=index, null=null)
        assert page.row(words, who)[2:] == [
            fixed(own["observed"].mean()),
            fixed(own["null_mean"].mean()),
            f"{(own['p_holm'] < 0.05).sum()} of 21",
            "1,000",
            "80.0 %",
        ]


def test_too_few_draws_are_not_taken_for_a_result():
    found = tables()
    assert "after Holm over" not in show(found).text
    few = show(tables(nulls=found.nulls.assign(n_draws=99))).text
    assert "With 99 draws, no p can be below 0.210 after Holm over 21 pairs" in few
    assert "must be 420 or more" in few
    assert "after Holm over" not in show(tables(nulls=found.nulls.assign(n_draws=420))).text
    assert "after Holm over" in show(tables(nulls=found.nulls.assign(n_draws=419))).text


def test_baselines_show_both_levels_and_the_gain():
    found = tables()
    page = show(found)
    overall = {row["measure"]: row for row in found.baselines_overall.to_dict("records")}

    def cells(*names: str) -> list[str]:
        return [with_interval(overall[name], "value") for name in names]

    def above(name: str) -> str:
        return f"{(only(found.baselines, measure=name)['low'] > 0).sum()} of 21"

    for name, words in (("own_past", "own past"), ("context", "context"), ("text", "text")):
        row = page.row(words)
        assert row[2:] == [*cells(name, f"{name}_and_source", f"{name}_gain"), above(f"{name}_gain")]
    assert page.row(*cells("ceiling")) == cells("ceiling", "share_of_ceiling")
    for name, words in (("kernel_ridge", "kernel ridge"), ("mlp", "MLP")):
        assert page.row(words)[1:] == [*cells("affine", name, f"{name}_gain"), above(f"{name}_gain")]


def test_lags_stand_in_order_and_reversed_time_is_named():
    found = tables()
    page = show(found)
    rows = [row for row in page.rows if len(row) == 3 and row[1].endswith("state")]
    assert [row[0] for row in rows] == ["−1 (time reversed)", *"1234567"]
    second = only(found.lag_profile_overall, lag=2).iloc[0]
    assert rows[2] == ["2", "agent's own state", with_interval(second, "sync_r2_raw")]


def test_groups_and_their_differences():
    found = tables()
    page = show(found)
    order = [row[0] for row in page.rows if row[0] in RELATIONSHIPS and row[-1] == "900"]
    assert order == list(RELATIONSHIPS)
    alone = only(found.groups, value="friend", versus="")
    assert page.row("friend")[1:] == [
        *(mean_and_range(only(alone, fit=fit)["sync_r2_raw"]) for fit in ("one", "separate")),
        "900",
    ]
    expected = []
    for fit in ("one", "separate"):
        own = only(found.groups, value="stranger", versus="family", fit=fit)
        above, below = (own["low"] > 0).sum(), (own["high"] < 0).sum()
        expected += [fixed(own["sync_r2_raw"].mean(), signed=True), f"{above} / {below} of 21"]
    assert page.row("stranger − family")[1:] == expected
    assert sum(" − " in row[0] and row[0].split(" − ")[0] in RELATIONSHIPS for row in page.rows) == 15


# ---------------------------------------------------------------- what is missing


def test_a_page_without_nulls_and_baselines_has_no_empty_tables():
    bare = tables(nulls=None, baselines=None, baselines_overall=None, lag_profile_overall=None)
    page = show(bare, ("All of it: `synchrony.baselines` is off.",))
    text = page.text
    for gone in ("More than chance", "What the partner's state adds", "ceiling", "nonlinear", "fades", "ΔR²"):
        assert gone not in text.split("What was left out")[0].split("The interaction less each control")[1]
    assert page.row("mini-llama-2 – mini-llama-2")[2:] == [
        fixed(
            only(bare.protocols, **PUBLISHED, model_1="mini-llama-2", model_2="mini-llama-2")["sync_r2"].iloc[
                0
            ]
        ),
        page.row("mini-llama-2 – mini-llama-2")[3],
    ]
    assert ("code", {}) in page.elements
    assert "synchrony.baselines" in page.texts


def test_no_intervals_leave_plain_numbers():
    made = MadeUp().tables()
    ends = {"low": np.nan, "high": np.nan}
    found = tables(
        protocols=made["protocols"].assign(raw_low=np.nan, raw_high=np.nan, **ends),
        contrasts=made["contrasts"].assign(**ends),
        contrasts_overall=made["contrasts_overall"].assign(**ends),
        baselines=made["baselines"].assign(**ends),
        baselines_overall=made["baselines_overall"].assign(**ends),
        lag_profile_overall=made["lag_profile_overall"].assign(**ends),
    )
    page = show(found)
    assert not [cell for row in page.rows for cell in row if "nan" in cell or "[" in cell]
    assert page.row("interaction − lag 3")[3] == "–"
    assert page.row("ΔR² over own past")[3] == "–"


def test_one_seed_has_no_pseudo_pairs_no_ceiling_and_untested_nulls():
    page = show(tables(MadeUp(seeds=1)))
    assert page.row("SyncR²", "partners of the same episode, other seed")[4:] == ["–", "1,000", "0.0 %"]
    assert page.row("pseudo pairs")[1:] == ["–"] * 4, "a condition that was not measured"
    assert "How far it could go" not in page.text
    assert "Nothing." in page.text


def test_no_control_at_all_has_no_contrasts():
    assert "The interaction less each control" not in show(tables(MadeUp(controls=()))).text


SWITCHES = {
    "seeds": ({"seeds": [0], "synchrony": {"samples": "auto"}}, "Pseudo pairs, their null and the ceiling"),
    "pseudo": ({"synchrony": {"pseudo": False}}, "Pseudo pairs as a condition"),
    "passive": ({"synchrony": {"passive": False}}, "The passive reader"),
    "lags": ({"synchrony": {"lags": []}}, "Later turns of the partner"),
    "untrained": ({"synchrony": {"untrained": False}}, "Untrained twins"),
    "nulls": ({"synchrony": {"null_draws": 0}}, "Nulls, and with them CKA and CCA"),
    "baselines": ({"synchrony": {"baselines": False}}, "Own past, context, text"),
    "bootstrap": ({"synchrony": {"bootstrap_draws": 0}}, "All intervals"),
    "groups": ({"synchrony": {"group_by": []}}, "Groups of episodes"),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_that_is_off_is_said_once(name):
    changes, beginning = SWITCHES[name]
    (reason,) = pages.left_out(load(merged(read_yaml("config.yaml"), changes)))
    assert reason.startswith(beginning)
    assert "`" in reason, "it names the key"


def test_the_published_configuration_leaves_nothing_out():
    assert pages.left_out(load(read_yaml("config.yaml"))) == []


# ---------------------------------------------------------------- in short, for the page of results


def test_in_short_has_the_interval_of_the_mean_over_all_pairs_only():
    found = tables()
    table = pages.in_short(found)
    assert [column.title for column in table.columns] == [
        *("family", "pairs", "SyncR² as published", "R², corrected protocol", "ΔR² over own past"),
        "95 % interval",
    ]
    rows = {row[0]: row[1:] for row in table.rows}
    mean = only(found.baselines_overall, measure="own_past_gain").iloc[0]
    gains = only(found.baselines, measure="own_past_gain")
    assert rows["llama"] == (
        "6",
        mean_and_range(only(found.protocols, family="llama", **PUBLISHED)["sync_r2"]),
        mean_and_range(only(found.protocols, family="llama", **CORRECTED)["sync_r2_raw"]),
        mean_and_range(only(gains, family="llama")["value"]),
        "–",
    )
    assert rows["all pairs"][-2:] == (
        mean_and_range(gains["value"]),
        f"{fixed(mean['low'])} to {fixed(mean['high'])}",
    )
    assert table.strong == {3}


def test_in_short_without_baselines_has_no_such_columns():
    table = pages.in_short(tables(baselines=None, baselines_overall=None))
    assert [column.title for column in table.columns][-1] == "R², corrected protocol"
    assert {len(row) for row in table.rows} == {4}


# ---------------------------------------------------------------- as on every page


def test_names_are_text_and_the_notice_comes_first():
    models = {HOSTILE if name == "mini-llama-2" else name: family for name, family in MODELS.items()}
    made = MadeUp(models, groups={HOSTILE: [HOSTILE, "other"]})
    page = show(tables(made), (HOSTILE,), pages.Head(HOSTILE, NOTICE, ()))
    assert page.is_harmless()
    assert page.row(f"{HOSTILE} – mini-llama-3")[1] == "llama"
    assert page.row(f"{HOSTILE} − other")
    assert page.texts[1] == NOTICE


@pytest.mark.parametrize(
    ("name", "column"),
    [
        *(
            ("protocols", "raw_low"),
            ("contrasts", "minus"),
            ("contrasts_overall", "high"),
            ("nulls", "p_holm"),
        ),
        *(("baselines", "measure"), ("baselines_overall", "low"), ("lag_profile_overall", "lag")),
        ("groups", "versus"),
    ],
)
def test_a_table_without_a_column_is_refused(name, column):
    made = MadeUp().tables()
    with pytest.raises(SyncR2Error, match=rf"table {name} has no column {column} "):
        tables(**{name: made[name].drop(columns=column)})
