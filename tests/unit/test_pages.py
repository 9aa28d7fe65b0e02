"""The report's pages show the numbers of the tables, warn first, and give no text of a run any power."""

from __future__ import annotations

import base64
import copy
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from made_up_controls import MadeUp

from syncr2 import config as configuration
from syncr2 import pages
from syncr2.config import REPOSITORY
from syncr2.errors import SyncR2Error
from syncr2.files import sha256_file, write_jsonl, write_table
from syncr2.ids import DIRECTIONS, OrderedPair
from syncr2.judges.dimensions import DIMENSIONS
from syncr2.pages.layout import backticks, fixed, p_value, percent, plain
from syncr2.provenance import made_by
from syncr2.sotopia.scenarios import Environment, Episode, Profile, ScenarioSet, write_scenarios
from syncr2.stages.pages import CONTROL_MEANINGS, MEANINGS, write
from syncr2.store import AgentStates, DirectionR2, StateRow, write_r2, write_states

HOSTILE = """<script>alert(1)</script>"><img src=x onerror=alert(2)> & 'x'"""
# Scenarios refuse tags, but a tag need not be closed to work.
HOSTILE_SCENE = """"><img src=x onerror=alert(3) & 'y'"""
NOTICE = "These numbers mean nothing."
FAMILY = {"red-1": "warm", "red-2": "warm", "blue-1": "cold"}
PAIRS = [
    ("red-1", "red-1"),
    ("red-1", "red-2"),
    ("red-2", "red-2"),
    ("red-1", "blue-1"),
    ("blue-1", "blue-1"),
]
KINDS = ["warm", "warm", "warm", "cross", "cold"]
CONDITIONS = {"interaction": "interaction", "passive": "passive reader", "lag3": "lag 3"}
DIMENSION_NAMES = [dimension.name for dimension in DIMENSIONS]


class Page(HTMLParser):
    """What a browser would make of a page: its elements, attributes and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._open or not data.strip():
            return
        self.texts.append(data)
        if "tr" in self._open and self.rows[-1]:
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def row(self, *start: str) -> list[str]:
        """The one row that starts with these cells."""
        found = [row for row in self.rows if row[: len(start)] == list(start)]
        assert len(found) == 1, f"{len(found)} rows start with {start}"
        return found[0]

    def is_harmless(self) -> bool:
        """No script, no image, no event handler, no address but places in the page and tables in it."""
        for tag, attributes in self.elements:
            if tag in ("script", "img", "iframe", "object", "embed", "link", "base", "form"):
                return False
            if any(name.startswith("on") for name in attributes):
                return False
            if not (attributes.get("href") or "#").startswith(("#", "data:text/tab-separated-values;")):
                return False
        return True


@pytest.fixture
def head() -> pages.Head:
    return pages.Head("A title", NOTICE, ("surface",))


def result_tables(pairs: list[tuple[str, str]] = PAIRS, judge: str = "surface") -> pages.ResultTables:
    rng = np.random.default_rng(3)
    keys = [
        {"model_1": first, "model_2": second, "family": kind}
        for (first, second), kind in zip(pairs, KINDS, strict=True)
    ]
    synchrony = [{**key, "condition": c, "sync_r2": rng.uniform(0, 0.5)} for key in keys for c in CONDITIONS]
    directed = [
        {"condition": c, "n_train": 1000 - 7 * lag * i, "n_test": 250}
        for c, lag in (("interaction", 0), ("passive", 0), ("lag3", 1))
        for i in range(3)
    ]
    performance = [
        {
            "judge": judge,
            **key,
            "social_performance": rng.uniform(1, 4),
            "n_dialogues": 40,
            "n_judged": 40 - i,
            "failure_rate": i / 40,
            **{d.name: rng.uniform(d.low, d.high) for d in DIMENSIONS},
        }
        for i, key in enumerate(keys)
    ]
    interaction = [row["sync_r2"] for row in synchrony if row["condition"] == "interaction"]
    joined = [
        {**key, "sync_r2": value, "social_performance": row["social_performance"]}
        for key, value, row in zip(keys, interaction, performance, strict=True)
    ]
    correlations = [
        {"family": "warm", "r": 0.98765, "p": 0.0004, "n": 3},
        {"family": "cross", "r": np.nan, "p": np.nan, "n": 1},
        {"family": "all", "r": -0.25, "p": 0.61, "n": 5},
    ]
    partial = [{"family": "warm", "covariate": "size", "r": 0.5, "p": 0.0456, "n": 3, "df": 1}]
    return pages.ResultTables(
        synchrony=pd.DataFrame(synchrony),
        directed=pd.DataFrame(directed),
        performance=pd.DataFrame(performance),
        pairs=pd.DataFrame(joined),
        correlations=pd.DataFrame(correlations),
        partial=pd.DataFrame(partial),
    )


def show(head: pages.Head, tables: pages.ResultTables) -> Page:
    return Page(pages.results_page(head, tables, CONDITIONS))


def test_sync_by_family_is_the_mean_and_range_of_the_table(head: pages.Head) -> None:
    tables = result_tables()
    page = show(head, tables)
    for family in ("warm", "cross", "cold", "all pairs"):
        part = tables.synchrony
        if family != "all pairs":
            part = part[part["family"] == family]
        expected = []
        for condition in CONDITIONS:
            values = part.loc[part["condition"] == condition, "sync_r2"]
            spread = f" ({values.min():.3f} to {values.max():.3f})" if len(values) > 1 else ""
            expected.append(f"{values.mean():.3f}{spread}")
        n_pairs = len(part) // len(CONDITIONS)
        assert page.row(family, str(n_pairs), expected[0])[2:] == expected


def test_controls_are_compared_pair_by_pair(head: pages.Head) -> None:
    tables = result_tables()
    wide = tables.synchrony.pivot(index=["model_1", "model_2"], columns="condition", values="sync_r2")
    change = wide["lag3"] - wide["interaction"]
    expected = f"{change.mean():+.3f} ({(change < 0).sum()} of 5 lower)".replace("-", "\N{MINUS SIGN}")
    assert [row for row in show(head, tables).rows if row[0] == "all pairs" and row[-1] == expected]


def test_correlations_stand_as_in_the_table_with_the_caveat(head: pages.Head) -> None:
    page = show(head, result_tables())
    assert page.row("warm", "3", "0.988") == ["warm", "3", "0.988", "< 0.001"]
    assert page.row("cross", "1", "–") == ["cross", "1", "–", "–"]
    assert page.row("all pairs", "5", "\N{MINUS SIGN}0.250")[-1] == "0.610"
    assert page.row("size", "warm") == ["size", "warm", "3", "1", "0.500", "0.046"]
    assert "Pairs share models" in page.text
    assert "not defined" in page.text


def test_what_knows_of_the_models_stands_beside_the_naive_p(head: pages.Head) -> None:
    tables = result_tables()
    more = {
        **{"qap_p": 0.3333, "qap_p_holm": 0.6666, "relabellings": 6, "relabelled": "all"},
        **{"models_low": -0.1234, "models_high": 0.9, "lowest_r": 0.5, "highest_r": 0.75},
    }
    correlations = tables.correlations.assign(**more)
    correlations.loc[2, ["relabellings", "relabelled"]] = 10000, "drawn"
    correlations.loc[1, "models_low"] = np.nan
    known = replace(tables, correlations=correlations, partial=tables.partial.assign(**more))
    page = show(head, known)
    permuted, holm, span, without = "0.333 (6 ways)", "0.667", "−0.123 to 0.900", "0.500 to 0.750"
    assert page.row("warm", "3", "0.988") == ["warm", "3", "0.988", "< 0.001", permuted, holm, span, without]
    assert page.row("cross", "1", "–")[4:] == [permuted, holm, "–", without]
    assert page.row("all pairs", "5", "−0.250")[4] == "0.333 (drawn)"
    assert page.row("size", "warm")[5:] == ["0.046", permuted, holm, span, without]
    assert "Models permuted" in page.text
    assert "Models permuted" not in show(head, tables).text


def test_performance_and_failures_by_judge(head: pages.Head) -> None:
    tables = result_tables()
    warm = tables.performance[tables.performance["family"] == "warm"]
    means = [f"{warm[name].mean():.2f}".replace("-", "\N{MINUS SIGN}") for name in DIMENSION_NAMES]
    row = show(head, tables).row("warm", "3", f"{warm['social_performance'].mean():.2f}")
    # 0, 1 and 2 of 40 dialogues were not judged.
    assert row[3:] == [*means, "120", "2.5 %", "5.0 %"]


def test_every_pair_has_its_row(head: pages.Head) -> None:
    tables = result_tables()
    page = show(head, tables)
    for row in tables.pairs.to_dict("records"):
        shown = page.row(f"{row['model_1']} – {row['model_2']}")
        assert (shown[2], shown[-1]) == (f"{row['sync_r2']:.3f}", f"{row['social_performance']:.3f}")


def test_no_covariates_are_said_to_be_none(head: pages.Head) -> None:
    tables = result_tables()
    empty = replace(tables, partial=tables.partial.iloc[:0])
    assert "No covariates are configured" in show(head, empty).text


def test_the_notice_is_the_first_text_and_absent_if_there_is_none(head: pages.Head) -> None:
    first = [text for text in show(head, result_tables()).texts if "A title" not in text or text == NOTICE]
    assert first[0] == NOTICE
    silent = pages.results_page(replace(head, notice=None), result_tables(), CONDITIONS)
    assert 'class="notice"' not in silent


def test_the_stand_in_is_named_only_where_it_was_used(head: pages.Head) -> None:
    page = show(head, result_tables())
    # Beside the correlations, at the judge's own table, and at the list of pairs.
    assert page.text.count("rule-based stand-in") == 3
    real = pages.results_page(replace(head, stand_ins=()), result_tables(judge="gpt-x"), CONDITIONS)
    assert "stand-in" not in real


def test_a_hostile_name_in_a_table_is_text(head: pages.Head) -> None:
    tables = result_tables([(HOSTILE, second) for _, second in PAIRS[:2]] + PAIRS[2:], judge=HOSTILE)
    page = show(replace(head, title=HOSTILE, notice=HOSTILE, stand_ins=(HOSTILE,)), tables)
    assert page.is_harmless()
    assert page.row(f"{HOSTILE} – red-2")[1] == "warm"


def test_samples_are_those_of_the_maps(head: pages.Head) -> None:
    page = show(head, result_tables())
    assert page.row("training") == ["training", "1,000", "1,000", "986 to 1,000"]
    assert page.row("test") == ["test", "250", "250", "250"]


@pytest.mark.parametrize("name", ["synchrony", "performance", "pairs", "correlations", "partial"])
def test_a_table_without_a_column_is_refused(name: str) -> None:
    tables = result_tables()
    table = getattr(tables, name).rename(columns={"family": "clan"})
    with pytest.raises(SyncR2Error, match=rf"table {name} has no column family .*clan"):
        replace(tables, **{name: table})


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0004, "0.000"), (-1.5, "\N{MINUS SIGN}1.500"), (float("nan"), "–"), (None, "–")]
)
def test_fixed(value: Any, text: str) -> None:
    assert fixed(value) == text


def test_backticks_make_code_and_nothing_else() -> None:
    assert str(backticks("a `b` <i> `c<`")) == "a <code>b</code> &lt;i&gt; <code>c&lt;</code>"
    assert str(backticks("it`s <b>")) == "it`s &lt;b&gt;"


def test_other_numbers_and_values() -> None:
    assert fixed(0.0001, signed=True) == "0.000"
    assert fixed(0.25, signed=True) == "+0.250"
    assert p_value(0.00099) == "< 0.001"
    assert p_value(0.0010) == "0.001"
    assert percent(0.0304) == "3.0 %"
    assert plain([["a", "b"], ["c", "c"]]) == "[a, b], [c, c]"
    assert plain({"x": None, "y": True}) == "x: none, y: yes"


# The whole stage, on files.


def experiment_config(**changes: Any) -> dict[str, Any]:
    """config.yaml with three models of two families, one seed and a surface judge."""
    raw = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    raw["models"] = [
        {"name": name, "family": family, "path": f"home/{name}"} for name, family in FAMILY.items()
    ]
    raw["pairs"] = [list(pair) for pair in PAIRS]
    raw["seeds"] = [0]
    raw["prompts"] = str(REPOSITORY / "resources" / "prompts")
    raw["synchrony"]["lags"] = [3]
    raw["synchrony"]["samples"] = 12
    raw["judges"] = [{"name": "counter", "engine": "surface"}]
    raw["statistics"]["covariates"] = []
    raw["report"] = {"title": "A title", "notice": NOTICE}
    raw.update(changes)
    return raw


def scenario_set(text: str) -> ScenarioSet:
    ada = Profile("ada", "Ada", HOSTILE, 30)
    ben = Profile("ben", "Ben", "Reed", 40)
    environment = Environment("env", f"They meet. {text}", (f"Win. {text}", "Lose."), 3, {})
    return ScenarioSet(
        tuple(Episode(f"episode-{i}", i, environment, (ada, ben)) for i in range(3)),
        "local",
        {"envs.json": "0" * 64},
    )


def dialogue(pair: OrderedPair, episode: int, text: str, record: dict[str, Any]) -> dict[str, Any]:
    turns = [
        {
            "turn": i,
            "agent": 1 + i % 2,
            "speaker": text,
            "text": f"{text} {i}",
            "flags": ["cut_off"] if i else [],
        }
        for i in range(3)
    ]
    return {
        **{
            "format": "syncr2/dialogue/1",
            "episode_id": f"episode-{episode}",
            "environment_id": "env",
            "index": episode,
        },
        **{"agent1": pair.agent1, "agent2": pair.agent2, "pair": pair.id, "seed": 0, "turns": turns},
        **{"stop_reason": "left", "made_by": record},
    }


def judgement(said: dict[str, Any], judge: str, record: dict[str, Any]) -> dict[str, Any]:
    scores = {name: i for i, name in enumerate(DIMENSION_NAMES)} | {
        "secret": 0,
        "social_rules": -1,
        "relationship": 5,
    }
    scores["financial_and_material_benefits"] = 0
    return {
        **{key: said[key] for key in ("episode_id", "pair", "agent1", "agent2", "seed")},
        **{
            "judge": judge,
            "engine": "surface",
            "status": "ok",
            "scores": {"agent1": scores, "agent2": scores},
        },
        "made_by": record,
    }


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    """Everything that `write` reads, for a run whose every text is hostile."""
    scenarios = tmp_path / "scenarios.json"
    write_scenarios(scenario_set(HOSTILE_SCENE), scenarios)
    models = {
        name: {
            **{"name": name, "path": f"home/{name}", "revision": "main", "resolved_revision": "abc123"},
            **{"dtype": "bfloat16", "chat_template_sha256": "f" * 64, "files_sha256": "e" * 64},
        }
        for name in FAMILY
    }
    paths: dict[str, list[str]] = {"dialogues": [], "judgements": [], "r2": []}
    for pair in (OrderedPair(*pair) for pair in PAIRS):
        used = {name: models[name] for name in pair}
        record = made_by("dialogues", {"models": used, "template_sha256": "a" * 64}, [scenarios])
        said = [dialogue(pair, episode, HOSTILE, record) for episode in range(3)]
        judged = made_by("judgements", {"name": "counter", "engine": "surface", "model": None}, [scenarios])
        judged["note"] = HOSTILE
        for kind, lines in (
            ("dialogues", said),
            ("judgements", [judgement(line, "counter", judged) for line in said]),
        ):
            path = tmp_path / kind / f"{pair.id}.jsonl"
            write_jsonl(path, lines)
            paths[kind].append(str(path))
        states = tmp_path / "states" / f"{pair.id}.h5"
        rows = [StateRow("episode-0", "env", 0, turn, 9, 1) for turn in range(4)]
        agents = {agent: AgentStates(np.zeros((2, 4, 3), np.float16), rows) for agent in ("agent1", "agent2")}
        reading = {"reading": "engaged", "models": used, "precision": "float16"}
        write_states(states, agents, made_by("states", reading, [scenarios]))
        maps = DirectionR2(np.zeros((1, 2, 2)), np.array([9]), np.array([3]), 12, {})
        path = tmp_path / "r2" / f"{pair.id}.h5"
        write_r2(path, dict.fromkeys(DIRECTIONS, maps), made_by("r2", {"samples": 12}, [scenarios, states]))
        paths["r2"].append(str(path))

    tables = {name: str(tmp_path / f"{name}.tsv") for name in MEANINGS}
    results = result_tables(judge="counter")
    for name in MEANINGS:
        if name != "quality":
            write_table(tables[name], getattr(results, name))
    quality = {
        "agent1": "red-1",
        "agent2": "red-2",
        "n_dialogues": 3,
        "mean_turns": 3.0,
        "tokens_per_turn": 5.5,
    }
    shares = ("share_empty", "share_cut_off", "share_repeated", "share_wrong_speaker")
    ends = ("stop_turn_limit", "stop_left", "stop_stale", "stop_context")
    quality |= {
        "longest_prompt": 99,
        **dict.fromkeys(shares, 0.25),
        **dict.fromkeys(ends, 0.0),
        "stop_left": 1.0,
    }
    write_table(tables["quality"], pd.DataFrame([quality]))
    return {
        "config": experiment_config(),
        "tables": tables,
        "scenarios": str(scenarios),
        **paths,
        "output": {
            name: str(tmp_path / f"{name}.html")
            for name in ("results", "dialogues", "parameters", "provenance")
        },
    }


@pytest.fixture
def with_controls(arguments: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The same run with the tables of its controls, as files."""
    made = MadeUp(FAMILY, groups={"stakes": ["01", "high"]}).tables()
    paths = {name: str(tmp_path / "controls" / f"{name}.tsv") for name in made}
    for name, table in made.items():
        write_table(paths[name], table)
    output = arguments["output"] | {"controls": str(tmp_path / "controls.html")}
    return arguments | {"controls": paths, "output": output}


def written(arguments: dict[str, Any]) -> dict[str, Page]:
    write(**arguments)
    return {name: Page(Path(path).read_text(encoding="utf-8")) for name, path in arguments["output"].items()}


def test_no_text_of_a_run_acts_in_a_browser(arguments: dict[str, Any]) -> None:
    found = written(arguments)
    assert all(page.is_harmless() for page in found.values())
    # The texts are there, as text: three utterances in each of three transcripts, and the scenario.
    assert found["dialogues"].text.count(f"{HOSTILE} 1") == 2 * 3
    assert f"They meet. {HOSTILE_SCENE}" in found["dialogues"].text
    assert f"Win. {HOSTILE_SCENE}" in found["dialogues"].text
    assert f"Ada {HOSTILE}" in found["dialogues"].text
    assert HOSTILE in found["provenance"].text


def test_every_page_forbids_scripts_and_addresses(arguments: dict[str, Any]) -> None:
    for name, page in written(arguments).items():
        policies = [
            a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
        ]
        assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"], name


def test_every_page_begins_with_the_notice(arguments: dict[str, Any]) -> None:
    for page in written(arguments).values():
        body = page.texts[page.texts.index(NOTICE) :]
        assert body[0] == NOTICE
        # Before it only the name of the browser's tab.
        assert len(page.texts) - len(body) == 1


def test_the_stand_in_is_known_by_its_engine_not_its_name(arguments: dict[str, Any]) -> None:
    for name, page in written(arguments).items():
        assert "counter: a rule-based stand-in for a judge" in re.sub(r"\s+", " ", page.text), name
    judge = {"name": "counter", "engine": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    arguments["config"] = experiment_config(judges=[judge])
    assert "stand-in" not in written(arguments)["results"].text


def test_transcripts_show_one_pair_a_family_with_scores(arguments: dict[str, Any]) -> None:
    page = written(arguments)["dialogues"]
    # The pair of two different models stands for its family; two episodes of each.
    shown = [text for text in page.texts if " and " in text and text.split(" and ")[0] in FAMILY]
    assert shown == ["red-1 and red-2"] * 2 + ["red-1 and blue-1"] * 2 + ["blue-1 and blue-1"] * 2
    overall = (0 + 5 + 2 + 0 - 1 + 0 + 6) / 7
    assert all(row[-1] == f"{overall:.2f}" for row in page.rows if row[0] == "Ben Reed")
    assert page.row("red-1 → red-2") == [
        *("red-1 → red-2", "3", "3.0", "5.5", "99"),
        *("25.0 %",) * 4,
        *("0.0 %", "100.0 %", "0.0 %", "0.0 %"),
    ]


def test_parameters_show_each_key_with_its_value(arguments: dict[str, Any]) -> None:
    page = written(arguments)["parameters"]
    assert page.row("penalty")[1:3] == ["0.1", "0.1"]
    assert page.row("samples")[1:3] == ["12 samples", "6500"]
    assert (
        page.row("public.sha256.envs.json")[1]
        == arguments["config"]["scenarios"]["public"]["sha256"]["envs.json"]
    )
    assert page.row("dialogues")[1].startswith("3,150 = 7 ordered pairs × 450 episodes × 1 seed")
    # Defaults of the schema are filled in, for the page says what was used.
    assert "bfloat16" in page.row("red-1", "warm")
    keys = {row[0] for row in page.rows}
    for section, rule in configuration.schema()["properties"].items():
        for key, sub in rule.get("properties", {}).items():
            assert key in keys or "properties" in sub, f"{section}.{key} is missing"
    for template in ("engaged", "bystander", "judge"):
        assert sha256_file(REPOSITORY / "resources" / "prompts" / f"{template}.jinja") in page.text


def test_provenance_comes_from_the_records(arguments: dict[str, Any]) -> None:
    page = written(arguments)["provenance"]
    files, template = "e" * 64, "f" * 64
    expected = ["main", "abc123", files, "bfloat16", template, "as loaded"]
    assert page.row("red-1", "home/red-1")[2:] == expected
    assert page.row("dialogues", "1")[2] == "5"
    assert page.row("turns") == ["turns", "9"]
    # 5 files of 4 rows for each of 2 agents.
    assert page.row("prompts read for their states, engaged")[1] == "40"
    assert page.row("scenarios.json, as checked and played")[1] == sha256_file(arguments["scenarios"])
    assert page.row(arguments["tables"]["pairs"])[1] == sha256_file(arguments["tables"]["pairs"])
    assert "another SHA-256" not in page.text


def test_changed_scenarios_and_deleted_states_are_said(arguments: dict[str, Any]) -> None:
    for path in (Path(arguments["scenarios"]).parent / "states").iterdir():
        path.unlink()
    write_scenarios(scenario_set("Changed."), arguments["scenarios"])
    page = written(arguments)["provenance"]
    assert "another SHA-256" in page.text
    assert "5 state files" in page.text


def test_tables_can_be_taken_out_of_the_page_again(arguments: dict[str, Any]) -> None:
    page = written(arguments)["results"]
    files = {a["download"]: a["href"] for tag, a in page.elements if tag == "a" and "download" in a}
    assert set(files) == {f"{name}.tsv" for name in MEANINGS}
    for name, path in arguments["tables"].items():
        assert base64.b64decode((files[f"{name}.tsv"] or "").split("base64,")[1]) == Path(path).read_bytes()


@pytest.mark.parametrize("name", list(MEANINGS))
def test_a_missing_table_is_named(arguments: dict[str, Any], name: str) -> None:
    path = Path(arguments["tables"][name])
    path.unlink()
    with pytest.raises(SyncR2Error, match=rf"{path.name}: no such file"):
        write(**arguments)
    assert not Path(arguments["output"]["results"]).exists()


def test_an_empty_table_is_named(arguments: dict[str, Any]) -> None:
    Path(arguments["tables"]["partial"]).write_text("")
    with pytest.raises(SyncR2Error, match=r"partial.tsv: .*cut off"):
        write(**arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('{"format": ', "not valid JSON Lines"),
        ('{"pair": "x"}\n', "no made_by record"),
        ("7\n", "no made_by"),
    ],
)
def test_a_file_without_record_is_named(arguments: dict[str, Any], content: str, message: str) -> None:
    path = Path(arguments["dialogues"][1])
    path.write_text(content)
    with pytest.raises(SyncR2Error, match=rf"{path.name}.*{message}"):
        write(**arguments)


def test_a_cut_off_r2_file_is_named(arguments: dict[str, Any]) -> None:
    path = Path(arguments["r2"][0])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SyncR2Error, match=path.name):
        write(**arguments)


def test_several_commits_and_uncommitted_changes_are_said(arguments: dict[str, Any]) -> None:
    path = Path(arguments["dialogues"][0])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    other = copy.deepcopy(lines)
    for line in other:
        line["made_by"]["code"] = {"version": "0.0.1", "commit": "b" * 40, "dirty": True}
    write_jsonl(path, other)
    page = written(arguments)["provenance"]
    assert page.row("0.0.1") == ["0.0.1", "b" * 40, "with changes that are in no commit", "1"]
    assert "more than one commit" in page.text
    assert "tracked files differed" in page.text


def test_controls_have_a_page_and_stand_beside_the_published_quantity(with_controls: dict[str, Any]) -> None:
    made = written(with_controls)
    page, results = made["controls"], made["results"]
    assert page.is_harmless()
    gains = MadeUp(FAMILY, groups={"stakes": ["01", "high"]}).tables()["baselines"]
    gains = gains.loc[gains["measure"] == "own_past_gain", "value"]
    spread = f"{gains.mean():.3f} ({gains.min():.3f} to {gains.max():.3f})"
    # In the first table of the results.
    first = [row for row in results.rows if "ΔR² over own past" in " ".join(row)]
    assert results.rows[0] == first[0]
    assert results.row("all pairs", "6")[4] == spread
    # Values that look like numbers stay words.
    assert page.row("01")
    assert page.row("01 − high")
    assert "Nothing." not in page.text, "one seed was configured, and the page says so"
    assert "Pseudo pairs, their null and the ceiling" in page.text
    files = {a["download"] for tag, a in page.elements if tag == "a" and "download" in a}
    assert files == {f"{name}.tsv" for name in CONTROL_MEANINGS}
    for path in with_controls["controls"].values():
        assert made["provenance"].row(path)[1] == sha256_file(path)


def test_without_controls_there_is_no_page_of_them(arguments: dict[str, Any]) -> None:
    made = written(arguments)
    assert "controls" not in made
    assert "In short" not in made["results"].text
    assert "ΔR²" not in made["results"].text


def test_nulls_and_baselines_may_be_absent(with_controls: dict[str, Any]) -> None:
    kept = ("protocols", "contrasts", "contrasts_overall", "groups")
    with_controls["controls"] = {name: with_controls["controls"][name] for name in kept}
    made = written(with_controls)
    assert "More than chance" not in made["controls"].text
    assert (
        "ΔR² over own past" not in made["results"].text.split("SyncR² by condition")[0].split("In short")[1]
    )
