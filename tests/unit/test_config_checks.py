"""What a schema cannot say: names, folders, lags and numbers of samples of a configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest
from configuring import ENDPOINT, LLAMA, MINIATURE, REPOSITORY, cases, merged, of_models, problems, read_yaml

from syncr2.config import load
from syncr2.config.checks import max_samples
from syncr2.errors import SyncR2Error
from syncr2.maps.samples import Row, join, paper_split

# First line: dialogue.max_turns and a lag. Then: the problem.
REFUSED_LAGS = """
16 4
found 4, but 4 is even, and the partner speaks at odd distances only; allowed with dialogue.max_turns = 16:
odd numbers from 3 to 13. Did you mean 3 or 5?

16 2
found 2, but 2 is even, and the partner speaks at odd distances only; allowed with dialogue.max_turns = 16:
odd numbers from 3 to 13. Did you mean 3?

16 1
found 1, but 1 is the interaction itself, which is always computed; allowed with dialogue.max_turns = 16:
odd numbers from 3 to 13.

16 15
found 15, but no turn that far ahead is left for agent 2, who speaks first at turn 1; allowed with
dialogue.max_turns = 16: odd numbers from 3 to 13.

4 3
found 3, but no turn that far ahead is left for agent 2, who speaks first at turn 1; allowed with
dialogue.max_turns = 4: none.
"""


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths of config.yaml are those of the repository's root."""
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def published() -> dict[str, Any]:
    return read_yaml("config.yaml")


class TestModels:
    def test_two_of_one_name(self):
        assert of_models({"name": "a"}, {"name": "b"}, {"name": "a"}) == [
            "models[2].name: found `a`, which models[0] has already; allowed: a name that no other has."
        ]

    def test_names_that_differ_in_case_only_share_a_folder_on_some_disks(self):
        (line,) = of_models({"name": "Llama"}, {"name": "llama"})
        assert "only case differs from `Llama`" in line

    def test_path_that_does_not_exist_names_its_like(self, tmp_path):
        (tmp_path / "llama-3-8b").mkdir()
        (line,) = of_models({"path": f"{tmp_path}/lama-3-8b"})
        assert line.startswith(
            f"models[0] (model-0).path: found '{tmp_path}/lama-3-8b', which does not exist;"
        )
        assert line.endswith("Did you mean `llama-3-8b`?")

    @pytest.mark.parametrize("path", ["./no/model", "no-such-model", "a/b/c", "~/no-such-model"])
    def test_path_that_is_neither_folder_nor_hub_id(self, path):
        (line,) = of_models({"path": path})
        assert (
            f"found '{path}', which does not exist; allowed: a folder that does, or a Hugging Face id" in line
        )

    def test_folder_that_holds_no_model(self, tmp_path):
        (line,) = of_models({"path": str(tmp_path)})
        assert "without config.json; allowed: one that save_pretrained wrote" in line

    def test_file_in_place_of_a_folder(self):
        (line,) = of_models({"path": "./config.yaml"})
        assert "which is a file; allowed: the model's folder" in line

    def test_both_path_and_miniature_or_neither(self):
        both, neither = of_models({"miniature": MINIATURE}, {"path": None})
        assert both.startswith("models[0] (model-0): found both `path` and `miniature`")
        assert neither.startswith("models[1] (model-1): found none of `path`, `miniature` and `endpoint`;")

    def test_impossible_miniatures_come_together(self):
        mini = {"path": None, "miniature": {**MINIATURE, "hidden_size": 30}}
        other = {"path": None, "miniature": {**MINIATURE, "architecture": "llama", "sliding_window": 64}}
        assert [line.partition(": ")[::2] for line in of_models(mini, other)] == [
            ("models[0] (model-0).miniature", "hidden_size: 30 is not a multiple of heads = 4."),
            (
                "models[1] (model-1).miniature",
                "sliding_window: llama has none, only mistral. Set it to null.",
            ),
        ]

    def test_revision_only_where_there_are_revisions(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        (line,) = of_models({"path": str(tmp_path), "revision": "main"}, {"revision": "main"})
        assert line.startswith("models[0] (model-0).revision: found `main`")

    @pytest.mark.parametrize("family", ["cross", "Cross"])
    def test_family_name_of_mixed_pairs_is_taken(self, family):
        (line,) = of_models({"family": family})
        assert line.startswith(
            f"models[0] (model-0).family: found `{family}`, which is kept for pairs of two"
        )

    def test_covariate_that_one_model_lacks(self):
        (line,) = of_models({}, {"covariates": {"ifeval": 0.3}})
        assert line == (
            "models[1] (model-1).covariates: found `ifeval`, but statistics.covariates asks for `musr`. "
            "Give its value here, or take it off that list."
        )

    def test_covariate_that_no_model_has_is_one_problem(self):
        (line,) = problems("{statistics: {covariates: [ifevl]}}")
        assert line == (
            "statistics.covariates[0]: found `ifevl`, which is a covariate of no model. "
            "Did you mean `ifeval`?"
        )

    def test_covariate_with_the_name_of_a_column(self):
        (line,) = problems("{statistics: {covariates: [sync_r2]}}")
        assert line.startswith(
            "statistics.covariates[0]: found `sync_r2`, which is a column of the pairs anyway"
        )

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "0.4"])
    def test_covariate_that_is_no_number(self, value):
        (line,) = of_models({"covariates": {"ifeval": value, "musr": 1}})
        assert line.startswith("models[0] (model-0).covariates.ifeval: found ")
        assert "; allowed: number." in line


class TestPairs:
    def test_unknown_model_names_the_nearest(self):
        assert problems("pairs: [[llama-2-7b, llama2-7b]]") == [
            "pairs[0]: found `llama2-7b`, which is not among the models. Did you mean `llama-2-7b`?"
        ]

    @pytest.mark.parametrize("again", [["llama-2-7b", "llama-3-8b"], ["llama-3-8b", "llama-2-7b"]])
    def test_repeated_in_either_order(self, again):
        (line,) = problems({"pairs": [["llama-2-7b", "llama-3-8b"], ["llama-2-7b", "llama-2-7b"], again]})
        assert line.startswith(f"pairs[2]: found {' and '.join(again)}, which pairs[0] has already")

    def test_no_claim_about_models_whose_own_name_is_wrong(self):
        found = problems({"models": [{**LLAMA, "name": "a/b"}], "pairs": [["a/b", "a/b"]]})
        assert [line.partition(":")[0] for line in found] == ["models[0] (a/b).name"]


class TestFolders:
    def test_scenario_folder_that_lacks_files(self, tmp_path):
        (tmp_path / "envs.json").write_text("{}")
        (line,) = problems({"scenarios": {"source": "local", "folder": str(tmp_path)}})
        assert f"{tmp_path}: no agents.json, no env_agent_combos.json" in line

    def test_local_without_a_folder(self):
        (line,) = problems("{scenarios: {source: local}}")
        assert line.startswith(
            "scenarios.folder: found nothing; allowed with source `local`: a folder with envs"
        )

    def test_folder_that_would_be_ignored(self):
        (line,) = problems("{scenarios: {folder: mine}}")
        assert line.startswith("scenarios.folder: found 'mine', but scenarios.source is `public`")

    def test_broken_episode_list(self, tmp_path):
        for name in ("envs.json", "agents.json"):
            (tmp_path / name).write_text("{}")
        (tmp_path / "env_agent_combos.json").write_text('[{"pk": ')
        (line,) = problems({"scenarios": {"source": "local", "folder": str(tmp_path)}})
        assert line.startswith(f"scenarios.folder: {tmp_path}")
        assert "env_agent_combos.json" in line

    def test_more_episodes_than_there_are(self):
        over = "{scenarios: {source: bundled, episodes: 37}, synchrony: {samples: auto}}"
        (line,) = problems(over)
        assert line.startswith("scenarios.episodes: found 37; allowed: up to 36,")

    def test_all_is_unknown_before_the_public_files_are_there(self):
        (line,) = problems("{scenarios: {episodes: all}}")
        assert line.startswith("scenarios.episodes: found `all`, which is not known before")

    def test_prompt_folder_that_lacks_templates(self, tmp_path):
        (tmp_path / "judge.jinja").write_text("{{ view }}")
        (line,) = problems({"prompts": str(tmp_path)})
        assert line.startswith(
            f"prompts: found '{tmp_path}' without engaged.jinja, bystander.jinja, labels.jinja; allowed: "
        )

    def test_prompt_template_that_is_no_template(self, tmp_path):
        for name in ("engaged", "bystander", "judge", "labels"):
            (tmp_path / f"{name}.jinja").write_text("{{ cue }}" if name == "engaged" else "text")
        (tmp_path / "judge.jinja").write_text("fine\n{% if %}\n")
        (line,) = problems({"prompts": str(tmp_path)})
        assert "judge.jinja, line 2" in line

    def test_results_that_are_a_file(self):
        (line,) = problems("results: config.yaml")
        assert line.startswith("results: found 'config.yaml', which is a file;")


def lag_alone(turns: int, lag: int) -> dict[str, Any]:
    """Nothing else depends on the number of turns."""
    synchrony = {"lags": [lag], "samples": "auto", "profile_lags": []}
    return {"dialogue": {"max_turns": turns}, "synchrony": synchrony}


class TestLags:
    @pytest.mark.parametrize(("case", "expected"), cases(REFUSED_LAGS))
    def test_refused(self, case, expected):
        turns, lag = map(int, case.split())
        over = lag_alone(turns, lag)
        assert problems(over) == [f"synchrony.lags[0]: {expected}"]

    @pytest.mark.parametrize("turns", [3, 4, 5, 8, 11])
    def test_exactly_those_are_allowed_for_which_both_directions_have_samples(self, published, turns):
        for lag in range(3, turns + 2):
            over = lag_alone(turns, lag)
            sources = [turn for turn in range(turns) if turn + lag < turns]
            # A source and its target belong to two speakers, and each of the two must be a source somewhere.
            possible = lag % 2 == 1 and {turn % 2 for turn in sources} == {0, 1}
            if possible:
                load(merged(published, over))
            else:
                assert len(problems(over)) == 1


BUNDLED = {"source": "bundled", "episodes": "all"}


class TestCorrectedProtocol:
    def test_more_folds_than_environments(self, published):
        over = {"scenarios": BUNDLED, "synchrony": {"samples": "auto", "folds": 12}}
        assert load(merged(published, over)).synchrony.folds == 12
        over["synchrony"]["folds"] = 13
        assert problems(over) == [
            "synchrony.folds: found 13, but the episodes to be played have 12 environments, and a fold holds "
            "whole ones; allowed: from 3 to 12. Lower it, play more episodes, or take `corrected` off "
            "synchrony.protocols."
        ]

    def test_only_the_environments_of_the_episodes_that_are_played_count(self, tmp_path):
        for name in ("envs.json", "agents.json"):
            (tmp_path / name).write_text("{}")
        combos = [{"pk": f"e{i}", "env_id": f"env-{i // 4}", "agent_ids": ["a", "b"]} for i in range(40)]
        (tmp_path / "env_agent_combos.json").write_text(json.dumps(combos))
        local = {"source": "local", "folder": str(tmp_path), "episodes": 8}
        (line,) = problems({"scenarios": local, "synchrony": {"samples": "auto"}})
        assert line.startswith("synchrony.folds: found 5, but the episodes to be played have 2 environments")
        assert "allowed: none." in line

    def test_folds_of_episodes_that_are_not_here_yet_are_left_to_the_run(self, published):
        assert load(merged(published, {"synchrony": {"folds": 20}})).synchrony.folds == 20

    def test_profile_lags_beyond_the_dialogues_come_as_one_problem(self, published):
        over = {"dialogue": {"max_turns": 6}, "synchrony": {"samples": "auto", "lags": [3]}}
        assert problems(over) == [
            "synchrony.profile_lags: found 5, 6, 7, but no turn that far ahead is left for agent 2, who "
            "speaks first at turn 1; allowed with dialogue.max_turns = 6: 1 to 4."
        ]
        over["synchrony"]["profile_lags"] = [4, 1]
        assert load(merged(published, over)).synchrony.profile_lags == (4, 1)

    def test_without_the_protocol_its_keys_do_not_count(self, published):
        over = {
            "scenarios": {**BUNDLED, "episodes": 2},
            "dialogue": {"max_turns": 4},
            "synchrony": {"protocols": ["paper"], "samples": "auto", "lags": []},
        }
        assert load(merged(published, over)).synchrony.protocols == ("paper",)

    def test_all_at_once(self):
        found = problems(
            {
                "scenarios": {**BUNDLED, "episodes": 4},
                "dialogue": {"max_turns": 4},
                "synchrony": {
                    **{"protocols": ["paper", "corrected"], "samples": "auto", "lags": [3], "null_draws": 3},
                    **{"memory_gb": 0, "penalties": [-1], "fold_seed": -1},
                },
            }
        )
        assert sorted(line.partition(":")[0].removeprefix("synchrony.") for line in found) == [
            *("fold_seed", "folds", "lags[0]", "memory_gb", "null_draws", "penalties[0]", "profile_lags")
        ]


class TestSamples:
    def test_published_number_fits_and_the_limit_is_exact(self, published):
        load(merged(published, {"synchrony": {"samples": 6750}}))
        (line,) = problems("{synchrony: {samples: 6751}}")
        assert line == (
            "synchrony.samples: found 6751; allowed: up to 6750, or `auto`. At lag 5, 450 episodes × 3 seeds "
            "× 5 turns of agent 2 with a target give 6750, and test and training set take whole episodes."
        )

    @pytest.mark.parametrize("episodes", [1, 2, 3, 7, 36])
    @pytest.mark.parametrize(("turns", "lag", "seeds"), [(4, 1, 1), (8, 3, 2), (9, 5, 3), (16, 13, 1)])
    def test_limit_agrees_with_joining_and_splitting_for_real(self, episodes, turns, lag, seeds):
        names = [f"episode-{i}" for i in range(episodes)]
        rows = [
            [
                Row(name, seed, turn)
                for name in names
                for seed in range(seeds)
                for turn in range(start, turns, 2)
            ]
            for start in (0, 1)
        ]
        # Agent 2 speaks second, so its direction never has more samples than the other.
        counts = [join(rows[k], rows[1 - k], lag, names).per_episode(episodes) for k in (0, 1)]
        assert counts[1].max() <= counts[0].min()
        limit = max_samples(episodes, counts[1][0])
        for wanted in range(1, counts[1].sum() + 2):
            try:
                paper_split(counts[1], wanted, seed=0)
                fits = True
            except SyncR2Error:
                fits = False
            assert fits == (wanted <= limit)

    def test_repeated_seeds_give_no_further_samples(self):
        found = problems("{seeds: [0, 1, 0], synchrony: {samples: 6500}}")
        assert "450 episodes × 2 seeds × 5 turns" in "".join(found)


class TestJudges:
    def test_two_of_one_name(self):
        (line,) = problems({"judges": [{"name": "a", **ENDPOINT}, {"name": "a", "engine": "surface"}]})
        assert line.startswith("judges[1].name: found `a`, which judges[0] has already")

    @pytest.mark.parametrize(
        ("given", "found"),
        [({"model": "m"}, "no `base_url`"), ({}, "neither `model` nor `base_url`")],
    )
    def test_openai_needs_model_and_address(self, given, found):
        (line,) = problems({"judges": [{"name": "gpt", "engine": "openai", **given}]})
        assert line == f"judges[0] (gpt): found {found}; the engine `openai` needs both."

    def test_problems_of_several_judges_come_together(self):
        judges = [{"name": name, **ENDPOINT, "base_url": f"http://host/{name}?key=1"} for name in "ab"]
        first, second = problems({"judges": judges})
        assert first.startswith("judges[0] (a): base_url is 'http://host/a'; an address such as")
        assert second.startswith("judges[1] (b): base_url is 'http://host/b'; an address such as")

    def test_temperature_may_be_left_to_the_endpoint(self, published):
        experiment = load({**published, "judges": [{"name": "gpt", **ENDPOINT, "temperature": None}]})
        assert experiment.judges["gpt"].temperature is None
