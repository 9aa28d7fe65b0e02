"""What Snakemake plans: the published experiment's jobs, and what runs again after a change."""

from __future__ import annotations

import os

import pytest
from conftest import REPOSITORY, demo, miniature, published, snakemake, with_changes

from syncr2.revisions import REVISIONS

SEVENTH = {
    "name": "extra-7b",
    "family": "llama",
    "path": "owner/extra-7b",
    "covariates": {"ifeval": 0.5, "musr": 0.1},
}


def planned(config, tmp_path, **changes):
    everything = {
        "results": str(tmp_path / "results"),
        "prompts": str(REPOSITORY / "resources/prompts"),
        **changes,
    }
    run = snakemake(with_changes(config, **everything), tmp_path / "work", dry=True)
    assert run.error is None, run.error
    return run


def test_the_published_experiment(tmp_path):
    run = planned(published(), tmp_path)
    assert run.count["fetch_scenarios"] == 1
    assert run.count["fetch_model"] == 6
    assert run.count["play_dialogues"] == 36 * 3
    # Readings: engaged, passive, untrained. Conditions: interaction, passive, two lags, untrained, pseudo.
    assert run.count["replay_states"] == 36 * 3 * 3
    assert run.count["fit_layer_maps"] == 36 * 6
    assert run.count["judge_dialogues"] == 36 * 3
    assert run.count["build_miniature"] == 0
    assert sum(run.count.values()) < 1200, "about a thousand jobs, not thousands"


def test_a_seventh_model_plans_thirteen_more_ordered_pairs(tmp_path):
    six = planned(published(), tmp_path)
    seven = planned(published(), tmp_path, models=[*published()["models"], SEVENTH])
    new = seven.wildcards("play_dialogues", "pair") - six.wildcards("play_dialogues", "pair")
    assert len(new) == 13
    assert all("extra-7b" in pair.split("--") for pair in new)


def test_the_demo(tmp_path):
    config = demo()
    run = planned(config, tmp_path)
    assert run.count["record_model"] == 6, "trained miniatures come with the project"
    assert run.count["play_dialogues"] == 21 * len(config["seeds"]), "every pair in one speaking order"
    assert len(config["seeds"]) == 3
    assert config["dialogue"]["max_turns"] >= 6
    assert run.count["fetch_scenarios"] == 0, "the demo needs no network"


# What a change of the finished tiny experiment makes run again, aggregates aside.
AGGREGATES = {
    "summarise_synchrony",
    "summarise_controls",
    "summarise_performance",
    "describe_dialogues",
    "correlate",
    "summarise_outcomes",
    "relate_dialogues",
    "locate_synchrony",
    "draw_summary",
    "draw_groups",
    "draw_heatmaps",
    "compare_with_paper",
    "draw_controls",
    "draw_statistics",
    "write_pages",
    "write_statistics_pages",
    "record_provenance",
    "all",
}

# What every ordered pair's controls are made by.
CONTROLS = {"fit_nested_maps", "permute_partners", "fit_baselines", "score_dialogues"}


def again(tiny, finished, **changes):
    run = snakemake(with_changes(tiny, **changes), finished, dry=True)
    assert run.error is None, run.error
    return {rule: n for rule, n in run.count.items() if rule not in AGGREGATES}, run


def test_adding_a_model_runs_its_pairs_only(tiny, finished):
    counts, run = again(tiny, finished, models=[*tiny["models"], miniature("green", 3, "warm")])
    new = {"red--green", "green--red", "blue--green", "green--blue", "green--green"}
    for rule in ("play_dialogues", "replay_states", "fit_layer_maps", "judge_dialogues", *CONTROLS):
        assert run.wildcards(rule, "pair") == new
    assert counts["build_miniature"] == 1
    assert AGGREGATES - {"write_pages"} <= set(run.count)


def test_removing_a_model_runs_aggregates_only(tiny, finished):
    counts, run = again(tiny, finished, models=tiny["models"][:1])
    assert counts == {}
    assert run.count == dict.fromkeys(AGGREGATES, 1), "every table loses the model's pairs"


def test_adding_a_seed_plays_that_seed_only(tiny, finished):
    counts, run = again(tiny, finished, seeds=[0, 7])
    assert run.wildcards("play_dialogues", "seed") == {"7"}
    assert run.wildcards("replay_states", "seed") == {"7"}
    assert counts["play_dialogues"] == 4 * 2
    # With a second seed there are pseudo pairs, too.
    conditions = {"interaction", "passive", "lag3", "untrained", "pseudo"}
    assert run.wildcards("fit_layer_maps", "condition") == conditions
    assert counts["fit_layer_maps"] == 4 * 5


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"synchrony__penalty": 1.0}, {"fit_layer_maps", "permute_partners"}),
        ({"synchrony__lags": [3, 5]}, {"fit_layer_maps", *CONTROLS}),
        (
            {"judges": [{"name": "surface", "engine": "surface"}, {"name": "second", "engine": "surface"}]},
            {"judge_dialogues"},
        ),
        (
            {"states__bystander": "public"},
            {"replay_states", "fit_layer_maps", *CONTROLS - {"permute_partners"}},
        ),
        (
            {"dialogue__temperature": 0.5},
            {"play_dialogues", "judge_dialogues", "replay_states", "fit_layer_maps", *CONTROLS},
        ),
        ({"synchrony__precision": "mixed"}, {"fit_layer_maps", *CONTROLS}),
        ({"synchrony__device": "cpu", "synchrony__memory_gb": 3}, set()),
        ({"dialogue__batch_size": 2, "states__batch_tokens": 999, "states__self_check": 0}, set()),
        ({"report__notice": "Another."}, set()),
    ],
    ids=[
        "penalty",
        "lag",
        "judge",
        "bystander",
        "temperature",
        "precision",
        "device and memory of the maps",
        "batch sizes",
        "notice",
    ],
)
def test_a_change_runs_what_depends_on_it(tiny, finished, changes, rules):
    counts, _ = again(tiny, finished, **changes)
    assert set(counts) == rules


@pytest.mark.parametrize(
    ("key", "value", "rules"),
    [
        ("folds", 4, CONTROLS),
        ("fold_seed", 1, CONTROLS),
        ("penalties", [1], CONTROLS - {"permute_partners"}),
        ("bootstrap_draws", 0, set()),
        ("null_draws", 20, {"permute_partners"}),
        ("profile_lags", [1], {"fit_baselines"}),
        ("baselines", False, set()),
        ("protocols", ["paper"], set()),
    ],
)
def test_keys_of_the_corrected_protocol_leave_the_published_one_alone(tiny, finished, key, value, rules):
    counts, _ = again(tiny, finished, **{f"synchrony__{key}": value})
    assert set(counts) == rules


def test_leaving_out_a_control_fits_no_published_map_again(tiny, finished):
    for key in ("untrained", "passive"):
        counts, run = again(tiny, finished, **{f"synchrony__{key}": False})
        # The corrected protocol takes the rows that all conditions have, so it looks at all of them together.
        assert set(counts) == CONTROLS - {"permute_partners"}
        assert run.count["summarise_synchrony"] == 1


class TestOneSeed:
    """`synchrony.pseudo: true` needs another seed's dialogues: a pilot with one seed goes without."""

    def test_a_pilot_works_with_everything_else_as_it_is_and_says_so_once(self, tmp_path, caplog):
        run = planned(published(), tmp_path, seeds=[0], synchrony__samples="auto")
        assert "pseudo" not in run.wildcards("fit_layer_maps", "condition")
        assert run.count["fit_layer_maps"] == 36 * 5
        said = [record.getMessage() for record in caplog.records]
        assert sum("synchrony.pseudo: left out" in text for text in said) == 1

    @pytest.mark.parametrize("changes", [{"seeds": [0, 1]}, {"seeds": [0], "synchrony__pseudo": False}])
    def test_nothing_is_said_where_nothing_is_left_out(self, tmp_path, caplog, changes):
        planned(published(), tmp_path, synchrony__samples="auto", **changes)
        assert not [record for record in caplog.records if "pseudo" in record.getMessage()]


def test_only_the_new_judge_lag_or_reading_runs(tiny, finished):
    _, run = again(tiny, finished, synchrony__lags=[3, 5])
    assert run.wildcards("fit_layer_maps", "condition") == {"lag5"}
    two = [{"name": "surface", "engine": "surface"}, {"name": "second", "engine": "surface"}]
    _, run = again(tiny, finished, judges=two)
    assert run.wildcards("judge_dialogues", "judge") == {"second"}
    _, run = again(tiny, finished, states__bystander="public")
    assert run.wildcards("replay_states", "reading") == {"passive"}
    assert run.wildcards("fit_layer_maps", "condition") == {"passive"}


# What makes states and all that is fitted to them.
FITTED = {"replay_states", "fit_layer_maps", *CONTROLS}
# What nothing but other words in the dialogues touches.
OF_WORDS = {"describe_dialogues", "summarise_performance", "summarise_outcomes"}


@pytest.fixture
def own_prompts(tmp_path):
    """A copy of the prompt templates, to be changed."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    for path in (REPOSITORY / "resources/prompts").glob("*.jinja"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("engaged", {"play_dialogues", "judge_dialogues", *FITTED}),
        ("bystander", FITTED - {"permute_partners"}),
        # Nobody here asks a model; where a judge does: test_judge_rules.py.
        ("judge", set()),
        ("labels", set()),
    ],
)
def test_changing_a_template_runs_its_readers(tiny, finished, own_prompts, name, rules):
    counts, _ = again(tiny, finished, prompts=str(own_prompts))
    assert counts == {}, "the same bytes elsewhere change nothing"
    with (own_prompts / f"{name}.jinja").open("a") as template:
        template.write("{# another wording #}")
    counts, run = again(tiny, finished, prompts=str(own_prompts))
    assert set(counts) == rules
    if name == "bystander":
        assert run.wildcards("replay_states", "reading") == {"passive"}
    # Whatever is read, pages show the templates.
    assert run.count["write_pages"] == 1


DRAWN = {"draw_summary", "draw_groups", "draw_heatmaps", "draw_controls", "draw_statistics"}
WRITTEN = {"write_pages", "write_statistics_pages"}
LAST = {"record_provenance", "all"}
# Of a raised stage: jobs of pairs that run again, and aggregates that do not.
FOLLOWS = {
    "scenarios": ({"prepare_scenarios", "play_dialogues", "judge_dialogues", *FITTED}, set()),
    "miniatures": ({"build_miniature", "play_dialogues", "judge_dialogues", *FITTED}, set()),
    "dialogues": ({"play_dialogues", "judge_dialogues", *FITTED}, set()),
    "states": (FITTED, OF_WORDS),
    "r2": ({"fit_layer_maps"}, {*OF_WORDS, "relate_dialogues", "locate_synchrony"}),
    "synchrony": (
        set(),
        {*OF_WORDS, "relate_dialogues", "locate_synchrony"}
        | {"summarise_controls", "draw_controls", "draw_heatmaps"},
    ),
    "corrected": (
        {"fit_nested_maps", "fit_baselines", "score_dialogues"},
        {*OF_WORDS, "summarise_synchrony", "draw_groups", "draw_heatmaps"},
    ),
    **{
        stage: (
            rules,
            {*OF_WORDS, "summarise_synchrony", "draw_groups", "draw_heatmaps"}
            | {"relate_dialogues", "locate_synchrony"},
        )
        for stage, rules in {
            "nulls": {"permute_partners"},
            "baselines": {"fit_baselines"},
            "controls": set(),
        }.items()
    },
    **{
        stage: (
            rules,
            {"summarise_outcomes", "summarise_synchrony", "summarise_controls"}
            | {"draw_groups", "draw_heatmaps", "draw_controls"},
        )
        for stage, rules in {"judgements": {"judge_dialogues"}, "performance": set()}.items()
    },
    "outcomes": (set(), AGGREGATES - {"summarise_outcomes", "write_statistics_pages", *LAST}),
    "statistics": (
        {"score_dialogues"},
        {*OF_WORDS, "summarise_synchrony", "summarise_controls"}
        | {"draw_groups", "draw_heatmaps", "draw_controls"},
    ),
    # Nobody labels or probes here, and the models come from no world.
    "calibration": (set(), AGGREGATES),
    "labels": (set(), AGGREGATES),
    "probes": (set(), AGGREGATES),
    # Looks of figures stand in the package: whoever changes them raises the number.
    "figures": (set(), AGGREGATES - {*DRAWN, *LAST}),
    "pages": (set(), AGGREGATES - {*WRITTEN, *LAST}),
    "provenance": (set(), AGGREGATES - LAST),
}


def test_every_stage_is_followed():
    assert set(FOLLOWS) == set(REVISIONS)


@pytest.mark.parametrize("stage", FOLLOWS)
def test_a_stage_whose_results_changed_runs_again_with_what_follows(tiny, finished, monkeypatch, stage):
    monkeypatch.setitem(REVISIONS, stage, REVISIONS[stage] + 1)
    _, run = again(tiny, finished)
    rules, left_alone = FOLLOWS[stage]
    assert set(run.count) == rules | (AGGREGATES - left_alone)


@pytest.mark.parametrize(
    ("key", "rules"), [("notice", {*DRAWN, *WRITTEN, *LAST}), ("title", {*WRITTEN, *LAST})]
)
def test_what_stands_on_figures_and_pages_draws_and_writes_only_them(tiny, finished, key, rules):
    _, run = again(tiny, finished, **{f"report__{key}": "Another."})
    assert set(run.count) == rules


def test_another_penalty_leaves_dialogues_and_judgements_alone(tiny, finished):
    _, run = again(tiny, finished, synchrony__penalty=1.0)
    left_alone = {*OF_WORDS, "relate_dialogues", "locate_synchrony"}
    assert set(run.count) == {"fit_layer_maps", "permute_partners"} | (AGGREGATES - left_alone)


def test_nothing_changed_runs_nothing(tiny, finished):
    _, run = again(tiny, finished)
    assert not run.count


def test_an_edited_comment_of_the_package_runs_nothing(tiny, finished):
    """Of any module: all of them are newer than the results, as after an edit or a fresh clone."""
    modules = sorted((REPOSITORY / "src").rglob("*.py"))
    before = {module: module.stat() for module in modules}
    try:
        for module in modules:
            os.utime(module)
        _, run = again(tiny, finished)
    finally:
        for module, status in before.items():
            os.utime(module, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(modules) > 100
    assert not run.count
