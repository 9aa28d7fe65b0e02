"""The report's first page and captions: rendered when all else is done, so they must not fail then."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
import yaml
from docutils.core import publish_parts

from syncr2.config import REPOSITORY

FOLDER = REPOSITORY / "workflow" / "report"
NAMES = sorted(path.name for path in FOLDER.glob("*.rst"))
HOSTILE = "A *b `c` __d__ |e| <script>alert(1)</script> \\ ``f"
MORE = ("statistics", "judges", "paper")
PARAMS = SimpleNamespace(lags={"interaction": 1, "lag3": 3}, episodes=36)


def configuration(*overrides: str) -> dict[str, Any]:
    """config.yaml, with the sections of other files over it."""
    merged = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    for name in overrides:
        for key, value in yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8")).items():
            merged[key] = {**merged[key], **value} if isinstance(value, dict) else value
    return merged


def html(name: str, config: dict[str, Any], pages: bool = True) -> str:
    """One text as Snakemake makes it: Jinja without escaping, then docutils, whose warnings are errors."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    controls = ("controls",) if "corrected" in config["synchrony"]["protocols"] else ()
    names = ("results", *controls, *MORE, "dialogues", "parameters", "provenance") if pages else ()
    files = [
        SimpleNamespace(
            target=f"{page}.html", path=Path(f"a b/{page}.html"), job=SimpleNamespace(params=PARAMS)
        )
        for page in names
    ]
    rst = environment.from_string((FOLDER / name).read_text(encoding="utf-8")).render(
        snakemake=SimpleNamespace(config=config, params=PARAMS), files=files, categories={}
    )
    return publish_parts(rst, writer_name="html", settings_overrides={"halt_level": 2})["html_body"]


def text(rendered: str) -> str:
    """What a reader sees."""
    without_style = re.sub(r"<style>.*?</style>", "", rendered, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", without_style).split())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("files", [(), ("demo.yaml",)])
def test_every_text_renders_for_the_published_experiment_and_the_demo(
    name: str, files: tuple[str, ...]
) -> None:
    assert len(text(html(name, configuration(*files)))) > 80


@pytest.mark.parametrize("name", NAMES)
def test_free_text_of_the_configuration_stays_text(name: str) -> None:
    config = configuration("demo.yaml")
    config["report"] = {"title": HOSTILE, "notice": HOSTILE}
    assert "<script" not in html(name, config)


def test_the_notice_follows_the_title_and_is_gone_without_one() -> None:
    config = configuration("demo.yaml")
    title, notice = config["report"]["title"], config["report"]["notice"]
    assert text(html("overview.rst", config)).startswith(f"{title} {notice} ")
    config["report"]["notice"] = None
    assert notice not in html("overview.rst", config)
    config["report"]["notice"] = HOSTILE
    shown = text(html("overview.rst", config)).replace("&lt;", "<").replace("&gt;", ">")
    assert shown.startswith(f"{title} {HOSTILE} ")


PUBLISHED = ["conditions.rst", "heatmap.rst", "lags.rst", "layers.rst", "groups.rst"]
CORRECTED = [
    "conditions_with_intervals.rst",
    "protocols.rst",
    "contrasts.rst",
    "nulls.rst",
    "baselines.rst",
    "lag_profile.rst",
]
CORRECTED += ["groups_corrected.rst", "page_controls.rst", "depths.rst"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_captions_begin_with_the_notice_and_print_parameters(name: str) -> None:
    config = configuration("demo.yaml")
    config["synchrony"]["penalty"] = 0.625
    shown = text(html(name, config))
    assert shown.startswith(config["report"]["notice"])
    assert "0.625" in shown


@pytest.mark.parametrize("name", CORRECTED)
def test_captions_of_controls_print_the_corrected_protocol(name: str) -> None:
    config = configuration("demo.yaml")
    config["synchrony"] |= {"folds": 17, "fold_seed": 912, "bootstrap_draws": 1234, "penalties": [0.375, 64]}
    config["synchrony"] |= {"null_draws": 777, "profile_lags": [2, 9]}
    shown = text(html(name, config))
    assert shown.startswith(config["report"]["notice"])
    assert "17 folds" in shown
    assert "(seed 912)" in shown
    if name == "nulls.rst":
        assert "777 permutations, so p is at least 0.0013" in shown
    else:
        assert "penalties 0.375, 64; 1234 bootstrap draws" in shown
    if name == "lag_profile.rst":
        assert "Lags 2, 9, −1 turns" in shown


def test_captions_speak_of_conditions_and_the_ceiling_only_where_there_are_any() -> None:
    config = configuration("demo.yaml")
    assert "pseudo pairs" in text(html("conditions.rst", config)).lower()
    assert "untrained twins" in text(html("overview.rst", config)).lower()
    assert "no ceiling" not in text(html("baselines.rst", config))
    config["seeds"] = [0]
    config["synchrony"]["untrained"] = False
    for name in ("conditions.rst", "contrasts.rst", "overview.rst"):
        shown = text(html(name, config)).lower()
        assert "pseudo pairs" not in shown
        assert "untrained twins" not in shown
    assert "no ceiling" in text(html("baselines.rst", config))


def test_the_overview_leads_to_the_controls_if_and_only_if_there_are_any() -> None:
    config = configuration("demo.yaml")
    shown = text(html("overview.rst", config))
    assert "How far to trust it" in shown
    assert "How far to trust it what they are held against, Statistics what pairs" in shown
    assert "3 folds grouped by environment, penalty (0.1, 10, 1000)" in shown
    config["synchrony"]["protocols"] = ["paper"]
    alone = text(html("overview.rst", config))
    assert "trust" not in alone
    assert "R² by layer every pair" in alone
    assert "own past" not in alone


def test_the_overview_says_what_was_run() -> None:
    config = configuration()
    shown = text(html("overview.rst", config))
    assert "6 models: mistral-7b-v0.1, mistral-7b-v0.2, mistral-7b-v0.3 ( mistral ); llama-2-7b" in shown
    assert "21 pairs" in shown
    assert "seeds 0, 1, 2; up to 16 turns of up to 300 tokens, temperature 0.7" in shown
    assert "6500 samples" in shown
    assert "judge gpt-oss-120b (openai/gpt-oss-120b)" in shown
    config["pairs"] = [["llama-2-7b", "llama-3-8b"]]
    assert "1 pair, in" in text(html("overview.rst", config))


def test_links_of_the_overview_open_the_pages() -> None:
    links = re.findall(r'href="(javascript:[^"]+)"', html("overview.rst", configuration()))
    assert [re.search(r"a%20b/(\w+)\.html", link).group(1) for link in links] == [  # type: ignore[union-attr]
        "results",
        "controls",
        *MORE,
        "dialogues",
        "parameters",
        "provenance",
    ]


STATISTICS = ["forest.rst", "page_statistics.rst", "page_judges.rst", "page_paper.rst"]


@pytest.mark.parametrize(
    "name", ["overview.rst", "performance.rst", "page_results.rst", "page_dialogues.rst", *STATISTICS]
)
def test_the_stand_in_is_said_if_and_only_if_it_was_used(name: str) -> None:
    real = configuration("demo.yaml")
    real["judges"] = configuration()["judges"]
    assert "stand-in" not in html(name, real)
    both = copy.deepcopy(real)
    both["judges"].append({"name": "counter", "engine": "surface"})
    shown = text(html(name, both))
    assert re.search(r"judge .?(&quot;)?counter.*rule-based stand-in", shown)
